"""Each hyperparameter against the score: where the good values lie, and whether a bound cuts them off."""

import math
from collections.abc import Sequence, Set

import numpy as np
import plotly.graph_objects as go

from neocarbs_jax.report.bounds import leaning
from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.scales import Scale
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.study.trials import Trial, completed, pareto_front


def panels(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> list[go.Figure]:
    """Return a figure for each hyperparameter, coloured by cost, trials of the front ringed, failed ones crossed."""
    del cost_name
    hints = {lean.name: lean for lean in leaning(study.space, study.expected_front)} if study.space else {}
    trials, found = study.trials, []
    best = {t.number for t in pareto_front(trials)}
    for name in study.log_axes:
        hint = (
            f"<br><span style='color:{style.RED}'>{style.escaped(hints[name].advice)}</span>" if name in hints else ""
        )
        scale = Scale(study, name)
        figure = _panel(trials, best, name, scale)
        style.styled(figure, style.escaped(name), name, score_name)
        figure.update_xaxes(title=style.escaped(name) + hint)
        found.append(scale.label(figure, "x"))
    return found


def hyperparameters(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Score against each hyperparameter, coloured by cost; the trials of the front are ringed."""
    title = "Score against each hyperparameter (colour: cost; ringed: on the front)"
    return style.grid(panels(study, score_name=score_name, cost_name=cost_name), title)


def _panel(trials: Sequence[Trial], best: Set[int], name: str, scale: Scale) -> go.Figure:
    done = [t for t in completed(trials) if name in t.values]
    figure = go.Figure()
    marker = style.dots(
        [math.log10(t.cost or 1.0) for t in done], len(done),
        line={"color": style.RED, "width": np.array([2 if t.number in best else 0 for t in done])},
    )  # fmt: skip
    figure.add_scatter(
        x=style.column([scale.place(t.values[name]) for t in done]), y=style.column([t.score for t in done]),
        mode="markers", showlegend=False, marker=marker, ids=style.ids(done),
        customdata=np.array([[t.number, t.cost, style.number(t.values[name])] for t in done], object),
        hovertemplate="trial %{customdata[0]}: %{customdata[2]}<br>score %{y:.4g}, cost %{customdata[1]:.4g}"
        "<extra></extra>",
    )  # fmt: skip
    failed = [t for t in trials if t.status == "failed" and name in t.values]
    figure.add_scatter(
        x=[scale.place(t.values[name]) for t in failed], y=[style.beyond_worst(done)] * len(failed), mode="markers",
        name="failed", showlegend=False, marker=style.crosses(len(failed)), ids=style.ids(failed),
        customdata=[[t.number, style.number(t.values[name])] for t in failed],
        hovertemplate="trial %{customdata[0]} failed: %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    return figure
