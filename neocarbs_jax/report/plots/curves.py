"""Learning curves of the trials on the front that keep one, by steps and by what they had cost."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.report.settings import LEARNING_CURVE
from neocarbs_jax.study.trials import Trial, pareto_front

_MOST = 6


def panels(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> list[go.Figure]:
    """Return the curves by budget and by cost as a figure each; none where no trial of the front keeps one."""
    kept = [t for t in pareto_front(study.trials) if points(t)]
    if len(kept) > _MOST:  # spread over the front
        kept = [kept[round(i * (len(kept) - 1) / (_MOST - 1))] for i in range(_MOST)]
    return of_trials(kept, score_name=score_name, cost_name=cost_name)


def of_trials(trials: Sequence[Trial], *, score_name: str = "score", cost_name: str = "cost") -> list[go.Figure]:
    """Return the curves of some trials by budget and by cost as a figure each; none where none keeps one."""
    kept = [t for t in trials if points(t)]
    found = []
    for column, label, title in ((0, "budget", "by steps"), (2, cost_name, "by cost")) if kept else ():
        figure = go.Figure()
        for index, trial in enumerate(kept):
            figure.add_scatter(
                x=[p[column] for p in points(trial)], y=[p[1] for p in points(trial)], mode="lines+markers",
                name=f"trial {trial.number}", line={"color": style.LINES[index % len(style.LINES)], "width": 2},
                marker={"size": 4, "symbol": index}, hovertemplate="%{x:.4g}: %{y:.4g}",
            )  # fmt: skip
        found.append(style.styled(figure, f"Learning curves {title}", label, score_name, log_x=True))
    return found


def curves(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Score while training of trials on the front, against steps and against cost."""
    found = panels(study, score_name=score_name, cost_name=cost_name)
    if not found:
        said = "No trial of the front keeps a curve (attribute `learning_curve`)."
        return style.styled(style.empty(go.Figure(), said), "Learning curves")
    return style.grid(found, "Learning curves of trials on the front", 2)


def points(trial: Trial) -> list[Any]:
    """Return [budget, score, cost] of a trial on its way; none where it keeps no curve."""
    return trial.attrs.get(LEARNING_CURVE) or trial.attrs.get("curve") or []
