"""A ledger to look at."""

import pytest

from neocarbs_jax.study.ledger import Trial


def completed(number, score, cost, **values):
    expected = {"predicted_score": score + 0.1, "predicted_score_std": 0.2, "predicted_cost": cost * 1.1}
    return Trial(
        number, values or {"lr": 10.0**-number, "size": 64}, "completed", score, cost, **expected,
        predicted_cost_std=0.1, rating=0.5 / (number + 1),
    )  # fmt: skip


@pytest.fixture
def trials():
    return [
        completed(0, 1.0, 10.0),
        completed(1, 2.0, 20.0),
        completed(2, 1.5, 30.0),
        completed(3, 3.0, 40.0),
        completed(4, 3.0, 45.0),
        Trial(5, {"lr": 1.0, "size": 64}, "failed", cost=5.0, reason="non-finite <value> loss"),
        Trial(6, {"lr": 1.0, "size": 64}, "interrupted"),
        Trial(7, {"lr": 1.0, "size": 64}, "running"),
    ]
