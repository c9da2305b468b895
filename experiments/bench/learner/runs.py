"""What the learning benchmark trains: tasks, the one setting, and runs of many seeds as plain records."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from envs import registry
from experiments.bench import harness
from p3o_jax.metrics import Metrics
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import PARAM_NAMES, Config, Params
from p3o_jax.train import make_train


class Task(NamedTuple):
    """One environment and how long to train on it.

    Attributes:
        env: Name for `registry.make`.
        steps: Environment steps of a training.
        short_steps: The same in the short form.
        lowest: Score from which ratios count, the least that the task gives.
    """

    env: str
    steps: float
    short_steps: float
    lowest: float = 0.0


TASKS = {
    "cartpole": Task("gymnax:CartPole-v1", 5e5, 1e5),
    "catch": Task("gymnax:Catch-bsuite", 5e5, 1e5, lowest=-1.0),
    "chain": Task("gymnax:DiscountingChain-bsuite", 5e5, 1e5),
    "minatar_breakout": Task("gymnax:Breakout-MinAtar", 2e6, 2e5),
    "space_invaders": Task("gymnax:SpaceInvaders-MinAtar", 2e6, 2e5),
    "asterix": Task("gymnax:Asterix-MinAtar", 2e6, 2e5),
    "pong": Task("pong", 4e6, 5e5, lowest=-21.0),
    "foraging": Task("foraging", 5e6, 5e5),
    "breakout": Task("breakout", 1e7, 5e5),
    "connect4": Task("connect4", 5e6, 5e5, lowest=-1.0),
}


COMPARED = ("num_envs", "segment_length", "num_minibatches", "horizon", "bands")
"""Fields of `Config` that two trainings must share to be compared, unless they are what is compared."""

FORMER = {"num_envs": 64, "segment_length": 128, "num_minibatches": 8, "horizon": 128, "bands": 0}
"""Values of these fields in older records, which hold only those that the run or the setting gave."""


def compared_of(config: Config) -> dict[str, int]:
    """Return the fields of `COMPARED`."""
    return {name: int(getattr(config, name)) for name in COMPARED}


def check_tasks(names: Sequence[str]) -> None:
    """Check that all are in `TASKS`.

    Raises:
        ValueError: If one is not.
    """
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise ValueError(f"`tasks` must be among {', '.join(TASKS)}; got {', '.join(unknown)}.")


class Setting(NamedTuple):
    """An estimator with values of its own, named as fields of `Config` or `Params`."""

    estimator: str
    values: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Record:
    """All that is kept of one setting's trainings on one task.

    Attributes:
        task: Name in `TASKS`.
        estimator: Of the learner.
        values: What differs from the one setting.
        learning_rate: At the start of a training.
        steps: Environment steps at the end of each interval.
        score: Mean score of the episodes that ended in each interval, one row per seed; None where none ended.
        explained: Explained variance per interval and band or lag, mean over seeds, of the default setting of P3O.
        weights: Weight per interval and band or lag, likewise; empty in older records.
        signal_to_noise: Per interval and band or group of lags, likewise; empty without `evidence`.
        shape: Fields of `Config` in `COMPARED`, as they were in force; empty in older records.
        seconds: Of all seeds together, compilation included.
        command: That made it.
        versions: Of Python and packages, and the device.
        seed: Where the random keys came from; None in older records, whose `command` tells.
        params: Every number of `Params`, None for infinity, so that a record outlives their defaults; empty in older
          records.
        fixed: Fields of `Config` and `Params` that were given for all trainings of the run.
    """

    task: str
    estimator: str
    values: dict[str, Any]
    learning_rate: float
    steps: list[float]
    score: list[list[float | None]]
    explained: list[list[float | None]]
    seconds: float
    command: str
    versions: str
    seed: int | None = None
    params: dict[str, float | None] = dataclasses.field(default_factory=dict)
    fixed: dict[str, Any] = dataclasses.field(default_factory=dict)
    weights: list[list[float | None]] = dataclasses.field(default_factory=list)
    signal_to_noise: list[list[float | None]] = dataclasses.field(default_factory=list)
    shape: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def in_force(self) -> dict[str, Any]:
        """The fields of `COMPARED` as the training had them, whatever gave them."""
        known = FORMER | self.fixed | self.values | self.shape
        return {name: known[name] for name in COMPARED}

    @property
    def key(self) -> tuple[Any, ...]:
        """What another record must share to be replaced by this one."""
        return self.task, self.estimator, *sorted(self.values.items())


def config_of(estimator: str, **overrides: Any) -> Config:
    """The one setting; its 64 environments have segments of 128 steps, so that all records compare."""
    own: dict[str, Any] = {"network": NetworkConfig(width=64, depth=2), "estimator": estimator}
    if "num_envs" not in overrides:
        own["segment_length"] = FORMER["segment_length"]
    return Config(**(own | overrides))


def trained_config(setting: Setting, fixed: Mapping[str, Any]) -> Config:
    """The one setting with what is fixed for all trainings of a run, and the setting's own values over it."""
    given = {**fixed, **setting.values}
    return config_of(setting.estimator, **{name: value for name, value in given.items() if name not in PARAM_NAMES})


def train_all(env: Any, config: Config, settings: Sequence[Params], num_seeds: int, seed: int = 0) -> Metrics:
    """Metrics with leading axes (setting, seed), by one compilation.

    On a CPU one training runs after another, which takes .7 of the time of a batch of small matrix products.
    """
    train = make_train(config, env)
    keys = jax.random.split(jax.random.key(seed), num_seeds)
    params = jax.tree.map(lambda *x: jnp.asarray(x, jnp.float32), *settings)
    each = lax.map if jax.default_backend() == "cpu" else lambda f, x: jax.vmap(f)(x)

    def seeds(params: Params) -> Metrics:
        return each(lambda key: train(key, params)[1], keys)

    return jax.block_until_ready(jax.jit(lambda params: each(seeds, params))(params))


def make_records(
    task: str, settings: Sequence[Setting], params: Params, num_seeds: int, seed: int, fixed: Mapping[str, Any]
) -> list[Record]:
    """Train every setting on a task; those that share a `Config` share a compilation.

    Args:
        task: Name in `TASKS`.
        settings: What differs from the rest, field by field of `Params` and `Config`.
        params: Traced values of the others.
        num_seeds: Trainings of each.
        seed: Where their random keys come from.
        fixed: Fields of `Config` and `Params` for all of them.
    """
    env = registry.make(TASKS[task].env)
    params = dataclasses.replace(params, **{name: value for name, value in fixed.items() if name in PARAM_NAMES})
    groups: dict[Config, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(trained_config(setting, fixed), []).append(setting)
    records = []
    for config, group in groups.items():
        start = time.perf_counter()
        traced = [{k: v for k, v in setting.values.items() if k in PARAM_NAMES} for setting in group]
        resolved = [dataclasses.replace(params, **values) for values in traced]
        metrics = train_all(env, config, resolved, num_seeds, seed)
        seconds = (time.perf_counter() - start) / len(group)
        for i, setting in enumerate(group):
            of_setting = jax.tree.map(lambda x, i=i: x[i], metrics)
            records.append(_record(task, setting, config, resolved[i], of_setting, seconds, seed, dict(fixed)))
    return records


def _record(
    task: str,
    setting: Setting,
    config: Config,
    params: Params,
    metrics: Metrics,
    seconds: float,
    seed: int,
    fixed: dict[str, Any],
) -> Record:
    measured = harness.stamp()
    is_default = setting.estimator == "p3o" and not setting.values

    def of_default(x: Any) -> Any:
        return _plain(np.asarray(x).mean(axis=0) if is_default and np.size(x) else np.zeros((0, 0)))

    return Record(
        task=task,
        estimator=setting.estimator,
        values=dict(setting.values),
        learning_rate=float(params.learning_rate),
        steps=_plain(np.asarray(metrics.steps)[0]),
        score=_plain(np.asarray(metrics.score)),
        explained=of_default(metrics.explained_variance),
        weights=of_default(metrics.weights),
        signal_to_noise=of_default(metrics.signal_to_noise),
        seconds=round(seconds, 1),
        command=measured.command,
        versions=measured.environment,
        seed=seed,
        params={name: _plain(np.asarray(getattr(params, name), float)) for name in PARAM_NAMES},
        fixed=fixed,
        shape=compared_of(config),
    )


def _plain(x: np.ndarray) -> Any:
    """Nested lists of numbers with five digits, None for what is not finite."""
    if x.ndim:
        return [_plain(row) for row in x]
    return float(f"{x:.5g}") if np.isfinite(x) else None
