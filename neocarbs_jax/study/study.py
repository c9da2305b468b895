"""The host boundary of a sweep: dictionaries in, rows in a durable ledger out.

The state of a study is a function of its ledger: each `ask` reads the rows, rebuilds the arrays and suggests. Hence a
killed worker loses at most the trials it was running, a resumed study proposes what it would have proposed, and any
number of workers may share one storage.
"""

import contextlib
import dataclasses
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from neocarbs_jax import sweep
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.space.feasibility import complete
from neocarbs_jax.study import curves, header, ledger, programs
from neocarbs_jax.study.limits import TrialTimeout, in_this_process_alone, limited
from neocarbs_jax.study.liveness import Pulse, is_own, release_dead
from neocarbs_jax.study.proposal import MIN_CAPACITY, propose
from neocarbs_jax.study.recorder import TAKEN_BACK, Recorder
from neocarbs_jax.study.results import Result, describe, is_cost, read_result, to_float, with_trial
from neocarbs_jax.study.stopping import check_stopping, fits, is_done, is_exhausted, remaining
from neocarbs_jax.study.storages import open_storage, patiently
from neocarbs_jax.study.trials import Trial
from neocarbs_jax.study.view import View
from neocarbs_jax.study.watching import Watcher

Objective = Callable[..., tuple[float, float] | tuple[float, float, dict[str, Any]]]
Storage = str | os.PathLike[str] | BaseStorage


class Study(View):
    """A sweep whose trials are rows of an Optuna study (maximise score, or minimise it; minimise cost).

    Make one with `create` or `load`; then either `run` an objective, or `ask` for trials and `tell` their results.
    """

    def __init__(self, head: header.Header, config: sweep.Config):
        super().__init__(head, config)
        self._seed = head.seed
        self._pulse = Pulse(self._ledger)
        self._recorder = Recorder(self._ledger, config, self._pulse)
        self._watcher = Watcher(config, self._recorder, lambda: self.trials, self._memory, self._defaults)
        patiently(release_dead, self._ledger)

    @classmethod
    def create(
        cls,
        space: SearchSpace,
        storage: Storage = "sqlite:///sweep.db",
        *,
        name: str = "sweep",
        seed: int | None = None,
        defaults: Mapping[str, Any] | None = None,
        direction: str | None = None,
        adopt: bool = False,
        compilation_cache: bool = True,
        **options: Any,
    ) -> "Study":
        """Open the study `name`, making it if it does not exist yet.

        An existing study goes on over another space: with other bounds, more axes or fewer. Earlier trials stay data,
        those outside the new bounds too. What changes is said in one warning.

        Args:
            space: what is searched.
            storage: URL of a database ("sqlite:///sweep.db", "postgresql://host/db"), path of an SQLite database or of
                a journal file (.log), or an Optuna storage; see `storages.open_storage`.
            name: name of the study in the storage.
            seed: of the suggestions, 0 by default; a study keeps the seed that it was made with.
            defaults: values that earlier trials had on axes that are new; the centre of such an axis by default.
            direction: "maximize" (by default), or "minimize" for a score that is to be low, such as a loss. An existing
                study keeps its own, which must be this one where it is given.
            adopt: whether a study that another tool made, with this direction for its first value and minimize for its
                second, is taken over.
            compilation_cache: whether compiled programs are kept on disk, so that later processes start at once; see
                `programs.keep_on_disk`. JAX has one such cache per process.
            **options: fields of `sweep.Config` besides space and capacity, such as `strategy` or `trial_cap`. The study
                keeps them; an existing one goes on with its own where none are given.

        Raises:
            ValueError: if an option is out of range, the storage cannot be opened, or it holds a study of this name
                that was made by another tool, or over a space that has no axis in common with this one.
        """
        header.check_options(options)
        config = sweep.Config(space, capacity=MIN_CAPACITY, direction=direction or "maximize", **options)
        given = {option: getattr(config, option) for option in options}
        opened = open_storage(storage)
        head = header.create(opened, name, space, seed, defaults or {}, given, adopt, direction)
        return cls._open(head, given, compilation_cache)

    @classmethod
    def load(cls, storage: Storage, *, name: str = "sweep", compilation_cache: bool = True, **options: Any) -> "Study":
        """Open an existing study with the space, seed and options that it was made with.

        Args:
            storage: as in `create`.
            name: of the study.
            compilation_cache: as in `create`.
            **options: as in `create`; those that are given count for this object alone.

        Raises:
            ValueError: if the storage cannot be opened, holds no study of this name, or one of another tool.
        """
        header.check_options(options)
        return cls._open(header.load(open_storage(storage, must_exist=True), name), options, compilation_cache)

    @classmethod
    def _open(cls, head: header.Header, options: Mapping[str, Any], compilation_cache: bool) -> "Study":
        config = sweep.Config(head.space, capacity=MIN_CAPACITY, **{**head.options, **options})
        lacking = header.missing_options(head, options)
        if lacking:
            said = f"Study {head.study.study_name!r} was made with {' and '.join(lacking)}, which no storage can keep"
            warnings.warn(f"{said}: give them again, or it goes on with the defaults.", stacklevel=3)
        if compilation_cache:
            programs.keep_on_disk()
        return cls(head, config)

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
        **attrs: Any,
    ) -> Trial:
        """Record what was measured; a score that is not finite records a failure.

        A trial that was declared dead meanwhile is no loss: its result becomes a new row.

        Args:
            trial: one that `ask` returned.
            score: in its own sign; whether higher is better, the study's `direction` says.
            cost: > 0, in the unit of all costs of the study.
            curve: (budget, score, cost) of shorter trainings that this one contains, by ascending budget. Where the
                option `budget` names the axis, they are data too; a point at the trial's own budget says what it scored
                before its final decay. See `neocarbs_jax.study.curves`.
            **attrs: recorded with the trial, as far as they have a JSON form; `reason` says why a score is not finite.

        Raises:
            ValueError: if the cost is not positive and finite, the curve is none, or the trial has ended already.
            TypeError: if score or cost is no number.
        """
        result = Result(to_float("score", score), to_float("cost", cost), attrs)
        if math.isfinite(result.score) and not is_cost(result.cost):
            raise ValueError(f"`cost` must be positive and finite; got {result.cost}.")
        if curve is not None:
            attrs["curve"] = curves.check(curve)
        reason = attrs.pop("reason", None) if result.flaw else None
        return self._recorder.record(self._watcher.settle(trial), result, reason)

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

    def run(
        self,
        objective: Objective,
        *,
        num_trials: int | None = None,
        max_cost: float | None = None,
        until_rating: float | None = None,
        time_limit: float | None = None,
        catch: tuple[type[Exception], ...] = (FloatingPointError,),
        on_ask: Callable[[Trial], None] | None = None,
        on_tell: Callable[[Trial], None] | None = None,
    ) -> list[Trial]:
        """Ask, run and tell until the study is done; called again, it goes on where it stopped.

        A score or a cost that cannot be (NaN, None, a cost <= 0) records a failed trial, and the run goes on.

        Args:
            objective: values -> (score, cost), or (score, cost, attrs to record); a `curve` among them is data, as
                it is for `tell`. Where it has a second parameter named `trial`, it is given the trial as well, whose
                `replicate` tells repeated values apart.
            num_trials: stop once the study holds this many trials, those of other workers included.
            max_cost: budget of all trials together. Suggestions know what is left of it: none is made that would exceed
                it with a probability above `Config.delta`, and the run ends where nothing fits any more.
            until_rating: stop once none of the last eight ratings reaches this. Each belongs to another target cost;
                the largest is what a trial adds where it pays most.
            time_limit: seconds after which an objective is interrupted and its trial recorded as failed; see
                `limits.limited` for what it can interrupt.
            catch: exceptions of the objective that say that the configuration does not work; any other ends the run,
                with its trial taken back. If trials with the same values end so twice, the second counts as failed.
            on_ask: called with each trial before it runs.
            on_tell: called with each trial after it ended.

        Returns:
            The trials of the study.

        Raises:
            ValueError: if no stopping rule is given, or one is out of range.
            TypeError: if the objective returns something else.
        """
        if not (isinstance(catch, tuple) and all(isinstance(c, type) and issubclass(c, Exception) for c in catch)):
            raise ValueError(f"`catch` must be a tuple of exceptions; got {catch!r}.")
        check_stopping(num_trials, max_cost, until_rating, time_limit)
        caught, objective = (*catch, TrialTimeout), limited(with_trial(objective), time_limit)
        ends: dict[str, Any] = {"num_trials": num_trials, "max_cost": max_cost, "until_rating": until_rating}
        while (trial := self.ask_next(**ends)) is not None:
            ended = self._run_one(objective, trial, caught, on_ask)
            if on_tell:
                on_tell(ended)
        return self.trials

    def ask_next(
        self, *, num_trials: int | None = None, max_cost: float | None = None, until_rating: float | None = None
    ) -> Trial | None:
        """Suggest the next trial of a run and enter it as running; return None where the run needs none any more.

        This is what `run` asks. Whoever runs several trials at once asks again while earlier ones still run.

        Args:
            num_trials: as of `run`.
            max_cost: as of `run`.
            until_rating: as of `run`.

        Raises:
            ValueError: if no stopping rule is given, or one is out of range.
        """
        check_stopping(num_trials, max_cost, until_rating, None)
        strategy = self._config.strategy
        if num_trials is None and max_cost is None and not strategy.uses_surrogates:
            rule = "`run` needs `num_trials` or `max_cost` for a strategy that does not rate its suggestions"
            raise ValueError(f"{rule}; got {strategy.name}.")
        trials = self.trials
        if is_done(trials, num_trials, max_cost) and any(t.status == "running" for t in trials):
            patiently(release_dead, self._ledger)  # a dead worker's trial is still to be made
            trials = self.trials
        if is_done(trials, num_trials, max_cost):
            return None
        trial = self._ask_one(trials, max_cost)
        others = [other for other in trials if other.status == "running"]
        fitting = fits(trial, others, remaining(trials, max_cost), self._config.delta)
        if not fitting or (until_rating is not None and is_exhausted([*trials, trial], until_rating)):
            self.interrupt(trial)
            return None
        return trial

    def _run_one(
        self,
        objective: Objective,
        trial: Trial,
        catch: tuple[type[BaseException], ...],
        on_ask: Callable[[Trial], None] | None,
    ) -> Trial:
        try:
            if on_ask:
                on_ask(trial)
            result = read_result(in_this_process_alone(objective)(trial))
        except catch as error:
            return self.fail(trial, describe(error))
        except BaseException as error:  # whatever it was, the row must not stay running; it is raised again below
            on_purpose = not isinstance(error, Exception)  # Ctrl-C, sys.exit: no fault of the configuration
            mark = TAKEN_BACK if on_purpose else {"interruption": describe(error)}
            with contextlib.suppress(ValueError):  # the objective ended it itself
                self._recorder.finish(trial, TrialState.FAIL, None, mark)
            raise
        try:
            return self.record(trial, result)
        except KeyboardInterrupt:  # what was measured is kept first
            with contextlib.suppress(ValueError):
                self._recorder.record(trial, result)
            raise
