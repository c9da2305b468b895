"""A whole training as one function that can be jitted, vmapped over seeds and over `Params`, and resumed."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from p3o_jax.checks import check_at_least
from p3o_jax.learner import State, init, num_total_updates, steps_per_update, update
from p3o_jax.metrics import Metrics, summarize
from p3o_jax.rollout import make_actor
from p3o_jax.settings import Config, Params

Train = Callable[..., tuple[State, Metrics]]
OnMetrics = Callable[[int, Metrics], None]


@dataclass(frozen=True)
class Callback:
    """A function on the host that is told of a training while it runs, under `vmap` as well.

    Attributes:
        fn: Called with the member that `train` was given, and its metrics so far. Calls may overtake one another; the
            metrics' `steps` tell their order.
        interval: Updates between two calls; the last update always makes one.
    """

    fn: OnMetrics
    interval: int = 10

    def __post_init__(self) -> None:
        check_at_least(1, interval=self.interval)


def make_train(config: Config, env: Any, env_params: Any = None, callback: Callback | None = None) -> Train:
    """Return `train(key, params=Params(), member=0) -> (State, Metrics)`.

    The number of updates is traced, so that trainings of any length share one compilation; under `vmap` the batch runs
    until its last member is done. A training that ceases to be finite ends there (`Metrics.failed`); the others go on.

    Args:
        config: Static settings.
        env: Environment of the gymnax contract, which `vector.py` states.
        env_params: Parameters of the environment; None is its default.
        callback: Told of the training while it runs, and of `member`, a number that tells members of a batch apart.

    Raises:
        ValueError: The environment's spaces do not fit `config`, or its predictions do not fit the memory.
    """
    env_params = env.default_params if env_params is None else env_params
    make_actor(config, env, env_params)
    check_memory(config, env)

    def train(
        key: PRNGKeyArray,
        params: Params = Params(),  # noqa: B008
        member: int | Int[Array, ""] = 0,
    ) -> tuple[State, Metrics]:
        state = init(config, env, key, params, env_params)
        return advance(config, env, state, params, env_params=env_params, callback=callback, member=member)

    return train


def advance(
    config: Config,
    env: Any,
    state: State,
    params: Params,
    num_updates: int | Int[Array, ""] | None = None,
    env_params: Any = None,
    callback: Callback | None = None,
    member: int | Int[Array, ""] = 0,
) -> tuple[State, Metrics]:
    """Return the state after at most `num_updates` more updates, never beyond `params.total_steps`, and the metrics.

    Any way to divide a training into calls gives the same result.

    Args:
        config: Static settings.
        env: Environment of the gymnax contract.
        state: From `init`, an earlier call, or a checkpoint.
        params: Traced settings.
        num_updates: Upper bound of the updates; None is until the end.
        env_params: Parameters of the environment; None is its default.
        callback: Told of the training while it runs.
        member: Number that the callback is given.
    """
    num_steps = steps_per_update(config, env)
    end = num_total_updates(config, env, params)
    if num_updates is not None:
        end = jnp.minimum(end, state.num_updates + num_updates)

    def goes_on(state: State) -> Array:
        return (state.num_updates < end) & ~state.failure.failed

    def step(before: State) -> State:
        state = update(config, env, before, params, env_params)
        if callback is not None:
            # A member of a batch that has ended is stepped with the others, to no effect.
            due = goes_on(before) & ((state.num_updates % callback.interval == 0) | ~goes_on(state))
            _tell(callback, due, member, summarize(state.log, state.failure, num_steps))
        return state

    state = lax.while_loop(goes_on, step, state)
    return state, summarize(state.log, state.failure, num_steps)


def memory_bytes() -> int:
    """Return the memory of the device, or of the host where it does not tell."""
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return limit or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_memory(config: Config, env: Any) -> None:
    """Raise a ValueError if the largest array, the predictions of a segment, is larger than the memory."""
    itemsize = jnp.dtype(config.precision).itemsize
    needed, available = steps_per_update(config, env) * config.num_values * itemsize, memory_bytes()
    if needed > available:
        raise ValueError(
            f"`segment_length` x `num_envs` x {config.num_values} values must fit the memory; "
            f"got {needed / 2**30:.1f} GiB of predictions for {available / 2**30:.1f} GiB."
        )


def _tell(callback: Callback, due: Bool[Array, ""], member: int | Int[Array, ""], metrics: Metrics) -> None:
    """Call the host where `due`. Under `vmap` both branches of a condition run, hence the second look at it."""

    def on_host(due: Array, member: Array, metrics: Metrics) -> None:
        if due:
            callback.fn(int(member), metrics)

    lax.cond(due, lambda: jax.debug.callback(on_host, due, member, metrics), lambda: None)
