"""The host boundary: a ledger that survives death, resumes exactly, and refuses bad input without losing anything."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from neocarbs_jax.space import Choice, Integer, Linear, Log, Logit, Pow2, SearchSpace
from neocarbs_jax.study import Study, liveness


@pytest.fixture
def space():
    return SearchSpace(
        learning_rate=Log(1e-5, 1e-1),
        gamma=Logit(0.8, 0.9999),
        epochs=Integer(1, 8),
        batch=Pow2(64, 1024),
        clip=Linear(0.05, 0.5),
        optimizer=Choice(("adam", "muon")),
        algorithm="p3o",
    )


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/deep/sweep.db"


def objective(values):
    """A cheap task: more epochs cost more and score more, around a learning rate of 1e-3."""
    score = math.exp(-((math.log10(values["learning_rate"]) + 3) ** 2)) * math.log1p(values["epochs"])
    return score, float(values["epochs"])


def test_a_trial_is_one_row_with_values_predictions_and_results(space, storage):
    study = Study.create(space, storage, name="a")
    [trial] = study.ask()
    assert study.trials == [study.trials[0]]
    assert study.trials[0].status == "running"
    assert study.trials[0].values == trial.values
    assert trial.values["algorithm"] == "p3o"
    assert isinstance(trial.values["batch"], int)
    study.tell(trial, 1.5, 20.0, steps=1000)
    [row] = Study.load(storage, name="a").trials
    assert (row.status, row.score, row.cost, row.attrs) == ("completed", 1.5, 20.0, {"steps": 1000})
    assert row.values == trial.values
    assert row.predicted_cost == trial.predicted_cost


def test_a_resumed_study_proposes_what_it_would_have(space, tmp_path):
    straight, resumed = f"sqlite:///{tmp_path}/straight.db", f"sqlite:///{tmp_path}/resumed.db"
    expected = Study.create(space, straight, seed=3).run(objective, num_trials=6)
    Study.create(space, resumed, seed=3).run(objective, num_trials=4)
    study = Study.load(resumed)
    study.ask()  # a worker that dies with this trial
    study.interrupt(study.trials[-1])
    got = [t for t in Study.load(resumed).run(objective, num_trials=6) if t.status == "completed"]
    assert [t.values for t in got] == [t.values for t in expected]


def test_batches_hold_different_points(space, storage):
    trials = Study.create(space, storage).ask(q=3)
    assert len({t.values["learning_rate"] for t in trials}) == 3
    assert [t.number for t in trials] == [0, 1, 2]


def test_failures_are_data_and_interruptions_are_not(space, storage):
    study = Study.create(space, storage)
    nan, raised, taken_back = study.ask(q=3)
    assert study.tell(nan, math.nan, 3.0).status == "failed"
    assert study.fail(raised, "diverged").reason == "diverged"
    assert study.interrupt(taken_back).status == "interrupted"
    study.run(objective, num_trials=4)
    assert [t.status for t in study.trials] == ["failed", "failed", "interrupted", "completed", "completed"]
    assert study.trials[0].cost == 3.0


def test_a_caught_exception_is_a_failed_trial_and_any_other_takes_the_trial_back(space, storage):
    study = Study.create(space, storage)

    def diverges(values):
        raise FloatingPointError("NaN in the value loss at update 3")

    def is_broken(values):
        raise KeyError("typo")

    study.run(diverges, num_trials=1)
    assert study.trials[0].reason == "NaN in the value loss at update 3"
    with pytest.raises(KeyError, match="typo"):
        study.run(is_broken, num_trials=2)
    assert study.trials[1].status == "interrupted"


def test_run_stops_at_its_budget(space, storage):
    study = Study.create(space, storage)
    trials = study.run(objective, max_cost=12.0)
    assert sum(t.cost for t in trials[:-1]) < 12.0 <= sum(t.cost for t in trials)
    assert study.run(objective, num_trials=1) == trials


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda study: study.run(objective), "needs a stopping rule"),
        (lambda study: study.run(objective, num_trials=0), "`num_trials` must be at least 1; got 0"),
        (lambda study: study.run(objective, max_cost=-1.0), "`max_cost` must be positive; got -1.0"),
        (lambda study: study.ask(q=0), "`q` must be at least 1; got 0"),
        (lambda study: study.tell(study.ask()[0], 1.0, 0.0), "`cost` must be positive and finite; got 0.0"),
        (
            lambda study: study.tell(study.ask()[0], 1.0, math.inf),
            "`cost` must be positive and finite; got inf",
        ),
    ],
)
def test_bad_input_is_refused(space, storage, call, match):
    study = Study.create(space, storage)
    with pytest.raises(ValueError, match=match):
        call(study)


def test_a_result_is_told_once(space, storage):
    study = Study.create(space, storage)
    [trial] = study.ask()
    study.tell(trial, 1.0, 1.0)
    with pytest.raises(ValueError, match="`trial` must be running; got trial 0, completed"):
        study.tell(trial, 2.0, 1.0)
    assert study.trials[0].score == 1.0


def test_another_task_under_the_same_name_is_refused_and_nothing_is_lost(space, storage):
    Study.create(space, storage, name="a").run(objective, num_trials=2)
    other = SearchSpace(temperature=Log(1e-4, 1e-1))
    with pytest.raises(ValueError, match=r"`space` must share an axis with the one of study 'a'.*got temperature"):
        Study.create(other, storage, name="a")
    assert len(Study.load(storage, name="a").trials) == 2


@pytest.mark.parametrize("url", ["sqlite:////proc/none/sweep.db", "nonsense", "nosuchdb://host/db"])
def test_a_storage_that_cannot_be_opened_is_refused(space, url):
    with pytest.raises(ValueError, match="`storage` must"):
        Study.create(space, url)


def test_a_file_that_is_no_database_is_left_alone(space, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("my notes\n" * 100)
    with pytest.raises(ValueError, match="`storage` must name a database"):
        Study.create(space, f"sqlite:///{file}")
    assert file.read_text() == "my notes\n" * 100


def test_loading_makes_nothing(tmp_path):
    with pytest.raises(ValueError, match="`storage` must exist"):
        Study.load(f"sqlite:///{tmp_path}/none.db")
    assert not list(tmp_path.iterdir())


def test_an_unknown_study_is_refused_with_the_known_names(space, storage):
    Study.create(space, storage, name="a")
    with pytest.raises(ValueError, match=r"`name` must be a study of the storage \(a\); got 'b'"):
        Study.load(storage, name="b")


WORKER = """
    import sys, time
    from neocarbs_jax.space import Integer, Log, SearchSpace
    from neocarbs_jax.study import Study, liveness
    space = SearchSpace(learning_rate=Log(1e-5, 1e-1), epochs=Integer(1, 8))
    study = Study.create(space, sys.argv[1])
    trials = study.run(lambda values: (float(values["epochs"]), 1.0), num_trials=2)
    study.ask()
    print("asked", flush=True)
    time.sleep(600)
"""


def test_a_killed_worker_loses_only_its_running_trial(storage, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(WORKER))
    with subprocess.Popen([sys.executable, script, storage], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "asked\n"
        assert [t.status for t in Study.load(storage).trials] == ["completed", "completed", "running"]
        os.kill(worker.pid, signal.SIGKILL)
    assert [t.status for t in Study.load(storage).trials] == ["completed", "completed", "interrupted"]


def test_a_running_process_beats(space, storage, monkeypatch):
    beats = []
    monkeypatch.setattr(liveness, "HEARTBEAT_SECONDS", 0.01)
    study = Study.create(space, storage)
    monkeypatch.setattr(study._pulse, "_beat", beats.append)
    [trial] = study.ask()
    while len(beats) < 3:
        time.sleep(0.01)
    thread = study._pulse._thread
    study.tell(trial, 1.0, 1.0)
    thread.join(timeout=5)
    assert not thread.is_alive()
