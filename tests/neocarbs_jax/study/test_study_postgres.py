"""Many workers, one study, in a real PostgreSQL server that the test starts; skipped where none is installed."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from neocarbs_jax.study import Study

pytest.importorskip("psycopg")


def _server_programs() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def _run(*command: object) -> None:
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    subprocess.run(list(map(str, command)), check=True, capture_output=True, cwd="/", user=user, group=user)


@pytest.fixture(scope="module")
def url():
    programs = _server_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own folders are closed to other users
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _run(programs / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    _run(programs / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
    yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    _run(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
    shutil.rmtree(folder)


WORKER = """
    import sys
    from neocarbs_jax.space import Integer, Log, SearchSpace
    from neocarbs_jax.study import Study
    space = SearchSpace(learning_rate=Log(1e-5, 1e-1), epochs=Integer(1, 8))
    study = Study.create(space, sys.argv[1], name="shared")
    study.run(lambda values: (values["learning_rate"], float(values["epochs"])), num_trials=8)
"""


@pytest.mark.slow
def test_workers_share_a_study_without_repeating_each_other(url, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(WORKER))
    workers = [subprocess.Popen([sys.executable, script, url]) for _ in range(2)]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    study = Study.load(url, name="shared")
    trials = study.trials
    study.close()
    assert 8 <= len(trials) <= 9  # both may see the last free place at once
    assert {t.status for t in trials} == {"completed"}
    assert len({tuple(t.values.items()) for t in trials}) == len(trials)  # a step may leave one axis where it was
    assert [t.number for t in trials] == list(range(len(trials)))


def test_a_server_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`storage` must name a database that can be opened") as refusal:
        Study.load("postgresql://postgres:secret@127.0.0.1:1/none")
    assert "secret" not in str(refusal.value)
