"""The compiled programs of a training, which `p3o train` and sweeps share, so that both give the same numbers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from p3o_jax.devices import over_devices
from p3o_jax.evaluate import MAX_STEPS, Evaluation, Which, evaluate
from p3o_jax.learner import State, init
from p3o_jax.metrics import Metrics, summarize
from p3o_jax.settings import Config, Params
from p3o_jax.train import advance, make_train

TO_THE_END = 2**30
"""Updates that no training has: `advance` stops at the end of the budget."""

summary = jax.jit(summarize, static_argnums=2)
"""`summarize` as one program; eagerly it is twenty."""

Begin = Callable[[Any, Params], State]
Advance = Callable[[State, Params, Any], tuple[State, Metrics]]
Score = Callable[[State, Any], Evaluation]


class Programs(NamedTuple):
    """What a training is made of; a training that is cut into calls of `advance` is the same to the last bit.

    Attributes:
        begin: (key, params) -> state before the first update.
        advance: (state, params, largest number of updates) -> (state, metrics).
    """

    begin: Begin
    advance: Advance


def shapes(tree: Any) -> Any:
    """Return shapes and types of the arrays; a program that is compiled for them takes new and restored states.

    Arrays themselves tell whether they are bound to a device, as restored ones are, which the compilation cache heeds.
    """
    return jax.eval_shape(lambda: tree)


def check(config: Config, env: Any) -> None:
    """Raise a ValueError if the environment does not fit the settings, or a segment the memory."""
    make_train(config, env)


def compile_training(config: Config, env: Any, params: Params) -> Programs:
    """Compile the programs of a training; other values of `params` need no others."""
    begin = jax.jit(lambda key, params: init(config, env, key, params))
    begin = begin.lower(_key(), shapes(params)).compile()
    return Programs(begin, compile_advance(config, env, params))


def compile_advance(config: Config, env: Any, params: Params, num_devices: int = 1) -> Advance:
    """Compile `Programs.advance` alone, for a training whose state is there.

    Args:
        config: Static settings.
        env: The environment.
        params: Traced settings; only their shapes are read.
        num_devices: Devices of this process that share the environments. States come from the first one, and go there.

    Raises:
        ValueError: The environments cannot be divided among so many devices.
    """
    traced, limit = shapes(params), jax.ShapeDtypeStruct((), jnp.int32)
    state = jax.eval_shape(lambda key, params: init(config, env, key, params), _key(), traced)
    step = jax.jit(lambda state, params, limit: advance(config, env, state, params, num_updates=limit))
    if num_devices == 1:
        return step.lower(state, traced, limit).compile()
    devices = jax.local_devices()[:num_devices]
    with over_devices(devices):
        spread = step.lower(state, traced, limit).compile()
    where, _ = spread.input_shardings
    return lambda *args: jax.device_put(spread(*jax.device_put(args, where)), devices[0])


def _key() -> Any:
    """Return the shape and type of a random key."""
    return jax.eval_shape(lambda: jax.random.key(0))


def compile_score(
    config: Config,
    env: Any,
    state: State,
    num_episodes: int,
    *,
    deterministic: bool = False,
    max_steps: int = MAX_STEPS,
    which: Which = "first",
) -> Score:
    """Compile (state, key) -> evaluation; the state may be one of shapes only."""
    options = {"deterministic": deterministic, "max_steps": max_steps, "which": which}
    score = jax.jit(lambda state, key: evaluate(config, env, state, key, num_episodes, **options))
    return score.lower(shapes(state), _key()).compile()
