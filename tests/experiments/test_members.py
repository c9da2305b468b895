"""Many trials at once: each as if it were alone, and gone from the batch when its budget is spent."""

import math

import numpy as np
import pytest

from envs.pong import Pong
from experiments.members import Members, run_batches
from experiments.objective import Training
from neocarbs_jax.space import Log, SearchSpace
from neocarbs_jax.study import Study, Trial
from p3o_jax.settings import Config, Params

CONFIG = Config(num_envs=4, segment_length=8, horizon=4, num_minibatches=2)
BUDGETS = (640.0, 320.0, 1280.0)


def make_training():
    return Training(Pong(), CONFIG, Params(), env_name="pong", num_episodes=4)


def trial(number, **values):
    return Trial(number, {"learning_rate": 1e-3, **values}, "running")


@pytest.fixture(scope="module")
def together():
    trials = [trial(i, total_steps=steps, learning_rate=1e-3 * (i + 1)) for i, steps in enumerate(BUDGETS)]
    return trials, Members(make_training(), 4)(trials)


@pytest.mark.slow
def test_a_member_gives_what_it_gives_alone(together):
    trials, outcomes = together
    alone = make_training()
    for member, (score, _, attrs) in zip(trials, outcomes, strict=True):
        expected, _, expected_attrs = alone(member.values, member)
        assert score == pytest.approx(expected, abs=1e-3)
        assert attrs["settings"] == expected_attrs["settings"]
        np.testing.assert_allclose(
            [point[:2] for point in attrs["learning_curve"]],
            [point[:2] for point in expected_attrs["learning_curve"]],
            rtol=1e-3,
        )


@pytest.mark.slow
def test_costs_are_those_of_the_members_own_steps(together):
    _, outcomes = together
    costs = [cost for _, cost, _ in outcomes]
    np.testing.assert_allclose(np.array(costs) / costs[0], np.array(BUDGETS) / BUDGETS[0], rtol=1e-6)


@pytest.mark.slow
def test_members_of_several_shapes_come_back_in_order():
    trials = [trial(0, total_steps=320.0), trial(1, total_steps=320.0, num_envs=8), trial(2, total_steps=640.0)]
    outcomes = Members(make_training(), 2)(trials)
    assert [attrs["settings"]["num_envs"] for _, _, attrs in outcomes] == [4, 8, 4]


@pytest.mark.slow
def test_a_member_that_diverges_stops_no_other():
    trials = [trial(0, total_steps=640.0, learning_rate=1e30), trial(1, total_steps=640.0)]
    (bad, cost, attrs), (good, _, _) = Members(make_training(), 2)(trials)
    assert math.isnan(bad)
    assert cost > 0
    assert "non-finite" in attrs["reason"]
    assert math.isfinite(good)


SPACE = SearchSpace(total_steps=Log(300, 1300), learning_rate=Log(1e-4, 1e-2))


def test_a_study_runs_in_batches_and_resumes(tmp_path):
    storage = f"sqlite:///{tmp_path}/sweep.db"
    members = Members(make_training(), 2)
    run_batches(Study.create(SPACE, storage), members, num_trials=2)
    told = []
    run_batches(Study.load(storage), members, num_trials=3, on_tell=told.append)
    trials = Study.load(storage).trials
    assert [t.status for t in trials] == ["completed"] * 3
    assert [t.number for t in told] == [2]


@pytest.mark.slow
def test_an_interrupted_batch_leaves_nothing_running(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db")
    members = Members(make_training(), 2)

    def stop(told):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batches(study, members, num_trials=4, on_tell=stop)
    assert [t.status for t in study.trials] == ["completed", "interrupted"]
