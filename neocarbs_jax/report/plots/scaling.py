"""Scaling laws: how the score and the best settings change with cost along the expected front.

Each is a straight line by least squares, on the scale on which the value is drawn, against the logarithm of cost. The
band is where a further point of the front should lie nine times out of ten, and it is drawn up to ten times the dearest
cost. It knows how the points scatter, and not whether the law holds beyond them.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import plotly.graph_objects as go
from scipy.special import stdtrit

from neocarbs_jax.insight import ScalingLaw, fit_line
from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.scales import Scale
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.study.expectation import ExpectedPoint

_FEWEST = 4  # points: two are the line's, and an error needs some more
_BEYOND = 10.0
_NUM_COSTS = 40


def panels(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> list[go.Figure]:
    """Return a figure for the score and for each hyperparameter that is a number; none for a front of few points."""
    front = study.expected_front
    if len(front) < _FEWEST:
        return []
    score = [point.score for point in front]
    found = [_panel(score_name, front, score, min(score) > 0, cost_name)]
    if min(score) > 0:
        style.log_ticks("y", found[0])
    for name in study.log_axes:
        scale = Scale(study, name)
        values = [scale.place(point.values.get(name)) for point in front]
        if any(isinstance(v, str) or v is None for v in values):
            continue  # a choice, or an axis that some points do not have
        found.append(scale.label(_panel(name, front, values, scale.is_log, cost_name), "y"))
    return found


def scaling(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Score and settings along the expected front against cost, each with its scaling law and a 90% band."""
    found = panels(study, score_name=score_name, cost_name=cost_name)
    if not found:
        said = f"The expected front has {len(study.expected_front)} points; a law needs {_FEWEST}."
        return style.styled(style.empty(go.Figure(), said), "Scaling laws")
    return style.grid(found, "Scaling laws along the expected front (90% bands)")


def _panel(
    name: str, front: Sequence[ExpectedPoint], values: Sequence[float], is_log: bool, cost_name: str
) -> go.Figure:
    """Points of a front with their line and its band; `values` as they are drawn, on a logarithmic axis or not."""
    cost = np.array([point.cost for point in front])
    drawn = np.log(values) if is_log else np.asarray(values, float)
    law = fit_line(jnp.log(jnp.asarray(cost)), jnp.asarray(drawn), jnp.ones(len(cost), bool))
    costs = np.geomspace(cost[0], cost[-1] * _BEYOND, _NUM_COSTS)
    mean, std = (np.asarray(a, float) for a in law.predict(jnp.asarray(costs)))
    width = stdtrit(len(cost) - 2, 0.95) * std
    low, middle, high = ((np.exp(z) if is_log else z).tolist() for z in (mean - width, mean, mean + width))
    figure, x = go.Figure(), costs.tolist()
    edge = {"mode": "lines", "line_width": 0, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=x, y=low, **edge)
    figure.add_scatter(x=x, y=high, fill="tonexty", fillcolor=style.BAND, **edge)
    figure.add_scatter(
        x=x, y=middle, mode="lines", hoverinfo="skip", showlegend=False,
        line={"color": style.BLUE, "width": 2},
    )  # fmt: skip
    figure.add_scatter(
        x=cost.tolist(), y=list(values), mode="markers", showlegend=False, marker={"color": style.INK, "size": 7},
        hovertext=[style.described(point.trial) for point in front], hoverinfo="text",
        ids=style.ids([point.trial for point in front]),
    )  # fmt: skip
    title = style.escaped(name) + (_exponent(law, len(cost)) if is_log else "")
    return style.styled(figure, title, cost_name, name, log_x=True)


def _exponent(law: ScalingLaw, count: int) -> str:
    """Return the power of cost that a value goes with, and its 90% interval."""
    slope, half = float(law.slope), float(stdtrit(count - 2, 0.95) * law.slope_std)
    return "" if not math.isfinite(half) else f" ~ cost<sup>{slope:.2f} ± {half:.2f}</sup>"
