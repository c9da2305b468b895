"""Ctrl-C and SIGTERM, sent to a process: one line, the exit code of the signal, and the state kept."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from experiments import saved
from neocarbs_jax.study import Study

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--set", "num_envs=8", "segment_length=8", "horizon=4", "num_minibatches=1", "update_epochs=1")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def start(folder, *args):
    """A command in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", *args]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=env, **pipes)


def read_until(process, words):
    """Lines of the output up to the first that has the words."""
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"{words!r} never came: {process.stderr.read()}")


def end(process):
    """Output and errors of a process that was sent a signal."""
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    out, err = process.communicate()
    watchdog.cancel()
    return out, err


def count_trials(database):
    """Rows of a database that may not be there yet."""
    if not database.exists():
        return 0
    with contextlib.closing(sqlite3.connect(database)) as connection, contextlib.suppress(sqlite3.OperationalError):
        return connection.execute("select count(*) from trials").fetchone()[0]
    return 0


WAIT = """
import signal, sys, time
from experiments.interrupts import Stopped, graceful, interruptible, leave, stoppable
with stoppable():
    print("ready", flush=True)
    {body}
"""


@pytest.mark.parametrize("signum", CODES)
@pytest.mark.parametrize("body", ["time.sleep(60)", "interruptible(time.sleep, 60)"])
def test_a_signal_is_one_line_and_its_exit_code(tmp_path, signum, body):
    (tmp_path / "wait.py").write_text(WAIT.format(body=body))
    with start(tmp_path, "wait") as process:
        read_until(process, "ready")
        process.send_signal(signum)
        assert end(process) == ("Stopped.\n", "")
        assert process.returncode == CODES[signum]


GRACEFUL = """
    try:
        with graceful():
            signal.raise_signal(signal.SIGINT)
            print("written", flush=True)
            interruptible(time.sleep, 60)
    except Stopped as stop:
        leave(stop.signum, "kept")
"""


def test_a_signal_waits_while_a_folder_is_written(tmp_path):
    (tmp_path / "wait.py").write_text(WAIT.format(body=GRACEFUL.strip()))
    with start(tmp_path, "wait") as process:
        out, err = end(process)
    assert (out.splitlines(), err) == (["ready", "written", "kept"], "")
    assert process.returncode == 130


def test_a_second_signal_does_not_wait(tmp_path):
    body = "with graceful():\n        [signal.raise_signal(signal.SIGTERM) for _ in range(2)]\n        time.sleep(60)"
    (tmp_path / "wait.py").write_text(WAIT.format(body=body))
    with start(tmp_path, "wait") as process:
        out, err = end(process)
    assert (out.splitlines(), err) == (["ready", "Stopped."], "")
    assert process.returncode == 143


def catches_sigterm(process):
    """Whether a process has installed its handler, which Python does not by itself."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGTERM - 1) & 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("signum", CODES)
def test_a_command_that_is_stopped_while_it_imports_is_one_line(tmp_path, signum):
    with start(tmp_path, "experiments.cli", "train", "--out", "agent") as process:
        while not catches_sigterm(process):
            threading.Event().wait(0.01)
        process.send_signal(signum)
        out, err = end(process)
    assert (process.returncode, out, err) == (CODES[signum], "Stopped.\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("signum", CODES)
def test_a_training_that_is_stopped_keeps_its_state_and_says_how_to_go_on(tmp_path, signum):
    command = ["experiments.cli", "train", "--out", "agent", "--episodes", "2", "--reports", "1000", *SMALL]
    with start(tmp_path, *command, "total_steps=1e8") as process:
        read_until(process, "steps/s")
        process.send_signal(signum)
        out, err = end(process)
    assert process.returncode == CODES[signum]
    assert err == ""
    assert "`p3o train --resume --out agent` goes on from there." in out.splitlines()[-1]
    assert int(saved.load(tmp_path / "agent").state.num_updates) > 0


@pytest.mark.slow
def test_a_training_that_is_stopped_while_it_compiles_leaves_nothing(tmp_path):
    with start(tmp_path, "experiments.cli", "train", "--out", "agent") as process:
        read_until(process, "compiling")
        process.send_signal(signal.SIGINT)
        out, err = end(process)
    assert (process.returncode, err) == (130, "")
    assert out.splitlines()[-1].startswith("Stopped before the first update")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("signum", CODES)
def test_a_sweep_that_is_stopped_takes_its_trial_back(tmp_path, signum):
    bounds = ("--bounds", "total_steps=1e3,4e3")
    with start(tmp_path, "experiments.sweep", "--storage", "runs/a.db", "--trials", "1000", *bounds, *SMALL) as process:
        read_until(process, "trial   1")
        process.send_signal(signum)
        out, err = end(process)
    assert process.returncode == CODES[signum]
    assert err == ""
    assert "the same command goes on from here." in out.splitlines()[-1]
    statuses = {t.status for t in Study.load(f"sqlite:///{tmp_path}/runs/a.db", name="pong").trials}
    assert statuses <= {"completed", "interrupted"}


@pytest.mark.slow
def test_a_sweep_that_is_stopped_while_it_compiles_is_one_line(tmp_path):
    with start(tmp_path, "experiments.sweep", "--storage", "runs/a.db", "--set", "network.width=24") as process:
        for _ in range(600):
            threading.Event().wait(0.1)
            if count_trials(tmp_path / "runs" / "a.db"):
                break
        process.send_signal(signal.SIGINT)
        out, err = end(process)
    assert (process.returncode, err) == (130, "")
    assert out.splitlines()[-1].startswith("Stopped. The trials are in runs/a.db;")
