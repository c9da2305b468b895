"""The front next to the spending, and two fronts in one picture, as PNG (matplotlib: needs no browser)."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter, NullLocator

from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.report.plots.spend import spending
from neocarbs_jax.report.plots.style import BLUE, MUTED, RED, SCALE, beyond_worst
from neocarbs_jax.study.trials import completed, pareto_front


def write_png(path: Path, study: Pictured, *, title: str, score_name: str = "score", cost_name: str = "cost") -> None:
    """Write the front and the spending, side by side; failed trials are crosses beyond the worst score."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_front(figure, left, study)
    left.set(xlabel=cost_name, ylabel=score_name, title=title)
    costs, paid = spending(study.trials)
    if len(costs):
        right.plot([0, costs[-1]], [0, 1], color=MUTED, ls="--", lw=1, label="spread evenly over log cost")
        right.step(costs, np.cumsum(paid) / paid.sum(), where="post", color=BLUE, lw=2, label="spent")
        right.legend(loc="lower right", frameon=False)
        right.xaxis.set_major_locator(MaxNLocator(5))
    right.set(xlabel=cost_name, ylabel="share of all cost", title="Spent on trials up to a cost")
    for axis in (left, right):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def write_comparison(path: Path, study: Pictured, other: Pictured) -> None:
    """Write the expected fronts of two studies with their 90% bands, over their trials."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axis = figure.subplots()
    for one, color, marker in ((study, BLUE, "o"), (other, RED, "D")):
        done = completed(one.trials)
        axis.scatter(
            [t.cost or 0.0 for t in done], [t.score or 0.0 for t in done], c=color, marker=marker, s=14, alpha=0.5
        )
        _draw_expected(axis, one, color, f"{one.name}: expected of fresh runs, 90% interval")
    axis.legend(frameon=False, fontsize="small")
    axis.set(xlabel="cost", ylabel="score", title="Two fronts")
    _log_ticks(axis)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _draw_front(figure: Figure, axis: Axes, study: Pictured) -> None:
    trials = study.trials
    done, front = completed(trials), pareto_front(trials)
    if not done:
        return
    step: dict[str, Any] = {"where": "post", "zorder": 0}
    scores = [t.score or 0.0 for t in done]
    size = 36 if len(done) <= 60 else 18 if len(done) <= 300 else 7
    dots = axis.scatter([t.cost or 0.0 for t in done], scores, c=[t.number for t in done], s=size, cmap=SCALE.lower())
    figure.colorbar(dots, ax=axis, label="trial")
    stairs = [[t.cost or 0.0 for t in front], [t.score or 0.0 for t in front]]
    axis.step(*stairs, color=MUTED, lw=1.5, ls=":", label="measured", **step)
    if study.expected_front:
        _draw_expected(axis, study, BLUE, "expected of fresh runs, 90% interval")
    failed = [cost for t in trials if t.status == "failed" and (cost := t.cost or t.predicted_cost)]
    if failed:
        axis.scatter(failed, [beyond_worst(done)] * len(failed), marker="x", color=RED, s=30, label="failed")
    axis.legend(frameon=False, fontsize="small")
    _log_ticks(axis)


def _draw_expected(axis: Axes, study: Pictured, color: str, label: str) -> None:
    cost, score, low, high = zip(*((p.cost, p.score, p.low, p.high) for p in study.expected_front), strict=True)
    axis.step(cost, score, color=color, lw=2, label=label, where="post", zorder=0)
    axis.fill_between(cost, low, high, step="post", color=color, alpha=0.18, lw=0)


def _log_ticks(axis: Axes) -> None:
    """Make the axis of costs logarithmic, around what is drawn, with labels that do not touch."""
    low, high = axis.dataLim.intervalx
    margin = max((high / low) ** 0.05, 1.1)  # costs that differ by rounding alone leave no width to draw in
    axis.set_xlim(low / margin, high * margin)
    axis.set_xscale("log")
    few = high / low < 30  # decades alone would leave one label or none
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=8))
    axis.xaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False, minor_thresholds=(np.inf, np.inf)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
