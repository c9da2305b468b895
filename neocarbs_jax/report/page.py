"""The report as one HTML file that needs no network: sentences, figures that stack in a narrow window, tables.

A figure is drawn when it comes near the window, so that a page of thousands of trials opens at once; all are drawn
before the page is printed. Titles of sections are HTML, and the toolbar of a figure stands above its own title.
"""

import html
import json
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder

from neocarbs_jax.report import tables
from neocarbs_jax.report.plots import front, importances, parallel, spend, style
from neocarbs_jax.report.plots.curves import panels as curve_panels
from neocarbs_jax.report.plots.hyperparameters import panels as hyperparameter_panels
from neocarbs_jax.report.plots.order import panels as order_panels
from neocarbs_jax.report.plots.predictions import panels as prediction_panels
from neocarbs_jax.report.plots.progress import panels as progress_panels
from neocarbs_jax.report.plots.scaling import panels as scaling_panels
from neocarbs_jax.report.plots.snapshot import Pictured
from neocarbs_jax.report.summary import account, advice, warnings_of
from neocarbs_jax.study.confirm import Confirmed

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
 body {{ font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1180px; margin: 1.5rem auto;
         padding: 0 1rem; }}
 h1 {{ font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }}
 h2 {{ font-size: 1.15rem; margin: 2rem 0 .2rem; border-top: 1px solid #e5e7eb; padding-top: 1rem; }}
 p {{ color: #4b5563; margin: .2rem 0 .6rem; max-width: 75ch; }}
 ul {{ margin: .3rem 0; padding-left: 1.2rem; }}
 .warning {{ border-left: 4px solid #d55e00; background: #fdf3ec; padding: .5rem .8rem; margin: .6rem 0; }}
 .grid {{ display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, {least}px), 1fr)); }}
 .three {{ grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); }}
 .plot {{ min-width: 0; }} .scroll {{ overflow-x: auto; }}
 table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }}
 th, td {{ padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e5e7eb; white-space: nowrap; }}
 td.text {{ text-align: left; }} tr.failed td {{ background: #fdf3ec; }}
 summary {{ cursor: pointer; padding: .4rem 0; }} pre {{ overflow-x: auto; background: #f6f7f9; padding: .8rem; }}
 @media print {{ .plot, tr {{ break-inside: avoid; }} }}
</style><script>{plotly}</script></head><body>
"""
_IMPORTANCES = """<h2>What matters along the front</h2><p>Share of each setting in the movement of the score, at points
of the expected front. Blue: over the whole range more is better; red: less is. Where the best value lies in the middle,
the sign says little.</p>"""
_LAWS = """<h2>Scaling laws</h2><p>Points of the expected front, the line through them, and the band in which a further
point should lie nine times out of ten, up to ten times the dearest cost. The band does not know whether the law holds
out there.</p>"""
_DRAW = """<script>
const draw = div => {
  if (div.drawn) return;
  div.drawn = true;
  const figure = JSON.parse(div.querySelector("script").textContent);
  div.textContent = "";
  const wide = window.innerWidth > 700;
  const named = figure.data.filter(trace => trace.name && trace.showlegend !== false).length;
  if (!wide && figure.layout.title) figure.layout.title.font.size = 13;
  if (!wide && named > 2) {
    figure.layout.height += 24 * named;
    div.style.height = figure.layout.height + "px";
  }
  const config = {displaylogo: false, responsive: true, modeBarButtonsToRemove: ["sendChartToCloud"]};
  Plotly.newPlot(div, figure.data, figure.layout, config);
};
const plots = [...document.querySelectorAll(".plot")];
const near = new IntersectionObserver(seen => seen.forEach(e => e.isIntersecting && draw(e.target)),
                                      {rootMargin: "800px"});
plots.forEach(div => near.observe(div));
window.addEventListener("beforeprint", () => plots.forEach(draw));
</script></body></html>
"""


def page(
    study: Pictured,
    *,
    title: str,
    score_name: str = "score",
    cost_name: str = "cost",
    confirmed: Sequence[Confirmed] = (),
    sweep: str = "",
) -> str:
    """Return the page.

    Args:
        study: a study, or better a snapshot of one, as its front is read several times.
        title: headline of the page.
        score_name, cost_name: labels with units.
        confirmed: fresh runs of the expected front, if there were any.
        sweep: what would run this sweep again, such as a file of options.
    """
    names = {"score_name": score_name, "cost_name": cost_name}
    trials, expected = study.trials, study.expected_front
    parts = [
        _HEAD.format(title=html.escape(title), plotly=get_plotlyjs(), least=460),
        f"<h1>{html.escape(title)}</h1><p>{html.escape(account(trials, cost_name))}</p>",
        _list(advice(expected, score_name, cost_name)),
        "".join(f"<p class='warning'>{html.escape(text)}</p>" for text in warnings_of(study)),
        _grid([front(study, **names), spend(study, **names)]),
        tables.confirmed_table(confirmed),
        tables.expected_table(trials, expected),
        "<h2>Measured front</h2>" + tables.front_table(trials),
        "<h2>Predicted and measured</h2><p>Nine of ten bars should reach the dashed line, early and late alike.</p>",
        _grid(prediction_panels(study, **names), three=True),
        "<h2>Progress</h2><p>The rating falls as the front fills; the hypervolume levels off.</p>",
        _grid(progress_panels(study, **names)),
        "<h2>Score against each hyperparameter</h2><p>Colour: cost, light is expensive. Ringed: on the measured front."
        " Crosses: failed.</p>",
        _grid(hyperparameter_panels(study, **names), three=True),
        "<h2>Values over time</h2><p>Colour: score, light is high. A cloud that narrows says that the sweep has "
        "found its values.</p>",
        _grid(order_panels(study, **names), three=True),
        "<h2>All settings at once</h2><p>Completed trials, coloured by score. Drag along an axis to filter.</p>",
        f"<div class='scroll'>{_plot(parallel(study, **names), 80 * (len(study.log_axes) + 2))}</div>",
    ]
    if study.importances:
        parts += [_IMPORTANCES, f"<div class='scroll'>{_plot(importances(study, **names), 640)}</div>"]
    laws = scaling_panels(study, **names)
    parts += [_LAWS, _grid(laws, three=True)] if laws else []
    learning = curve_panels(study, **names)
    parts += (
        ["<h2>Learning curves</h2><p>Trials of the front, while training.</p>", _grid(learning)] if learning else []
    )
    parts += [tables.settings_table(trials), tables.space_table(study.space), tables.all_trials(trials)]
    parts += [f"<h2>This sweep</h2><pre>{html.escape(sweep)}</pre>"] if sweep else []
    return "\n".join([*parts, _DRAW])


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in sentences) + "</ul>" if sentences else ""


def _grid(figures: Sequence[go.Figure], three: bool = False) -> str:
    return f"<div class='grid{' three' if three else ''}'>{''.join(_plot(f, small=three) for f in figures)}</div>"


def _plot(figure: go.Figure, least: int = 0, small: bool = False) -> str:
    if small:
        figure.update_layout(height=330, title_font_size=13)
    rounded = _rounded(json.loads(json.dumps(style.as_dict(figure), cls=PlotlyJSONEncoder)))
    content = json.dumps(rounded, separators=(",", ":")).replace("<", "\\u003c")
    size = f"height:{rounded['layout']['height']}px" + (f";min-width:{least}px" if least else "")
    return f"<div class='plot' style='{size}'><script type='application/json'>{content}</script></div>"


def _rounded(node: Any) -> Any:
    """Return a tree of JSON with numbers of six digits, which halves the page and which no eye can tell."""
    if isinstance(node, float):
        return float(f"{node:.6g}")
    if isinstance(node, list):
        return [_rounded(entry) for entry in node]
    return {name: _rounded(entry) for name, entry in node.items()} if isinstance(node, dict) else node
