"""The environment contract (gymnax 1.0) and the multi-agent convention.

`VectorEnvironment`, `VectorState` and `select` live in `p3o_jax.vector` and can still be imported from here.
"""

from __future__ import annotations

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
    "select",
]

NO_TIME_LIMIT = 2**31 - 1
"""`max_steps_in_episode` of tasks whose original never truncates."""


class EnvState(struct.PyTreeNode):
    """What an episode carries; subclasses add their own arrays.

    Attributes:
        time: Steps taken in this episode.
    """

    time: Int[Array, ""]


class EnvParams(struct.PyTreeNode):
    """Traced numbers of a task, free to be swept or randomised under vmap; subclasses add their own.

    Attributes:
        max_steps_in_episode: Steps after which an episode is truncated.
    """

    max_steps_in_episode: int | Int[Array, ""] = NO_TIME_LIMIT


@dataclass(frozen=True)
class Environment:
    """Base of every environment: a frozen dataclass whose fields are its static constructor arguments.

    A subclass defines `reset_env`, `step_env`, `get_obs`, `default_params` and the two spaces. The
    observation is a pure function of the state, so that an auto-reset selects states and observes once.

    With `num_agents` > 1 observations, actions, rewards and `terminated` have a leading agent axis. An agent
    whose episode terminates is respawned by `step_env` itself; the whole environment restarts on truncation.
    """

    metrics: ClassVar[tuple[str, ...]] = ()
    """Entries of `info`, beside the score, that describe an ended episode; rollouts hand them on."""

    costly_reset: ClassVar[bool] = False
    """Whether a fresh episode costs more than a branch; then rollouts only build one if some episode ended."""

    obs_from_state: ClassVar[bool] = True
    """Tells `VectorEnvironment` that `get_obs` gives the observation of any state."""

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
        return space.n if isinstance(space, Discrete) else space.shape[0]

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
        """Start an episode: (obs, state)."""
        raise NotImplementedError

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Shaped[Array, "..."], params: Any
    ) -> tuple[Shaped[Array, "..."], Any, Float[Array, "..."], Bool[Array, "..."], dict[str, Any]]:
        """Advance one step without auto-reset: (obs, state, reward, terminated, info)."""
        raise NotImplementedError

    def get_obs(self, state: Any, params: Any) -> Shaped[Array, "..."]:
        """The observation of a state."""
        raise NotImplementedError

    def is_truncated(self, state: Any, params: Any) -> Bool[Array, ""]:
        """Whether the time limit was reached."""
        return state.time >= params.max_steps_in_episode

    @partial(jax.jit, static_argnames="self")
    def reset(self, key: PRNGKeyArray, params: Any = None) -> tuple[Shaped[Array, "..."], Any]:
        """Start an episode: (obs, state)."""
        return self.reset_env(key, self.default_params if params is None else params)

    @partial(jax.jit, static_argnames="self")
    def step(self, key: PRNGKeyArray, state: Any, action: Shaped[Array, "..."], params: Any = None):
        """Advance one step, restarting an ended episode at once.

        Builds a fresh episode on every call; `VectorEnvironment` does the same for many far more cheaply.

        Returns:
            obs, state, reward, terminated, truncated, info. `obs` and `state` are those of the new episode
            where the old one ended; info["final_observation"] is the last observation of the old one.
        """
        params = self.default_params if params is None else params
        step_key, reset_key = jax.random.split(key)
        final_obs, state, reward, terminated, info = self.step_env(step_key, state, action, params)
        truncated = self.is_truncated(state, params)
        restart = truncated if self.num_agents > 1 else terminated | truncated
        obs, state = select(restart, self.reset_env(reset_key, params), (final_obs, state))
        truncated = jnp.broadcast_to(truncated, terminated.shape)
        return obs, state, reward, terminated, truncated, {**info, "final_observation": final_obs}
