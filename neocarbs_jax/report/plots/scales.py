"""How the values of a hyperparameter lie on the axis of a figure: as they are, in the logarithm, or in log odds."""

import math
from typing import Any, Literal

import plotly.graph_objects as go

from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.space import Logit

_ODDS = (0.0001, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999, 0.9999)


class Scale:
    """The scale of one hyperparameter; that of a `Logit` axis resolves 0.999 from 0.9999, as the search does."""

    def __init__(self, study: Pictured, name: str):
        axes = dict(study.space.axes) if study.space else {}
        self.is_logit = isinstance(axes.get(name), Logit)
        self.is_log = study.log_axes[name] and not self.is_logit

    def place(self, value: Any) -> Any:
        """Return where a value is drawn: numbers on their scale, anything else by its name; None where it has none."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return style.escaped(value)
        if self.is_logit:
            return math.log(value / (1 - value)) if 0 < value < 1 else None
        return None if self.is_log and value <= 0 else value

    def label(self, figure: go.Figure, axis: Literal["x", "y"]) -> go.Figure:
        """Give that axis of a figure, whose points are drawn, its ticks; return the figure."""
        if self.is_log:
            return style.log_ticks(axis, figure)
        if not self.is_logit:
            return figure
        drawn = [trace[axis] for trace in style.traces(figure)]
        found = [v for values in drawn if values is not None for v in values if v is not None]
        low, high = min(found, default=-1.0), max(found, default=1.0)
        ticks = [odds for odds in _ODDS if low - 0.3 <= math.log(odds / (1 - odds)) <= high + 0.3]
        if len(ticks) < 2:
            ticks = [1 / (1 + math.exp(-end)) for end in (low, high)]
        places = [math.log(odds / (1 - odds)) for odds in ticks]
        return figure.update_layout({f"{axis}axis": {"tickvals": places, "ticktext": [f"{t:.4g}" for t in ticks]}})
