"""Where the search goes over time: each hyperparameter against the number of the trial."""

import numpy as np
import plotly.graph_objects as go

from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.scales import Scale
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.study.trials import pareto_front


def panels(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> list[go.Figure]:
    """Return a figure for each hyperparameter: its value against the number of the trial, coloured by score."""
    del score_name, cost_name
    trials, found = study.trials, []
    best = {t.number for t in pareto_front(trials)}
    for name in study.log_axes:
        scale = Scale(study, name)
        done = [t for t in trials if t.status == "completed" and name in t.values]
        failed = [t for t in trials if t.status == "failed" and name in t.values]
        figure = go.Figure()
        ring = {"color": style.RED, "width": np.array([2 if t.number in best else 0 for t in done])}
        figure.add_scatter(
            x=style.column([t.number for t in done]), y=style.column([scale.place(t.values[name]) for t in done]),
            mode="markers", marker=style.dots([t.score for t in done], len(done), line=ring), showlegend=False,
            customdata=np.array([[t.score, style.number(t.values[name])] for t in done], object), ids=style.ids(done),
            hovertemplate="trial %{x}: %{customdata[1]}<br>score %{customdata[0]:.4g}<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=[t.number for t in failed], y=[scale.place(t.values[name]) for t in failed], mode="markers",
            marker=style.crosses(len(failed)), showlegend=False, ids=style.ids(failed),
            customdata=[style.number(t.values[name]) for t in failed],
            hovertemplate="trial %{x} failed: %{customdata}<extra></extra>",
        )  # fmt: skip
        style.styled(figure, style.escaped(name), "trial", name)
        found.append(scale.label(figure, "y"))
    return found


def order(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Value of each hyperparameter against the number of the trial, coloured by score."""
    title = "Values over time (colour: score; ringed: on the front)"
    return style.grid(panels(study, score_name=score_name, cost_name=cost_name), title)
