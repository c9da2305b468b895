"""How a sweep came along: what each next trial promised, and how much the front had gained."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.study.stopping import RATING_WINDOW
from neocarbs_jax.study.trials import Trial, completed, merit


def panels(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> list[go.Figure]:
    """Return rating and hypervolume over trials as a figure each."""
    del score_name, cost_name
    return [_rating(study.trials), _hypervolume(study.trials)]


def progress(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Rating of each trial when it was suggested, and hypervolume of the measured front, over trials."""
    return style.grid(panels(study, score_name=score_name, cost_name=cost_name), "Progress of the sweep", 2)


def hypervolumes(trials: Sequence[Trial]) -> list[float]:
    """Return the area under the measured front over log cost after each trial, as a share of the last one.

    It is counted from the worst score and up to the largest cost of all trials.
    """
    done = [(math.log(t.cost or 1.0), merit(t)) for t in completed(trials)]
    floor, end = min((s for _, s in done), default=0.0), max((c for c, _ in done), default=0.0)
    front: list[tuple[float, float]] = []
    areas = []
    for cost, score in done:
        if not any(c <= cost and s >= score for c, s in front):
            front = sorted([p for p in front if not (cost <= p[0] and score >= p[1])] + [(cost, score)])
        ends = [c for c, _ in front[1:]] + [end]
        areas.append(sum((after - c) * (s - floor) for (c, s), after in zip(front, ends, strict=True)))
    last = areas[-1] if areas and areas[-1] > 0 else 1.0
    return [area / last for area in areas]


def _rating(trials: Sequence[Trial]) -> go.Figure:
    rated = [t for t in trials if t.rating is not None and t.rating > 0]
    figure = go.Figure()
    figure.add_scatter(
        x=style.column([t.number for t in rated]), y=style.column([t.rating for t in rated]), mode="markers",
        showlegend=False, name="rating", ids=style.ids(rated),
        marker={"color": style.BLUE, "size": style.dot_size(len(rated)), "opacity": 0.7},
        hovertemplate="trial %{x}: %{y:.3g}<extra></extra>",
    )  # fmt: skip
    largest = [max(t.rating or 0.0 for t in rated[max(0, i - RATING_WINDOW + 1) : i + 1]) for i in range(len(rated))]
    figure.add_scatter(
        x=[t.number for t in rated], y=largest, mode="lines", line={"color": style.RED, "width": 2, "shape": "hv"},
        name="largest of the last eight", hoverinfo="skip", showlegend=bool(rated),
    )  # fmt: skip
    if not rated:
        style.empty(figure, "No trial was rated yet.")
    style.styled(figure, "Rating: expected gain of the next trial", "trial", "share of the hypervolume")
    return style.log_ticks("y", figure)


def _hypervolume(trials: Sequence[Trial]) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[t.number for t in completed(trials)], y=hypervolumes(trials), mode="lines", showlegend=False, name="share",
        line={"color": style.BLUE, "width": 2, "shape": "hv"},
        hovertemplate="after trial %{x}: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    style.styled(figure, "Hypervolume of the measured front", "trial", "share of the last")
    return figure.update_yaxes(tickformat=".0%", rangemode="tozero")
