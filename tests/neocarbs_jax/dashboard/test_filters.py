"""Filters: what they keep, and what an address or a page may say."""

import pytest

from neocarbs_jax.dashboard.filters import Bound, from_address, kept, read
from neocarbs_jax.study.trials import Trial

TRIALS = [
    Trial(0, {"lr": 0.1, "score": 5, "opt": "adam"}, "completed", 310.0, 50.0),
    Trial(1, {"lr": 0.2, "score": 7, "opt": "sgd"}, "completed", 320.0, 70.0),
    Trial(2, {"lr": 0.3, "score": 9, "opt": "sgd"}, "failed", cost=10.0),
    Trial(3, {}, "queued"),
]


def numbers(given, names=("lr", "score", "opt")):
    return [trial.number for trial in kept(TRIALS, read(given, names))]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({}, [0, 1, 2, 3]),
        ({"score": [300, None]}, [0, 1]),
        ({"score": [300, None], "cost": [None, 60]}, [0]),
        ({"values.lr": [0.2, 0.3]}, [1, 2]),
        ({"values.score": [None, 6]}, [0]),
        ({"values.opt": {"options": ["sgd"]}}, [1, 2]),
        ({"values.opt": {"options": []}}, []),
    ],
)
def test_trials_that_lack_a_number_or_lie_outside_are_left_out(given, left):
    assert numbers(given) == left


@pytest.mark.parametrize(
    "given",
    [None, [], "x", {"values.other": [1, 2]}, {"number": [0, 1]}, {"score": "x"}, {"score": [None, None]},
     {"score": [1]}, {"score": ["1", {}]}, {"score": [float("nan"), None]}],
)  # fmt: skip
def test_what_is_no_filter_keeps_everything(given):
    assert numbers(given) == [0, 1, 2, 3]


def test_an_address_says_which_study_and_which_filter():
    found = from_address("?study=a%26b&view=order&score=300..&cost=..60&values.lr=1e-4..0.1&values.opt=adam|sgd")
    assert found == {
        "study": "a&b", "view": "order", "score": [300.0, None], "cost": [None, 60.0], "values.lr": [1e-4, 0.1],
        "values.opt": {"options": ["adam", "sgd"]},
    }  # fmt: skip
    assert from_address(None) == from_address("?") == {}
    assert read(from_address("?score=x..y"), ["lr"]) == (Bound("score", options=frozenset({"x..y"})),)
