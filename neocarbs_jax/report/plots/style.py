"""How all figures look: colours that colour-blind people can tell apart, hover texts, axes, and grids of panels.

The colours of lines are those of Okabe and Ito (2008); ages and costs use the scale Cividis. Titles stand below the
toolbar and legends below the plot, so that nothing covers anything in a narrow window.
"""

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from neocarbs_jax.study.trials import Trial, completed

INK, MUTED = "#1f2937", "#7b8494"
BLUE, BAND, RED, GREEN, ORANGE = "#0072b2", "rgba(0, 114, 178, 0.18)", "#d55e00", "#009e73", "#e69f00"
LINES = (BLUE, RED, GREEN, "#cc79a7", ORANGE, "#56b4e9")
SCALE = "Cividis"
HEIGHT, TOOLBAR = 420, 34  # pixels
_MANY = 300
_FEW = 6
_DECADES = 80  # nearly two: ends of the data lie within a tick


def styled(figure: go.Figure, title: str, x: str = "", y: str = "", *, log_x: bool = False) -> go.Figure:
    """Give a figure of one panel its title and the names of its axes; return it."""
    figure.update_layout(
        title={
            "text": title, "font": {"size": 15}, "x": 0, "xref": "paper", "y": 1, "yref": "container",
            "yanchor": "top", "pad": {"t": TOOLBAR},
        },
        template="plotly_white", height=HEIGHT, font={"color": INK, "size": 12}, hovermode="closest",
        margin={"l": 10, "r": 10, "t": TOOLBAR + 36, "b": 10}, hoverlabel={"align": "left"},
        legend={"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"},
    )  # fmt: skip
    figure.update_xaxes(
        title=escaped(x),
        automargin=True,
        nticks=6,
        tickangle=0,
    )
    figure.update_yaxes(title=escaped(y), automargin=True, nticks=7)
    return log_ticks("x", figure) if log_x else figure


def log_ticks(axis: str, figure: go.Figure) -> go.Figure:
    """Put ticks on a logarithmic axis whose labels do not touch; plotly's own labels of 2 and 5 come too close.

    Whole decades where the axis spans two or more; else its values where they are few, else 1, 2, 5, 10, ...
    """
    found = {v for trace in traces(figure) for v in (trace[axis] if trace[axis] is not None else ()) if _positive(v)}
    low, high = (min(found), max(found)) if found else (1.0, 100.0)
    if high / low >= _DECADES:
        return figure.update_layout({f"{axis}axis": {**LOG, "nticks": None, "dtick": 1}})
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    round_ones = [m * 10.0**d for d in decades for m in (1, 2, 5) if low / 1.2 <= m * 10.0**d <= high * 1.2]
    ticks = sorted(found) if len(found) <= _FEW else round_ones
    if len(ticks) < 2:
        ticks = [low, high]
    return figure.update_layout({f"{axis}axis": {**LOG, "tickvals": ticks, "ticktext": list(map(short, ticks))}})


def traces(figure: go.Figure) -> tuple[Any, ...]:
    """Return the traces of a figure; plotly does not say of what type they are."""
    return figure.data  # pyright: ignore[reportReturnType]


def as_dict(figure: go.Figure) -> dict[str, Any]:
    """Return a figure as a dictionary whose arrays are NumPy's, where plotly's own packs their bytes into texts."""
    data = [trace.to_plotly_json() for trace in traces(figure)]
    return {"data": data, "layout": figure.to_plotly_json()["layout"]}


def short(value: float) -> str:
    """Return a number as a tick shows it: 20k rather than 2e+04."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if 10 * factor <= value < 1e13:
            return f"{value / factor:.4g}{letter}"
    return f"{value:.4g}"


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and value > 0


LOG: dict[str, Any] = {"type": "log", "exponentformat": "power", "minor": {"showgrid": False}}
"""Of a logarithmic axis."""


def escaped(text: object) -> str:
    """Return a text that plotly shows as it is, whatever markup it looks like."""
    return html.escape(str(text), quote=False)


def number(value: object) -> str:
    """Return a number with four digits, or any other value as a text that plotly shows as it is."""
    return f"{value:.4g}" if isinstance(value, float) else escaped(value)


def described(trial: Trial) -> str:
    """Return what the pointer shows of a trial: its result and its settings."""
    result = "".join(
        f", {name} {getattr(trial, name):.4g}" for name in ("score", "cost") if getattr(trial, name) is not None
    )
    lines = [f"<b>trial {trial.number}</b>{result}"]
    lines += [f"failed: {escaped(trial.reason)}"] if trial.status == "failed" else []
    return "<br>".join(lines + [f"{escaped(name)} = {number(value)}" for name, value in trial.values.items()])


def dot_size(count: int) -> float:
    """Return the diameter of a dot in pixels; the more dots, the smaller."""
    return 9.0 if count <= 60 else 7.0 if count <= _MANY else 4.5


def dots(color: Sequence[Any], count: int, **more: Any) -> dict[str, Any]:
    """Return the marker of dots that are coloured by a number each; plotly checks arrays faster than lists."""
    opacity = 0.9 if count <= _MANY else 0.6
    colors = np.asarray(color, float)
    return {"size": dot_size(count), "color": colors, "colorscale": SCALE, "opacity": opacity, **more}


def column(values: Sequence[Any]) -> np.ndarray:
    """Return values of a trace as an array, which plotly checks as a whole; it checks a list entry by entry."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def ids(trials: Sequence[Trial]) -> np.ndarray:
    """Return the numbers of trials as texts, by which a page knows whose dot was clicked."""
    return column([str(t.number) for t in trials])


def beyond_worst(trials: Sequence[Trial]) -> float:
    """Return the score at which failed trials are drawn: a little worse than the worst of the completed ones."""
    done = completed(trials)
    scores = [t.score or 0.0 for t in done] or [0.0, 1.0]
    margin = 0.08 * ((max(scores) - min(scores)) or 1.0)
    return max(scores) + margin if done and done[0].direction == "minimize" else min(scores) - margin


def crosses(count: int) -> dict[str, Any]:
    """Return the marker of failed trials; many of them must not hide what lies below."""
    many = count > _FEW * 5
    size, width = (5, 1.0) if many else (8, 2.0)
    return {
        "symbol": "x-thin", "size": size, "opacity": 0.5 if many else 1.0, "line": {"color": RED, "width": width}
    }  # fmt: skip


def bar(title: str, **more: Any) -> dict[str, Any]:
    """Return a colour bar, thin enough for a narrow window."""
    return {"title": {"text": title, "side": "right"}, "thickness": 10, "nticks": 5, **more}


def empty(figure: go.Figure, text: str) -> go.Figure:
    """Say in the middle of a figure why it is empty; return it."""
    figure.add_annotation(text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"color": MUTED})
    return figure


def grid(panels: Sequence[go.Figure], title: str, columns: int = 3) -> go.Figure:
    """Return several figures of one panel as one; a page that may be narrow shows them one by one instead."""
    if len(panels) == 1:
        return panels[0]
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    layouts: list[Any] = [panel["layout"] for panel in panels]
    titles = [layout.title.text for layout in layouts]
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, vertical_spacing=0.3 / rows, horizontal_spacing=0.24 / columns
    )
    for index, panel in enumerate(panels):
        row, column, drawn = index // columns + 1, index % columns + 1, traces(panel)
        figure.add_traces(drawn, rows=[row] * len(drawn), cols=[column] * len(drawn))
        for axis, update in (("xaxis", figure.update_xaxes), ("yaxis", figure.update_yaxes)):
            kept = layouts[index][axis].to_plotly_json()
            update({name: kept[name] for name in kept if name not in ("anchor", "domain")}, row=row, col=column)
    figure.update_traces(showlegend=False)
    figure.for_each_trace(lambda trace: trace.update(marker_showscale=False) if "marker" in trace else None)
    figure.update_layout(
        template=layouts[0].template, font=layouts[0].font, hovermode="closest", height=300 * rows + 100,
        margin={"l": 10, "r": 10, "t": TOOLBAR + 66, "b": 10},
        title={"text": title, "font": {"size": 15}, "y": 1, "yref": "container", "yanchor": "top",
               "pad": {"t": TOOLBAR}, "x": 0, "xref": "paper"},
    )  # fmt: skip
    figure.update_annotations(font_size=12)
    return figure
