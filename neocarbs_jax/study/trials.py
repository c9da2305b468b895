"""A trial as people and programs read it, made of a row of an Optuna study.

A row is queued, running, completed, failed (data: the configuration does not work) or interrupted (no data: the worker
died, the user pressed Ctrl-C). Optuna knows only the state FAIL for the last two, so a failure carries a `reason`, and
a trial that somebody took back on purpose is marked.
"""

import dataclasses
import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from neocarbs_jax import markup, pareto
from neocarbs_jax.space import SearchSpace, from_parameter
from neocarbs_jax.study.results import Result

PREDICTIONS = ("predicted_score", "predicted_score_std", "predicted_cost", "predicted_cost_std", "rating")
_OURS = (
    *PREDICTIONS, "replicate", "reason", "cost", "worker", "beat", "fixed", "values", "taken_back", "interruption",
    "continuation", "checkpoint_cost",
    "host", "process", "token",  # of version 0.1.0
)  # fmt: skip
_THEIRS = "user:"  # before the names of attributes that are ours too
_MOST_DEATHS = 2
_LONGEST_CELL = 200  # characters of an attribute that notebooks show

Status = Literal["queued", "running", "completed", "failed", "interrupted"]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One experiment: what was asked, what was predicted, what was measured.

    Attributes:
        number: position in the ledger, from 0.
        values: hyperparameter values by name, in the user's units.
        status: "queued", "running", "completed", "failed" (it is data) or "interrupted" (it is not).
        score: measured score, in its own sign; None unless completed.
        cost: measured cost (> 0, the user's unit), of the whole training where it goes on from another; None where
            unknown.
        predicted_score, predicted_score_std, predicted_cost, predicted_cost_std: the surrogate's prediction when the
            trial was suggested; None for trials that no surrogate suggested.
        rating: expected gain in hypervolume of this trial, as a share of the front's, when it was suggested.
        replicate: number of earlier trials with the same values: an objective that draws at random draws anew for each.
        parent: number of the trial whose checkpoint it goes on from; None where it starts afresh.
        inherited: what the parent had paid until its checkpoint: the part of the cost that this trial need not pay.
        lost_parent: number of the trial whose checkpoint it was to go on from, and did not find.
        checkpoint_cost: the part of the cost until a checkpoint that longer trials may go on from; None for none.
        reason: why it failed, or was interrupted by an error; None otherwise.
        started, ended: wall-clock times.
        attrs: what the objective recorded besides.
        direction: "maximize" or "minimize": whether a higher or a lower score is better.
        watcher: what `report` and `should_stop` ask: the study, of a trial that it has just asked for.
    """

    number: int
    values: dict[str, Any]
    status: Status
    score: float | None = None
    cost: float | None = None
    predicted_score: float | None = None
    predicted_score_std: float | None = None
    predicted_cost: float | None = None
    predicted_cost_std: float | None = None
    rating: float | None = None
    replicate: int = 0
    parent: int | None = None
    inherited: float = 0.0
    lost_parent: int | None = None
    checkpoint_cost: float | None = None
    reason: str | None = None
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    attrs: dict[str, Any] = dataclasses.field(default_factory=dict)
    direction: str = dataclasses.field(default="maximize", repr=False)
    watcher: Any = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def paid(self) -> float | None:
        """What this trial has cost itself, without what its parent had paid; None where unknown."""
        return None if self.cost is None else self.cost - self.inherited

    def start_afresh(self) -> None:
        """Say that the parent's checkpoint is not there: the trial pays all of its cost, and none goes on from there.

        Raises:
            ValueError: if the trial does not run here, or has no parent.
        """
        self._watching().start_afresh(self)

    def report(self, score: float, cost: float, budget: float | None = None) -> None:
        """Report how far a running trial is: a point of its curve, which is data for other suggestions too.

        Args:
            score: now.
            cost: spent so far.
            budget: value of the study's budget axis that this is a training of; by default the trial's own, times the
                share of its predicted cost that is spent.

        Raises:
            ValueError: if the trial does not run here, the study has no budget axis, or the point cannot be.
        """
        self._watching().report(self, score, cost, budget)

    def should_stop(self, chance: float = 0.05) -> bool:
        """Return whether the trial reaches the front with a probability below `chance`, by what it has reported.

        Then return the score and cost reached: the result counts as a training of the budget last reported.
        """
        return self._watching().should_stop(self, chance)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the study behind where a trial goes to another process."""
        return {**self.__dict__, "watcher": None}

    def _repr_html_(self) -> str:
        """What notebooks show: measured beside predicted, the values, and what was recorded besides."""
        known = {"status": self.status, "reason": self.reason, "rating": self.rating, "parent": self.parent}
        rows = [(name, text, "") for name, text in known.items() if text is not None]
        rows += [(name, getattr(self, name), self._predicted(name)) for name in ("score", "cost")]
        rows += [(name, repr(value), "") for name, value in self.values.items()]
        rows += [(name, _shortened(repr(value)), "") for name, value in self.attrs.items()]
        return markup.table((f"trial {self.number}", "", "predicted"), rows)

    def _predicted(self, name: str) -> str:
        mean, std = getattr(self, f"predicted_{name}"), getattr(self, f"predicted_{name}_std")
        return "" if mean is None else f"{mean:.4g}" if std is None else f"{mean:.4g} ± {std:.2g}"

    def _watching(self) -> Any:
        if self.watcher is None:
            raise ValueError(f"`trial` must be one that `ask` or `run` gave; got trial {self.number}, {self.status}.")
        return self.watcher


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}..."


def their_attrs(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of the user under names that are not ours."""
    taken = {name for name in attrs if name in _OURS or name.startswith(_THEIRS)}
    return {f"{_THEIRS}{name}" if name in taken else name: value for name, value in attrs.items()}


def from_frozen(row: FrozenTrial, space: SearchSpace | None = None, direction: str = "maximize") -> Trial:
    """A row as a Trial; options of the space that are no plain values need it to be read."""
    attrs = row.user_attrs
    values = {**row.params, **attrs.get("values", {})}
    if row.state == TrialState.WAITING:
        values |= row.system_attrs.get("fixed_params", {})
    if space is not None:
        values |= {name: from_parameter(axis, values[name]) for name, axis in space.axes if name in values}
    status, reason = _status(row)
    score, cost = row.values if status == "completed" else (None, attrs.get("cost"))
    ours: dict[str, Any] = {name: attrs.get(name) for name in PREDICTIONS} | _lineage(attrs)
    return Trial(
        number=row.number,
        values={**values, **attrs.get("fixed", {})},
        status=status,
        score=score,
        cost=cost,
        **ours,
        replicate=attrs.get("replicate", 0),
        reason=reason,
        started=row.datetime_start,
        ended=row.datetime_complete,
        attrs={name.removeprefix(_THEIRS): value for name, value in attrs.items() if name not in _OURS},
        direction=direction,
    )


def _lineage(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return parent and checkpoint; what another tool wrote under these names is none."""
    match attrs.get("continuation"):
        case [int(parent), int(inherited) | float(inherited)]:
            known = {"parent": parent, "inherited": inherited} if inherited > 0 else {"lost_parent": parent}
        case _:
            known = {}
    checkpoint = attrs.get("checkpoint_cost")
    is_cost = isinstance(checkpoint, int | float) and math.isfinite(checkpoint) and checkpoint > 0
    return known | ({"checkpoint_cost": checkpoint} if is_cost else {})


def _status(row: FrozenTrial) -> tuple[Status, str | None]:
    attrs = row.user_attrs
    match row.state:
        case TrialState.WAITING:
            return "queued", None
        case TrialState.RUNNING:
            return "running", None
        case TrialState.COMPLETE:
            values = row.values
            flaw = Result(values[0], values[1], {}).flaw if len(values) == 2 else f"it has {len(values)} values"
            return ("completed", None) if flaw is None else ("failed", flaw)
    if "reason" in attrs:
        return "failed", attrs["reason"]
    if row.values is not None and len(row.values) == 2 and Result(row.values[0], row.values[1], {}).flaw is None:
        return "completed", None  # told in the very moment in which somebody declared it dead
    return "interrupted", attrs.get("interruption")


def settle(rows: Iterable[FrozenTrial], trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials, those of a point at which a worker died or raised before as failed ones.

    Otherwise a configuration that kills its worker would be proposed for ever.
    """
    deaths: dict[str, int] = {}
    settled = []
    for row, trial in zip(rows, trials, strict=True):
        was_ours = "worker" in row.user_attrs and "taken_back" not in row.user_attrs
        if trial.status == "interrupted" and trial.values and was_ours:
            point = repr(sorted(trial.values.items()))
            deaths[point] = deaths.get(point, 0) + 1
            if deaths[point] >= _MOST_DEATHS:
                reason = trial.reason or "its worker died"
                trial = dataclasses.replace(trial, status="failed", reason=f"{reason} (twice at this point)")
        settled.append(trial)
    return settled


def completed(trials: Sequence[Trial]) -> list[Trial]:
    """Trials with a measured score and cost, oldest first."""
    return [trial for trial in trials if trial.status == "completed"]


def merit(trial: Trial) -> float:
    """Return the score of a completed trial, its sign changed where it is minimised: higher is better."""
    score = 0.0 if trial.score is None else trial.score
    return -score if trial.direction == "minimize" else score


def pareto_front(trials: Sequence[Trial]) -> list[Trial]:
    """Return the completed trials that no other beats in score at the same cost or less, cheapest first."""
    done = completed(trials)
    score, log_cost = (np.array([f(t) for t in done], float) for f in (merit, lambda t: math.log(t.cost)))
    on_front = pareto.non_dominated(score, log_cost, np.ones(len(done), bool))
    return sorted((t for t, is_on in zip(done, on_front, strict=True) if is_on), key=lambda t: t.cost or 0.0)
