"""Figures for the trials that a filter keeps, and rings around trials."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("dash")

from neocarbs_jax import Log, SearchSpace
from neocarbs_jax.dashboard.filters import Bound
from neocarbs_jax.dashboard.source import Moment
from neocarbs_jax.dashboard.views import VIEWS, Figures, filtered, plain, rings
from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.snapshot import Snapshot
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.trials import Trial


def trial(number):
    expected = {"predicted_score": number + 0.1, "predicted_score_std": 0.2, "predicted_cost": 2.0 + number}
    return Trial(number, {"lr": 0.01 * (1 + number)}, "completed", float(number), 1.0 + number, **expected, rating=0.1)


@pytest.fixture
def moment():
    trials = [*map(trial, range(6)), Trial(6, {"lr": 0.5}, "failed", cost=3.0)]
    front = [ExpectedPoint(t, t.values, t.cost, t.score, t.score - 1, t.score + 1) for t in trials[:6:2]]
    return Moment(7, Snapshot("a", trials, front, {"lr": True}, SearchSpace(lr=Log(1e-3, 1.0))))


def drawn(figures):
    """Numbers of the trials that figures have dots of, by figure."""
    return [sorted({int(n) for trace in figure["data"] for n in trace.get("ids", ())}) for figure in figures]


@pytest.mark.parametrize("view", ["front", "hyperparameters", "predictions", "order", "progress"])
def test_dots_follow_the_filter_and_all_their_properties_stay_theirs(moment, view):
    figures, cheap = Figures(), (Bound("cost", high=3.0),)
    whole, some = figures.of(moment, view, ()), figures.of(moment, view, cheap)
    for numbers, left in zip(drawn(whole), drawn(some), strict=True):
        assert left == [n for n in numbers if n in (0, 1, 2, 6)]
    assert any(drawn(some))
    direct = plain(VIEWS[view].panels(filtered(moment.snapshot, cheap)), small=VIEWS[view].small)
    for one, other in zip(some, direct, strict=True):
        for trace, expected in zip(one["data"], other["data"], strict=True):
            if "ids" in expected:
                crossed = trace["marker"].get("symbol") == "x-thin"  # these stand below the lowest of all dots
                for name in ("ids", "x", *(() if crossed else ("y",))):
                    assert list(trace[name]) == list(expected[name])
                assert list(trace.get("hovertext", ())) == list(expected.get("hovertext", ()))
                assert np.array_equal(trace["marker"].get("color"), expected["marker"].get("color"))


def test_the_expected_front_and_the_spending_follow_the_filter(moment):
    front, spend = Figures().of(moment, "front", (Bound("cost", high=3.0),))
    [line] = [trace for trace in front["data"] if trace.get("name", "").startswith("expected")]
    assert list(line["x"]) == [1.0, 3.0]
    assert max(spend["data"][1]["x"]) == 3.0


def test_a_figure_is_made_once_until_the_study_changes(moment):
    figures = Figures()
    figures.of(moment, "hyperparameters", ())
    known = dict(figures._known)
    figures.of(moment, "hyperparameters", ())
    assert {key: id(value) for key, value in known.items()} == {k: id(v) for k, v in figures._known.items()}
    figures.of(Moment(8, moment.snapshot), "hyperparameters", ())
    assert len(figures._known) == 2


def test_rings_stand_where_the_dots_are_and_on_no_other(moment):
    [panel] = Figures().of(moment, "hyperparameters", ())
    ring = rings(panel, [2, 6, 99], "light")
    assert sorted(zip(ring["text"], ring["x"], strict=True)) == [("2", 0.03), ("6", 0.5)]
    assert rings(panel, [], "dark")["x"] == []


def test_dark_figures_have_no_colour_of_light_ones(moment):
    for view in VIEWS:
        if view != "compare":
            for figure in Figures().of(moment, view, (), "dark"):
                texts = str(figure)
                assert style.BLUE not in texts
                assert f"'color': '{style.INK}'" not in texts


def test_studies_of_opposite_directions_are_not_compared_and_it_says_so(moment):
    low = [dataclasses.replace(t, direction="minimize") for t in moment.trials]
    [figure] = Figures().of(moment, "compare", (), other=dataclasses.replace(moment.snapshot, trials=low))
    assert "scores of the same direction" in figure["layout"]["annotations"][0]["text"]


def test_two_studies_are_compared(moment):
    assert Figures().of(moment, "compare", ()) == []
    [figure] = Figures().of(moment, "compare", (), other=moment.snapshot)
    assert {"a (1)", "a (2)"} <= {trace.get("name") for trace in figure["data"]}
