"""Trials that report while they run, and stop where they cannot reach the front."""

import math
import pickle

import pytest

from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.study import Study

SPACE = SearchSpace(steps=Log(10, 1000), x=Linear(0, 1))


def truth(steps, x):
    return math.log10(steps) * (1 - (x - 0.3) ** 2)


def objective(values):
    return truth(**values), values["steps"]


@pytest.fixture
def study(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db", budget="steps")
    study.run(objective, num_trials=16)
    return study


def ask(study, **values):
    study.enqueue(values)
    [trial] = study.ask()
    return trial


def test_a_hopeless_trial_should_stop_and_counts_as_a_shorter_training(study):
    trial = ask(study, steps=900.0, x=0.99)
    for steps in (10.0, 30.0, 90.0):
        trial.report(-3.0, steps, steps)
    assert trial.should_stop()
    told = study.tell(trial, -3.0, 90.0)
    assert (told.status, told.values["steps"], told.cost) == ("completed", 90.0, 90.0)


def test_a_good_trial_goes_on(study):
    trial = ask(study, steps=900.0, x=0.3)
    for steps in (10.0, 30.0, 90.0):
        trial.report(truth(steps, 0.3), steps, steps)
    assert not trial.should_stop()
    assert study.tell(trial, truth(900.0, 0.3), 900.0).values["steps"] == 900.0


def test_a_trial_that_has_reported_nothing_goes_on(study):
    assert not ask(study, steps=900.0, x=0.99).should_stop()


def test_the_budget_follows_from_the_share_of_the_predicted_cost(study):
    [trial] = study.ask()
    trial.report(0.5, trial.predicted_cost / 4)
    [row] = [row for row in study.trials if row.number == trial.number]
    assert row.attrs["curve"][0][0] == pytest.approx(trial.values["steps"] / 4)


def test_other_workers_see_what_a_running_trial_reported(study):
    trial = ask(study, steps=900.0, x=0.5)
    trial.report(5.0, 10.0, 12.0)
    assert any(point.values["steps"] == 12.0 for point in study.expected_front)


def test_a_study_without_a_budget_axis_says_so(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db")
    [trial] = study.ask()
    with pytest.raises(ValueError, match="`budget` must name an axis for `report`"):
        trial.report(1.0, 2.0, 20.0)


def test_a_trial_that_was_read_cannot_report(study):
    with pytest.raises(ValueError, match="`trial` must be one that `ask` or `run` gave; got trial 0, completed"):
        study.trials[0].report(1.0, 2.0)


@pytest.mark.parametrize("point", [(1.0, -1.0, 5.0), (1.0, 2.0, math.nan), ("a", 2.0, 5.0)])
def test_points_that_cannot_be_are_refused(study, point):
    trial = ask(study, steps=900.0, x=0.5)
    with pytest.raises(ValueError, match="`curve` must be a list"):
        trial.report(*point)


def test_a_trial_may_go_to_another_process_without_its_study(study):
    [trial] = study.ask()
    copy = pickle.loads(pickle.dumps(trial))
    assert copy == trial
    assert copy.watcher is None
