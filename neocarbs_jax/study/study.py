"""The host boundary of a sweep: dictionaries in, rows in a durable ledger out.

The state of a study is a function of its ledger: each `ask` reads the rows, rebuilds the arrays and suggests. Hence a
killed worker loses at most the trials it was running, a resumed study proposes what it would have proposed, and any
number of workers may share one storage.
"""

import contextlib
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from neocarbs_jax import sweep
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.study import header, programs
from neocarbs_jax.study.ask_tell import AskTell
from neocarbs_jax.study.limits import TrialTimeout, in_this_process_alone, limited
from neocarbs_jax.study.liveness import release_dead
from neocarbs_jax.study.proposal import MIN_CAPACITY
from neocarbs_jax.study.recorder import TAKEN_BACK
from neocarbs_jax.study.results import describe, read_result, with_trial
from neocarbs_jax.study.stopping import check_stopping, fits, is_done, is_exhausted, remaining
from neocarbs_jax.study.storages import open_storage, patiently
from neocarbs_jax.study.trials import Trial

Objective = Callable[..., tuple[float, float] | tuple[float, float, dict[str, Any]]]
Storage = str | os.PathLike[str] | BaseStorage


class Study(AskTell):
    """A sweep whose trials are rows of an Optuna study (maximise score, or minimise it; minimise cost).

    Make one with `create` or `load`; then either `run` an objective, or `ask` for trials and `tell` their results.
    """

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
