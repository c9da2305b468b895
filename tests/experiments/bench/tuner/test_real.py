"""The real benchmark judges a front by its fresh runs: areas by hand, claims against what came out."""

import math

import pytest

from experiments.bench.tuner import real_report


def row(strategy, *front, trials=3):
    points = [{"cost": cost, "claimed": claimed, "fresh": list(fresh)} for cost, claimed, fresh in front]
    return {"env": "e", "strategy": strategy, "seed": 0, "trials": [[1.0, 0.0]] * trials, "front": points}


def test_the_area_is_that_of_stairs_over_log_cost():
    points = [(1.0, 2.0), (math.e, 5.0)]
    assert real_report.area(points, 1.0, math.e**2, 1.0) == pytest.approx(1.0 + 4.0)
    assert real_report.area(points, math.e, math.e**2, 1.0) == pytest.approx(4.0)  # what is cheaper counts
    assert real_report.area([(9.0, 5.0)], 1.0, math.e, 0.0) == 0.0


def test_shares_are_of_the_pooled_front_and_claims_are_compared():
    good = row("good", (1.0, 2.0, (2.0, 2.0)), (math.e, 9.0, (4.0, 4.0)), (math.e**2, 4.0, (4.0, 4.5)))
    poor = row("poor", (1.0, 8.0, (1.0, 3.0)), (math.e**2, 1.0, (0.5, 0.5)))
    found = real_report.measures([good, poor], floor=0.0)
    assert found["good", 0]["share"] == pytest.approx(1.0)
    assert found["poor", 0]["share"] == pytest.approx(4.0 / 6.0)
    assert found["poor", 0]["flatters"] == pytest.approx((6.0 + 0.5) / 2 / 4.25)
    assert found["good", 0]["best"] == 4.25


def test_a_run_that_diverged_counts_as_the_worst_of_its_point():
    front = row("any", (1.0, 3.0, (1.0, math.nan, 4.0)), (2.0, 3.0, (math.nan, math.nan)))
    assert real_report.confirmed(front) == [(1.0, 2.0, 3.0)]
