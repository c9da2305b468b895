"""Learning curves: a trial's shorter trainings are rows of their own, at their own cost."""

import math

import numpy as np
import pytest

from neocarbs_jax import sweep
from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.study import Study, curves, rows
from neocarbs_jax.study.trials import Trial

SPACE = SearchSpace(steps=Log(1, 1000), x=Linear(0, 1))
CONFIG = sweep.Config(SPACE, capacity=64, budget="steps")


def completed(number, steps, score, curve):
    return Trial(number, {"steps": steps, "x": 0.5}, "completed", score, steps, attrs={"curve": curve})


def collect(trials, config=CONFIG):
    return rows.collect(config, trials, rows.Memory(), {})


def test_a_curve_is_kept_with_the_trial_and_enters_where_the_budget_is_named(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db", budget="steps")
    [trial] = study.ask()
    steps = trial.values["steps"]
    curve = [(steps / 4, 1.0, steps / 4), (steps / 2, 2.0, steps / 2)]
    told = study.tell(trial, 3.0, steps, curve=curve)
    assert told.attrs["curve"] == [list(point) for point in curve]
    budgets = [point.values["steps"] for point in study.expected_front]
    assert budgets == pytest.approx([steps / 4, steps / 2, steps])


def test_without_a_budget_a_curve_is_no_data():
    trial = completed(0, 100.0, 3.0, [[10.0, 1.0, 10.0]])
    assert len(collect([trial]).score) == 2
    assert len(collect([trial], sweep.Config(SPACE, capacity=64)).score) == 1


def test_rows_of_a_curve_lie_at_their_own_budget_and_cost():
    found = collect([completed(0, 100.0, 3.0, [[10.0, 1.0, 11.0]])])
    column = SPACE.slices["steps"].start
    np.testing.assert_allclose(found.unit[:, column], [1 / 3, 2 / 3])
    np.testing.assert_allclose(found.cost, [11.0, 100.0])
    np.testing.assert_allclose(found.score, [1.0, 3.0])
    assert found.trial.tolist() == [0, 0]


def test_a_long_curve_gives_a_few_points_at_even_distances_of_the_logarithm():
    curve = [[float(b), float(b), float(b)] for b in range(1, 1000)]
    found = collect([completed(0, 1000.0, 0.0, curve)])
    assert len(found.score) == 1 + curves.MOST_POINTS
    np.testing.assert_allclose(np.diff(np.log(found.cost)), math.log(1000) / 5, rtol=0.1)


def test_many_trials_give_fewer_points_each():
    trials = [completed(i, 1000.0, 0.0, [[10.0, 1.0, 10.0], [100.0, 2.0, 100.0]]) for i in range(500)]
    assert len(collect(trials).score) <= 1000


def test_the_gain_of_the_final_decay_is_added_to_earlier_points():
    trials = [completed(i, 100.0, 5.0, [[10.0, 1.0, 10.0], [100.0, 3.0, 100.0]]) for i in range(3)]
    np.testing.assert_allclose(collect(trials).score, [3.0, 5.0] * 3)


def test_the_gain_may_grow_with_the_score():
    pairs = [(1.0, 1.2), (2.0, 2.4), (3.0, 3.6), (4.0, 4.8), (5.0, 6.0), (6.0, 7.2)]
    trials = [
        completed(i, 100.0, after, [[10.0, before / 2, 10.0], [100.0, before, 100.0]])
        for i, (before, after) in enumerate(pairs)
    ]
    np.testing.assert_allclose(collect(trials).score[::2], [before / 2 * 1.2 for before, _ in pairs])


@pytest.mark.parametrize(
    "curve",
    [
        3,
        "ab",
        [(1.0, 2.0)],
        [(2.0, 0.0, 1.0), (1.0, 0.0, 2.0)],
        [(1.0, 0.0, 0.0)],
        [(1.0, 0.0, math.nan)],
        [(1, "a")],
    ],
)
def test_what_is_no_curve_is_refused_and_the_trial_goes_on(tmp_path, curve):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db", budget="steps")
    [trial] = study.ask()
    with pytest.raises(ValueError, match="`curve` must be a list of"):
        study.tell(trial, 1.0, 2.0, curve=curve)
    assert study.tell(trial, 1.0, 2.0).status == "completed"


def test_a_broken_curve_of_an_objective_loses_nothing(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db", budget="steps")
    study.run(lambda values: (1.0, 2.0, {"curve": [["a"]]}), num_trials=2)
    assert [trial.status for trial in study.trials] == ["completed"] * 2


def test_points_that_were_not_finite_are_left_out():
    assert len(collect([completed(0, 100.0, 3.0, [[10.0, None, 10.0], [20.0, 1.0, 20.0]])]).score) == 2


def test_a_study_with_curves_resumes_as_if_it_had_not_stopped(tmp_path):
    def objective(values):
        steps = values["steps"]
        return math.log(steps) - values["x"], steps, {"curve": [(steps / 3, math.log(steps / 3), steps / 3)]}

    straight = Study.create(SPACE, f"sqlite:///{tmp_path}/a.db", budget="steps").run(objective, num_trials=9)
    Study.create(SPACE, f"sqlite:///{tmp_path}/b.db", budget="steps").run(objective, num_trials=6)
    resumed = Study.load(f"sqlite:///{tmp_path}/b.db").run(objective, num_trials=9)
    assert [t.values for t in resumed] == [t.values for t in straight]
