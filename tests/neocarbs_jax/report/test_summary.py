"""Sentences about a sweep."""

import pytest

from neocarbs_jax import Choice, Log, Pow2, SearchSpace
from neocarbs_jax.report.bounds import leaning
from neocarbs_jax.report.plots.snapshot import Snapshot
from neocarbs_jax.report.summary import account, advice, budgets, warnings_of
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.trials import Trial


def point(number, cost, score, **values):
    trial = Trial(number, values, "completed", score, cost)
    return ExpectedPoint(trial, values, cost, score, score - 0.1, score + 0.1)


FRONT = [point(3, 1.0, 0.1), point(5, 30.0, 0.5), point(8, 900.0, 0.9)]


def test_a_budget_pays_for_the_best_point_that_fits_it():
    assert [(budget, p.trial.number) for budget, p in budgets(FRONT)] == [(4.0, 3), (60.0, 5), (900.0, 8)]
    assert budgets([]) == []
    assert [budget for budget, _ in budgets(FRONT[1:2])] == [30.0]


def test_a_budget_that_buys_next_to_nothing_is_left_out():
    flat = [*FRONT[:2], point(8, 900.0, 0.501)]
    assert [p.trial.number for _, p in budgets(flat)] == [3, 5]


def test_advice_names_trial_score_and_interval():
    assert advice(FRONT, "win rate", "time (s)")[1] == (
        "With a time of up to 60 s, take the settings of trial 5: expected win rate 0.5 [0.4, 0.6] at 30 s."
    )


def test_the_account_counts_every_status(trials):
    assert account(trials) == "8 trials: 5 completed, 1 failed, 1 interrupted, 1 running; cost in all 150."
    assert account([]) == "0 trials: none yet; cost in all 0."


@pytest.mark.parametrize(
    ("values", "side"), [((8192, 8192, 64), "upwards"), ((64, 128, 64), "downwards"), ((128, 256, 8192), None)]
)
def test_a_front_leans_where_half_of_it_lies_on_a_bound(values, side):
    space = SearchSpace(num_envs=Pow2(64, 8192), optimizer=Choice(("adam", "sgd")))
    front = [point(i, 1.0 + i, 0.1 * i, num_envs=v, optimizer="adam") for i, v in enumerate(values)]
    assert [lean.side for lean in leaning(space, front)] == ([side] if side else [])
    assert leaning(space, front[:2]) == [], "two points say nothing"


def test_values_beyond_a_bound_lean_on_it():
    front = [point(i, 1.0 + i, 0.1 * i, lr=1.0) for i in range(3)]
    [lean] = leaning(SearchSpace(lr=Log(1e-4, 0.1)), front)
    assert (lean.advice, lean.points, lean.bound) == ("extend lr upwards", 3, 0.1)


def measured(error):
    return [
        Trial(i, {"lr": 0.01}, "completed", error, 1.0, predicted_score=0.0, predicted_score_std=1.0) for i in range(30)
    ]


def test_a_surrogate_that_is_too_sure_is_named_and_a_good_one_is_not():
    [text] = warnings_of(Snapshot("a", measured(3.0), [], {"lr": True}))
    assert "0 of 30 scores (0%)" in text
    assert warnings_of(Snapshot("a", measured(1.0), [], {"lr": True})) == []


def test_failures_and_small_sweeps_are_named(trials):
    failures, size = warnings_of(Snapshot("a", trials, [], {"lr": True}))
    assert failures == "1 of 6 trials failed (17%); most often (1): non-finite <value> loss."
    assert size.startswith("Only 5 trials completed")
