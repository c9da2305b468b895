"""Which trials are shown: ranges of score, cost and hyperparameters, as the page and its address give them."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from neocarbs_jax.study.trials import Trial

MEASURES = ("score", "cost")
PREFIX = "values."
"""Before the name of a hyperparameter, which may be "score" too."""


@dataclasses.dataclass(frozen=True)
class Bound:
    """A condition on one number or choice of a trial.

    Attributes:
        of: "score", "cost", or a hyperparameter's name behind `PREFIX`.
        low, high: ends of the range, themselves in it; infinite where it is open.
        options: for a choice the texts of the options that are kept; None for a number.
    """

    of: str
    low: float = -math.inf
    high: float = math.inf
    options: frozenset[str] | None = None

    def admits(self, trial: Trial) -> bool:
        """Return whether a trial is kept; one that lacks the value is not."""
        if self.of.startswith(PREFIX) and self.of.removeprefix(PREFIX) not in trial.values:
            return False
        value = value_of(trial, self.of)
        if self.options is not None:
            return str(value) in self.options
        return isinstance(value, int | float) and self.low <= value <= self.high


def value_of(trial: Trial, of: str) -> Any:
    """Return a number of a trial, or a hyperparameter whose name stands behind `PREFIX`; None where it has none."""
    return trial.values.get(of.removeprefix(PREFIX)) if of.startswith(PREFIX) else getattr(trial, of)


Filter = tuple[Bound, ...]
"""Conditions that a trial must all meet; none keeps every trial."""


def read(given: Any, names: Iterable[str]) -> Filter:
    """Return the filter that the page describes as {of: [low, high]} or {of: {"options": [...]}}.

    What is of another form, or of no hyperparameter in `names`, is left out: an address can be typed.
    """
    known = {*MEASURES, *(PREFIX + name for name in names)}
    bounds = [_bound(of, value) for of, value in (given.items() if isinstance(given, dict) else ()) if of in known]
    return tuple(bound for bound in bounds if bound is not None)


def kept(trials: Sequence[Trial], conditions: Filter) -> list[Trial]:
    """Return the trials that meet all conditions, in their order."""
    return [trial for trial in trials if all(bound.admits(trial) for bound in conditions)]


def from_address(search: str | None) -> dict[str, Any]:
    """Return the part of an address behind "?" as the page describes filters, and under "study" the study's name.

    Ranges read "low..high" with either end left out, options are separated by "|".
    """
    found: dict[str, Any] = {}
    for of, texts in parse_qs((search or "").lstrip("?")).items():
        low, dots, high = texts[0].partition("..")
        if of in ("study", "view"):
            found[of] = texts[0]
        elif dots and (_is_end(low) and _is_end(high)):
            found[of] = [float(low) if low else None, float(high) if high else None]
        else:
            found[of] = {"options": texts[0].split("|")}
    return found


def _bound(of: str, value: Any) -> Bound | None:
    if isinstance(value, Mapping) and isinstance(value.get("options"), list):
        return Bound(of, options=frozenset(map(str, value["options"])))
    if not (isinstance(value, list | tuple) and len(value) == 2):
        return None
    low, high = (end if isinstance(end, int | float) and not math.isnan(end) else None for end in value)
    if low is None and high is None:
        return None
    return Bound(of, -math.inf if low is None else low, math.inf if high is None else high)


def _is_end(text: str) -> bool:
    try:
        return not text or math.isfinite(float(text))
    except ValueError:
        return False
