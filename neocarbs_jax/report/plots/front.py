"""The front: the best score at every cost, as it was measured and as fresh runs are expected to confirm it."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.trials import Trial, completed, pareto_front


def front(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Score against cost of every trial, coloured by age, with the measured and the expected front.

    A setting that was run several times has larger dots. Failed trials are crosses beyond the worst score, at what
    they cost, or at what they were expected to cost where that is not known.
    """
    trials = study.trials
    done, best = completed(trials), pareto_front(trials)
    figure = go.Figure()
    add_expected(figure, study.expected_front, "expected of fresh runs, 90% interval", style.BLUE, style.BAND)
    _add_trials(figure, done)
    figure.add_scatter(
        x=[t.cost for t in best], y=[t.score for t in best], mode="lines", name="measured front", hoverinfo="skip",
        line={"shape": "hv", "color": style.MUTED, "width": 1.5, "dash": "dot"},
    )  # fmt: skip
    _add_failures(figure, trials)
    if not done:
        style.empty(figure, "No trial has completed yet.")
    return style.styled(figure, "Front: score against cost", cost_name, score_name, log_x=True)


def add_expected(figure: go.Figure, points: Sequence[ExpectedPoint], name: str, color: str, band: str) -> None:
    """Draw an expected front with the band of its 90% intervals; nothing where there is none."""
    if not points:
        return
    cost = [point.cost for point in points]
    edge: dict[str, Any] = {"mode": "lines", "hoverinfo": "skip", "showlegend": False, "legendgroup": name}
    figure.add_scatter(x=cost, y=[p.low for p in points], line={"shape": "hv", "width": 0}, **edge)
    figure.add_scatter(
        x=cost, y=[p.high for p in points], line={"shape": "hv", "width": 0}, fill="tonexty", fillcolor=band, **edge
    )
    figure.add_scatter(
        x=cost, y=[p.score for p in points], mode="lines", name=name, legendgroup=name, hoverinfo="skip",
        line={"shape": "hv", "color": color, "width": 2.5},
    )  # fmt: skip


def _add_trials(figure: go.Figure, done: Sequence[Trial]) -> None:
    runs = Counter(repr(sorted(t.values.items())) for t in done)
    repeats = [runs[repr(sorted(t.values.items()))] for t in done]
    sizes = [style.dot_size(len(done)) * min(math.sqrt(count), 3.0) for count in repeats]
    texts = [
        style.described(t) + (f"<br>one of {count} runs of these settings" if count > 1 else "")
        for t, count in zip(done, repeats, strict=True)
    ]
    size = np.asarray(sizes, float)
    marker = style.dots([t.number for t in done], len(done), colorbar=style.bar("trial"), size=size, line={"width": 0})
    figure.add_scatter(
        x=style.column([t.cost for t in done]), y=style.column([t.score for t in done]), mode="markers",
        name="trials (larger: repeated)", marker=marker, hovertext=style.column(texts), hoverinfo="text",
        ids=style.ids(done),
    )  # fmt: skip


def _add_failures(figure: go.Figure, trials: Sequence[Trial]) -> None:
    failed = [t for t in trials if t.status == "failed"]
    known = [(t, cost) for t in failed if (cost := t.cost or t.predicted_cost)]
    if not failed:
        return
    unknown = len(failed) - len(known)
    name = f"failed ({len(failed)}" + (f", {unknown} of unknown cost not drawn)" if unknown else ")")
    figure.add_scatter(
        y=[style.beyond_worst(trials)] * max(len(known), 1),
        x=[cost for _, cost in known] or [None], mode="markers", name=name,
        marker=style.crosses(len(failed)),
        hovertext=[style.described(t) for t, _ in known], hoverinfo="text", ids=style.ids([t for t, _ in known]),
    )  # fmt: skip
