"""What the commands share: how a study is named, how things are said, and rows for machines."""

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Annotated, Any

import tyro
from rich.console import Console

from neocarbs_jax.study import Trial
from neocarbs_jax.study.results import plain

Storage = Annotated[str, tyro.conf.Positional]
Name = Annotated[str | None, tyro.conf.arg(metavar="STUDY")]

_LEFT_OUT = ("watcher", "direction", "started", "ended")


def say(console: Console) -> Callable[[str], None]:
    """Return a function that prints text as it is, whatever brackets a name has."""
    return lambda text: console.print(text, soft_wrap=True, markup=False, highlight=False)


def print_json(content: Any) -> None:
    """Print something for machines: JSON, in which what is no number is null."""
    print(json.dumps(_without_nan(content), indent=1))


def row_of(trial: Trial) -> dict[str, Any]:
    """Return a trial as a plain dictionary."""
    fields = [field.name for field in dataclasses.fields(trial) if field.name not in _LEFT_OUT]
    row = plain({name: getattr(trial, name) for name in fields})[0]
    times = {name: getattr(trial, name) for name in ("started", "ended")}
    return row | {"paid": trial.paid} | {name: time.isoformat() if time else None for name, time in times.items()}


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without_nan(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
