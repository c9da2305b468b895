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
    """Return an axis of numbers, or of options by name; what is absent stands a little below the numbers."""
    label = {"label": _short(name)}
    present = [v for v in values if v is not ABSENT]
    if not present or any(isinstance(v, bool) or not isinstance(v, int | float) for v in present):
        options = list(dict.fromkeys(map(str, values)))
        positions = [options.index(str(v)) for v in values]
        return {
            **label,
            "values": positions,
            "tickvals": list(range(len(options))),
            "ticktext": list(map(_short, options)),
        }
    is_log = is_log and min(present) > 0
    if not is_log and len(present) == len(values):
        return {**label, "values": values}
    different = sorted({math.log10(v) if is_log else float(v) for v in present})
    low, high = different[0], different[-1]
    is_few = len(different) <= _FEW
    ticks = different if is_few else [low + (high - low) * i / 4 for i in range(5)]
    texts = [_tick(10**t if is_log else t, is_few) for t in ticks]
    below = low - 0.1 * ((high - low) or 1.0)
    if len(present) < len(values):
        ticks, texts = [below, *ticks], [ABSENT, *texts]
    drawn = [below if v is ABSENT else math.log10(v) if is_log else v for v in values]
    return {**label, "values": drawn, "tickvals": ticks, "ticktext": texts}


def _tick(value: float, is_exact: bool) -> str:
    return f"{value:.6g}" if is_exact else style.short(float(f"{value:.2g}"))


def _short(text: object) -> str:
    words = str(text)
    return style.escaped(words if len(words) <= _NAME_LENGTH else words[: _NAME_LENGTH - 1] + "…")
