"""Base classes of environments, with gymnax 1.0's interface and several agents, and of wrappers around them.

`VectorEnvironment`, `VectorState` and `select` are in `p3o_jax.vector` and can also be imported from here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from envs.spaces import Box, Discrete, MultiDiscrete
from p3o_jax.vector import VectorEnvironment, VectorState, select

__all__ = [
    "NO_TIME_LIMIT",
    "Box",
    "Discrete",
    "EnvParams",
    "EnvState",
    "Environment",
    "MultiDiscrete",
    "VectorEnvironment",
    "VectorState",
    "Wrapper",
    "select",
]

NO_TIME_LIMIT = 2**31 - 1
"""Value of `max_steps_in_episode` for tasks without a time limit."""


class EnvState(struct.PyTreeNode):
    """State of an episode. Subclasses add their own arrays.

    Attributes:
        time: Number of steps taken in this episode.
    """

    time: Int[Array, ""]


class EnvParams(struct.PyTreeNode):
    """Numerical parameters of a task. Subclasses add their own.

    They are traced by JAX, so that they can be swept or randomised under `vmap`.

    Attributes:
        max_steps_in_episode: Number of steps after which an episode is truncated.
    """

    max_steps_in_episode: int | Int[Array, ""] = NO_TIME_LIMIT


@dataclass(frozen=True)
class Environment:
    """Base class of environments: a frozen dataclass whose fields are static constructor arguments.

    A subclass defines `reset_env`, `step_env`, `get_obs`, `default_params` and the two spaces. The observation must
    be a function of the state alone, because an auto-reset first chooses a state and then observes it.

    If `num_agents` is greater than 1, observations, actions, rewards and `terminated` have a leading axis of agents.
    `step_env` itself respawns an agent whose episode terminates. The whole environment restarts only on truncation.
    """

    metrics: ClassVar[tuple[str, ...]] = ()
    """Names of the entries of `info` that describe an ended episode in addition to its score."""

    costly_reset: ClassVar[bool] = False
    """Whether a reset is expensive, so that rollouts should reset only in steps in which some episode ended."""

    obs_from_state: ClassVar[bool] = True
    """Whether `get_obs` gives the observation of any state, which `VectorEnvironment` wants to know."""

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def num_agents(self) -> int:
        return 1

    @property
    def num_actions(self) -> int:
        """Number of discrete actions, or of components of a continuous one."""
        space = self.action_space(self.default_params)
        return getattr(space, "n", None) or space.shape[0]

    @property
    def default_params(self) -> Any:
        return EnvParams()

    def action_space(self, params: Any = None) -> Discrete | MultiDiscrete | Box:
        """Space of one agent's action."""
        raise NotImplementedError

    def observation_space(self, params: Any = None) -> Box:
        """Space of one agent's observation."""
        raise NotImplementedError

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Shaped[Array, "..."], Any]:
        """Start an episode and return (obs, state)."""
        raise NotImplementedError

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Shaped[Array, "..."], params: Any
    ) -> tuple[Shaped[Array, "..."], Any, Float[Array, "..."], Bool[Array, "..."], dict[str, Any]]:
        """Advance one step without auto-reset and return (obs, state, reward, terminated, info)."""
        raise NotImplementedError

    def as_action(self, action: Any, params: Any = None) -> Shaped[Array, "..."]:
        """Return an action as an array of the action space's shape and type; `step_env` begins with it.

        Where the space holds one number, the action may have any shape that does.

        Args:
            action: Action of the agent, or one of every agent along the first axis.
            params: Parameters of the environment.

        Raises:
            ValueError: The shape is another one, or discrete actions are not integers.
        """
        space = self.action_space(params)
        shape = (self.num_agents, *space.shape) if self.num_agents > 1 else space.shape
        action = jnp.asarray(action)
        if action.shape != shape and not action.size == math.prod(shape) == 1:
            raise ValueError(f"`action` must have shape {shape} in {self.name}; got {action.shape}.")
        if jnp.issubdtype(space.dtype, jnp.integer) and not jnp.issubdtype(action.dtype, jnp.integer):
            raise ValueError(f"`action` must be of an integer type in {self.name}; got {action.dtype}.")
        return action.reshape(shape).astype(space.dtype)

    def get_obs(self, state: Any, params: Any) -> Shaped[Array, "..."]:
        """Return the observation of a state."""
        raise NotImplementedError

    def is_truncated(self, state: Any, params: Any) -> Bool[Array, ""]:
        """Return whether the time limit was reached."""
        return state.time >= params.max_steps_in_episode

    @partial(jax.jit, static_argnames="self")
    def reset(self, key: PRNGKeyArray, params: Any = None) -> tuple[Shaped[Array, "..."], Any]:
        """Start an episode and return (obs, state)."""
        return self.reset_env(key, self.default_params if params is None else params)

    @partial(jax.jit, static_argnames="self")
    def step(self, key: PRNGKeyArray, state: Any, action: Shaped[Array, "..."], params: Any = None):
        """Advance one step and restart at once if the episode ended.

        Every call computes a reset, whether it is needed or not. `VectorEnvironment` avoids that cost for many
        environments.

        Returns:
            (obs, state, reward, terminated, truncated, info). If the episode ended, `obs` and `state` belong to the
            new episode and info["final_observation"] is the last observation of the old one.
        """
        params = self.default_params if params is None else params
        step_key, reset_key = jax.random.split(key)
        final_obs, state, reward, terminated, info = self.step_env(step_key, state, action, params)
        truncated = self.is_truncated(state, params)
        restart = truncated if self.num_agents > 1 else terminated | truncated
        obs, state = select(restart, self.reset_env(reset_key, params), (final_obs, state))
        truncated = jnp.broadcast_to(truncated, terminated.shape)
        return obs, state, reward, terminated, truncated, {**info, "final_observation": final_obs}


@dataclass(frozen=True)
class Wrapper(Environment):
    """Base class of wrappers: an environment that behaves like another except for what a subclass changes.

    The wrapped environment may be another library's, such as gymnax's. Where it has no `num_agents`, `metrics`,
    `costly_reset` or `obs_from_state`, those of `Environment` hold.
    """

    env: Environment

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "env":
            raise AttributeError(name)
        return getattr(self.env, name)

    @property
    def name(self) -> str:
        return self.env.name

    @property
    def num_agents(self) -> int:
        return getattr(self.env, "num_agents", 1)

    @property
    def metrics(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return getattr(self.env, "metrics", ())

    @property
    def costly_reset(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return getattr(self.env, "costly_reset", False)

    @property
    def obs_from_state(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return getattr(self.env, "obs_from_state", False)

    @property
    def default_params(self) -> Any:
        return self.env.default_params

    def action_space(self, params: Any = None):
        return self.env.action_space(params)

    def observation_space(self, params: Any = None) -> Box:
        return self.env.observation_space(params)

    def reset_env(self, key: PRNGKeyArray, params: Any):
        return self.env.reset_env(key, params)

    def step_env(self, key: PRNGKeyArray, state: Any, action: Shaped[Array, "..."], params: Any):
        return self.env.step_env(key, state, action, params)

    def get_obs(self, state: Any, params: Any) -> Shaped[Array, "..."]:
        return self.env.get_obs(state, params)

    def is_truncated(self, state: Any, params: Any) -> Bool[Array, ""]:
        return self.env.is_truncated(state, params)

    def as_action(self, action: Any, params: Any = None) -> Any:
        """Return the action unchanged: the wrapped environment's own `step_env` looks at it."""
        return action
