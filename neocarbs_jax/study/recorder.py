"""The writing half of a study: how running trials end, and how trials from elsewhere enter."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from neocarbs_jax import sweep
from neocarbs_jax.space import to_parameter
from neocarbs_jax.space.constraints import text_of
from neocarbs_jax.space.feasibility import complete
from neocarbs_jax.study import ledger
from neocarbs_jax.study.lineage import CHECKPOINT, whole
from neocarbs_jax.study.liveness import Pulse
from neocarbs_jax.study.results import Result, is_cost, plain
from neocarbs_jax.study.storages import patiently
from neocarbs_jax.study.trials import Trial, from_frozen, their_attrs

TAKEN_BACK: Mapping[str, Any] = {"taken_back": True}


class Recorder:
    """Write to a ledger.

    Args:
        study: the ledger.
        config: of the sweep.
        pulse: that beats for the trials of this process.
    """

    def __init__(self, study: optuna.Study, config: sweep.Config, pulse: Pulse):
        self._study, self._space, self._pulse = study, config.space, pulse
        self._direction = config.direction

    def record(self, trial: Trial, result: Result, reason: str | None = None) -> Trial:
        """End a trial with its result, or as failed for a reason or for a flaw of the result."""
        inherited = self.read(trial.number).inherited if trial.parent is not None else 0.0
        kept, complaints = plain(result.attrs)
        result, flaws = whole(result._replace(attrs=kept), inherited)
        attrs = dict(result.attrs)
        ours = {CHECKPOINT: attrs.pop(CHECKPOINT)} if CHECKPOINT in attrs else {}
        attrs, complaints = their_attrs(attrs) | ours, complaints + flaws
        reason = result.flaw if reason is None else reason
        if reason is None:
            ended = self.finish(trial, TrialState.COMPLETE, result, attrs)
        else:
            attrs |= {"cost": result.cost} if is_cost(result.cost) else {}
            ended = self.finish(trial, TrialState.FAIL, result, {**attrs, "reason": str(reason)})
        _complain(complaints)
        return ended

    def finish(self, trial: Trial, state: TrialState, result: Result | None, attrs: Mapping[str, Any]) -> Trial:
        """End a trial; the result of one that was declared dead meanwhile becomes a new row.

        Raises:
            ValueError: if it has ended otherwise.
        """
        trial_id = self._id_of(trial.number)
        values = [result.score, result.cost] if result and state == TrialState.COMPLETE else None
        try:
            self.end(trial.number, trial_id, state, values, attrs)
        except UpdateFinishedTrialError as error:
            row = patiently(self._study._storage.get_trial, trial_id)
            ended = from_frozen(row, self._space, self._direction)
            marks = [name for name in ("reason", *TAKEN_BACK) if name in attrs]
            same = (row.state, row.values) == (state, values) and (marks or values)
            if same and all(attrs[mark] == row.user_attrs.get(mark) for mark in marks):
                return ended  # told before a connection broke
            if ended.status != "interrupted" or TAKEN_BACK.keys() <= row.user_attrs.keys() or self._late(trial.number):
                rule = "`trial` must be running"
                raise ValueError(f"{rule}; got trial {trial.number}, {ended.status}.") from error
            if result is None:
                return ended
            before = {name: value for name, value in row.user_attrs.items() if name not in ("worker", "beat", "values")}
            return self._add(trial.values, result, {**before, **attrs, "late_result_of": trial.number})
        return self.read(trial.number)

    def _late(self, number: int) -> bool:
        """Whether a row holds the late result of a trial."""
        rows = patiently(self._study.get_trials, deepcopy=False)
        return any(row.user_attrs.get("late_result_of") == number for row in rows)

    def end(
        self,
        number: int,
        trial_id: int,
        state: TrialState = TrialState.FAIL,
        values: Sequence[float] | None = None,
        attrs: Mapping[str, Any] = TAKEN_BACK,
    ) -> None:
        """End a row, by default as taken back.

        Raises:
            UpdateFinishedTrialError: if it has ended already.
        """
        try:
            complaints = ledger.end(self._study, trial_id, state, values, attrs)
        except UpdateFinishedTrialError:
            self._pulse.discard(number)
            raise
        self._pulse.discard(number)
        _complain(complaints)

    def disown(self, trial: Trial) -> None:
        """Note that a running trial has not found its parent's checkpoint."""
        attr = "continuation", [trial.parent, 0.0]
        try:
            patiently(self._study._storage.set_trial_user_attr, self._id_of(trial.number), *attr)
        except UpdateFinishedTrialError as error:
            status = self.read(trial.number).status
            raise ValueError(f"`trial` must be running; got trial {trial.number}, {status}.") from error

    def annotate(self, trial: Trial, values: Mapping[str, Any], attrs: Mapping[str, Any]) -> None:
        """Add attributes to a running trial, and values that turned out others than those it was asked for."""
        self.check_values(values)
        kept, complaints = plain(attrs)
        written = their_attrs(kept)
        if values:
            written["values"] = self._parameters(values)
        try:
            for name, value in written.items():
                patiently(self._study._storage.set_trial_user_attr, self._id_of(trial.number), name, value)
        except UpdateFinishedTrialError as error:
            status = self.read(trial.number).status
            raise ValueError(f"`trial` must be running; got trial {trial.number}, {status}.") from error
        _complain(complaints)

    def enqueue(self, values: Mapping[str, Any], attrs: Mapping[str, Any]) -> None:
        """Put a trial into the queue."""
        self.check_values(values)
        if self._space.constraints and complete(self._space, values, self._space.center) is None:
            texts = " and ".join(map(text_of, self._space.constraints))
            raise ValueError(f"`values` must satisfy the constraints ({texts}); got {dict(values)}.")
        kept, complaints = plain(attrs)
        patiently(self._study.enqueue_trial, self._parameters(values), user_attrs=their_attrs(kept))
        _complain(complaints)

    def add(self, values: Mapping[str, Any], result: Result, attrs: Mapping[str, Any]) -> Trial:
        """Add a trial that ended elsewhere; `reason` among the attributes says why it failed."""
        kept, complaints = plain(attrs)
        ours = {"reason": str(kept.pop("reason") or result.flaw)} if result.flaw and "reason" in kept else {}
        added = self._add(values, result, {**their_attrs(kept), **ours})
        _complain(complaints)
        return added

    def _add(self, values: Mapping[str, Any], result: Result, attrs: Mapping[str, Any]) -> Trial:
        row = Result(result.score, result.cost, attrs)
        numbers = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
        numbers = self._space.active(numbers)
        return self.read(ledger.add_row(self._study, self._space, numbers, row))

    def check_values(self, values: Mapping[str, Any]) -> None:
        """Raise a ValueError for a name that is none of the space's, or a value that its axis cannot have."""
        known = {*self._space.names, *dict(self._space.fixed)}
        for name in values:
            if name not in known:
                rule = f"`values` must be of axes of the space ({', '.join(self._space.names)})"
                raise ValueError(f"{rule}; got {name!r}.")
        for name, axis in self._space.axes:
            if name in values and not self._space.can_be(name, values[name]):
                raise ValueError(f"`{name}` must be a value of {axis}, or beyond its bounds; got {values[name]!r}.")
        for name, value in self._space.fixed:
            if values.get(name, value) != value:
                raise ValueError(f"`{name}` must be {value!r}, its fixed value; got {values[name]!r}.")

    def read(self, number: int) -> Trial:
        """One row, without the others."""
        return from_frozen(patiently(self._study._storage.get_trial, self._id_of(number)), self._space, self._direction)

    def _id_of(self, number: int) -> int:
        find = self._study._storage.get_trial_id_from_study_id_trial_number
        return patiently(find, self._study._study_id, number)

    def _parameters(self, values: Mapping[str, Any]) -> dict[str, Any]:
        axes = dict(self._space.axes)
        known = {name: to_parameter(axes[name], value) for name, value in values.items() if name in axes}
        return {name: value.item() if isinstance(value, np.generic) else value for name, value in known.items()}


def _complain(complaints: list[str]) -> None:
    if complaints:
        warnings.warn("; ".join(complaints), stacklevel=4)
