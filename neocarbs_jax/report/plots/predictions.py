"""Whether the surrogate can be trusted: what it predicted of each trial before it ran, and what was then measured."""

from collections.abc import Sequence

import plotly.graph_objects as go

from neocarbs_jax.report.plots import style
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.study.trials import Trial, completed

Z90 = 1.645
"""Half the width of a central 90% interval in standard deviations."""


def predicted(trials: Sequence[Trial]) -> list[Trial]:
    """Return the completed trials of which something was predicted."""
    return [t for t in completed(trials) if t.predicted_score is not None and t.predicted_score_std is not None]


def panels(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> list[go.Figure]:
    """Return predicted against measured score and cost, and the errors of the score over time, as a figure each."""
    done = predicted(study.trials)
    return [_against(done, "score", score_name), _against(done, "cost", cost_name), _over_time(done)]


def predictions(study: Pictured, *, score_name: str = "score", cost_name: str = "cost") -> go.Figure:
    """Predicted against measured score and cost with 90% intervals, and the errors of the score over time."""
    return style.grid(panels(study, score_name=score_name, cost_name=cost_name), "Predicted against measured")


def _against(done: Sequence[Trial], name: str, label: str) -> go.Figure:
    known = [t for t in done if getattr(t, f"predicted_{name}") is not None]
    measured = [getattr(t, name) for t in known]
    values = [getattr(t, f"predicted_{name}") for t in known]
    half = [Z90 * (getattr(t, f"predicted_{name}_std") or 0.0) for t in known]
    below = [min(h, 0.95 * v) if name == "cost" else h for h, v in zip(half, values, strict=True)]  # costs stay > 0
    figure = go.Figure()
    if known:
        ends = [min(measured + values), max(measured + values)]
        figure.add_scatter(
            x=ends, y=ends, mode="lines", name="as predicted", hoverinfo="skip", showlegend=False,
            line={"color": style.MUTED, "dash": "dash", "width": 1.5},
        )  # fmt: skip
    else:
        style.empty(figure, "Nothing was predicted yet.")
    figure.add_scatter(
        x=style.column(values), y=style.column(measured), mode="markers", name=name, showlegend=False,
        marker=style.dots([t.number for t in known], len(known)), hoverinfo="text", ids=style.ids(known),
        hovertext=style.column([f"predicted {v:.4g} ± {h:.2g}<br>{style.described(t)}"
                                for t, v, h in zip(known, values, half, strict=True)]),
        error_x={"type": "data", "symmetric": False, "array": style.column(half), "arrayminus": style.column(below),
                 "color": style.MUTED, "thickness": 0.6, "width": 0},
    )  # fmt: skip
    title = f"{name.capitalize()}, predicted (90%) and measured"
    style.styled(figure, title, f"predicted {label}", f"measured {label}", log_x=name == "cost")
    if name == "cost":
        style.log_ticks("y", figure)
    return figure


def _over_time(done: Sequence[Trial]) -> go.Figure:
    known = [t for t in done if t.predicted_score_std]
    errors = [((t.score or 0.0) - (t.predicted_score or 0.0)) / (t.predicted_score_std or 1.0) for t in known]
    inside = sum(abs(error) <= Z90 for error in errors)
    figure = go.Figure()
    figure.add_hrect(y0=-Z90, y1=Z90, fillcolor=style.BAND, line_width=0)
    figure.add_scatter(
        x=style.column([t.number for t in known]), y=style.column(errors), mode="markers", name="error",
        showlegend=False, hoverinfo="text", ids=style.ids(known),
        marker={"color": style.BLUE, "size": style.dot_size(len(known)), "opacity": 0.8},
        hovertext=style.column(
            [f"{e:+.2f} deviations<br>{style.described(t)}" for t, e in zip(known, errors, strict=True)]
        ),
    )  # fmt: skip
    share = f": {inside} of {len(known)} within 90%" if known else ""
    return style.styled(figure, f"Errors of the score{share}", "trial", "error in predicted deviations")
