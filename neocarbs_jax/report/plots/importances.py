"""Which hyperparameters matter along the front, and in which direction, as a map of shares."""

import plotly.graph_objects as go

from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.snapshot import Pictured


def importances(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Signed importance of each hyperparameter at points of the expected front, by their cost.

    Blue: over the whole range the score gets better as the value rises; red: it gets worse; pale: the value hardly
    matters. Where the best value lies in the middle of the range, the sign says little. The shares of a column, signs
    aside, sum to 100%.
    The most important hyperparameter stands on top.
    """
    del score_name
    known = study.importances
    figure = go.Figure()
    title = "Importance along the front"
    if not known:
        return style.styled(style.empty(figure, "No importances are known yet."), title, cost_name)
    names = sorted(known[0].shares, key=lambda name: sum(abs(one.shares[name]) for one in known))
    shares = [[one.shares[name] for one in known] for name in names]
    figure.add_heatmap(
        z=shares, x=[f"{one.point.cost:.3g}" for one in known], y=[style.escaped(name) for name in names],
        colorscale="RdBu", zmid=0, zmin=-1, zmax=1, xgap=2, ygap=2, texttemplate="%{z:.0%}", textfont={"size": 10},
        hovertemplate="%{y} at cost %{x}: %{z:.0%}<extra></extra>", showscale=False,
    )  # fmt: skip
    style.styled(figure, title, f"{cost_name} of the point")
    figure.update_xaxes(type="category", nticks=len(known))
    figure.update_yaxes(nticks=len(names))
    return figure.update_layout(height=160 + 26 * len(names))
