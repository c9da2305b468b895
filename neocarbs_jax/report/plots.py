"""The pictures that matter, as plotly figures of a list of trials.

Next to the front of score against cost stands the compute spent up to each cost: the second must rise evenly, with no
spike of spending at the expensive end.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from neocarbs_jax.report.settings import LEARNING_CURVE
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.ledger import Trial, completed, pareto_front

INK, ACCENT, MUTED = "#1f2937", "#dc2626", "#9ca3af"
AGES = "Viridis"


def front_figure(
    trials: Sequence[Trial],
    *,
    score_name: str = "score",
    cost_name: str = "cost",
    expected: Sequence[ExpectedPoint] = (),
) -> go.Figure:
    """Score against cost of every trial, coloured by age, with the measured and the expected front as staircases."""
    done, front = completed(trials), pareto_front(trials)
    figure = go.Figure()
    if expected:
        _add_expected(figure, expected)
    figure.add_scatter(
        x=[t.cost for t in done], y=[t.score for t in done], mode="markers", name="trials",
        marker=_by_age(done, size=9), hovertext=[_describe(t) for t in done], hoverinfo="text",
    )  # fmt: skip
    figure.add_scatter(
        x=[t.cost for t in front], y=[t.score for t in front], mode="lines", name="measured",
        line={"shape": "hv", "color": MUTED if expected else ACCENT, "width": 2}, hoverinfo="skip",
    )  # fmt: skip
    return _styled(figure, "Front: score against cost", cost_name, score_name, log_x=True)


def _add_expected(figure: go.Figure, expected: Sequence[ExpectedPoint]) -> None:
    """Draw the expected front with the band of its 90% interval."""
    cost = [point.cost for point in expected]
    edge: dict[str, Any] = {"mode": "lines", "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=cost, y=[p.low for p in expected], line={"shape": "hv", "width": 0}, **edge)
    figure.add_scatter(
        x=cost, y=[p.high for p in expected], line={"shape": "hv", "width": 0},
        fill="tonexty", fillcolor="rgba(220, 38, 38, 0.15)", **edge,
    )  # fmt: skip
    figure.add_scatter(
        x=cost, y=[p.score for p in expected], mode="lines", name="expected of fresh runs (90% interval)",
        line={"shape": "hv", "color": ACCENT, "width": 2}, hoverinfo="skip",
    )  # fmt: skip


def curve_figure(trials: Sequence[Trial], *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Learning curves of the trials on the front that keep one: the score while training against the cost so far."""
    figure = go.Figure()
    for trial in pareto_front(trials):
        points = trial.attrs.get(LEARNING_CURVE) or []
        if points:
            _, score, cost = zip(*points, strict=True)
            figure.add_scatter(x=cost, y=score, mode="lines", name=f"trial {trial.number}")
    return _styled(figure, "Learning curves of the front, while training", cost_name, score_name, log_x=True)


def spend_figure(trials: Sequence[Trial], *, cost_name: str = "cost") -> go.Figure:
    """Compute spent on trials of at most a given cost, as a share of all; a good sweep rises evenly."""
    costs = np.sort([t.cost for t in trials if t.cost])
    share = np.cumsum(costs) / max(np.sum(costs), 1e-30)
    figure = go.Figure()
    figure.add_scatter(
        x=costs, y=share, mode="lines+markers", name="spent", line={"shape": "hv", "color": INK, "width": 2}
    )
    return _styled(figure, "Cumulative cost against cost", cost_name, "share of all cost", log_x=True)


def prediction_figure(trials: Sequence[Trial]) -> go.Figure:
    """Predicted against measured score and cost; bars are one predicted standard deviation."""
    done = [t for t in completed(trials) if t.predicted_score is not None]
    figure = make_subplots(cols=2, subplot_titles=("score", "cost"), horizontal_spacing=0.12)
    for column, name in ((1, "score"), (2, "cost")):
        measured = [getattr(t, name) for t in done]
        predicted = [getattr(t, f"predicted_{name}") for t in done]
        spread = [getattr(t, f"predicted_{name}_std") for t in done]
        figure.add_scatter(
            x=measured, y=predicted, mode="markers", name=name, row=1, col=column, showlegend=False,
            marker=_by_age(done, size=7, bar=False), hovertext=[_describe(t) for t in done], hoverinfo="text",
            error_y={"type": "data", "array": spread, "color": MUTED, "thickness": 1, "width": 0},
        )  # fmt: skip
        if done:
            ends = [min(measured + predicted), max(measured + predicted)]
            figure.add_scatter(
                x=ends, y=ends, mode="lines", row=1, col=column, showlegend=False, hoverinfo="skip",
                line={"color": ACCENT, "dash": "dot"},
            )  # fmt: skip
        figure.update_xaxes(title="measured", row=1, col=column)
        figure.update_yaxes(title="predicted", row=1, col=column)
    figure.update_xaxes(type="log", row=1, col=2)
    figure.update_yaxes(type="log", row=1, col=2)
    return _styled(figure, "Predicted against measured")


def hyperparameter_figure(
    trials: Sequence[Trial], log_axes: Mapping[str, bool], *, score_name: str = "score", columns: int = 3
) -> go.Figure:
    """One scatter of score per hyperparameter, coloured by age.

    Args:
        trials: the ledger.
        log_axes: for each hyperparameter to show, whether its axis is logarithmic.
        score_name: label of the vertical axes.
        columns: scatters per row.
    """
    done, front = completed(trials), {t.number for t in pareto_front(trials)}
    rows = -(-len(log_axes) // columns)
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=list(log_axes), shared_yaxes=True,
        vertical_spacing=0.35 / rows, horizontal_spacing=0.05,
    )  # fmt: skip
    edges = [2 if t.number in front else 0 for t in done]
    for index, (name, is_log) in enumerate(log_axes.items()):
        row, column = index // columns + 1, index % columns + 1
        marker = _by_age(done, size=8, bar=False) | {"line": {"color": ACCENT, "width": edges}}
        figure.add_scatter(
            x=[t.values.get(name) for t in done], y=[t.score for t in done], mode="markers", showlegend=False,
            marker=marker, hovertext=[_describe(t) for t in done], hoverinfo="text", row=row, col=column,
        )  # fmt: skip
        figure.update_xaxes(type="log" if is_log else None, row=row, col=column)
        if column == 1:
            figure.update_yaxes(title=score_name, row=row, col=column)
    return _styled(figure, "Score against each hyperparameter (ringed: on the front)", height=260 * rows + 80)


def _by_age(trials: Sequence[Trial], size: int, bar: bool = True) -> dict[str, Any]:
    marker: dict[str, Any] = {"size": size, "color": [t.number for t in trials], "colorscale": AGES}
    if bar:
        marker |= {"showscale": True, "colorbar": {"title": "trial", "thickness": 12}}
    return marker


def _describe(trial: Trial) -> str:
    lines = [f"<b>trial {trial.number}</b>: score {trial.score:.4g}, cost {trial.cost:.4g}"]
    lines += [f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}"
              for name, value in trial.values.items()]  # fmt: skip
    return "<br>".join(lines)


def _styled(
    figure: go.Figure, title: str, x_name: str = "", y_name: str = "", log_x: bool = False, height: int = 420
) -> go.Figure:
    figure.update_layout(
        title={"text": title, "font": {"size": 16}}, template="plotly_white", height=height, font={"color": INK},
        margin={"l": 60, "r": 30, "t": 70, "b": 50}, legend={"orientation": "h", "y": 1.08, "x": 1, "xanchor": "right"},
    )  # fmt: skip
    if x_name:
        figure.update_xaxes(title=x_name, type="log" if log_x else None)
        figure.update_yaxes(title=y_name)
    return figure
