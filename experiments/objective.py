"""A P3O training as the objective of a sweep: values -> (score, cost in seconds of training, what else was seen)."""

import contextlib
import math
import time
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from envs.environment import Environment
from experiments import programs
from experiments.environments import make_env
from experiments.saved import keys, to_text
from experiments.settings import CONFIG_NAMES, assignments, flat, replace
from neocarbs_jax.report.progress import Progress
from p3o_jax.settings import Config, Params

__all__ = ["CONFIG_NAMES", "Training", "assignments", "make_env"]


class Training:
    """Train and evaluate one configuration per call; each distinct `Config` is compiled once.

    Values named as fields of `Params` are traced; values named as fields of `Config`, or "network." and a field of
    `NetworkConfig`, select a program.

    Args:
        env: Environment to train on.
        config: Static settings that `values` do not name.
        params: Traced settings that `values` do not name.
        env_name: Name of the environment, kept with each trial.
        seed: Of network, environments and evaluation, together with the values themselves.
        num_episodes: Episodes of the evaluation.
        progress: Display that is told of each phase.
    """

    def __init__(
        self,
        env: Environment,
        config: Config,
        params: Params,
        *,
        env_name: str = "",
        seed: int = 0,
        num_episodes: int = 256,
        progress: Progress | None = None,
    ):
        self.env, self.config, self.params, self.env_name = env, config, params, env_name
        self.seed, self.num_episodes, self.progress = seed, num_episodes, progress
        self._programs: dict[Config, tuple[programs.Programs, programs.Score]] = {}

    def __call__(self, values: Mapping[str, Any]) -> tuple[float, float, dict[str, Any]]:
        """Train with the values; a training that diverged scores NaN and says why."""
        config, params = self.split(values)
        training, score = self._compiled(config)
        settings = self.settings(values)
        train_key, eval_key = keys(self.seed, settings["key"])
        with self._phase("training"):
            start = time.perf_counter()
            state = training.begin(train_key, params)
            limit = jnp.asarray(programs.TO_THE_END, jnp.int32)
            state, metrics = jax.block_until_ready(training.advance(state, params, limit))
            seconds = time.perf_counter() - start
        if metrics.failed:
            reason = f"non-finite {metrics.failed_term} at step {int(metrics.failed_step)}"
            return math.nan, seconds, {"reason": reason, "settings": settings}
        with self._phase("evaluating"):
            evaluation = jax.block_until_ready(score(state, eval_key))
        attrs = {
            "score_std": float(evaluation.score_std),
            "episodes_ended": int(evaluation.num_episodes),
            "steps_per_second": float(params.total_steps) / seconds,
            "settings": settings,
        }
        return float(evaluation.score_mean), seconds, attrs

    def split(self, values: Mapping[str, Any]) -> tuple[Config, Params]:
        """Return the static and the traced settings that the values stand for.

        Raises:
            ValueError: If a name belongs to neither, or a static value is out of range.
        """
        return replace(self.config, self.params, values)

    def settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return everything that a trial of these values is made of, by name: `p3o train --from-trial` repeats it."""
        key = jax.random.fold_in(jax.random.key(self.seed), zlib.crc32(repr(sorted(values.items())).encode()))
        origin = {"env": self.env_name, "seed": self.seed, "key": to_text(key), "episodes": self.num_episodes}
        return origin | flat(*self.split(values))

    def _compiled(self, config: Config) -> tuple[programs.Programs, programs.Score]:
        if config not in self._programs:
            with self._phase("compiling"):
                self._programs[config] = self._compile(config)
            if self.progress:
                self.progress.num_programs = len(self._programs)
        return self._programs[config]

    def _compile(self, config: Config) -> tuple[programs.Programs, programs.Score]:
        training = programs.compile_training(config, self.env, self.params)
        key = jax.eval_shape(lambda: jax.random.key(0))
        state = jax.eval_shape(lambda key: programs.init(config, self.env, key, self.params), key)
        return training, programs.compile_score(config, self.env, state, self.num_episodes)

    def _phase(self, name: str) -> contextlib.AbstractContextManager[None]:
        return self.progress.phase(name) if self.progress else contextlib.nullcontext()
