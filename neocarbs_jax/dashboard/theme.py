"""The look of figures on the page: light, or dark with colours that stand out from a dark ground."""

from typing import Any, Literal

from plotly.colors import sample_colorscale

from neocarbs_jax.report.plots import style

Theme = Literal["light", "dark"]

_DARK = {
    style.INK: "#e5e7eb",
    style.MUTED: "#9aa4b2",
    style.BLUE: "#56b4e9",
    style.BAND: "rgba(86, 180, 233, 0.22)",
    style.RED: "#ff8c42",
    style.GREEN: "#2fc69a",
}
_COLORS = ("color", "fillcolor")
_PLACES = [i / 10 for i in range(11)]
_SCALE = [*zip(_PLACES, sample_colorscale(style.SCALE, [0.25 + 0.75 * place for place in _PLACES]), strict=True)]
"""Cividis without its end that is as dark as the page."""


def themed(figure: dict[str, Any], theme: Theme) -> dict[str, Any]:
    """Return a figure, given as a dictionary, in the colours of a theme; its data are shared, not copied."""
    data, layout = figure["data"], figure["layout"]
    if theme == "dark":
        data, layout = [_recolored(trace) for trace in data], _recolored(layout)
    return {"data": data, "layout": {**layout, "template": _template(theme)}}


def mark_color(theme: Theme) -> str:
    """Return the colour of the rings around trials that the user chose."""
    return "#ff5fa2" if theme == "dark" else "#c2185b"


def _recolored(node: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in node.items():
        if isinstance(value, dict):
            value = _recolored(value)
        elif name in _COLORS and isinstance(value, str):
            value = _DARK.get(value, value)
        elif name == "colorscale" and node.get("type") != "heatmap":
            value = _SCALE
        found[name] = value
    return found


def _template(theme: Theme) -> dict[str, Any]:
    dark = theme == "dark"
    lines = "#374151" if dark else "#e5e7eb"
    axis = {"gridcolor": lines, "zerolinecolor": lines, "linecolor": lines}
    surface = "#1f2937" if dark else "#ffffff"
    ink = _DARK[style.INK] if dark else style.INK
    return {
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "xaxis": axis, "yaxis": axis,
            "hoverlabel": {"bgcolor": surface, "bordercolor": lines, "font": {"color": ink}},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#9aa4b2", "activecolor": ink},
        }
    }  # fmt: skip
