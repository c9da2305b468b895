"""The ledger of trials: rows of an Optuna study, read and written.

Optuna owns durability (SQLite, PostgreSQL, MySQL, journal files), so its command line and dashboards read the same
rows.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from neocarbs_jax.space import SearchSpace, from_parameter, to_optuna, to_parameter
from neocarbs_jax.study.lineage import without_dropped
from neocarbs_jax.study.liveness import signature
from neocarbs_jax.study.results import Result, describe
from neocarbs_jax.study.storages import open_storage as open_storage
from neocarbs_jax.study.storages import patiently
from neocarbs_jax.study.trials import PREDICTIONS as PREDICTIONS
from neocarbs_jax.study.trials import Trial as Trial
from neocarbs_jax.study.trials import completed as completed
from neocarbs_jax.study.trials import from_frozen as from_frozen
from neocarbs_jax.study.trials import pareto_front as pareto_front
from neocarbs_jax.study.trials import settle


class Row(NamedTuple):
    """A running row, signed by its worker.

    Attributes:
        number: position in the ledger.
        trial_id: by which the storage knows it.
        queued: parameters that the queue gave it; none for a new row.
    """

    number: int
    trial_id: int
    queued: dict[str, Any]


def new_row(study: optuna.Study) -> Row:
    """A running row of this caller alone: the next one of the queue, or a new one without values."""
    storage = study._storage
    for row in patiently(study.get_trials, deepcopy=False, states=(TrialState.WAITING,)):
        try:
            if patiently(storage.set_trial_state_values, row._trial_id, TrialState.RUNNING):
                patiently(storage.set_trial_user_attr, row._trial_id, "worker", signature())
                return Row(row.number, row._trial_id, row.system_attrs.get("fixed_params", {}))
        except optuna.exceptions.UpdateFinishedTrialError:
            continue  # another worker was faster
    # Made and signed at once: who is killed in between leaves nothing.
    signed = create_trial(state=TrialState.RUNNING, user_attrs={"worker": signature()})
    trial_id = patiently(storage.create_new_trial, study._study_id, template_trial=signed)
    return Row(patiently(storage.get_trial, trial_id).number, trial_id, {})


def queued_values(row: Row, space: SearchSpace) -> dict[str, Any]:
    """What the queue says of a row's values, as far as they can be values of their axes."""
    values = {name: from_parameter(axis, row.queued[name]) for name, axis in space.axes if name in row.queued}
    return {name: value for name, value in values.items() if space.can_be(name, value)}


def enter(study: optuna.Study, row: Row, space: SearchSpace, suggestion: Trial) -> None:
    """Write the values and their predictions into a running row."""
    apart = {}
    for name, distribution in to_optuna(space).items():
        if name not in suggestion.values:
            continue
        value = to_parameter(dict(space.axes)[name], suggestion.values[name])
        try:
            internal = distribution.to_internal_repr(value)
            patiently(study._storage.set_trial_param, row.trial_id, name, internal, distribution)
        except ValueError:  # no value of this axis, or one of another kind than the axis once had
            apart[name] = value
    attrs = {name: value for name in PREDICTIONS if (value := getattr(suggestion, name)) is not None}
    attrs |= {"replicate": suggestion.replicate} if suggestion.replicate else {}
    attrs |= {"continuation": [suggestion.parent, suggestion.inherited]} if suggestion.parent is not None else {}
    attrs |= {"values": apart} if apart else {}
    attrs |= {"fixed": dict(space.fixed)} if space.fixed else {}
    for name, value in attrs.items():
        patiently(study._storage.set_trial_user_attr, row.trial_id, name, value)


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
    attrs |= {"fixed": dict(space.fixed)} if space.fixed else {}
    flaw = result.flaw
    if flaw is not None:
        attrs["reason"] = str(attrs.get("reason") or flaw)
        attrs |= {"cost": result.cost} if math.isfinite(result.cost) else {}

    def create(parameters: dict[str, Any], apart: dict[str, Any]) -> int:
        row = create_trial(
            state=TrialState.COMPLETE if flaw is None else TrialState.FAIL,
            params=parameters,
            distributions={name: distributions[name] for name in parameters},
            values=[result.score, result.cost] if flaw is None else None,
            user_attrs=attrs | ({"values": apart} if apart else {}),
        )
        return patiently(study._storage.create_new_trial, study._study_id, template_trial=row)

    try:
        trial_id = create(parameters, apart)
    except ValueError:  # the study's parameter of some name is of another kind
        trial_id = create({}, {**parameters, **apart})
    return patiently(study._storage.get_trial, trial_id).number


def _widened(distribution: Any, value: Any) -> Any:
    """The distribution, wide enough for the value; None where there is no such one."""
    if not isinstance(distribution, CategoricalDistribution):
        try:
            low, high = min(distribution.low, value), max(distribution.high, value)
            if (low, high) != (distribution.low, distribution.high):
                step = {"step": 1} if isinstance(distribution, IntDistribution) else {}
                distribution = type(distribution)(low, high, log=distribution.log, **step)
        except (TypeError, ValueError):
            return None
    try:
        fits = distribution._contains(distribution.to_internal_repr(value))
    except (TypeError, ValueError):
        return None
    return distribution if fits else None


class Reader:
    """Reads all rows; one that has ended never changes, and is read once."""

    def __init__(self, study: optuna.Study, space: SearchSpace, direction: str, continues: bool = False):
        self._study, self._space, self._direction = study, space, direction
        self._continues = continues
        self._ended: dict[int, Trial] = {}

    def read(self) -> list[Trial]:
        """All rows, in order of their numbers."""
        rows = patiently(self._study.get_trials, deepcopy=False)
        trials = settle(rows, [self._trial(row) for row in rows])
        if not self._continues:
            return trials
        return without_dropped(trials, patiently(lambda: self._study.user_attrs))

    def _trial(self, row: FrozenTrial) -> Trial:
        trial = self._ended.get(row.number)
        if trial is None:
            trial = from_frozen(row, self._space, self._direction)
            if row.state.is_finished():
                self._ended[row.number] = trial
        return trial


def read(study: optuna.Study) -> list[Trial]:
    """All rows of a study whose space is not known, in order of their numbers."""
    rows = patiently(study.get_trials, deepcopy=False)
    return settle(rows, [from_frozen(row, direction=study.directions[0].name.lower()) for row in rows])
