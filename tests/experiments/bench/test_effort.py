"""P3O and PPO with the same effort: the commands, and what is made of their results."""

import math

import pytest

from experiments import sweep_options, sweep_setup
from experiments.bench import effort, harness


def _row(learner: str, points: list[tuple[float, float]]) -> harness.Row:
    confirmed = [
        {"trial": i, "cost": cost, "claimed": score, "expected": score, "confirmed": score, "standard_error": None,
         "values": {"learning_rate": 0.01}}
        for i, (cost, score) in enumerate(points)
    ]  # fmt: skip
    front = [[cost, score, score - 0.1, score + 0.1] for cost, score in points]
    shown = {"spent": 3.0, "trials": [list(point) for point in points], "expected": front, "points": confirmed}
    return {"env": "drive", "learner": learner, "budget": 1.0, "arguments": [], **shown}


@pytest.mark.parametrize("env", effort.AXES)
@pytest.mark.parametrize("learner", effort.LEARNERS)
def test_both_learners_are_swept_by_valid_commands(env: str, learner: str) -> None:
    args = sweep_options.parse(effort.arguments_of(env, learner, effort.Settings()))
    names = set(sweep_setup.space_of(args).names)
    assert {"total_steps", "learning_rate", "entropy"} <= names
    assert ({"gamma", "gae_lambda"} <= names) == (learner == "ppo")
    assert ("tau" in names) == (env == "breakout" and learner == "p3o")


def test_a_front_below_another_has_its_share_of_the_area() -> None:
    above, below = _row("p3o", [(1.0, 1.0), (math.e, 1.0)]), _row("ppo", [(1.0, 0.5), (math.e, 0.5)])
    assert effort.shares([above, below]) == pytest.approx([1.0, 0.5], rel=2e-3)


def test_fronts_that_cross_have_less_than_the_whole_each() -> None:
    cheap, good = _row("p3o", [(1.0, 0.5)]), _row("ppo", [(math.e, 1.0), (math.e**2, 1.0)])
    assert effort.shares([cheap, good]) == pytest.approx([1.0 / 1.5, 1.0 / 1.5], rel=2e-3)


def test_a_training_that_diverged_counts_as_the_worst_of_its_point() -> None:
    points = effort.sound([{"scores": [1.0, None, 3.0]}, {"scores": [None]}])
    assert [point["confirmed"] for point in points] == [pytest.approx(5 / 3)]


def test_a_sweep_without_a_sound_point_has_a_page_and_a_picture(tmp_path) -> None:
    rows = [_row("p3o", []), _row("ppo", [(2.0, 0.8)])]
    assert "| drive | P3O | 0 |" in effort.page(rows, harness.stamp())
    effort.picture(rows, tmp_path / "fronts.png")


def test_the_page_names_each_point(tmp_path) -> None:
    rows = [_row("p3o", [(1.0, 0.9)]), _row("ppo", [(2.0, 0.8)])]
    text = effort.page(rows, harness.stamp())
    assert "| drive | P3O | 1 |" in text
    assert "0.8" in text
    effort.picture(rows, tmp_path / "fronts.png")
    assert (tmp_path / "fronts.png").stat().st_size > 1000
