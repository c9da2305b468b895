"""What a sweep leaves behind for people: report.html (self-contained), front.png, trials.csv."""

import csv
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.io
from matplotlib.figure import Figure

from neocarbs_jax.report import plots
from neocarbs_jax.report.settings import TRAINING_SCORE, settings_of, shared_and_varying
from neocarbs_jax.study.confirm import Confirmed
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.ledger import PREDICTIONS, Trial, completed, pareto_front
from neocarbs_jax.study.results import plain

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
 body {{ font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }}
 h1 {{ font-size: 1.5rem; margin-bottom: 0; }} p {{ color: #4b5563; margin-top: .2rem; }}
 .pair {{ display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }}
 @media (max-width: 800px) {{ .pair {{ grid-template-columns: 1fr; }} }}
 .scroll {{ overflow-x: auto; }}
 table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }}
 th, td {{ padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e5e7eb; white-space: nowrap; }}
</style></head><body>
<h1>{title}</h1><p>{summary}</p>
<div class="pair">{front}{spend}</div>{predictions}
{expected}<h2>Measured front</h2><div class="scroll">{table}</div>{settings}{curves}{hyperparameters}{sweep}
</body></html>
"""


def write(
    directory: Path,
    trials: Sequence[Trial],
    log_axes: Mapping[str, bool],
    *,
    title: str,
    score_name: str = "score",
    cost_name: str = "cost",
    expected: Sequence[ExpectedPoint] = (),
    confirmed: Sequence[Confirmed] = (),
    sweep: str = "",
) -> list[Path]:
    """Write report.html, front.png and trials.csv into `directory`; return their paths.

    Args:
        directory: where to write; made if missing.
        trials: the ledger.
        log_axes: for each hyperparameter to show, whether its axis is logarithmic.
        title: headline of the page.
        score_name, cost_name: labels with units.
        expected: `Study.expected_front`, shown before the measured one.
        confirmed: fresh runs of it, if there were any; they are written to confirmed.json as well.
        sweep: what would run this sweep again, such as a file of options.
    """
    directory.mkdir(parents=True, exist_ok=True)
    page, picture, table = directory / "report.html", directory / "front.png", directory / "trials.csv"
    page.write_text(_page(trials, log_axes, title, score_name, cost_name, expected, confirmed, sweep), encoding="utf-8")
    write_png(picture, trials, title=title, score_name=score_name, cost_name=cost_name, expected=expected)
    write_csv(table, trials)
    written = [page, picture, table]
    if confirmed:
        written.append(directory / "confirmed.json")
        content = plain({"points": [point.as_row() for point in confirmed]})[0]
        written[-1].write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return written


def _page(
    trials: Sequence[Trial],
    log_axes: Mapping[str, bool],
    title: str,
    score_name: str,
    cost_name: str,
    expected: Sequence[ExpectedPoint],
    confirmed: Sequence[Confirmed],
    sweep: str,
) -> str:
    figures = {
        "front": plots.front_figure(trials, score_name=score_name, cost_name=cost_name, expected=expected),
        "spend": plots.spend_figure(trials, cost_name=cost_name),
        "predictions": plots.prediction_figure(trials),
        "hyperparameters": plots.hyperparameter_figure(trials, log_axes, score_name=score_name),
        "curves": plots.curve_figure(trials, score_name=score_name, cost_name=cost_name),
    }
    figures = {name: figure for name, figure in figures.items() if name != "curves" or figure.data}
    divs = {"curves": ""} | {
        name: plotly.io.to_html(
            figure, full_html=False, include_plotlyjs=name == "front", config={"displaylogo": False}
        )
        for name, figure in figures.items()
    }
    texts = {"title": html.escape(title), "summary": _summary(trials), "settings": _settings_table(trials)}
    texts["sweep"] = f"<h2>This sweep</h2><pre>{html.escape(sweep)}</pre>" if sweep else ""
    texts["expected"] = _confirmed_table(confirmed) + _expected_table(trials, expected)
    return _PAGE.format(table=_front_table(trials), **texts, **divs)


def _summary(trials: Sequence[Trial]) -> str:
    count = {status: sum(t.status == status for t in trials) for status in ("completed", "failed", "interrupted")}
    spent = sum(t.cost or 0.0 for t in trials)
    return ", ".join(f"{number} {status}" for status, number in count.items() if number) + f"; cost in all {spent:.4g}"


def _confirmed_table(confirmed: Sequence[Confirmed]) -> str:
    """Return what was claimed, expected and confirmed of each point."""
    if not confirmed:
        return ""
    head = [
        "trial",
        "cost",
        "claimed",
        "expected",
        "90% from",
        "to",
        "confirmed",
        "standard error",
        *confirmed[0].point.values,
    ]
    rows = [
        (
            *(c.point.trial.number, c.cost, c.claimed, c.point.score, c.point.low, c.point.high, c.mean),
            *(c.standard_error, *c.point.values.values()),
        )
        for c in confirmed
    ]
    seeds = len(confirmed[0].scores)
    return (
        f"<h2>Confirmed front</h2><p>{seeds} fresh runs of each of these settings.</p>"
        f"<div class='scroll'>{_table(head, rows)}</div>"
    )


def _expected_table(trials: Sequence[Trial], expected: Sequence[ExpectedPoint]) -> str:
    """Return the expected front with its intervals and settings."""
    if not expected:
        return ""
    _, varying = shared_and_varying(trials)
    names = list(expected[0].values) + [name for name in varying if name not in expected[0].values]
    rows = [
        (
            *(point.trial.number, point.cost, point.score, point.low, point.high, point.trial.score),
            *((settings_of(point.trial) | point.values).get(name, "") for name in names),
        )
        for point in expected
    ]
    head = ["trial", "cost", "expected score", "90% from", "to", "measured score", *names]
    return (
        "<h2>Expected front</h2><p>The mean score that fresh runs of these settings should have, with its 90% "
        "interval. The measured front below is the best of noisy draws, and flatters.</p>"
        f"<div class='scroll'>{_table(head, rows)}</div>"
    )


def _front_table(trials: Sequence[Trial]) -> str:
    """Return the front with its hyperparameters, and with the other settings that differ between trials."""
    front = pareto_front(trials)
    if not front:
        return "<p>No trial has completed yet.</p>"
    _, varying = shared_and_varying(trials)
    names = list(front[0].values) + [name for name in varying if name not in front[0].values]
    seen = [name for name in (TRAINING_SCORE,) if any(name in t.attrs for t in front)]
    rows = [
        (
            *(t.number, t.cost, t.score, *(t.attrs.get(name, "") for name in seen)),
            *((settings_of(t) | t.values).get(name, "") for name in names),
        )
        for t in front
    ]
    return _table(["trial", "cost", "score", *(name.replace("_", " ") for name in seen), *names], rows)


def _settings_table(trials: Sequence[Trial]) -> str:
    """Return what all trials share, where trials keep their settings."""
    shared, _ = shared_and_varying(trials)
    if not shared:
        return ""
    return f"<h2>Settings of all trials</h2><div class='scroll'>{_table(['setting', 'value'], shared.items())}</div>"


def _table(names: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))


def write_csv(path: Path, trials: Sequence[Trial]) -> None:
    """One row per trial: number, status, score, cost, predictions, reason, the hyperparameters, attrs and settings."""
    names = sorted({name for t in trials for name in t.values})
    attrs = sorted({name for t in trials for name, value in t.attrs.items() if isinstance(value, int | float | str)})
    settings = {name: None for t in trials for name in settings_of(t) if name not in {*names, *attrs}}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "status", "score", "cost", *PREDICTIONS, "reason", *names, *attrs, *settings])
        for t in trials:
            known = [getattr(t, name) for name in ("number", "status", "score", "cost", *PREDICTIONS, "reason")]
            columns = ((names, t.values), (attrs, t.attrs), (settings, settings_of(t)))
            writer.writerow(known + [values.get(name) for chosen, values in columns for name in chosen])


def write_png(
    path: Path,
    trials: Sequence[Trial],
    *,
    title: str,
    score_name: str,
    cost_name: str,
    expected: Sequence[ExpectedPoint] = (),
) -> None:
    """The front next to the spending, as a static picture (matplotlib: needs no browser)."""
    done, front = completed(trials), pareto_front(trials)
    costs = sorted(t.cost for t in trials if t.cost)
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    dots = left.scatter([t.cost for t in done], [t.score for t in done], c=[t.number for t in done], s=36)
    step: dict[str, Any] = {"where": "post", "zorder": 0}
    left.step([t.cost for t in front], [t.score for t in front], color=plots.MUTED, lw=1.5, label="measured", **step)
    if expected:
        cost, score, low, high = zip(*((p.cost, p.score, p.low, p.high) for p in expected), strict=True)
        left.step(cost, score, color=plots.ACCENT, lw=2, label="expected of fresh runs", **step)
        left.fill_between(cost, low, high, step="post", color=plots.ACCENT, alpha=0.15, lw=0, label="90% interval")
        left.legend(loc="lower right", frameon=False)
    left.set(xlabel=cost_name, ylabel=score_name, title=title)
    figure.colorbar(dots, ax=left, label="trial")
    cumulative = [sum(costs[: index + 1]) for index in range(len(costs))]
    right.step(costs, cumulative, where="post", color=plots.INK, lw=2)
    right.set(xlabel=cost_name, ylabel="cumulative cost", title="Spent on trials up to a cost")
    for axis in (left, right):
        if costs:
            axis.set_xscale("log")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
