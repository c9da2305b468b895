"""Parallel coordinates: all settings of all trials at once; dragging along an axis filters."""

import math
from typing import Any

import plotly.graph_objects as go

from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.study.trials import completed

ABSENT = "-"
"""What stands for the value of an axis that is not active."""

_NAME_LENGTH = 14
_FEW = 6


def parallel(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Hyperparameters, cost and score of each completed trial as a line, coloured by score."""
    conditional = set(study.space.conditions) if study.space else set()
    done = [t for t in completed(study.trials) if set(study.log_axes) - conditional <= set(t.values)]
    figure = go.Figure()
    if not done:
        return style.styled(style.empty(figure, "No trial has completed yet."), "Parallel coordinates")
    dimensions = [
        _dimension(name, [t.values.get(name, ABSENT) for t in done], log) for name, log in study.log_axes.items()
    ]
    dimensions.append(_dimension(cost_name, [t.cost for t in done], True))
    scores = [t.score for t in done]
    dimensions.append({"label": _short(score_name), "values": scores})
    line = {"color": scores, "colorscale": style.SCALE}
    figure.add_parcoords(dimensions=dimensions, line=line, labelfont={"size": 11}, tickfont={"size": 10})
    style.styled(figure, "Parallel coordinates")
    return figure.update_layout(margin={"l": 60, "r": 60, "t": 110, "b": 30})


def _dimension(name: str, values: list[Any], is_log: bool) -> dict[str, Any]:
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        options = list(dict.fromkeys(map(str, values)))
        positions = list(range(len(options)))
        return {"label": _short(name), "values": [options.index(str(v)) for v in values], "tickvals": positions,
                "ticktext": [_short(option) for option in options]}  # fmt: skip
    if not (is_log and min(values) > 0):
        return {"label": _short(name), "values": values}
    logs, different = [math.log10(v) for v in values], sorted(set(values))
    if len(different) <= _FEW:
        texts = [f"{v:.6g}" for v in different]
        return {"label": _short(name), "values": logs, "tickvals": list(map(math.log10, different)), "ticktext": texts}
    low, high = min(logs), max(logs)
    ticks = [low + (high - low) * i / 4 for i in range(5)] if high > low else [low]
    return {
        "label": _short(name),
        "values": logs,
        "tickvals": ticks,
        "ticktext": [style.short(float(f"{10**t:.2g}")) for t in ticks],
    }


def _short(text: object) -> str:
    words = str(text)
    return style.escaped(words if len(words) <= _NAME_LENGTH else words[: _NAME_LENGTH - 1] + "…")
