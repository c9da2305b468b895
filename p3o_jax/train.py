"""A whole training as one function, to be jitted, vmapped over seeds and over `Params`, and resumed."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, PRNGKeyArray

from p3o_jax.learner import State, init, num_total_updates, steps_per_update, update
from p3o_jax.metrics import Metrics, summarize
from p3o_jax.rollout import make_actor
from p3o_jax.settings import Config, Params

Train = Callable[..., tuple[State, Metrics]]


def make_train(config: Config, env: Any, env_params: Any = None) -> Train:
    """Returns `train(key, params=Params()) -> (State, Metrics)`.

    The number of updates is traced, so that trainings of any length share one compilation; under `vmap` the batch runs
    until its last member is done. A training that ceases to be finite ends there (`Metrics.failed`); the others go on.

    Args:
      config: static settings.
      env: environment of the gymnax contract: ours, or gymnax's own.
      env_params: of the environment; None is its default.

    Raises:
      ValueError: the environment's spaces do not fit `config`.
    """
    env_params = env.default_params if env_params is None else env_params
    make_actor(config, env, env_params)

    def train(key: PRNGKeyArray, params: Params = Params()) -> tuple[State, Metrics]:  # noqa: B008
        state = init(config, env, key, params, env_params)
        return advance(config, env, state, params, env_params=env_params)

    return train


def advance(
    config: Config,
    env: Any,
    state: State,
    params: Params,
    num_updates: int | Int[Array, ""] | None = None,
    env_params: Any = None,
) -> tuple[State, Metrics]:
    """Returns the state after at most `num_updates` more updates, never beyond `params.total_steps`, and the metrics.

    Any way to divide a training into calls gives the same result.

    Args:
      config: static settings.
      env: environment of the gymnax contract.
      state: from `init`, an earlier call, or a checkpoint.
      params: traced settings.
      num_updates: at most so many; None is until the end.
      env_params: of the environment; None is its default.
    """
    end = num_total_updates(config, env, params)
    if num_updates is not None:
        end = jnp.minimum(end, state.num_updates + num_updates)

    def goes_on(state: State) -> Array:
        return (state.num_updates < end) & ~state.failure.failed

    state = lax.while_loop(goes_on, lambda state: update(config, env, state, params, env_params), state)
    return state, summarize(state.log, state.failure, steps_per_update(config, env))
