"""Asking for trials and telling what they gave: every row of a study's ledger is written here."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from neocarbs_jax import sweep
from neocarbs_jax.space.feasibility import complete
from neocarbs_jax.study import curves, header, ledger
from neocarbs_jax.study.lineage import CHECKPOINT, check_checkpoint, dropped_attr
from neocarbs_jax.study.liveness import Pulse, is_own, release_dead
from neocarbs_jax.study.proposal import propose
from neocarbs_jax.study.recorder import TAKEN_BACK, Recorder
from neocarbs_jax.study.results import Result, is_cost, to_float
from neocarbs_jax.study.stopping import remaining
from neocarbs_jax.study.storages import patiently
from neocarbs_jax.study.trials import Trial
from neocarbs_jax.study.view import View
from neocarbs_jax.study.watching import Watcher


class AskTell(View):
    """The part of a study that suggests trials and records what they gave."""

    def __init__(self, head: header.Header, config: sweep.Config):
        super().__init__(head, config)
        self._seed = head.seed
        self._pulse = Pulse(self._ledger)
        self._recorder = Recorder(self._ledger, config, self._pulse)
        self._watcher = Watcher(config, self._recorder, lambda: self.trials, self._memory, self._defaults)
        patiently(release_dead, self._ledger)

    def ask(self, q: int = 1, max_cost: float | None = None) -> list[Trial]:
        """Suggest `q` trials that know of each other and of all that run elsewhere, and enter them as running.

        Trials of the queue (`enqueue`) come first.

        Args:
            q: number of trials.
            max_cost: budget of all trials together, as of `run`; the predicted cost of a trial that does not fit any
                more exceeds what is left.
        """
        if q < 1:
            raise ValueError(f"`q` must be at least 1; got {q}.")
        asked: list[Trial] = []
        try:
            for _ in range(q):
                asked.append(self._ask_one(max_cost=max_cost))
        except BaseException:  # Ctrl-C too: whoever asked has none of them
            for trial in asked:
                self.interrupt(trial)
            raise
        return asked

    def _ask_one(self, known: list[Trial] | None = None, max_cost: float | None = None) -> Trial:
        """Enter one trial; `known` are the rows as they were just now, `max_cost` the budget of all trials."""
        while True:
            row = ledger.new_row(self._ledger)  # before the suggestion, so that no two workers share an index
            try:
                patiently(self._pulse.add, row.number, row.trial_id)
                rows = known if known is not None and len(known) == row.number else self.trials
                earlier = [t for t in rows if t.number < row.number and t.status != "interrupted"]
                left = remaining(earlier, max_cost)
                suggestion = propose(self._config, earlier, self._seed, self._memory, self._defaults, left)
                queued = ledger.queued_values(row, self.space)
                if queued:
                    suggestion = Trial(
                        row.number, self._completed(queued, suggestion), "running", direction=self.direction
                    )
                same = sum(trial.values == suggestion.values for trial in earlier)
                suggestion = dataclasses.replace(suggestion, number=row.number, replicate=same, watcher=self._watcher)
                ledger.enter(self._ledger, row, self.space, suggestion)
                return suggestion
            except optuna.exceptions.UpdateFinishedTrialError:  # declared dead meanwhile, as after a jump of the clock
                self._pulse.discard(row.number)
                known = None
            except BaseException:  # Ctrl-C too: the row must not stay running
                self._recorder.end(row.number, row.trial_id)
                raise

    def _completed(self, queued: Mapping[str, Any], suggestion: Trial) -> dict[str, Any]:
        """Return the values of a queued trial, those that it leaves open as suggested or near that."""
        space = self.space
        if not (space.conditions or space.constraints):
            return {**suggestion.values, **queued}
        unit = space.place(suggestion.values)  # beyond the bounds where it repeats a trial that was told so
        near = space.center if unit is None else np.clip(unit, 0, 1)
        whole = complete(space, queued, near)
        return {**suggestion.values, **queued} if whole is None else whole

    def tell(
        self,
        trial: Trial,
        score: float,
        cost: float,
        curve: Sequence[tuple[float, float, float]] | None = None,
        checkpoint_cost: float | None = None,
        **attrs: Any,
    ) -> Trial:
        """Record what was measured; a score that is not finite records a failure.

        A trial that was declared dead meanwhile is no loss: its result becomes a new row.

        Args:
            trial: one that `ask` returned.
            score: in its own sign; whether higher is better, the study's `direction` says.
            cost: > 0, in the unit of all costs of the study. Of a trial that goes on from another, what this run took:
                the study adds what the parent had paid.
            curve: (budget, score, cost) of shorter trainings that this one contains, by ascending budget. Where the
                option `budget` names the axis, they are data too; a point at the trial's own budget says what it scored
                before its final decay. Its costs are those of this run, as `cost` is: the study adds what the parent
                had paid. See `neocarbs_jax.study.curves`.
            checkpoint_cost: what this run had cost when it wrote a checkpoint that longer trainings may go on from;
                None where there is none. Where the study has the option `continues`, later trials may have this one
                as their `parent`.
            **attrs: recorded with the trial, as far as they have a JSON form; `reason` says why a score is not finite.

        Raises:
            ValueError: if the cost is not positive and finite, the curve is none, the checkpoint costs more than the
                run, or the trial has ended already.
            TypeError: if score or cost is no number.
        """
        result = Result(to_float("score", score), to_float("cost", cost), attrs)
        if math.isfinite(result.score) and not is_cost(result.cost):
            raise ValueError(f"`cost` must be positive and finite; got {result.cost}.")
        if curve is not None:
            attrs["curve"] = curves.check(curve)
        if checkpoint_cost is not None:
            attrs[CHECKPOINT] = check_checkpoint(checkpoint_cost, result.cost)
        reason = attrs.pop("reason", None) if result.flaw else None
        return self._recorder.record(self._watcher.settle(trial), result, reason)

    def drop_checkpoint(self, trial: Trial | int) -> None:
        """Say that the checkpoint of an ended trial is gone, so that no later trial goes on from it.

        Args:
            trial: that told of it, or its number.

        Raises:
            ValueError: if it is no trial of the study, or has not ended.
        """
        number, trials = trial.number if isinstance(trial, Trial) else int(trial), self.trials
        if number not in range(len(trials)):
            raise ValueError(f"`trial` must be one of the study's {len(trials)}; got {number}.")
        if trials[number].status in ("queued", "running"):
            raise ValueError(f"`trial` must be one that has ended; got trial {number}, {trials[number].status}.")
        patiently(self._ledger.set_user_attr, dropped_attr(number), True)

    def record(self, trial: Trial, result: Result) -> Trial:
        """Record what an objective returned elsewhere, as `results.read_result` has read it."""
        return self._recorder.record(self._watcher.settle(trial), result)

    def fail(self, trial: Trial, reason: str, *, cost: float | None = None, **attrs: Any) -> Trial:
        """Record that the configuration does not work: data that the sweep learns from.

        Args:
            trial: one that `ask` returned.
            reason: one line for people.
            cost: what was spent until it failed, if known.
            **attrs: recorded with the trial, as far as they have a JSON form.

        Raises:
            ValueError: if the cost is not positive and finite, or the trial has ended already.
        """
        if cost is not None and not is_cost(to_float("cost", cost)):
            raise ValueError(f"`cost` must be positive and finite; got {cost}.")
        return self._recorder.record(trial, Result(math.nan, to_float("cost", cost), attrs), reason)

    def interrupt(self, trial: Trial, reason: str | None = None) -> Trial:
        """Take a running trial back: it says nothing about its configuration, which may be proposed again.

        Args:
            trial: one that `ask` returned.
            reason: what ended it against everybody's will, such as the death of its worker. If trials with the same
                values end so twice, the second counts as failed.
        """
        mark = TAKEN_BACK if reason is None else {"interruption": reason}
        return self._recorder.finish(trial, TrialState.FAIL, None, mark)

    def take_back(self) -> list[Trial]:
        """Take back all trials that this process runs, as `interrupt` does; return them. For the end of a process."""
        rows = patiently(self._ledger.get_trials, deepcopy=False, states=(TrialState.RUNNING,))
        own = [ledger.from_frozen(row, self.space, self.direction) for row in rows if is_own(row)]
        return [self.interrupt(trial) for trial in own]

    def annotate(self, trial: Trial, *, values: Mapping[str, Any] | None = None, **attrs: Any) -> None:
        """Add attributes to a running trial.

        Args:
            trial: one that `ask` returned.
            values: of axes whose value turned out another than the one that was asked for.
            **attrs: recorded with the trial, as far as they have a JSON form.

        Raises:
            ValueError: if the trial has ended already, or a value cannot be one of its axis.
        """
        self._recorder.annotate(trial, values or {}, attrs)

    def enqueue(self, values: Mapping[str, Any], **attrs: Any) -> None:
        """Put a trial into the queue that `ask` and `run` take from before they suggest.

        Args:
            values: of some axes or all; the others are suggested when its turn comes. They may lie beyond the bounds. A
                value of an axis with conditions activates it, where the values that it depends on are left open.
            **attrs: recorded with the trial.

        Raises:
            ValueError: if a name is not an axis of the space, a value cannot be one of its axis, or constraints forbid
                them.
        """
        self._recorder.enqueue(values, attrs)

    def add(
        self,
        values: Mapping[str, Any],
        score: float,
        cost: float,
        *,
        attrs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Trial:
        """Record a trial that was run elsewhere, such as before the sweep.

        Args:
            values: of all axes that are active; they may lie beyond the bounds, and break constraints: what was
                measured is data.
            score: in its own sign; NaN for a configuration that does not work.
            cost: > 0, in the unit of all costs of the study; NaN if unknown, of a failure.
            attrs: recorded with the trial, as far as they have a JSON form; `reason` says why it failed.
            **more: the same, by names that are no arguments.

        Raises:
            ValueError: if a value is missing or cannot be one of its axis, or the cost is not positive and finite.
            TypeError: if score or cost is no number.
        """
        self._recorder.check_values(values)
        missing = self.space.missing({**self._defaults, **values})
        if missing:
            raise ValueError(f"`values` must hold all axes; {', '.join(missing)} is missing.")
        result = Result(to_float("score", score), to_float("cost", cost), {})
        if math.isfinite(result.score) and not is_cost(result.cost):
            raise ValueError(f"`cost` must be positive and finite; got {result.cost}.")
        return self._recorder.add(values, result, {**(attrs or {}), **more})
