"""Pictures of a ledger."""

import pytest

from neocarbs_jax.report import plots

LOG_AXES = {"lr": True, "size": False}


def test_spending_counts_failed_trials_and_ends_at_one(trials):
    [curve] = plots.spend_figure(trials).data
    assert list(curve.x) == [5.0, 10.0, 20.0, 30.0, 40.0, 45.0]
    assert curve.y[-1] == pytest.approx(1.0)
    assert curve.y[0] == pytest.approx(5 / 150)


def test_each_hyperparameter_has_a_scatter_on_its_own_scale(trials):
    figure = plots.hyperparameter_figure(trials, LOG_AXES)
    assert len(figure.data) == 2
    assert (figure.layout.xaxis.type, figure.layout.xaxis2.type) == ("log", None)


def test_the_front_figure_shows_every_completed_trial_and_the_front_as_stairs(trials):
    points, front = plots.front_figure(trials).data
    assert list(points.x) == [10.0, 20.0, 30.0, 40.0, 45.0]
    assert (list(front.x), list(front.y), front.line.shape) == ([10.0, 20.0, 40.0], [1.0, 2.0, 3.0], "hv")
