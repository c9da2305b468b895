"""Several sweeps as one job: one environment after the other, and a page that shows their fronts side by side."""

import dataclasses
import html
from collections.abc import Callable
from pathlib import Path

import plotly.io
from rich.console import Console

from experiments.sweep_options import Sweep
from experiments.sweep_setup import prepare
from neocarbs_jax.report import plots
from neocarbs_jax.report.outputs import check_folder, folder_name
from neocarbs_jax.report.progress import Progress
from neocarbs_jax.study import Study

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
 body {{ font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }}
 .fronts {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 1rem; }}
 table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
 th, td {{ padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e5e7eb; }}
</style></head><body>
<h1>{title}</h1>
<table><thead><tr>
<th>environment</th><th>completed</th><th>failed</th><th>time spent (s)</th><th>best expected score</th>
</tr></thead><tbody>{rows}</tbody></table>
<div class="fronts">{fronts}</div>
</body></html>
"""


def run(args: Sweep, run_one: Callable[[Sweep], tuple[Study, Path]]) -> None:
    """Run the sweep of each environment; the same command goes on where it stopped.

    Args:
        args: Options of all of them.
        run_one: Runs the sweep of one environment.

    Raises:
        ValueError: An argument is out of range, for whichever environment; nothing has been trained then.
    """
    if args.name is not None:
        raise ValueError(f"`name` must be left out for several environments; got {args.name!r}.")
    if len(set(args.env)) < len(args.env):
        raise ValueError(f"`env` must name each environment once; got {', '.join(args.env)}.")
    out = args.out or Path("runs") / "campaign"
    check_folder("out", out)
    parts = [dataclasses.replace(args, env=(env,), out=out / folder_name(env)) for env in args.env]
    for part in parts:
        prepare(part, Progress(None))
    console, ended = Console(), []
    for part in parts:
        console.rule(part.env[0])
        study, _ = run_one(part)
        ended.append((part.env[0], study))
        page = write(out / "overview.html", ended, len(parts))
        console.print(f"Wrote {page}.", soft_wrap=True)


def write(file: Path, studies: list[tuple[str, Study]], wanted: int) -> Path:
    """Write the overview of the sweeps that have ended."""
    rows, fronts = [], []
    for index, (env, study) in enumerate(studies):
        trials, expected = study.trials, study.expected_front
        count = {status: sum(t.status == status for t in trials) for status in ("completed", "failed")}
        spent = sum(t.paid or 0.0 for t in trials)
        link = f"<a href='{html.escape(folder_name(env))}/report.html'>{html.escape(env)}</a>"
        best = f"{expected[-1].score:.4g}" if expected else ""
        cells = (link, count["completed"], count["failed"], f"{spent:.0f}", best)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        snapshot = plots.Snapshot(env, trials, expected, study.log_axes)
        figure = plots.front(snapshot, cost_name="training time (s)")
        figure.update_layout(title=env, height=360, showlegend=False)
        fronts.append(plotly.io.to_html(figure, full_html=False, include_plotlyjs=index == 0))
    left = f" ({len(studies)} of {wanted} so far)" if len(studies) < wanted else ""
    text = _PAGE.format(title=f"Sweeps of {wanted} environments{left}", rows="".join(rows), fronts="".join(fronts))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file
