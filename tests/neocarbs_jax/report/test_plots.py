"""Figures of a ledger and of a study."""

import math

import pytest

from neocarbs_jax import Linear, Log, Logit, SearchSpace, Study
from neocarbs_jax.report import plots
from neocarbs_jax.report.plots.hyperparameters import panels
from neocarbs_jax.report.plots.progress import hypervolumes
from neocarbs_jax.report.plots.scaling import panels as law_panels
from neocarbs_jax.report.plots.snapshot import Snapshot
from neocarbs_jax.report.plots.style import dot_size, short
from neocarbs_jax.study.effects import Importance
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.trials import Trial

LOG_AXES = {"lr": True, "size": False}
SPACE = SearchSpace(lr=Log(1e-4, 1.0), size=Linear(0, 64))


def traces(figure):
    return {trace.name: trace for trace in figure.data if trace.name}


@pytest.fixture
def study(trials):
    chosen = [t for t in trials if t.number in (0, 1, 3)]
    front = [ExpectedPoint(t, t.values, t.cost, t.score, t.score - 0.2, t.score + 0.1) for t in chosen]
    effects = [Importance(point, {"lr": -0.75, "size": 0.25}) for point in front]
    return Snapshot("a", trials, front, LOG_AXES, SPACE, effects)


def test_spending_counts_failed_trials_on_a_linear_axis_beside_the_even_diagonal(study):
    even, curve = plots.spend(study).data
    assert list(curve.x) == [5.0, 10.0, 20.0, 30.0, 40.0, 45.0]
    assert list(curve.y) == pytest.approx([5 / 150, 15 / 150, 35 / 150, 65 / 150, 105 / 150, 1.0])
    assert (list(even.x), list(even.y)) == ([0.0, 45.0], [0.0, 1.0])
    assert plots.spend(study).layout.xaxis.type is None


def test_the_front_shows_all_completed_trials_both_fronts_the_band_and_failures(study):
    named = traces(plots.front(study))
    dots, measured = named["trials (larger: repeated)"], named["measured front"]
    assert list(dots.x) == [10.0, 20.0, 30.0, 40.0, 45.0]
    assert (list(measured.x), list(measured.y), measured.line.shape) == ([10.0, 20.0, 40.0], [1.0, 2.0, 3.0], "hv")
    assert list(named["failed (1)"].x) == [5.0]
    assert max(named["failed (1)"].y) < min(dots.y)
    [high] = [trace for trace in plots.front(study).data if trace.fill == "tonexty"]
    assert list(high.y) == pytest.approx([1.1, 2.1, 3.1])
    assert "lr = 0.1" in dots.hovertext[1]


def test_failed_trials_of_unknown_cost_are_counted_where_they_cannot_be_drawn(trials):
    lost = Trial(9, {"lr": 1.0, "size": 64}, "failed", reason="killed")
    named = traces(plots.front(Snapshot("a", [*trials, lost], [], LOG_AXES)))
    assert "failed (2, 1 of unknown cost not drawn)" in named


def test_repeated_settings_have_larger_dots():
    done = [Trial(i, {"lr": float(min(i, 2))}, "completed", float(i), 1.0 + i) for i in range(4)]
    [dots] = [t for t in plots.front(Snapshot("a", done, [], {"lr": True})).data if t.mode == "markers"]
    assert list(dots.marker.size) == pytest.approx([dot_size(4) * math.sqrt(n) for n in (1, 1, 2, 2)])


def test_each_hyperparameter_has_a_panel_on_its_own_scale_with_the_front_ringed(study):
    lr, size = panels(study)
    assert (lr.layout.xaxis.type, size.layout.xaxis.type) == ("log", None)
    assert list(lr.data[0].marker.line.width) == [2, 2, 0, 2, 0]
    assert plots.hyperparameters(study).layout.xaxis2.title.text.startswith("size")


def test_a_panel_says_where_the_front_leans_on_a_bound(study):
    lr, size = panels(study)
    assert "extend size upwards" in size.layout.xaxis.title.text
    assert "extend" not in lr.layout.xaxis.title.text


def test_a_logit_axis_is_drawn_in_log_odds_with_its_values_as_ticks():
    space = SearchSpace(gamma=Logit(0.8, 0.9999))
    done = [Trial(i, {"gamma": g}, "completed", float(i), 1.0 + i) for i, g in enumerate((0.9, 0.99, 0.999))]
    [panel] = panels(Snapshot("a", done, [], {"gamma": False}, space))
    assert list(panel.data[0].x) == pytest.approx([math.log(g / (1 - g)) for g in (0.9, 0.99, 0.999)])
    assert list(panel.layout.xaxis.ticktext) == ["0.9", "0.99", "0.999"]


@pytest.mark.parametrize(
    ("value", "text"), [(8192.0, "8192"), (2e4, "20k"), (1.5e6, "1500k"), (2e7, "20M"), (5e9, "5000M"), (0.05, "0.05")]
)
def test_ticks_are_short(value, text):
    assert short(value) == text


def test_predictions_have_intervals_of_ninety_percent_and_count_how_many_hold(study):
    figure = plots.predictions(study)
    score = traces(figure)["score"]
    assert list(score.error_x.array) == pytest.approx([1.645 * 0.2] * 5)
    assert list(score.y) == [1.0, 2.0, 1.5, 3.0, 3.0]
    assert "5 of 5 within 90%" in figure.layout.annotations[2].text


def test_hypervolume_is_the_area_under_the_front_and_never_falls():
    costs, scores = (1.0, math.e, math.e**2, math.e**3), (1.0, 2.0, 0.0, 3.0)
    done = [Trial(i, {}, "completed", s, c) for i, (s, c) in enumerate(zip(scores, costs, strict=True))]
    # Above 0 and up to log cost 3: 1 x 3; then 1 x 1 + 2 x 2; the others add nothing but width 0.
    assert hypervolumes(done) == pytest.approx([3 / 5, 1, 1, 1])


def test_importances_are_ordered_and_signed(study):
    [heat] = plots.importances(study).data
    assert list(heat.y) == ["size", "lr"]
    assert [list(row) for row in heat.z] == [[0.25] * 3, [-0.75] * 3]


def test_a_scaling_law_has_the_exponent_of_its_points_and_a_band_that_widens():
    space = SearchSpace(lr=Log(1e-4, 1.0), size=Linear(0, 64), gamma=Logit(0.8, 0.9999))
    values = [{"lr": 2.0**-i, "size": 8 * (i % 2), "gamma": 1 - 0.1 / 2**i} for i in range(5)]
    done = [Trial(i, v, "completed", 3.0**i, 4.0**i) for i, v in enumerate(values)]
    front = [ExpectedPoint(t, t.values, t.cost, t.score, t.score, t.score) for t in done]
    score, lr, size, gamma = law_panels(Snapshot("a", done, front, {**LOG_AXES, "gamma": False}, space))
    assert "0.9" in gamma.layout.yaxis.ticktext
    assert score.layout.title.text == "score ~ cost<sup>0.79 ± 0.00</sup>"
    assert lr.layout.title.text == "lr ~ cost<sup>-0.50 ± 0.00</sup>"
    low, high = (size.data[i] for i in (0, 1))
    assert high.y[-1] - low.y[-1] > high.y[10] - low.y[10] > 0
    assert (min(high.x), max(high.x)) == pytest.approx((1.0, 10 * 4.0**4))


def test_a_choice_has_no_scaling_law(study):
    assert law_panels(study) == [], "three points are too few"
    front = [*study.expected_front, study.expected_front[-1]]
    values = [{**p.values, "size": "large"} for p in front]
    named = [ExpectedPoint(p.trial, v, p.cost, p.score, p.low, p.high) for p, v in zip(front, values, strict=True)]
    drawn = law_panels(Snapshot("a", study.trials, named, LOG_AXES, None))
    assert [figure.layout.yaxis.title.text for figure in drawn] == ["score", "lr"]


def test_two_studies_of_one_name_are_told_apart(study):
    named = traces(plots.compare(study, study))
    assert {"a (1)", "a (2)"} <= set(named)


@pytest.mark.parametrize("name", [name for name in plots.FIGURES if name != "compare"])
@pytest.mark.parametrize("keep", [0, 1, 8])
def test_every_figure_draws_any_number_of_trials(trials, name, keep):
    figure = plots.figure(Snapshot("a", trials[:keep], [], LOG_AXES, SPACE), name, cost_name="seconds")
    assert figure.layout.title.text
    assert figure.data or figure.layout.annotations


def test_names_that_look_like_markup_are_shown_as_they_are():
    done = [Trial(i, {"<b>x": float(i + 1)}, "completed", float(i), 1.0) for i in range(2)]
    snapshot = Snapshot("<i>", done, [], {"<b>x": True})
    assert "&lt;b&gt;x = 1" in traces(plots.front(snapshot))["trials (larger: repeated)"].hovertext[0]
    assert panels(snapshot)[0].layout.xaxis.title.text == "&lt;b&gt;x"


def test_a_study_gives_its_figures_by_name(tmp_path):
    study = Study.create(SearchSpace(lr=Log(1e-3, 1.0)), f"sqlite:///{tmp_path}/a.db", compilation_cache=False)
    for lr in (0.01, 0.1, 0.5):
        study.add({"lr": lr}, score=lr, cost=10 * lr)
    named = traces(study.figure("front", score_name="reward"))
    assert list(named["trials (larger: repeated)"].y) == [0.01, 0.1, 0.5]
    assert len(named["expected of fresh runs, 90% interval"].x) >= 1
    [heat] = study.figure("importances").data
    assert list(heat.y) == ["lr"]
    assert [abs(z) for z in heat.z[0]] == pytest.approx([1.0] * len(heat.x))
    assert len(study.figure("compare", other=study).data) == 8
    with pytest.raises(ValueError, match=r"`name` must be one of front, spend, .*; got 'fronts'\."):
        study.figure("fronts")
    with pytest.raises(ValueError, match=r"`other` must be the second study"):
        study.figure("compare")
