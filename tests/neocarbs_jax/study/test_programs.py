"""Programs are compiled once, by whoever needs them first, and kept where the user wants them."""

import json
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from neocarbs_jax.study.programs import Programs


class Counted:
    """Makes of one program, counted."""

    def __init__(self, *errors):
        self.count = 0
        self._errors = list(errors)

    def __call__(self):
        self.count += 1
        if self._errors and (error := self._errors.pop(0)):
            raise error
        return f"program {self.count}"


@pytest.fixture
def programs():
    made = Programs()
    yield made
    made.forget()


@pytest.fixture
def busy(programs):
    """Keeps the thread that compiles ahead at work until it is set."""
    release, started = threading.Event(), threading.Event()

    def work():
        started.set()
        release.wait(10)

    programs.ahead("busy", work)
    assert started.wait(10)
    yield release
    release.set()


def test_a_program_is_made_once_however_often_it_is_asked_for(programs):
    make = Counted()
    assert [programs.get("a", make) for _ in range(3)] == ["program 1"] * 3
    programs.ahead("a", make)
    assert programs.get("a", make) == "program 1"
    assert make.count == 1
    assert programs.get("b", make) == "program 2"


def finish(programs):
    """Waits until the thread has nothing left to compile."""
    worker = programs._worker
    if worker is not None:
        worker.join(10)


def test_what_is_compiled_ahead_is_not_compiled_again(programs):
    make, unused = Counted(), Counted()
    programs.ahead("a", make)
    programs.ahead("a", make)
    finish(programs)
    assert programs.get("a", unused) == "program 1"
    assert (make.count, unused.count) == (1, 0)


def test_what_waits_in_the_queue_is_compiled_by_whoever_needs_it(programs, busy):
    ahead, here = Counted(), Counted()
    programs.ahead("a", ahead)
    assert programs.get("a", here) == "program 1"  # at once: the thread is still busy
    assert not busy.is_set()
    busy.set()
    programs.get("busy", Counted())
    finish(programs)
    assert (ahead.count, here.count) == (0, 1)
    assert programs.get("a", ahead) == "program 1"


def test_what_is_under_way_is_waited_for(programs):
    entered, release = threading.Event(), threading.Event()

    def make():
        entered.set()
        release.wait(10)
        return "slow"

    programs.ahead("a", make)
    assert entered.wait(10)
    unused, got = Counted(), []
    waiting = threading.Thread(target=lambda: got.append(programs.get("a", unused)))
    waiting.start()
    release.set()
    waiting.join(10)
    assert got == ["slow"]
    assert unused.count == 0


def test_many_threads_that_need_one_program_make_it_once(programs):
    gate, make, got = threading.Barrier(8), Counted(), []

    def need():
        gate.wait(10)
        got.append(programs.get("a", make))

    threads = [threading.Thread(target=need) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert got == ["program 1"] * 8
    assert make.count == 1


def test_a_failure_in_the_background_surfaces_where_the_program_is_needed(programs):
    programs.ahead("a", Counted(RuntimeError("no such instruction")))
    finish(programs)
    with pytest.raises(RuntimeError, match="no such instruction"):
        programs.get("a", Counted(RuntimeError("no such instruction")))
    assert programs.get("b", Counted()) == "program 1"


@pytest.mark.parametrize("error", [RuntimeError("no memory"), KeyboardInterrupt()])
def test_an_interrupted_compilation_is_tried_again(programs, error):
    make = Counted(error)
    with pytest.raises(type(error)):
        programs.get("a", make)
    assert programs.get("a", make) == "program 2"


def test_a_failure_is_heard_by_those_who_wait(programs):
    entered, release, heard = threading.Event(), threading.Event(), []

    def make():
        entered.set()
        release.wait(10)
        raise RuntimeError("no memory")

    def need():
        try:
            programs.get("a", make)
        except RuntimeError as error:
            heard.append(str(error))

    threads = [threading.Thread(target=need) for _ in range(2)]
    threads[0].start()
    assert entered.wait(10)
    threads[1].start()
    release.set()
    for thread in threads:
        thread.join(10)
    assert heard == ["no memory"] * 2


def test_a_failure_in_the_background_is_tried_again_by_the_next_who_needs_it(programs):
    programs.ahead("a", Counted(RuntimeError("no memory")))
    finish(programs)
    with pytest.raises(RuntimeError, match="no memory"):
        programs.get("a", Counted(RuntimeError("no memory")))
    assert programs.get("a", Counted()) == "program 1"


LEAVE = """
    import time
    from neocarbs_jax.study.programs import Programs
    programs = Programs()
    programs.ahead("under way", lambda: time.sleep(1))
    programs.ahead("in the queue", lambda: print("compiled for nobody"))
"""


def test_a_process_that_ends_compiles_nothing_more():
    command = [sys.executable, "-c", textwrap.dedent(LEAVE)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


CACHE = """
    import json, sys, jax
    from neocarbs_jax import SearchSpace, Linear, Study
    hits = []
    jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
    before = jax.config.jax_compilation_cache_dir
    shortest = jax.config.jax_persistent_cache_min_compile_time_secs
    options = json.loads(sys.argv[1])
    study = Study.create(SearchSpace(x=Linear(0, 1)), "sqlite:///:memory:", strategy="random", **options)
    minimum = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    values = [trial.values["x"] for trial in study.ask(3)]
    print(json.dumps({
        "before": before, "after": jax.config.jax_compilation_cache_dir, "shortest": [shortest, minimum],
        "values": values, "hits": hits.count("/jax/compilation_cache/cache_hits"),
    }))
"""


def in_a_new_process(tmp_path, options, **environment):
    """What a study of random search says about JAX's cache."""
    of_the_tests = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(of_the_tests)}
    command = [sys.executable, "-c", textwrap.dedent(CACHE), json.dumps(options)]
    environment = {**inherited, "XDG_CACHE_HOME": str(tmp_path), **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def test_programs_are_kept_in_the_users_cache_folder_and_found_there_again(tmp_path):
    first = in_a_new_process(tmp_path, {})
    folder = tmp_path / "neocarbs-p3o" / "jax"
    assert (first["before"], first["after"]) == (None, str(folder))
    assert first["shortest"][1] == pytest.approx(0.2)
    assert first["hits"] == 0
    assert any(folder.iterdir())
    second = in_a_new_process(tmp_path, {})
    assert second["hits"] > 0
    assert second["values"] == first["values"]


def test_without_the_cache_nothing_of_jax_is_touched(tmp_path):
    alone = in_a_new_process(tmp_path, {"compilation_cache": False})
    assert (alone["before"], alone["after"]) == (None, None)
    assert alone["shortest"][0] == alone["shortest"][1]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_the_user_set_is_the_one(tmp_path):
    mine = tmp_path / "mine"
    users = in_a_new_process(tmp_path, {}, JAX_COMPILATION_CACHE_DIR=str(mine))
    assert users["before"] == users["after"] == str(mine)
    assert users["shortest"][0] == users["shortest"][1]
    assert any(mine.iterdir())
    assert not (tmp_path / "neocarbs-p3o").exists()
