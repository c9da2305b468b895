"""A P3O training as the objective of a sweep: values -> (score, cost in seconds of training, what else was seen)."""

import contextlib
import math
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import programs
from experiments.continuing import Begun, Checkpoints
from experiments.curves import learning_curve, shorter_trainings
from experiments.environments import make_env, with_arguments
from experiments.saved import Saved, keys, to_text
from experiments.settings import arguments_of, flat, replace
from neocarbs_jax.report.progress import Progress
from neocarbs_jax.study import Trial
from p3o_jax.evaluate import Evaluation
from p3o_jax.learner import State, num_constant_updates, steps_per_update
from p3o_jax.metrics import Metrics
from p3o_jax.settings import Config, Params

__all__ = ["Training"]


class Compiled(NamedTuple):
    """The programs of one static configuration."""

    env: Any
    training: programs.Programs
    score: programs.Score


class Stopwatch:
    """Add up the seconds that calls take until their results are computed."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def time(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what the function gives for the arguments."""
        start = time.perf_counter()
        result = jax.block_until_ready(function(*args))
        self.seconds += time.perf_counter() - start
        return result


class Training:
    """Train and evaluate one configuration per call; each distinct `Config` is compiled once.

    Values named as fields of `Params` are traced; values named as fields of `Config`, or "network." and a field of
    `NetworkConfig`, or "env." and an argument of the environment, select a program.

    Args:
        env: Environment to train on.
        config: Static settings that `values` do not name.
        params: Traced settings that `values` do not name.
        env_name: Name of the environment, kept with each trial.
        seed: Seed of network, environments and evaluation; the values of a trial are part of its key, too.
        num_episodes: Episodes of the evaluation.
        progress: Display that is told of each phase.
        num_seeds: Trainings of a trial, each from another key. Score and cost are their means.
        on_agent: Called with trial, agent and score of a trial's first training, before the trial ends.
        checkpoints: Where trainings leave their states before their final decay, for longer ones to go on from.
        curves: Whether to give the study what each training was before its final decay, as data on shorter ones.
    """

    def __init__(
        self,
        env: Any,
        config: Config,
        params: Params,
        *,
        env_name: str = "",
        seed: int = 0,
        num_episodes: int = 256,
        progress: Progress | None = None,
        num_seeds: int = 1,
        on_agent: Callable[[Trial, Saved, float], None] | None = None,
        checkpoints: Checkpoints | None = None,
        curves: bool = False,
    ):
        self.env, self.config, self.params, self.env_name = env, config, params, env_name
        self.seed, self.num_episodes, self.progress = seed, num_episodes, progress
        self.num_seeds, self.on_agent, self.curves = num_seeds, on_agent, curves
        self.checkpoints = checkpoints
        self._programs: dict[tuple[Config, str], Compiled] = {}

    def __call__(self, values: Mapping[str, Any], trial: Trial | None = None) -> tuple[float, float, dict[str, Any]]:
        """Train with the values; a training that diverged scores NaN and says why.

        A replicate, and each seed of a trial, has a key of its own.
        """
        first = (trial.replicate if trial else 0) * self.num_seeds
        results = []
        for index in range(first, first + self.num_seeds):
            results.append(self._train(values, index, trial))
            if math.isnan(results[-1][0]):
                return results[-1]
        score, cost, attrs = results[0]
        if self.num_seeds == 1:
            return score, cost, attrs
        scores, costs = ([result[column] for result in results] for column in (0, 1))
        spread = {"scores": scores, "score_std_of_seeds": float(np.std(scores, ddof=1))}
        return float(np.mean(scores)), float(np.mean(costs)), attrs | spread

    def _train(
        self, values: Mapping[str, Any], replicate: int, trial: Trial | None
    ) -> tuple[float, float, dict[str, Any]]:
        config, params = self.split(values)
        settings = self.settings(values, replicate)
        compiled = self.compiled(config, settings["env"])
        begun = self._begun(trial, config, compiled.env, params)
        settings |= {"key": begun.key} if begun else {}
        train_key, eval_key = keys(self.seed, settings["key"])
        with self.phase("training"):
            watch = Stopwatch()
            state = watch.time(compiled.training.begin, train_key, params) if begun is None else begun.state
            done, before = int(state.num_updates) * steps_per_update(config, compiled.env), None
            if self.checkpoints and trial:
                constant = num_constant_updates(config, compiled.env, params) - state.num_updates
                state, _ = watch.time(compiled.training.advance, state, params, constant)
                before = watch.seconds
                self.checkpoints.keep(trial, state, settings["key"])
            limit = jnp.asarray(programs.TO_THE_END, jnp.int32)
            state, metrics = watch.time(compiled.training.advance, state, params, limit)
            seconds = watch.seconds
        if metrics.failed:
            reason = f"non-finite {metrics.failed_term} at step {int(metrics.failed_step)}"
            return math.nan, seconds, {"reason": reason, "settings": settings}
        with self.phase("evaluating"):
            evaluation = jax.block_until_ready(compiled.score(state, eval_key))
        score = float(evaluation.score_mean)
        if trial and replicate == trial.replicate * self.num_seeds:
            self.tell_agent(trial, compiled, config, params, state, settings, score)
        inherited = trial.inherited if trial and begun else 0.0
        attrs = self.attributes(metrics, evaluation, params, seconds, settings, done, inherited)
        return score, seconds, attrs | ({} if before is None else {"checkpoint_cost": before})

    def _begun(self, trial: Trial | None, config: Config, env: Any, params: Params) -> Begun | None:
        """Return the training that a trial goes on from; None where it starts afresh."""
        if trial is None or trial.parent is None:
            return None
        if self.checkpoints is None:
            trial.start_afresh()
            return None
        return self.checkpoints.restore(trial, config, env, params)

    def attributes(
        self,
        metrics: Metrics,
        evaluation: Evaluation,
        params: Params,
        seconds: float,
        settings: Mapping[str, Any],
        done: int = 0,
        inherited: float = 0.0,
    ) -> dict[str, Any]:
        """Return what is kept with a trial beside score and cost.

        Args:
            metrics: Of the training, or of its part after the parent's checkpoint.
            evaluation: Of its agent.
            params: Traced settings.
            seconds: Seconds that the training took, or that part of it.
            settings: Every setting by name.
            done: Steps of the parent until its checkpoint.
            inherited: Seconds that those steps took.
        """
        curve = learning_curve(metrics, seconds, done)
        attrs = {
            "score_std": float(evaluation.score_std),
            "training_score": curve[-1][1] if curve else math.nan,
            "episodes_ended": int(evaluation.num_episodes),
            "steps_per_second": (float(params.total_steps) - done) / seconds,
            "learning_curve": curve,
            "settings": settings,
        }
        shorter = shorter_trainings(curve, params, seconds, inherited) if self.curves else []
        return attrs | ({"curve": shorter} if shorter else {})

    def tell_agent(
        self,
        trial: Trial,
        compiled: Compiled,
        config: Config,
        params: Params,
        state: State,
        settings: Mapping[str, Any],
        score: float,
    ) -> None:
        """Hand the agent of a trial to `on_agent`."""
        if self.on_agent:
            agent = Saved(settings["env"], compiled.env, config, params, state, self.seed, settings["key"])
            self.on_agent(trial, agent, score)

    def split(self, values: Mapping[str, Any]) -> tuple[Config, Params]:
        """Return the static and the traced settings that the values stand for.

        Raises:
            ValueError: If a name belongs to neither, or a static value is out of range.
        """
        return replace(self.config, self.params, values)

    def settings(self, values: Mapping[str, Any], replicate: int = 0) -> dict[str, Any]:
        """Return everything that a training of these values is made of, by name: `p3o train --from-trial` repeats it.

        Args:
            values: Of the trial.
            replicate: Number of earlier trainings of the same values; each has another key.
        """
        key = jax.random.fold_in(jax.random.key(self.seed), zlib.crc32(repr(sorted(values.items())).encode()))
        key = jax.random.fold_in(key, replicate) if replicate else key
        arguments = arguments_of(values)
        env = with_arguments(self.env_name, arguments) if arguments else self.env_name
        origin = {"env": env, "seed": self.seed, "key": to_text(key), "episodes": self.num_episodes}
        return origin | flat(*self.split(values))

    def compiled(self, config: Config, env_name: str) -> Compiled:
        """Return the programs of a static configuration, compiled at the first call."""
        if (config, env_name) not in self._programs:
            with self.phase("compiling"):
                env = self.env if env_name == self.env_name else make_env(env_name)
                self._programs[config, env_name] = self._compile(config, env)
            if self.progress:
                self.progress.num_programs = len(self._programs)
        return self._programs[config, env_name]

    def _compile(self, config: Config, env: Any) -> Compiled:
        training = programs.compile_training(config, env, self.params)
        key = jax.eval_shape(lambda: jax.random.key(0))
        state = jax.eval_shape(lambda key: programs.init(config, env, key, self.params), key)
        return Compiled(env, training, programs.compile_score(config, env, state, self.num_episodes))

    def phase(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Name what the block does, if a display is told."""
        return self.progress.phase(name) if self.progress else contextlib.nullcontext()
