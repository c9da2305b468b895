"""Who is alive: signatures, heartbeats, late results, and storages that are busy for a while."""

import os
import sqlite3
import subprocess
import sys
import threading
import time

import optuna
import pytest
from optuna.trial import TrialState

from neocarbs_jax.space import Linear, SearchSpace
from neocarbs_jax.study import Study, liveness, storages

SPACE = SearchSpace(x=Linear(0, 1))


def ended_process():
    """The number and the start of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        born = liveness._born(process.pid)
        process.communicate(b"\n")
    return {"process": process.pid, "born": born}


HERE = liveness.signature()
ALIVE = {**HERE, "token": "another", "process": os.getppid(), "born": liveness._born(os.getppid())}


@pytest.mark.parametrize(
    ("worker", "is_dead"),
    [
        (HERE, False),
        (ALIVE, False),
        ({**ALIVE, **ended_process()}, True),
        ({**ALIVE, "born": 1}, True),  # its number went to another process
        ({**HERE, "token": "another"}, True),  # its number went to this one
        ({**ALIVE, **ended_process(), "namespace": "pid:[1]"}, False),  # a container on this host
        ({**ALIVE, **ended_process(), "boot": "before"}, False),  # another machine of that name, or this one before
        ({**ALIVE, **ended_process(), "host": "elsewhere"}, False),
        ({"host": HERE["host"], "token": "another", **ended_process()}, True),  # of version 0.1.0
        ({"host": HERE["host"], "token": "another", "process": os.getppid()}, False),
    ],
)
def test_a_worker_is_looked_up_only_where_its_number_means_the_same(storage, worker, is_dead):
    study = Study.create(SPACE, storage)
    [trial] = study.ask()
    study.optuna_study._storage.set_trial_user_attr(1, "worker", worker)
    assert liveness.release_dead(study.optuna_study) == ([trial.number] if is_dead else [])


def test_a_process_that_ended_unseen_by_its_parent_is_dead():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        while liveness._born(process.pid) != 0:  # a zombie until the parent looks
            time.sleep(0.01)


def test_an_overdue_beat_of_a_journal_is_a_death(tmp_path):
    study = Study.create(SPACE, tmp_path / "sweep.log")
    study.ask(q=2)
    keep = study.optuna_study._storage.set_trial_user_attr
    for trial_id in (0, 1):
        keep(trial_id, "worker", {**HERE, "host": "elsewhere"})
    keep(1, "beat", time.time() - liveness.GRACE_SECONDS - 1)
    assert liveness.release_dead(study.optuna_study) == [1]


def test_a_heartbeat_that_meets_an_error_goes_on(storage, monkeypatch):
    monkeypatch.setattr(liveness, "HEARTBEAT_SECONDS", 0.01)
    study = Study.create(SPACE, storage)
    beats = []

    def beat(trial_id):
        beats.append(trial_id)
        if len(beats) in (2, 3):
            raise optuna.exceptions.StorageInternalError("the connection is lost")

    monkeypatch.setattr(study._pulse, "_beat", beat)
    study.ask()
    deadline = time.monotonic() + 10
    while len(beats) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(beats) >= 6


def test_a_result_that_comes_after_its_trial_was_declared_dead_is_taken(storage):
    study = Study.create(SPACE, storage)
    good, bad = study.ask(q=2)
    for trial_id in (1, 2):
        study.optuna_study._storage.set_trial_state_values(trial_id, TrialState.FAIL)
    taken = study.tell(good, 3.0, 4.0, worker="mine", note=1)
    failed = study.fail(bad, "diverged", cost=2.0)
    assert [t.status for t in study.trials] == ["interrupted", "interrupted", "completed", "failed"]
    assert (taken.values, taken.score, taken.cost) == (good.values, 3.0, 4.0)
    assert taken.attrs == {"worker": "mine", "note": 1, "late_result_of": 0}
    assert (failed.values, failed.reason, failed.cost) == (bad.values, "diverged", 2.0)


def test_a_row_declared_dead_while_it_is_entered_is_given_up_for_another(storage, monkeypatch):
    study = Study.create(SPACE, storage)
    enter = study._pulse.add

    def jump(number, trial_id):  # of the clock, for once
        study.optuna_study._storage.set_trial_state_values(trial_id, TrialState.FAIL)
        monkeypatch.setattr(study._pulse, "add", enter)
        enter(number, trial_id)

    monkeypatch.setattr(study._pulse, "add", jump)
    [trial] = study.ask()
    assert trial.number == 1
    assert [t.status for t in study.trials] == ["interrupted", "running"]


def test_a_run_that_seems_done_makes_up_for_the_trial_of_a_dead_worker(storage):
    study = Study.create(SPACE, storage)
    [lost] = study.ask()
    study._pulse.discard(lost.number)
    study.optuna_study._storage.set_trial_user_attr(1, "worker", {**ALIVE, **ended_process()})
    trials = study.run(lambda values: (values["x"], 1.0), num_trials=1)
    assert [trial.status for trial in trials] == ["interrupted", "completed"]


def test_a_locked_database_is_waited_for(storage, tmp_path):
    study = Study.create(SPACE, storage)
    lock = sqlite3.connect(tmp_path / "sweep.db", check_same_thread=False)
    lock.execute("BEGIN EXCLUSIVE")
    threading.Timer(1.0, lock.rollback).start()
    [trial] = study.ask()
    lock.execute("BEGIN EXCLUSIVE")
    threading.Timer(1.0, lock.rollback).start()
    assert study.tell(trial, 1.0, 1.0).status == "completed"
    lock.close()


def test_a_database_that_stays_locked_says_so_after_a_stated_time(storage, tmp_path, monkeypatch):
    monkeypatch.setattr(storages, "WAIT_SECONDS", 0.3)
    study = Study.create(SPACE, f"{storage}?timeout=0.05")
    [trial] = study.ask()
    lock = sqlite3.connect(tmp_path / "sweep.db")
    lock.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TimeoutError, match=r"The storage stayed out of reach for 0.3 seconds: database is locked"):
        study.tell(trial, 1.0, 1.0)
    lock.rollback()
    lock.close()
    assert study.tell(trial, 1.0, 1.0).status == "completed"
