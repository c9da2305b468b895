"""A budget of cost: nothing that does not fit is started, and little of it is left over."""

import math

import numpy as np
import pytest

from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.study import Study
from neocarbs_jax.study.stopping import fits, remaining
from neocarbs_jax.study.trials import Trial

SPACE = SearchSpace(steps=Log(1, 1000), x=Linear(0, 1))
BUDGET = 1500.0


def objective(values):
    return math.log(values["steps"]) * (1 - (values["x"] - 0.3) ** 2), values["steps"]


@pytest.fixture(scope="module", params=[0, 1, 2])
def trials(request, tmp_path_factory):
    study = Study.create(SPACE, f"sqlite:///{tmp_path_factory.mktemp('budget')}/sweep.db", seed=request.param)
    return [t for t in study.run(objective, max_cost=BUDGET) if t.status != "interrupted"]


@pytest.mark.slow
def test_the_budget_holds_and_is_spent(trials):
    spent = sum(trial.cost for trial in trials)
    assert 0.8 * BUDGET < spent <= BUDGET


@pytest.mark.slow
def test_no_trial_is_left_running(trials):
    assert {trial.status for trial in trials} == {"completed"}


def test_a_run_that_is_resumed_keeps_to_the_same_budget(tmp_path):
    storage = f"sqlite:///{tmp_path}/sweep.db"
    Study.create(SPACE, storage).run(objective, max_cost=BUDGET / 2)
    trials = Study.load(storage).run(objective, max_cost=BUDGET)
    assert BUDGET / 2 < sum(trial.cost or 0 for trial in trials) <= BUDGET


def predicted(cost, std, status="running"):
    return Trial(0, {}, status, predicted_cost=cost, predicted_cost_std=std)


def test_a_trial_fits_where_its_cost_is_below_what_is_left_with_high_probability():
    assert fits(predicted(10.0, 1.0), [], 12.0, 0.05)
    assert not fits(predicted(10.0, 1.0), [], 11.0, 0.05)
    assert fits(predicted(10.0, 1.0), [], 11.0, 0.2)
    assert fits(Trial(0, {}, "running"), [], 0.1, 0.05)


def test_trials_that_run_are_paid_for():
    assert not fits(predicted(10.0, 1.0), [predicted(5.0, 0.1)], 14.0, 0.05)
    assert fits(predicted(10.0, 1.0), [predicted(1.0, 0.1)], 14.0, 0.05)


def test_what_is_left_counts_failed_trials_too():
    trials = [Trial(0, {}, "completed", 1.0, 3.0), Trial(1, {}, "failed", cost=2.0), Trial(2, {}, "running")]
    assert remaining(trials, 10.0) == pytest.approx(5.0)
    assert remaining(trials, None) == np.inf
