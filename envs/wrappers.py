"""Wrappers: episode statistics, stacks of observations, running normalisation, gymnax's former interface."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from envs.environment import Box, Environment, Wrapper
from envs.spaces import gymnax_space
from p3o_jax.checks import check_at_least
from p3o_jax.vector import VectorEnvironment, VectorState, select


class StatisticsState(struct.PyTreeNode):
    """The wrapped state, and the return and length so far of every agent's episode."""

    env: Any
    episode_return: Float[Array, "*agents"]
    episode_length: Int[Array, "*agents"]

    @property
    def time(self) -> Int[Array, ""]:
        return self.env.time


@dataclass(frozen=True)
class EpisodeStatistics(Wrapper):
    """Add "episode_return" and "episode_length" to `info`, for loops that do not use `VectorEnvironment`."""

    def reset_env(self, key: PRNGKeyArray, params: Any):
        obs, state = self.env.reset_env(key, params)
        shape = (self.num_agents,) if self.num_agents > 1 else ()
        return obs, StatisticsState(state, jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.int32))

    def step_env(self, key: PRNGKeyArray, state: StatisticsState, action: Shaped[Array, "..."], params: Any):
        obs, env_state, reward, terminated, info = self.env.step_env(key, state.env, action, params)
        reward = jnp.asarray(reward, jnp.float32)
        total, length = state.episode_return + reward, state.episode_length + 1
        info = {**info, "episode_return": total, "episode_length": length}
        after = StatisticsState(env_state, jnp.where(terminated, 0.0, total), jnp.where(terminated, 0, length))
        return obs, after, reward, terminated, info

    def get_obs(self, state: StatisticsState, params: Any) -> Shaped[Array, "..."]:
        return self.env.get_obs(state.env, params)

    def is_truncated(self, state: StatisticsState, params: Any) -> Bool[Array, ""]:
        return self.env.is_truncated(state.env, params)


class StackState(struct.PyTreeNode):
    """The wrapped state and the last observations, stacked on the last axis with the oldest first."""

    env: Any
    frames: Shaped[Array, "... k"]

    @property
    def time(self) -> Int[Array, ""]:
        return self.env.time


@dataclass(frozen=True)
class FrameStack(Wrapper):
    """Stack the last `num_frames` observations on a new last axis. An episode starts with its first one repeated."""

    num_frames: int = 4

    @property
    def obs_from_state(self) -> bool:
        return True  # the state carries the frames

    def __post_init__(self):
        check_at_least(1, num_frames=self.num_frames)

    def observation_space(self, params: Any = None) -> Box:
        space = self.env.observation_space(params)
        low, high = (np.asarray(x)[..., None] if np.ndim(x) else x for x in (space.low, space.high))
        return Box(low, high, (*space.shape, self.num_frames), space.dtype)

    def reset_env(self, key: PRNGKeyArray, params: Any):
        obs, state = self.env.reset_env(key, params)
        frames = jnp.repeat(obs[..., None], self.num_frames, axis=-1)
        return frames, StackState(state, frames)

    def step_env(self, key: PRNGKeyArray, state: StackState, action: Shaped[Array, "..."], params: Any):
        obs, env_state, reward, terminated, info = self.env.step_env(key, state.env, action, params)
        frames = jnp.concatenate([state.frames[..., 1:], obs[..., None]], axis=-1)
        if self.num_agents > 1:  # the agents that respawned begin a new stack
            frames = select(terminated, jnp.repeat(obs[..., None], self.num_frames, axis=-1), frames)
        return frames, StackState(env_state, frames), reward, terminated, info

    def get_obs(self, state: StackState, params: Any) -> Shaped[Array, "..."]:
        return state.frames

    def is_truncated(self, state: StackState, params: Any) -> Bool[Array, ""]:
        return self.env.is_truncated(state.env, params)


class RunningMoments(struct.PyTreeNode):
    """Mean and variance of all values so far."""

    mean: Float[Array, "..."]
    variance: Float[Array, "..."]
    count: Float[Array, ""]

    @classmethod
    def create(cls, shape: tuple[int, ...]) -> RunningMoments:
        """Return the moments of no values yet, with mean 0 and variance 1."""
        return cls(jnp.zeros(shape), jnp.ones(shape), jnp.full((), 1e-4))

    def update(self, batch: Float[Array, "b ..."]) -> RunningMoments:
        """Return the moments with a batch of values added (Chan et al., 1983)."""
        size = batch.shape[0]
        total = self.count + size
        delta = jnp.mean(batch, axis=0) - self.mean
        squares = self.variance * self.count + jnp.var(batch, axis=0) * size
        squares += delta**2 * self.count * size / total
        return RunningMoments(self.mean + delta * size / total, squares / total, total)


class NormalizeState(struct.PyTreeNode):
    """State of a `NormalizedVector`: the wrapped state and moments of observations and of discounted returns."""

    vector: VectorState
    obs: RunningMoments
    returns: RunningMoments
    discounted: Float[Array, " b"]


@dataclass(frozen=True)
class NormalizedVector:
    """A `VectorEnvironment` with running normalisation of observations and rewards.

    Observations are shifted and scaled to mean 0 and standard deviation 1. Rewards are divided by the standard
    deviation of the discounted return. The episode statistics in `info` are not normalised.

    Args:
        vector: The vector environment that is wrapped.
        observations: Whether to normalise observations.
        rewards: Whether to normalise rewards.
        gamma: Discount of the return whose standard deviation divides the rewards.
        clip: Largest magnitude of observations and rewards after normalisation.
    """

    vector: VectorEnvironment
    observations: bool = True
    rewards: bool = True
    gamma: float = 0.99
    clip: float = 10.0

    @partial(jax.jit, static_argnames="self")
    def reset(self, key: PRNGKeyArray, params: Any):
        """Start an episode in every environment and return (obs, state)."""
        obs, vector = self.vector.reset(key, params)
        moments = RunningMoments.create(obs.shape[1:]).update(obs.astype(jnp.float32))
        state = NormalizeState(vector, moments, RunningMoments.create(()), jnp.zeros(self.vector.batch_size))
        return self._obs(obs, moments), state

    @partial(jax.jit, static_argnames="self")
    def step(self, key: PRNGKeyArray, state: NormalizeState, action: Shaped[Array, "b ..."], params: Any):
        """Advance every environment, as `VectorEnvironment.step` does."""
        obs, vector, reward, terminated, truncated, info = self.vector.step(key, state.vector, action, params)
        moments = state.obs.update(obs.astype(jnp.float32))
        discounted = self.gamma * state.discounted + reward
        returns = state.returns.update(discounted)
        if self.rewards:
            reward = jnp.clip(reward / jnp.sqrt(returns.variance + 1e-8), -self.clip, self.clip)
        if "final_observation" in info:
            info = {**info, "final_observation": self._obs(info["final_observation"], moments)}
        state = NormalizeState(vector, moments, returns, jnp.where(info["done"], 0.0, discounted))
        return self._obs(obs, moments), state, reward, terminated, truncated, info

    def _obs(self, obs, moments):
        if not self.observations:
            return obs
        normal = (obs.astype(jnp.float32) - moments.mean[None]) / jnp.sqrt(moments.variance + 1e-8)[None]
        return jnp.clip(normal, -self.clip, self.clip)


@dataclass(frozen=True)
class LegacyView:
    """The interface of gymnax before 1.0, for loops in the style of PureJaxRL.

    `step` restarts ended episodes and returns (obs, state, reward, done, info). An episode that was terminated or
    truncated is done. Where gymnax is installed, spaces are of its classes, which loops such as rejax's ask for.

    What else the environment has, such as `num_agents` and `metrics`, the view has too.
    """

    env: Environment

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "env":
            raise AttributeError(name)
        return getattr(self.env, name)

    def action_space(self, params: Any = None) -> Any:
        return _gymnax_space_if_installed(self.env.action_space(params))

    def observation_space(self, params: Any = None) -> Any:
        return _gymnax_space_if_installed(self.env.observation_space(params))

    def reset(self, key: PRNGKeyArray, params: Any = None):
        """Start an episode and return (obs, state)."""
        return self.env.reset(key, params)

    def step(self, key: PRNGKeyArray, state: Any, action: Shaped[Array, "..."], params: Any = None):
        """Advance one step and return (obs, state, reward, done, info)."""
        obs, state, reward, terminated, truncated, info = self.env.step(key, state, action, params)
        info = {k: v for k, v in info.items() if k != "final_observation"}
        info["discount"] = jnp.where(terminated, 0.0, 1.0)
        return obs, state, reward, jnp.logical_or(terminated, truncated), info


def _gymnax_space_if_installed(space: Any) -> Any:
    """Return a space of gymnax's classes, or our own where nobody can ask for theirs."""
    return gymnax_space(space) if importlib.util.find_spec("gymnax") else space
