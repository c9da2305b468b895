"""Where the compute went: a sweep that covers all costs rises along the diagonal of a linear axis of cost."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.study.trials import Trial


def spending(trials: Sequence[Trial]) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return the costs of trials, ascending, and what each has paid: less than that where it goes on from another."""
    known = sorted((trial.cost, trial.paid or 0.0) for trial in trials if trial.cost)
    cost, paid = np.array(known, float).reshape(-1, 2).T
    return cost, paid


def spend(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Share of all cost that was spent on trials of at most a given cost, against that cost on a linear axis.

    Trials that are spread evenly over log cost spend the same between any two costs of the same distance: their line is
    straight. A rise at the right end alone says that the sweep spent all on expensive trials.
    """
    del score_name
    costs, paid = spending(study.trials)
    figure = go.Figure()
    if not len(costs):
        return style.styled(style.empty(figure, "No cost is known yet."), "Spending", cost_name, "share of all cost")
    share = np.cumsum(paid) / np.sum(paid)
    figure.add_scatter(
        x=[0.0, costs[-1]], y=[0.0, 1.0], mode="lines", name="spread evenly over log cost", hoverinfo="skip",
        line={"color": style.MUTED, "dash": "dash", "width": 1.5},
    )  # fmt: skip
    figure.add_scatter(
        x=costs, y=share, mode="lines+markers" if len(costs) <= 60 else "lines", name="spent, failed trials included",
        line={"shape": "hv", "color": style.BLUE, "width": 2}, hovertemplate="%{y:.0%} on trials up to %{x:.4g}",
    )  # fmt: skip
    figure.update_yaxes(tickformat=".0%", range=[0, 1.03])
    figure.update_xaxes(rangemode="tozero")
    return style.styled(figure, "Spending up to each cost", cost_name, "share of all cost")
