"""Statistics and records of the learning benchmark."""

import numpy as np
import pytest

from experiments.learning_report import (
    area_and_end,
    check_budgets,
    comparison_table,
    interquartile_mean,
    load,
    merge,
    save,
    share,
)
from experiments.learning_runs import Record


def record(task="pong", estimator="gae", score=((-21.0, 0.0), (-21.0, 2.0)), **values):
    rows = [list(row) for row in score]
    return Record(task, estimator, values, 5e-3, [1.0, 2.0], rows, [], 1.0, "command", "versions")


def test_the_interquartile_mean_is_that_of_the_middle_half():
    assert interquartile_mean(np.array([100.0, 3, 1, 2, -50, 4, 0, 7])) == pytest.approx((1 + 2 + 3 + 4) / 4)
    assert interquartile_mean(np.array([0.0, 10, 90])) == pytest.approx((0.25 * 0 + 10 + 0.25 * 90) / 1.5)


def test_areas_skip_intervals_in_which_no_episode_ended():
    area, end = area_and_end(record(score=((None, 1.0, 3.0, None), (None, None, 5.0, None))))
    np.testing.assert_array_equal(area, [2.0, 5.0])
    np.testing.assert_array_equal(end, [3.0, 5.0])


def test_shares_count_from_the_lowest_score():
    """Pong's lowest is -21: areas -10 and -15.75 lie 11 and 5.25 above it."""
    assert share(record(score=((-31.5, 0.0),)), record(score=((-21.0, 1.0),))) == pytest.approx(5.25 / 11)


def test_a_new_record_replaces_the_old_one_of_its_setting(tmp_path):
    pairs = [record(gamma=0.99, gae_lambda=0.95), record(gamma=0.9, gae_lambda=0.8, score=((-21.0, -21.0),))]
    again = record(gamma=0.9, gae_lambda=0.8, score=((21.0, 21.0),))
    merged = merge([*pairs, record("cartpole", "p3o")], [again])
    assert len(merged) == 3
    save(tmp_path / "records.json", merged)
    assert load(tmp_path / "records.json") == merged
    assert "ppo tuned (0.9, 0.8) of 2" in comparison_table(merged)


def test_records_of_other_budgets_are_refused():
    kept = [record(), record("cartpole")]  # two steps each
    check_budgets(kept, {"pong": 1.9, "catch": 7.0})
    with pytest.raises(ValueError, match="got 2 steps of cartpole there, 4 now"):
        check_budgets(kept, {"pong": 2.0, "cartpole": 4.0})
