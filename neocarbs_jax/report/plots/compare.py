"""The fronts of two studies in one picture."""

import plotly.graph_objects as go

from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.front import add_expected
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.study.trials import completed

_COLORS = ((style.BLUE, style.BAND, "circle"), (style.RED, "rgba(213, 94, 0, 0.18)", "diamond-open"))


def compare(study: Pictured, other: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Expected fronts of two studies with their 90% bands, over their trials."""
    ways = {t.direction for one in (study, other) for t in one.trials}
    if len(ways) > 1:
        raise ValueError("`other` must have scores of the same direction; got one study to maximize, one to minimize.")
    figure = go.Figure()
    names = [study.name, other.name] if study.name != other.name else [f"{study.name} (1)", f"{other.name} (2)"]
    for one, name, (color, band, symbol) in zip((study, other), names, _COLORS, strict=True):
        done = completed(one.trials)
        add_expected(figure, one.expected_front, style.escaped(name), color, band)
        figure.add_scatter(
            x=[t.cost for t in done], y=[t.score for t in done], mode="markers", 
            name=f"trials of {style.escaped(name)}",
            marker={"color": color, "symbol": symbol, "size": style.dot_size(len(done)) - 2, "opacity": 0.6},
            hovertext=[style.described(t) for t in done], hoverinfo="text",
        )  # fmt: skip
    return style.styled(figure, "Two fronts: expected of fresh runs, 90% intervals", cost_name, score_name, log_x=True)
