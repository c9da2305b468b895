"""Tables of the report as HTML: fronts, settings, the space, and all trials."""

import html
from collections.abc import Iterable, Mapping, Sequence

from neocarbs_jax.report.settings import TRAINING_SCORE, settings_of, shared_and_varying
from neocarbs_jax.space import Options, SearchSpace
from neocarbs_jax.space.conditions import described
from neocarbs_jax.space.constraints import text_of
from neocarbs_jax.study.confirm import Confirmed
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.lineage import line_of
from neocarbs_jax.study.trials import Trial, pareto_front


def confirmed_table(confirmed: Sequence[Confirmed]) -> str:
    """Return what was claimed, expected and confirmed of each point; nothing where nothing was run again."""
    if not confirmed:
        return ""
    names = _names([c.point.values for c in confirmed], [])
    head = ["trial", "cost", "claimed", "expected", "90% from", "to", "confirmed", "standard error"]
    rows = [
        (
            *(c.point.trial.number, c.cost, c.claimed, c.point.score, c.point.low, c.point.high, c.mean),
            *(c.standard_error, *(c.point.values.get(name, "") for name in names)),
        )
        for c in confirmed
    ]
    said = f"<p>{len(confirmed[0].scores)} fresh runs of each of these settings.</p>"
    return f"<h2>Confirmed front</h2>{said}{_table([*head, *names], rows)}"


def expected_table(trials: Sequence[Trial], expected: Sequence[ExpectedPoint]) -> str:
    """Return the expected front with its intervals and settings."""
    if not expected:
        return ""
    _, varying = shared_and_varying(trials)
    names, line = _names([point.values for point in expected], varying), line_of(trials)[:1]
    rows = [
        (
            *(point.trial.number, *(getattr(point.trial, name) for name in line), point.cost),
            *(point.score, point.low, point.high, point.trial.score),
            *((settings_of(point.trial) | point.values).get(name, "") for name in names),
        )
        for point in expected
    ]
    head = ["trial", *line, "cost", "expected score", "90% from", "to", "measured score", *names]
    return (
        "<h2>Expected front</h2><p>The mean score that fresh runs of these settings should have, with its 90% "
        f"interval. The measured front below is the best of noisy draws, and flatters.</p>{_table(head, rows)}"
    )


def front_table(trials: Sequence[Trial]) -> str:
    """Return the front with its hyperparameters, and with the other settings that differ between trials."""
    front = pareto_front(trials)
    if not front:
        return "<p>No trial has completed yet.</p>"
    _, varying = shared_and_varying(trials)
    names = _names([t.values for t in front], varying)
    seen, line = [name for name in (TRAINING_SCORE,) if any(name in t.attrs for t in front)], line_of(trials)
    rows = [
        (
            *(t.number, t.cost, *(getattr(t, name) for name in line)),
            *(t.score, *(t.attrs.get(name, "") for name in seen)),
            *((settings_of(t) | t.values).get(name, "") for name in names),
        )
        for t in front
    ]
    return _table(["trial", "cost", *line, "score", *(name.replace("_", " ") for name in seen), *names], rows)


def settings_table(trials: Sequence[Trial]) -> str:
    """Return what all trials share, where trials keep their settings."""
    shared, _ = shared_and_varying(trials)
    return f"<h2>Settings of all trials</h2>{_table(['setting', 'value'], shared.items())}" if shared else ""


def space_table(space: SearchSpace | None) -> str:
    """Return what was searched: the kind, bounds and centre of each axis, and the values that were fixed."""
    if space is None:
        return ""
    rows: list[tuple[object, ...]] = []
    for name, axis in space.axes:
        if isinstance(axis, Options):
            rows.append((name, type(axis).__name__, ", ".join(map(str, axis.options)), "", "", described(axis.when)))
        else:
            center = getattr(axis, "center", None)
            rows.append(
                (name, type(axis).__name__, axis.low, axis.high, "" if center is None else center, described(axis.when))
            )
    rows += [(name, "fixed", value, "", "", "") for name, value in space.fixed]
    said = "".join(f"<p>Always {html.escape(text_of(one))}.</p>" for one in space.constraints)
    names = ["name", "kind", "from", "to", "centre", *(["where"] if space.conditions else [])]
    return "<h2>Search space</h2>" + _table(names, [row[: len(names)] for row in rows]) + said


def all_trials(trials: Sequence[Trial]) -> str:
    """Return every trial in a list that opens by a click; failed ones are marked and give their reason."""
    names = list(dict.fromkeys(name for t in trials for name in t.values))
    fields = ["status", "score", "cost", *line_of(trials)]
    rows = [
        (t.number, *(getattr(t, name) for name in fields), *(t.values.get(name) for name in names), t.reason or "")
        for t in trials
    ]
    classes = [t.status for t in trials]
    table = _table(["trial", *fields, *names, "reason"], rows, classes)
    return f"<h2>All trials</h2><details><summary>List all {len(trials)}</summary>{table}</details>"


def _names(settings: Iterable[Mapping[str, object]], more: Iterable[str]) -> list[str]:
    """Return the names that any of the settings has, and further ones."""
    return list(dict.fromkeys([*(name for values in settings for name in values), *more]))


def _table(names: Iterable[str], rows: Iterable[Iterable[object]], classes: Sequence[str] = ()) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    marks = [f' class="{html.escape(mark)}"' for mark in classes]
    body = "".join(
        f"<tr{marks[index] if marks else ''}>" + "".join(map(_cell, row)) + "</tr>" for index, row in enumerate(rows)
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class='scroll'>{table}</div>"


def _cell(value: object) -> str:
    if value is None:
        return "<td></td>"
    return f"<td>{value:.4g}</td>" if isinstance(value, float) else f"<td>{html.escape(str(value))}</td>"
