"""Storages with studies to look at, and a server in a thread."""

import contextlib
import math
import threading

import pytest

pytest.importorskip("dash")

from werkzeug.serving import make_server

from neocarbs_jax import Choice, Log, SearchSpace, Study, dashboard
from neocarbs_jax.dashboard import server

EVIL = "<script>alert(1)</script> {{ 7*7 }} \"'"
SPACE = SearchSpace(lr=Log(1e-4, 1.0), opt=Choice(["adam", "sgd"]), **{EVIL: Log(0.1, 10.0)})


def add(study, number, **more):
    """Add a trial of score 10 * number and cost 1 + number, every fifth of them failed."""
    values = {"lr": 10.0 ** -(number % 4), "opt": ("adam", "sgd")[number % 2], EVIL: 0.1 + number % 7}
    score = math.nan if number % 5 == 4 else 10.0 * number
    curve = [[1, score / 2, 1.0], [2, score, 2.0]]
    attrs = {"reason": EVIL} if number % 5 == 4 else {EVIL: EVIL, "learning_curve": curve}
    return study.add(values, score, 1.0 + number, attrs=attrs | more)


@pytest.fixture(scope="session")
def evil():
    """Name of a study, an axis and an attribute."""
    return EVIL


@pytest.fixture
def growing(tmp_path):
    """A study of four trials, and a function that adds the trial of a number to it."""
    study = Study.create(SPACE, tmp_path / "grow.db", name="grow", compilation_cache=False)
    for number in range(4):
        add(study, number)
    return study, lambda number, **more: add(study, number, **more)


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """Path of a database with two studies; the newest has a name that looks like markup."""
    path = tmp_path_factory.mktemp("dashboard") / "a.db"
    for name, count in (("first", 3), (EVIL, 12)):
        study = Study.create(SPACE, f"sqlite:///{path}", name=name, compilation_cache=False)
        for number in range(count):
            add(study, number)
        study.close()
    return path


@pytest.fixture
def serving():
    """A context that serves a page as `serve` does, and yields its address."""

    @contextlib.contextmanager
    def run(*args, **options):
        app = dashboard.make(*args, **{"fits": False, **options})
        server.guard(app, "127.0.0.1")
        running = make_server("127.0.0.1", 0, app.server, threaded=True)
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join(timeout=20)
            running.server_close()
            assert not thread.is_alive()

    return run
