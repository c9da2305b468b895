"""The host boundary of a sweep: dictionaries in, rows in a durable ledger out.

The state of a study is a function of its ledger: each `ask` reads the rows, rebuilds the arrays and suggests. Hence a
killed worker loses at most the trials it was running, a resumed study proposes what it would have proposed, and any
number of workers may share one storage.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.trial import TrialState

from neocarbs_jax import space as spaces
from neocarbs_jax import sweep
from neocarbs_jax.space import Log, Pow2, SearchSpace
from neocarbs_jax.study import ledger, programs
from neocarbs_jax.study.ledger import Trial
from neocarbs_jax.study.liveness import Pulse, quiet_optuna, release_dead
from neocarbs_jax.study.proposal import MIN_CAPACITY, Memory, propose

Objective = Callable[[dict[str, Any]], tuple[float, float] | tuple[float, float, dict[str, Any]]]


class Study:
    """A sweep whose trials are rows of an Optuna study (maximise score, minimise cost).

    Make one with `create` or `load`; then either `run` an objective, or `ask` for trials and `tell` their results.
    """

    def __init__(self, ledger_study: optuna.Study, config: sweep.Config, seed: int):
        self._ledger = ledger_study
        self._config = config
        self._seed = seed
        self._pulse = Pulse(ledger_study)
        self._memory = Memory()
        release_dead(self._ledger)

    @classmethod
    def create(
        cls,
        space: SearchSpace,
        storage: str | optuna.storages.BaseStorage = "sqlite:///sweep.db",
        *,
        name: str = "sweep",
        seed: int = 0,
        compilation_cache: bool = True,
        **options: Any,
    ) -> "Study":
        """Open the study `name`, making it if it does not exist yet.

        Args:
            space: what is searched.
            storage: URL of a database ("sqlite:///sweep.db", "postgresql://host/db") or an Optuna storage.
            name: name of the study in the storage.
            seed: of the suggestions; a study keeps the seed that it was made with.
            compilation_cache: whether compiled programs are kept on disk, so that later processes start at once; see
                `programs.keep_on_disk`. JAX has one such cache per process.
            **options: fields of `sweep.Config` besides space and capacity, such as `strategy` or `max_cost`.

        Raises:
            ValueError: if an option is out of range, the storage cannot be opened, or it holds a study of this name
                over another space.
        """
        config = sweep.Config(space, capacity=MIN_CAPACITY, **options)
        if compilation_cache:
            programs.keep_on_disk()
        opened = ledger.open_storage(storage)
        study = optuna.create_study(
            storage=opened, study_name=name, directions=["maximize", "minimize"], load_if_exists=True
        )
        described = spaces.to_dict(space)
        stored = study.user_attrs.get("space")
        if stored is None:
            with quiet_optuna():
                study.set_metric_names(["score", "cost"])
            study.set_user_attr("seed", seed)
            study.set_user_attr("strategy", config.strategy.name)
            study.set_user_attr("space", described)
        elif stored != described:
            names = ", ".join(ledger.differences(stored, described))
            raise ValueError(
                f"`space` must be the one that study {name!r} was made with; got other axes or bounds: {names}. "
                "Choose another `name`, or give the stored space."
            )
        return cls(study, config, study.user_attrs["seed"])

    @classmethod
    def load(
        cls,
        storage: str | optuna.storages.BaseStorage,
        *,
        name: str = "sweep",
        compilation_cache: bool = True,
        **options: Any,
    ) -> "Study":
        """Open an existing study with the space and seed that it was made with.

        Args:
            storage: as in `create`.
            name: of the study.
            compilation_cache: as in `create`.
            **options: as in `create`.

        Raises:
            ValueError: if the storage cannot be opened or holds no study of this name.
        """
        opened = ledger.open_storage(storage, must_exist=True)
        if compilation_cache:
            programs.keep_on_disk()
        try:
            study = optuna.load_study(study_name=name, storage=opened)
        except KeyError as error:
            known = ", ".join(sorted(optuna.get_all_study_names(opened))) or "none"
            raise ValueError(f"`name` must be a study of the storage ({known}); got {name!r}.") from error
        space = spaces.from_dict(study.user_attrs["space"])
        return cls(study, sweep.Config(space, capacity=MIN_CAPACITY, **options), study.user_attrs["seed"])

    @property
    def space(self) -> SearchSpace:
        """What is searched."""
        return self._config.space

    @property
    def name(self) -> str:
        """Name of the study in its storage."""
        return self._ledger.study_name

    @property
    def log_axes(self) -> dict[str, bool]:
        """For each hyperparameter whether it is best drawn on a logarithmic axis."""
        return {name: isinstance(axis, Log | Pow2) for name, axis in self.space.axes}

    @property
    def trials(self) -> list[Trial]:
        """All rows of the ledger, oldest first."""
        return ledger.read(self._ledger)

    @property
    def front(self) -> list[Trial]:
        """The measured front: completed trials that none beats at the same cost or less, cheapest first."""
        return ledger.pareto_front(self.trials)

    @property
    def optuna_study(self) -> optuna.Study:
        """The ledger itself, for Optuna's own tools."""
        return self._ledger

    def close(self) -> None:
        """Give the connections to the database back; the study itself stays usable."""
        storage = self._ledger._storage
        storage.remove_session()
        engine = getattr(getattr(storage, "_backend", storage), "engine", None)
        if engine is not None:
            engine.dispose()

    def ask(self, q: int = 1) -> list[Trial]:
        """Suggest `q` trials that know of each other and of all that run elsewhere, and enter them as running."""
        if q < 1:
            raise ValueError(f"`q` must be at least 1; got {q}.")
        return [self._ask_one() for _ in range(q)]

    def _ask_one(self) -> Trial:
        row = ledger.new_row(self._ledger)  # before the suggestion, so that no two workers share an index
        self._pulse.add(row)
        earlier = [t for t in self.trials if t.number < row.number and t.status != "interrupted"]
        suggestion = propose(self._config, earlier, self._seed, self._memory)
        ledger.enter(self._ledger, row, self.space, suggestion)
        return dataclasses.replace(suggestion, number=row.number)

    def tell(self, trial: Trial, score: float, cost: float, **attrs: Any) -> Trial:
        """Record what was measured; a score that is not finite records a failure.

        Args:
            trial: one that `ask` returned.
            score: higher is better.
            cost: > 0, in the unit of all costs of the study.
            **attrs: recorded with the trial (JSON values); `reason` says why a score is not finite.

        Raises:
            ValueError: if the cost is not positive and finite, or the trial has ended already.
        """
        if not math.isfinite(score):
            return self.fail(trial, attrs.pop("reason", f"score is {score}"), cost=cost, **attrs)
        _check_cost(cost)
        return self._end(trial, TrialState.COMPLETE, [float(score), float(cost)], attrs)

    def fail(self, trial: Trial, reason: str, *, cost: float | None = None, **attrs: Any) -> Trial:
        """Record that the configuration does not work: data that the sweep learns from.

        Args:
            trial: one that `ask` returned.
            reason: one line for people.
            cost: what was spent until it failed, if known.
            **attrs: recorded with the trial (JSON values).
        """
        if cost is not None:
            _check_cost(cost)
            attrs["cost"] = float(cost)
        return self._end(trial, TrialState.FAIL, None, attrs | {"reason": reason})

    def interrupt(self, trial: Trial) -> Trial:
        """Take a running trial back: it says nothing about its configuration, which may be proposed again."""
        return self._end(trial, TrialState.FAIL, None, {})

    def _end(self, trial: Trial, state: TrialState, values: list[float] | None, attrs: Mapping[str, Any]) -> Trial:
        row = self._ledger.get_trials(deepcopy=False)[trial.number]
        if row.state.is_finished():
            raise ValueError(f"`trial` must be running; got trial {trial.number}, {ledger.from_frozen(row).status}.")
        ledger.end(self._ledger, row, state, values, attrs)
        self._pulse.discard(trial.number)
        return self.trials[trial.number]

    def run(
        self,
        objective: Objective,
        *,
        num_trials: int | None = None,
        max_cost: float | None = None,
        until_rating: float | None = None,
        catch: tuple[type[Exception], ...] = (FloatingPointError,),
        on_ask: Callable[[Trial], None] | None = None,
        on_tell: Callable[[Trial], None] | None = None,
    ) -> list[Trial]:
        """Ask, run and tell until the study is done; called again, it goes on where it stopped.

        Args:
            objective: values -> (score, cost), or (score, cost, attrs to record).
            num_trials: stop once the study holds this many trials, those of other workers included.
            max_cost: stop once all trials together cost this much.
            until_rating: stop once a suggestion's rating falls below this.
            catch: exceptions of the objective that say that the configuration does not work; any other ends the run,
                with its trial taken back.
            on_ask: called with each trial before it runs.
            on_tell: called with each trial after it ended.

        Returns:
            The trials of the study.

        Raises:
            ValueError: if no stopping rule is given, or one is out of range.
        """
        _check_stopping(num_trials, max_cost, until_rating)
        while not self._is_done(num_trials, max_cost):
            [trial] = self.ask()
            if until_rating is not None and trial.rating is not None and trial.rating < until_rating:
                self.interrupt(trial)
                break
            if on_ask:
                on_ask(trial)
            ended = self._run_one(objective, trial, catch)
            if on_tell:
                on_tell(ended)
        return self.trials

    def _run_one(self, objective: Objective, trial: Trial, catch: tuple[type[Exception], ...]) -> Trial:
        try:
            score, cost, *rest = objective(trial.values)
        except catch as error:
            return self.fail(trial, str(error) or type(error).__name__)
        except BaseException:  # Ctrl-C too: whatever it was, the row must not stay running; it is raised again below
            self.interrupt(trial)
            raise
        return self.tell(trial, score, cost, **(rest[0] if rest else {}))

    def _is_done(self, num_trials: int | None, max_cost: float | None) -> bool:
        trials = [t for t in self.trials if t.status != "interrupted"]
        spent = sum(t.cost or 0.0 for t in trials)
        return (num_trials is not None and len(trials) >= num_trials) or (max_cost is not None and spent >= max_cost)


def _check_cost(cost: float) -> None:
    if not (math.isfinite(cost) and cost > 0):
        raise ValueError(f"`cost` must be positive and finite; got {cost}.")


def _check_stopping(num_trials: int | None, max_cost: float | None, until_rating: float | None) -> None:
    if num_trials is None and max_cost is None and until_rating is None:
        raise ValueError("`run` needs a stopping rule: `num_trials`, `max_cost` or `until_rating`.")
    if num_trials is not None and num_trials < 1:
        raise ValueError(f"`num_trials` must be at least 1; got {num_trials}.")
    for name, value in (("max_cost", max_cost), ("until_rating", until_rating)):
        if value is not None and not value > 0:
            raise ValueError(f"`{name}` must be positive; got {value}.")
