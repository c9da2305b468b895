"""Base classes of environments: gymnax 1.0's interface, several agents, and rollouts with auto-reset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, Shaped

from envs.spaces import Box, Discrete, MultiDiscrete

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
        """Start an episode and return (obs, state)."""
        raise NotImplementedError

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Shaped[Array, "..."], params: Any
    ) -> tuple[Shaped[Array, "..."], Any, Float[Array, "..."], Bool[Array, "..."], dict[str, Any]]:
        """Advance one step without auto-reset and return (obs, state, reward, terminated, info)."""
        raise NotImplementedError

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


def select(predicate: Bool[Array, "..."], on_true: PyTree, on_false: PyTree) -> PyTree:
    """Apply `jnp.where` to every leaf of two pytrees. The predicate has the leading axes of every leaf."""

    def choose(x, y):
        mask = predicate.reshape(predicate.shape + (1,) * (jnp.ndim(y) - predicate.ndim))
        return jnp.where(mask, x, y)

    return jax.tree.map(choose, on_true, on_false)


class VectorState(struct.PyTreeNode):
    """States of `num_envs` environments (or those times `num_agents` agents) and their running episodes."""

    env: PyTree[Shaped[Array, "num_envs ..."]]
    episode_return: Float[Array, " b"]
    episode_length: Int[Array, " b"]


@dataclass(frozen=True)
class VectorEnvironment:
    """Many copies of one environment (ours or gymnax's) with auto-reset and episode statistics.

    A vector step draws `pool_size` fresh episodes, and environment i, if its episode ended, starts from fresh
    episode i mod `pool_size`. Episodes that end in the same step may so begin alike; those of different steps
    never do. Where a reset is costly the pool is only drawn in steps in which some episode ended.

    Args:
        env: The environment, hashable.
        num_envs: Number of copies.
        pool_size: Fresh episodes drawn per step, at most `num_envs`.
        final_observation: Whether `info` holds the observation that ended an episode. Stacked over a rollout
            it is the largest array of the program.
    """

    env: Any
    num_envs: int
    pool_size: int = 32
    final_observation: bool = False

    def __post_init__(self):
        for field in ("num_envs", "pool_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"`{field}` must be at least 1; got {getattr(self, field)}.")

    @property
    def num_agents(self) -> int:
        return getattr(self.env, "num_agents", 1)

    @property
    def batch_size(self) -> int:
        """Rows of every array: environments times agents."""
        return self.num_envs * self.num_agents

    @partial(jax.jit, static_argnames="self")
    def reset(self, key: PRNGKeyArray, params: Any) -> tuple[Shaped[Array, "b ..."], VectorState]:
        """Start an episode in every environment: (obs, state)."""
        obs, state = self._reset_many(key, params, self.num_envs)
        episode_return = jnp.zeros(self.batch_size, jnp.float32)
        episode_length = jnp.zeros(self.batch_size, jnp.int32)
        return self._merge(obs), VectorState(state, episode_return, episode_length)

    @partial(jax.jit, static_argnames="self")
    def step(self, key: PRNGKeyArray, state: VectorState, action: Shaped[Array, "b ..."], params: Any):
        """Advance every environment, restarting those whose episode ended.

        Returns:
            obs, state, reward, terminated, truncated, info; every array has `batch_size` rows. info: "done";
            "episode_return", "episode_length" so far; "score", valid where done: the task's own measure, the
            return where it has none; the environment's `metrics`; "final_observation" if asked for.
        """
        step_key, reset_key = jax.random.split(key)
        keys = jax.random.split(step_key, self.num_envs)
        step_env = jax.vmap(self.env.step_env, in_axes=(0, 0, 0, None))
        final_obs, env_state, reward, terminated, env_info = step_env(keys, state.env, self._split(action), params)
        truncated = jax.vmap(self.env.is_truncated, in_axes=(0, None))(env_state, params)
        restart = truncated if self.num_agents > 1 else terminated | truncated
        obs, env_state = self._restart(reset_key, restart, final_obs, env_state, params)

        truncated = jnp.broadcast_to(truncated.reshape(self.num_envs, -1), (self.num_envs, self.num_agents))
        terminated, truncated = terminated.reshape(-1), truncated.reshape(-1)
        reward = reward.reshape(-1).astype(jnp.float32)
        done = terminated | truncated
        episode_return = state.episode_return + reward
        episode_length = state.episode_length + 1
        info = {"done": done, "episode_return": episode_return, "episode_length": episode_length}
        info["score"] = env_info["score"].reshape(-1) if "score" in env_info else episode_return
        info |= {metric: env_info[metric].reshape(-1) for metric in getattr(self.env, "metrics", ())}
        if self.final_observation:
            info["final_observation"] = self._merge(final_obs)
        state = VectorState(env_state, jnp.where(done, 0.0, episode_return), jnp.where(done, 0, episode_length))
        return self._merge(obs), state, reward, terminated, truncated, info

    def _restart(self, key, restart, obs, state, params):
        """Replace (obs, state) of the environments to restart by those of the pool."""
        ours = isinstance(self.env, Environment)
        observe = jax.vmap(self.env.get_obs, in_axes=(0, None))

        def from_pool(current):
            pool = self._reset_many(key, params, min(self.pool_size, self.num_envs))
            fresh = jax.tree.map(self._tile, pool)
            return select(restart, fresh[1] if ours else fresh, current)

        current = state if ours else (obs, state)
        if getattr(self.env, "costly_reset", False):
            current = jax.lax.cond(jnp.any(restart), from_pool, lambda x: x, current)
        else:
            current = from_pool(current)
        return (observe(current, params), current) if ours else current

    def _reset_many(self, key, params, count):
        keys = jax.random.split(key, count)
        return jax.vmap(self.env.reset_env, in_axes=(0, None))(keys, params)

    def _tile(self, pool):
        """Repeat the pool along the leading axis to one row per environment."""
        repeats = -(-self.num_envs // pool.shape[0])
        return jnp.tile(pool, (repeats, *(1,) * (pool.ndim - 1)))[: self.num_envs]

    def _merge(self, x):
        """[num_envs, num_agents, ...] -> [batch_size, ...]."""
        return x if self.num_agents == 1 else jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), x)

    def _split(self, x):
        """[batch_size, ...] -> [num_envs, num_agents, ...]."""
        return x if self.num_agents == 1 else x.reshape(self.num_envs, self.num_agents, *x.shape[1:])
