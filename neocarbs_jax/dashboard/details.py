"""One trial in full, and several side by side."""

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from dash import dcc, html

from neocarbs_jax.dashboard.theme import Theme, themed
from neocarbs_jax.dashboard.views import plain
from neocarbs_jax.report.formats import formatted
from neocarbs_jax.report.outputs import folder_name
from neocarbs_jax.report.plots.curves import of_trials
from neocarbs_jax.report.plots.snapshot import Snapshot
from neocarbs_jax.study.trials import Trial

GRAPH: Any = {
    "displaylogo": False,
    "responsive": True,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d"],
}
"""Options of every figure; none has a button that would upload it."""

MOST_PINS = 6
_AGENT = "settings.json"  # the file of an agent's folder that `p3o train` and `p3o sweep` write last


def details(snapshot: Snapshot, trial: Trial, pinned: bool, theme: Theme) -> list[Any]:
    """Return what is known of a trial.

    Args:
        snapshot: of its study.
        trial: one of its rows.
        pinned: whether it is pinned.
        theme: of the page.
    """
    results = [
        ("score", shown(trial.score), predicted(trial, "score")),
        ("cost", shown(trial.cost), predicted(trial, "cost")),
    ]
    expected = next((p for p in snapshot.expected_front if p.trial.number == trial.number), None)
    interval = f"{expected.score:.4g} [{expected.low:.4g}, {expected.high:.4g}]" if expected else ""
    facts = [
        ("expected of fresh runs", interval) if expected else (),
        ("goes on from", f"trial {trial.parent}; paid {shown(trial.paid)} itself") if trial.parent is not None else (),
        ("rating", shown(trial.rating)) if trial.rating is not None else (),
        ("earlier runs of these settings", trial.replicate) if trial.replicate else (),
        ("reason", trial.reason) if trial.reason else (),
        ("started", f"{trial.started:%Y-%m-%d %H:%M:%S}") if trial.started else (),
        ("took", f"{(trial.ended - trial.started).total_seconds():.4g} s") if trial.started and trial.ended else (),
    ]
    attrs = {name: value for name, value in trial.attrs.items() if name not in ("curve", "learning_curve")}
    return [
        html.Div(
            [
                html.H2(f"Trial {trial.number}"),
                html.Span(trial.status, className=f"status {trial.status}"),
                html.Button("Unpin" if pinned else "Pin to compare", id={"type": "pin", "trial": trial.number}),
                html.Button("Close", id={"type": "close", "trial": trial.number}, className="plain"),
            ],
            className="bar",
        ),
        html.Div(
            [
                rows_table("Results", ["", "measured", "predicted"], results),
                rows_table("Settings", ["setting", "value"], [(n, shown(v)) for n, v in trial.values.items()]),
                rows_table("More", ["", ""], [fact for fact in facts if fact]),
                *_graphs(of_trials([trial]), theme),
            ],
            className="grid three",
        ),
        html.Details([html.Summary(f"Attributes ({len(attrs)})"), html.Pre(_as_json(attrs), tabIndex="0")])
        if attrs else html.Span(),
    ]  # fmt: skip


def text_of(trial: Trial, form: str, agent: str | None) -> str:
    """Return the settings of a trial in a form that can be pasted, or the command line that watches its agent."""
    if form == "watch":
        return f"p3o watch --policy {shlex.quote(agent)}" if agent else ""
    try:
        return formatted(trial.values, form)
    except ValueError as error:
        return str(error)


def agent_of(study: str, number: int, folder: Path | None) -> str | None:
    """Return how `p3o watch` names the agent of a trial; None where none was kept.

    Args:
        study: name of the study.
        number: of the trial.
        folder: of the sweep; by default runs/NAME.
    """
    out = folder or Path("runs") / folder_name(study)
    return f"{out}#{number}" if (out / "trials" / str(number) / _AGENT).is_file() else None


def comparison(trials: Sequence[Trial], theme: Theme) -> list[Any]:
    """Return pinned trials side by side, what differs between them marked, and their curves."""
    if not trials:
        return []
    head = ["", *map(_pinned, trials)]
    rows: list[tuple[Any, ...]] = [
        ("status", *(t.status for t in trials)),
        *((name, *(shown(getattr(t, name)) for t in trials)) for name in ("score", "cost")),
        *((f"predicted {name}", *(predicted(t, name) for t in trials)) for name in ("score", "cost")),
        *((name, *(shown(t.values.get(name)) for t in trials)) for name in _names(trials)),
    ]
    classes = ["differs" if len(set(map(str, row[1:]))) > 1 and place >= 5 else "" for place, row in enumerate(rows)]
    return [
        html.H2("Pinned trials"),
        html.P("Settings that differ are marked.", className="said"),
        rows_table("Pinned trials", head, rows, classes),
        html.Div(_graphs(of_trials(trials), theme), className="grid"),
    ]


def rows_table(title: str, head: Sequence[Any], rows: Iterable[Sequence[Any]], classes: Sequence[str] = ()) -> html.Div:
    """Return a table whose first column names its rows; it scrolls where it is too wide."""
    rows = list(rows)
    body = [
        html.Tr([html.Th(row[0], scope="row"), *(html.Td(cell) for cell in row[1:])], className=mark or None)
        for row, mark in zip(rows, classes or [""] * len(rows), strict=True)
    ]
    top = html.Thead(html.Tr([html.Th(cell, scope="col") for cell in head])) if any(head) else None
    caption = html.Caption(title, className="unseen")
    return html.Div(html.Table([caption, top, html.Tbody(body)]), className="scroll") if rows else html.Div()


def shown(value: Any) -> str:
    """Return a value as tables show it."""
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def predicted(trial: Trial, name: str) -> str:
    """Return what was predicted of a trial's score or cost, with its standard deviation."""
    mean, std = getattr(trial, f"predicted_{name}"), getattr(trial, f"predicted_{name}_std")
    return shown(mean) + (f" ± {std:.2g}" if std is not None else "")


def _pinned(trial: Trial) -> html.Span:
    label: dict[str, Any] = {"aria-label": f"Unpin trial {trial.number}"}
    return html.Span(
        [
            html.Button(f"Trial {trial.number}", id={"type": "pick", "trial": trial.number, "at": "pins"}),
            html.Button("×", id={"type": "unpin", "trial": trial.number}, className="plain", **label),
        ]
    )


def _graphs(figures: Sequence[go.Figure], theme: Theme) -> list[html.Div]:
    contents = [themed(figure, theme) for figure in plain(figures, small=True)]
    return [html.Div(dcc.Graph(figure=content, config=GRAPH), className="figure") for content in contents]


def _names(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.values))


def _as_json(attrs: dict[str, Any]) -> str:
    return json.dumps(attrs, indent=1, default=str)
