"""The ledger of trials: rows of an Optuna study, read and written.

Optuna owns durability (SQLite, PostgreSQL, MySQL, journal files), so its command line and dashboards read the same
rows. A row is queued, running, completed, failed (data: the configuration does not work) or interrupted (no data: the
worker died, the user pressed Ctrl-C). Optuna knows only the state FAIL for the last two, so a failure carries a
`reason`, and a trial that somebody took back on purpose is marked.
"""

import dataclasses
import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from neocarbs_jax import pareto
from neocarbs_jax.space import SearchSpace, from_parameter, to_optuna, to_parameter
from neocarbs_jax.study.liveness import quiet_optuna
from neocarbs_jax.study.results import Result, describe
from neocarbs_jax.study.storages import open_storage as open_storage
from neocarbs_jax.study.storages import patiently

PREDICTIONS = ("predicted_score", "predicted_score_std", "predicted_cost", "predicted_cost_std", "rating")
_OURS = (
    *PREDICTIONS, "reason", "cost", "worker", "beat", "fixed", "values", "taken_back", "interruption",
    "host", "process", "token",  # of version 0.1.0
)  # fmt: skip
_THEIRS = "user:"  # before the names of attributes that are ours too
_MOST_DEATHS = 2

Status = Literal["queued", "running", "completed", "failed", "interrupted"]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One experiment: what was asked, what was predicted, what was measured.

    Attributes:
        number: position in the ledger, from 0.
        values: hyperparameter values by name, in the user's units.
        status: "queued", "running", "completed", "failed" (it is data) or "interrupted" (it is not).
        score: measured score, higher is better; None unless completed.
        cost: measured cost (> 0, the user's unit); None where unknown.
        predicted_score, predicted_score_std, predicted_cost, predicted_cost_std: the surrogate's prediction when the
            trial was suggested; None for trials that no surrogate suggested.
        rating: expected gain in hypervolume of this trial, as a share of the front's, when it was suggested.
        reason: why it failed, or was interrupted by an error; None otherwise.
        started, ended: wall-clock times.
        attrs: what the objective recorded besides.
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
    reason: str | None = None
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    attrs: dict[str, Any] = dataclasses.field(default_factory=dict)


def new_row(study: optuna.Study) -> optuna.Trial:
    """A running row of this caller alone: the next one of the queue, or a new one without values."""
    with quiet_optuna():
        return patiently(study.ask)


def queued_values(row: optuna.Trial, space: SearchSpace) -> dict[str, Any]:
    """What the queue says of a row's values; nothing for a row that was not queued."""
    given = row._cached_frozen_trial.system_attrs.get("fixed_params", {})
    return {name: from_parameter(axis, given[name]) for name, axis in space.axes if name in given}


def enter(study: optuna.Study, row: optuna.Trial, space: SearchSpace, suggestion: Trial) -> None:
    """Write the values and their predictions into a running row."""
    apart = {}
    for name, distribution in to_optuna(space).items():
        value = to_parameter(dict(space.axes)[name], suggestion.values[name])
        try:
            internal = distribution.to_internal_repr(value)
            patiently(study._storage.set_trial_param, row._trial_id, name, internal, distribution)
        except ValueError:  # no value of this axis, or one of another kind than the axis once had
            apart[name] = value
    attrs = {name: getattr(suggestion, name) for name in PREDICTIONS}
    attrs |= {"values": apart} if apart else {}
    attrs |= {"fixed": dict(space.fixed)} if space.fixed else {}
    for name, value in attrs.items():
        patiently(study._storage.set_trial_user_attr, row._trial_id, name, value)


def end(
    study: optuna.Study, trial_id: int, state: TrialState, values: Sequence[float] | None, attrs: Mapping[str, Any]
) -> list[str]:
    """End a running row; its attributes are written before its state, so that an ended row is whole.

    Returns:
        What could not be kept of the attributes.

    Raises:
        UpdateFinishedTrialError: if the row has ended already.
    """
    complaints = []
    for name, value in attrs.items():
        try:
            patiently(study._storage.set_trial_user_attr, trial_id, name, value)
        except optuna.exceptions.UpdateFinishedTrialError:
            raise
        except Exception as error:  # too long for this database, say: the measurement itself must not be lost to it
            complaints.append(f"Attribute {name!r} is left out, as the storage refused it: {describe(error)}")
    patiently(study._storage.set_trial_state_values, trial_id, state, values)
    return complaints


def add_row(study: optuna.Study, space: SearchSpace, values: Mapping[str, Any], result: Result) -> int:
    """Add a row that ended elsewhere and return its number; values may lie beyond the bounds of the space."""
    parameters, distributions, apart = {}, {}, {}
    for name, distribution in to_optuna(space).items():
        if name not in values:
            continue
        value = to_parameter(dict(space.axes)[name], values[name])
        distribution = _widened(distribution, value)
        if distribution is None:
            apart[name] = value
        else:
            parameters[name], distributions[name] = value, distribution
    attrs = dict(result.attrs)
    attrs |= {"values": apart} if apart else {}
    attrs |= {"fixed": dict(space.fixed)} if space.fixed else {}
    flaw = result.flaw
    if flaw is not None:
        attrs["reason"] = attrs.get("reason", flaw)
        attrs |= {"cost": result.cost} if math.isfinite(result.cost) else {}
    row = optuna.trial.create_trial(
        state=TrialState.COMPLETE if flaw is None else TrialState.FAIL,
        params=parameters,
        distributions=distributions,
        values=[result.score, result.cost] if flaw is None else None,
        user_attrs=attrs,
    )
    trial_id = patiently(study._storage.create_new_trial, study._study_id, template_trial=row)
    return study._storage.get_trial(trial_id).number


def _widened(distribution: Any, value: Any) -> Any:
    """The distribution, wide enough for the value; None where there is no such one."""
    if not isinstance(distribution, optuna.distributions.CategoricalDistribution):
        try:
            low, high = min(distribution.low, value), max(distribution.high, value)
            if (low, high) != (distribution.low, distribution.high):
                step = None if isinstance(value, float) else 1
                step = None if distribution.log and isinstance(value, float) else step
                distribution = type(distribution)(low, high, log=distribution.log, step=step)
        except (TypeError, ValueError):
            return None
    try:
        fits = distribution._contains(distribution.to_internal_repr(value))
    except (TypeError, ValueError):
        return None
    return distribution if fits else None


def their_attrs(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of the user under names that are not ours."""
    taken = {name for name in attrs if name in _OURS or name.startswith(_THEIRS)}
    return {f"{_THEIRS}{name}" if name in taken else name: value for name, value in attrs.items()}


def from_frozen(row: FrozenTrial, space: SearchSpace | None = None) -> Trial:
    """A row as a Trial; options of the space that are no plain values need it to be read."""
    attrs = row.user_attrs
    values = {**row.params, **attrs.get("values", {})}
    if row.state == TrialState.WAITING:
        values |= row.system_attrs.get("fixed_params", {})
    if space is not None:
        values |= {name: from_parameter(axis, values[name]) for name, axis in space.axes if name in values}
    status, reason = _status(row)
    score, cost = row.values if status == "completed" else (None, attrs.get("cost"))
    return Trial(
        number=row.number,
        values={**values, **attrs.get("fixed", {})},
        status=status,
        score=score,
        cost=cost,
        **{name: attrs.get(name) for name in PREDICTIONS},
        reason=reason,
        started=row.datetime_start,
        ended=row.datetime_complete,
        attrs={name.removeprefix(_THEIRS): value for name, value in attrs.items() if name not in _OURS},
    )


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
    return "interrupted", attrs.get("interruption")


def settle(rows: Iterable[FrozenTrial], trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials, those of a point at which a worker died or raised before as failed ones.

    Otherwise a configuration that kills its worker would be proposed for ever.
    """
    deaths: dict[str, int] = {}
    settled = []
    for row, trial in zip(rows, trials, strict=True):
        if trial.status == "interrupted" and trial.values and "taken_back" not in row.user_attrs:
            point = repr(sorted(trial.values.items()))
            deaths[point] = deaths.get(point, 0) + 1
            if deaths[point] >= _MOST_DEATHS:
                reason = trial.reason or "its worker died"
                trial = dataclasses.replace(trial, status="failed", reason=f"{reason} (twice at this point)")
        settled.append(trial)
    return settled


class Reader:
    """Reads all rows; one that has ended never changes, and is read once."""

    def __init__(self, study: optuna.Study, space: SearchSpace):
        self._study, self._space = study, space
        self._ended: dict[int, Trial] = {}

    def read(self) -> list[Trial]:
        """All rows, in order of their numbers."""
        rows = patiently(self._study.get_trials, deepcopy=False)
        return settle(rows, [self._trial(row) for row in rows])

    def _trial(self, row: FrozenTrial) -> Trial:
        trial = self._ended.get(row.number)
        if trial is None:
            trial = from_frozen(row, self._space)
            if row.state.is_finished():
                self._ended[row.number] = trial
        return trial


def read(study: optuna.Study) -> list[Trial]:
    """All rows of a study whose space is not known, in order of their numbers."""
    rows = patiently(study.get_trials, deepcopy=False)
    return settle(rows, [from_frozen(row) for row in rows])


def completed(trials: Sequence[Trial]) -> list[Trial]:
    """Trials with a measured score and cost, oldest first."""
    return [trial for trial in trials if trial.status == "completed"]


def pareto_front(trials: Sequence[Trial]) -> list[Trial]:
    """Return the completed trials that no other beats in score at the same cost or less, cheapest first."""
    done = completed(trials)
    score, log_cost = (np.array([f(t) for t in done], float) for f in (lambda t: t.score, lambda t: math.log(t.cost)))
    on_front = pareto.non_dominated(score, log_cost, np.ones(len(done), bool))
    return sorted((t for t, is_on in zip(done, on_front, strict=True) if is_on), key=lambda t: t.cost or 0.0)
