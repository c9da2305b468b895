"""The table of trials: sorted, a page at a time.

The browser makes the table of what is returned here (assets/dashboard.js): hundreds of Dash components would take
longer than all figures.
"""

from collections.abc import Sequence
from typing import Any

from neocarbs_jax.dashboard.details import shown
from neocarbs_jax.dashboard.filters import PREFIX, value_of
from neocarbs_jax.study.trials import Trial

PAGE = 25
"""Trials on a page."""

_FIRST = {"number": "trial", "status": "status", "score": "score", "cost": "cost"}
_LAST = {"reason": "why it failed"}


def table(trials: Sequence[Trial], total: int, axes: Sequence[str], state: dict[str, Any]) -> dict[str, Any]:
    """Return what a page of the table shows.

    Args:
        trials: that the filter keeps.
        total: number of all trials.
        axes: names of the hyperparameters.
        state: {"sort": column, "down": whether the largest come first, "page": from 0}.
    """
    columns = {**_FIRST, **{PREFIX + name: name for name in axes}, **_LAST}
    ordered = in_order(trials, state["sort"], state["down"])
    pages = max(-(-len(ordered) // PAGE), 1)
    page = min(max(state["page"], 0), pages - 1)
    return {
        "said": f"{len(ordered)} of {total} trials" if len(ordered) != total else f"{total} trials",
        "columns": [{"of": of, "name": name} for of, name in columns.items()],
        "rows": [
            {"number": t.number, "status": t.status, "cells": [shown(value_of(t, of)) for of in columns]}
            for t in ordered[page * PAGE : (page + 1) * PAGE]
        ],
        "state": {**state, "page": page},
        "pages": pages,
    }


def in_order(trials: Sequence[Trial], of: str, down: bool) -> list[Trial]:
    """Return trials sorted by a column; those without a value come last either way."""
    valued = [(value, trial) for trial in trials if (value := value_of(trial, of)) is not None]
    numeric = all(isinstance(value, int | float) for value, _ in valued)
    valued.sort(key=lambda pair: pair[0] if numeric else str(pair[0]), reverse=down)
    known = {trial.number for _, trial in valued}
    return [trial for _, trial in valued] + [trial for trial in trials if trial.number not in known]
