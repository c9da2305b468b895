"""The expected front of a study: no lucky draws, replicates pooled, curves as points of their own."""

import itertools
import math
import random

import pytest

from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.study import Study

SPACE = SearchSpace(steps=Log(1, 1000), x=Linear(0, 1))


def truth(values):
    return math.log10(values["steps"]) * (1 - (values["x"] - 0.3) ** 2)


def noisy(values, trial):
    draw = random.Random(f"{trial.number}").gauss(0, 0.3)
    return truth(values) + draw, values["steps"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = Study.create(SPACE, f"sqlite:///{tmp_path_factory.mktemp('front')}/sweep.db")
    study.run(noisy, num_trials=30)
    return study


def test_the_expected_front_rises_and_its_points_are_trials(study):
    front = study.expected_front
    assert len(front) > 1
    assert all(point.trial in study.trials and point.values == point.trial.values for point in front)
    assert all(a.cost < b.cost and a.score < b.score for a, b in itertools.pairwise(front))
    assert all(point.low <= point.score <= point.high for point in front)


def test_a_study_without_results_has_an_empty_expected_front(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db")
    assert study.expected_front == []
    study.fail(study.ask()[0], "no")
    assert study.expected_front == []


def test_strategies_without_surrogates_have_an_expected_front_too(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db", strategy="random")
    study.run(noisy, num_trials=8)
    assert study.expected_front
