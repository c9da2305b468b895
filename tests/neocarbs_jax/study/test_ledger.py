"""Rows of a ledger: the measured front, and where the ledger is kept."""

import math

import numpy as np
import pytest

from neocarbs_jax.study import ledger
from neocarbs_jax.study.ledger import Trial, pareto_front


def completed(number, score, cost):
    return Trial(number, {}, "completed", score, cost)


def test_the_front_holds_what_no_cheaper_trial_beats_cheapest_first():
    trials = [
        completed(0, 3.0, 40.0),
        completed(1, 2.0, 20.0),
        completed(2, 1.5, 30.0),
        completed(3, 1.0, 10.0),
        completed(4, 3.0, 45.0),
        completed(5, 3.0, 40.0),  # equals the first: the first of equal rows stays
        Trial(6, {}, "failed", cost=5.0, reason="diverged"),
        Trial(7, {}, "interrupted"),
        Trial(8, {}, "running"),
    ]
    assert [t.number for t in pareto_front(trials)] == [3, 1, 0]
    assert pareto_front(trials[6:]) == []
    assert pareto_front([]) == []


def test_the_front_is_what_brute_force_leaves():
    rng = np.random.default_rng(0)
    trials = [completed(i, float(s), float(c)) for i, (s, c) in enumerate(rng.integers(1, 8, (40, 2)))]
    kept = []
    for t in trials:
        better = [o for o in trials if o.score >= t.score and o.cost <= t.cost]
        if all((o.score, o.cost) == (t.score, t.cost) and o.number >= t.number for o in better):
            kept.append(t)
    assert pareto_front(trials) == sorted(kept, key=lambda t: t.cost)


def test_passwords_are_not_shown():
    with pytest.raises(
        ValueError, match=r"`storage` must name a database .*; got 'nosuch://me:\*\*\*@host/db'"
    ) as error:
        ledger.open_storage("nosuch://me:secret@host/db")
    assert "secret" not in str(error.value)


def test_completed_trials_are_those_with_a_score():
    trials = [completed(0, 1.0, 1.0), Trial(1, {}, "running"), completed(2, -math.inf, 1.0)]
    assert [t.number for t in ledger.completed(trials)] == [0, 2]
