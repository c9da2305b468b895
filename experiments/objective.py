"""A P3O training as the objective of a sweep: values -> (score, cost in seconds of training, what else was seen)."""

import ast
import contextlib
import dataclasses
import math
import time
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from numbers import Real
from typing import Any

import jax

from envs import registry
from envs.environment import Environment
from experiments.saved import as_arrays
from neocarbs_jax.report.progress import Progress
from p3o_jax.evaluate import evaluate
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import PARAM_NAMES, Config, Params
from p3o_jax.train import make_train

CONFIG_NAMES = tuple(field.name for field in dataclasses.fields(Config) if field.name != "network")
NETWORK_NAMES = tuple(f"network.{field.name}" for field in dataclasses.fields(NetworkConfig))
WORDS = {"true": "True", "false": "False", "none": "None", "inf": "1e999"}
"""Words of the shell and the Python literals that they stand for."""


def make_env(name: str) -> Environment:
    """The environment of that name.

    Raises:
        ValueError: If there is none, in the words of the command line.
    """
    try:
        return registry.make(name)
    except (ValueError, ImportError) as error:
        raise ValueError(str(error).replace("`name`", "`env`")) from error


def assignments(entries: Iterable[str]) -> dict[str, Any]:
    """The settings that NAME=VALUE entries of a command line stand for, as Python values.

    Raises:
        ValueError: If an entry reads otherwise, there is no setting of that name, or a traced one gets no number.
    """
    values: dict[str, Any] = {}
    for entry in entries:
        name, equals, text = entry.partition("=")
        if not equals:
            raise ValueError(f"`set` must read NAME=VALUE; got {entry!r}.")
        try:
            values[name] = ast.literal_eval(WORDS.get(text.lower(), text))
        except (ValueError, SyntaxError):
            values[name] = text
    if "reward_scale" in values and values["reward_scale"] is None:
        values["reward_scale"] = "none"  # a scale of that name, where None is the estimator's own
    _check_names("set", values)
    for name, value in values.items():
        if name in PARAM_NAMES and not isinstance(value, Real):
            raise ValueError(f"`set` must give {name} a number; got {value!r}.")
    return values


class Training:
    """Train and evaluate one configuration per call; each distinct `Config` is compiled once.

    Values named as fields of `Params` are traced; values named as fields of `Config`, or "network." and a field of
    `NetworkConfig`, select a program.

    Args:
        env: Environment to train on.
        config: Static settings that `values` do not name.
        params: Traced settings that `values` do not name.
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
        seed: int = 0,
        num_episodes: int = 256,
        progress: Progress | None = None,
    ):
        self.env, self.config, self.params = env, config, params
        self.seed, self.num_episodes, self.progress = seed, num_episodes, progress
        self._programs: dict[Config, tuple[Any, Any]] = {}

    def __call__(self, values: Mapping[str, Any]) -> tuple[float, float, dict[str, Any]]:
        """Train with the values; a training that diverged scores NaN and says why."""
        config, params = self.split(values)
        train, score = self._compiled(config)
        key = jax.random.fold_in(jax.random.key(self.seed), zlib.crc32(repr(sorted(values.items())).encode()))
        train_key, eval_key = jax.random.split(key)
        with self._phase("training"):
            start = time.perf_counter()
            state, metrics = _interruptible(train, train_key, params)
            seconds = time.perf_counter() - start
        if metrics.failed:
            return math.nan, seconds, {"reason": _reason(metrics)}
        with self._phase("evaluating"):
            evaluation = _interruptible(score, state, eval_key)
        attrs = {
            "score_std": float(evaluation.score_std),
            "episodes": int(evaluation.num_episodes),
            "steps_per_second": float(params.total_steps) / seconds,
        }
        return float(evaluation.score_mean), seconds, attrs

    def split(self, values: Mapping[str, Any]) -> tuple[Config, Params]:
        """The static and the traced settings that the values stand for.

        Raises:
            ValueError: If a name belongs to neither, or a static value is out of range.
        """
        _check_names("values", values)
        shape = {name.removeprefix("network."): value for name, value in values.items() if name in NETWORK_NAMES}
        static = {name: value for name, value in values.items() if name in CONFIG_NAMES}
        traced = {name: value for name, value in values.items() if name in PARAM_NAMES}
        network = dataclasses.replace(self.config.network, **shape)
        config = dataclasses.replace(self.config, network=network, **static)
        return config, as_arrays(dataclasses.replace(self.params, **traced))

    def _compiled(self, config: Config) -> tuple[Any, Any]:
        if config not in self._programs:
            with self._phase("compiling"):
                self._programs[config] = _interruptible(self._compile, config)
            if self.progress:
                self.progress.num_programs = len(self._programs)
        return self._programs[config]

    def _compile(self, config: Config) -> tuple[Any, Any]:
        key, params = jax.random.key(0), self.split({})[1]
        train = jax.jit(make_train(config, self.env))
        state, _ = jax.eval_shape(train, key, params)
        score = jax.jit(lambda state, key: evaluate(config, self.env, state, key, self.num_episodes))
        return train.lower(key, params).compile(), score.lower(state, key).compile()

    def _phase(self, name: str) -> contextlib.AbstractContextManager[None]:
        return self.progress.phase(name) if self.progress else contextlib.nullcontext()


def _check_names(argument: str, names: Iterable[str]) -> None:
    known = {*CONFIG_NAMES, *NETWORK_NAMES, *PARAM_NAMES}
    unknown = sorted(set(names) - known)
    if unknown:
        raise ValueError(f"`{argument}` must name some of {', '.join(sorted(known))}; got {', '.join(unknown)}.")


def _interruptible(fn: Any, *args: Any) -> Any:
    """Call from another thread and wait for the arrays, so that Ctrl-C is heard while XLA computes."""
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        return pool.submit(lambda: jax.block_until_ready(fn(*args))).result()
    finally:
        pool.shutdown(wait=False)


def _reason(metrics: Any) -> str:
    return f"non-finite {metrics.failed_term} at step {int(metrics.failed_step)}"
