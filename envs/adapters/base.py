"""What all adapters share: another library's environment as one of the contract that P3O trains on.

Each wraps one library. The state keeps the library's own state, and the observation as one array: several arrays,
such as a board and a mask of legal actions, are flattened and joined in the order of their names. The library's
package is imported when the environment is made.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from envs.environment import NO_TIME_LIMIT, Environment, EnvParams, EnvState
from envs.spaces import Box, Discrete, MultiDiscrete


class AdaptedState(EnvState):
    """State of an episode.

    Attributes:
        world: The library's own state.
        obs: Its observation.
        truncated: Whether the library itself ended the episode for its length.
    """

    world: Any
    obs: Float[Array, "..."]
    truncated: Bool[Array, ""]


@dataclass(frozen=True)
class Adapter(Environment):
    """Another library's environment, equal to all others of the same name and arguments.

    A subclass defines `make_world`, `begin`, `advance` and `action_space`.

    Attributes:
        task: Name of the environment in its library.
        arguments: Names and values of the constructor's arguments, hashable.
    """

    library: ClassVar[str]
    """Name of the package and of the extra that installs it."""
    obs_from_state: ClassVar[bool] = True

    task: str
    arguments: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        _world(self)

    @property
    def name(self) -> str:
        return f"{self.library}:{self.task}"

    @property
    def world(self) -> Any:
        """The library's environment."""
        return _world(self)

    @property
    def time_limit(self) -> int:
        """Steps after which an episode is truncated, where the library leaves that to its user."""
        return NO_TIME_LIMIT

    @property
    def default_params(self) -> EnvParams:
        return EnvParams(max_steps_in_episode=self.time_limit)

    def make_world(self) -> Any:
        """Make the library's environment.

        Raises:
            ValueError: The library has none of that name, or it takes other arguments.
        """
        raise NotImplementedError

    def begin(self, key: PRNGKeyArray) -> tuple[Any, Any]:
        """Start an episode and return (the library's observation, its state)."""
        raise NotImplementedError

    def advance(self, key: PRNGKeyArray, world: Any, action: Shaped[Array, "..."]) -> tuple[Any, Any, Any, Any, Any]:
        """Take a step and return (the library's observation, its state, reward, terminated, truncated)."""
        raise NotImplementedError

    def observation_space(self, params: Any = None) -> Box:
        del params
        return Box(-jnp.inf, jnp.inf, _observation_shape(self), jnp.float32)

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Float[Array, "..."], AdaptedState]:
        del params
        obs, world = self.begin(key)
        obs = joined(obs)
        return obs, AdaptedState(jnp.zeros((), jnp.int32), world, obs, jnp.zeros((), bool))

    def step_env(
        self, key: PRNGKeyArray, state: AdaptedState, action: Shaped[Array, "..."], params: Any
    ) -> tuple[Float[Array, "..."], AdaptedState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        obs, world, reward, terminated, truncated = self.advance(key, state.world, self.as_action(action, params))
        obs, terminated = joined(obs), jnp.asarray(terminated).astype(bool)
        # Some libraries give their first state other types than the later ones, and a loop keeps to one.
        world = jax.tree.map(_as_before, world, state.world)
        state = AdaptedState(state.time + 1, world, obs, jnp.asarray(truncated).astype(bool))
        # Rewards of several agents under one policy are added.
        return obs, state, jnp.sum(jnp.asarray(reward, jnp.float32)), terminated, {}

    def get_obs(self, state: AdaptedState, params: Any) -> Float[Array, "..."]:
        del params
        return state.obs

    def is_truncated(self, state: AdaptedState, params: Any) -> Bool[Array, ""]:
        return state.truncated | (state.time >= params.max_steps_in_episode)


def joined(observation: Any) -> Float[Array, "..."]:
    """Return an observation as one float array; of several arrays, their elements in one row."""
    leaves = [jnp.asarray(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(observation)]
    return leaves[0] if len(leaves) == 1 else jnp.concatenate([leaf.reshape(-1) for leaf in leaves])


def _as_before(new: Any, old: Any) -> Any:
    new, dtype = jnp.asarray(new), jnp.asarray(old).dtype
    return new if new.dtype == dtype else new.astype(dtype)


def space_of(spec: Any) -> Discrete | MultiDiscrete | Box:
    """Return the action space of an array with bounds, or of integers below `num_values`.

    Args:
        spec: With `shape`, and either `num_values` or `minimum` and `maximum`.
    """
    num_values = getattr(spec, "num_values", None)
    if num_values is None:
        bounds = (np.asarray(bound, np.float32) for bound in (spec.minimum, spec.maximum))
        low, high = (np.broadcast_to(bound, spec.shape).reshape(-1) for bound in bounds)
        return Box(low, high, low.shape, jnp.float32)
    if spec.shape == ():
        return Discrete(int(num_values))
    return MultiDiscrete(tuple(int(n) for n in np.ravel(num_values)))


def called(make: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> Any:
    """Call a library's constructor.

    Raises:
        ValueError: It does not take the arguments.
    """
    try:
        return make(**arguments)
    except TypeError as error:
        raise ValueError(f"`arguments` must be some that {name} takes; got {dict(arguments)} ({error}).") from error


@functools.cache
def _world(adapter: Adapter) -> Any:
    # Made in the midst of a compilation, its arrays would be that compilation's.
    with jax.ensure_compile_time_eval():
        try:
            return adapter.make_world()
        except ModuleNotFoundError as error:
            extra = f"pip install 'neocarbs-p3o[{adapter.library}]'"
            message = f"{adapter.library}'s environments need an extra: {extra} (no module {error.name})."
            raise ModuleNotFoundError(message, name=error.name) from error


@functools.cache
def _observation_shape(adapter: Adapter) -> tuple[int, ...]:
    return jax.eval_shape(lambda key: joined(adapter.begin(key)[0]), jax.random.key(0)).shape
