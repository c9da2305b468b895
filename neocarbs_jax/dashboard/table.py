"""The table of trials: sorted, a page at a time; its buttons choose a trial without a pointer."""

from collections.abc import Sequence
from typing import Any

from dash import html

from neocarbs_jax.dashboard.details import shown
from neocarbs_jax.dashboard.filters import PREFIX
from neocarbs_jax.study.trials import Trial

PAGE = 25
"""Trials on a page."""

_FIRST = {"number": "trial", "status": "status", "score": "score", "cost": "cost"}


def table(trials: Sequence[Trial], total: int, axes: Sequence[str], state: dict[str, Any]) -> list[Any]:
    """Return the table.

    Args:
        trials: that the filter keeps.
        total: number of all trials.
        axes: names of the hyperparameters.
        state: {"sort": column, "down": whether the largest come first, "page": from 0}.
    """
    columns = {**_FIRST, **{PREFIX + name: name for name in axes}}
    ordered = in_order(trials, state["sort"], state["down"])
    pages = max(-(-len(ordered) // PAGE), 1)
    page = min(max(state["page"], 0), pages - 1)
    rows = ordered[page * PAGE : (page + 1) * PAGE]
    head = [_head(of, name, state) for of, name in columns.items()]
    body = [html.Tr([*map(_cell, columns, [t] * len(columns)), html.Td(t.reason or "", className="text")],
                    className=t.status) for t in rows]  # fmt: skip
    said = f"{len(ordered)} of {total} trials" if len(ordered) != total else f"{total} trials"
    return [
        html.H2("Trials"),
        html.Div(
            [
                html.Span(said, id="count", role="status"),
                html.Button("Back", id={"type": "turn", "by": -1}, disabled=page == 0),
                html.Span(f"page {page + 1} of {pages}"),
                html.Button("On", id={"type": "turn", "by": 1}, disabled=page == pages - 1),
            ],
            className="bar",
        ),
        html.Div(
            html.Table(
                [
                    html.Caption("Trials", className="unseen"),
                    html.Thead(html.Tr([*head, html.Th("why it failed", scope="col", className="text")])),
                    html.Tbody(body),
                ]
            ),
            className="scroll", tabIndex="0", **{"aria-label": "Table of trials", "role": "region"},
        ),
    ]  # fmt: skip


def in_order(trials: Sequence[Trial], of: str, down: bool) -> list[Trial]:
    """Return trials sorted by a column; those without a value come last either way."""
    valued = [(value, trial) for trial in trials if (value := _value(trial, of)) is not None]
    numeric = all(isinstance(value, int | float) for value, _ in valued)
    valued.sort(key=lambda pair: pair[0] if numeric else str(pair[0]), reverse=down)
    known = {trial.number for _, trial in valued}
    return [trial for _, trial in valued] + [trial for trial in trials if trial.number not in known]


def _value(trial: Trial, of: str) -> Any:
    return trial.values.get(of.removeprefix(PREFIX)) if of.startswith(PREFIX) else getattr(trial, of)


def _head(of: str, name: str, state: dict[str, Any]) -> html.Th:
    sorted_here = of == state["sort"]
    order = ("descending" if state["down"] else "ascending") if sorted_here else "none"
    arrow = (" ▼" if state["down"] else " ▲") if sorted_here else ""
    button = html.Button(name + arrow, id={"type": "sort", "of": of}, className="plain")
    return html.Th(button, scope="col", **{"aria-sort": order})


def _cell(of: str, trial: Trial) -> html.Td:
    if of == "number":
        pick = {"type": "pick", "trial": trial.number, "at": "table"}
        return html.Td(html.Button(str(trial.number), id=pick, **{"aria-label": f"Trial {trial.number}"}))
    return html.Td(shown(_value(trial, of)), className="text" if of == "status" else None)
