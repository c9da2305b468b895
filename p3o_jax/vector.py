"""Many copies of one environment with auto-reset and episode statistics.

An environment is anything of the gymnax 1.0 contract, ours or somebody else's: a hashable object with `reset_env(key,
params) -> (obs, state)`, `step_env(key, state, action, params) -> (obs, state, reward, terminated, info)` and
`is_truncated(state, params)`. These attributes are read where an environment has them:

* `num_agents` (default 1): with more, observations, actions, rewards and `terminated` have a leading agent axis.
* `metrics` (default none): entries of `info`, beside "score", that are handed on.
* `costly_reset` (default False): fresh episodes are only built in steps in which some episode ended.
* `obs_from_state` (default False): `get_obs(state, params)` gives the observation of any state. A restart then selects
  between states and observes once, instead of selecting between observations too.
* `vectorized` (default none): function of a number of copies that returns what stands for a `VectorEnvironment` of
  them, where copies cannot be vmapped: those that run on the host.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, Shaped

from p3o_jax.checks import check_at_least


def select(predicate: Bool[Array, "..."], on_true: PyTree, on_false: PyTree) -> PyTree:
    """Return `where` over two equal pytrees, the predicate matching the leading axes of every leaf."""

    def choose(x: Array, y: Array) -> Array:
        mask = predicate.reshape(predicate.shape + (1,) * (jnp.ndim(y) - predicate.ndim))
        return jnp.where(mask, x, y)

    return jax.tree.map(choose, on_true, on_false)


DEFAULT_POOL = 32
"""Fresh episodes per step where one more costs too much in every step."""


class VectorState(struct.PyTreeNode):
    """States of all environments, and the running episode of every agent.

    Attributes:
        env: States of the environments.
        episode_return: Sum of rewards of the running episode.
        episode_length: Steps of the running episode.
    """

    env: PyTree[Shaped[Array, "num_envs ..."]]
    episode_return: Float[Array, " b"]
    episode_length: Int[Array, " b"]


@dataclass(frozen=True)
class VectorEnvironment:
    """Many copies of one environment, with auto-reset and episode statistics.

    A vector step draws `pool_size` fresh episodes, and environment i, if its episode ended, starts from fresh
    episode i mod `pool_size`. Episodes that end in the same step may so begin alike; those of different steps
    never do. Where all episodes have one length, all end in the same step, and a pool of 32 gives at most 32 starts.

    By default each episode starts by itself where the environment has `costly_reset`, since fresh episodes are then
    drawn only in steps in which an episode ended: that costs up to 1% of a step (foraging, boids, agar; under `vmap`,
    which draws in every step, 4 to 14%). Elsewhere the default pool is 32: on a CPU 1024 independent starts in every
    step cost 16% more time in pong, 34% in maze, and 17 to 43% in gymnax's Pendulum, Breakout and CartPole.

    Attributes:
        env: The environment, hashable.
        num_envs: Number of copies.
        pool_size: Fresh episodes drawn per step; no more than `num_envs` are used. None is `num_envs` where the
            environment has `costly_reset`, and otherwise 32.
        final_observation: Whether `info` holds the observation that ended an episode. Stacked over a rollout
            it is the largest array of the program.
    """

    env: Any
    num_envs: int
    pool_size: int | None = None
    final_observation: bool = False

    def __post_init__(self) -> None:
        check_at_least(1, num_envs=self.num_envs, pool_size=self.pool_size)

    @property
    def num_agents(self) -> int:
        """Agents of each environment."""
        return getattr(self.env, "num_agents", 1)

    @property
    def batch_size(self) -> int:
        """Rows of every array: environments times agents."""
        return self.num_envs * self.num_agents

    @property
    def num_fresh(self) -> int:
        """Fresh episodes drawn per step, the default resolved."""
        default = self.num_envs if getattr(self.env, "costly_reset", False) else DEFAULT_POOL
        return min(default if self.pool_size is None else self.pool_size, self.num_envs)

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
            obs, state, reward, terminated, truncated, info; every array has `batch_size` rows. `info` has "done";
            "episode_return" and "episode_length" so far; "score", valid where done: the environment's own measure,
            or the return where it has none; the environment's `metrics`; and "final_observation" if asked for. Where an
            environment tells which agents are "controlled", so does `info`, and the episodes of others are not "done".

        Raises:
            ValueError: `action` has another number of rows.
        """
        if jnp.shape(action)[:1] != (self.batch_size,):
            raise ValueError(f"`action` must have {self.batch_size} rows; got shape {jnp.shape(action)}.")
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
        if "controlled" in env_info:
            info["controlled"] = env_info["controlled"].reshape(-1)
            info["done"] = done & info["controlled"]
        info["score"] = env_info["score"].reshape(-1) if "score" in env_info else episode_return
        info |= {metric: env_info[metric].reshape(-1) for metric in getattr(self.env, "metrics", ())}
        if self.final_observation:
            info["final_observation"] = self._merge(final_obs)
        state = VectorState(env_state, jnp.where(done, 0.0, episode_return), jnp.where(done, 0, episode_length))
        return self._merge(obs), state, reward, terminated, truncated, info

    def _restart(self, key: PRNGKeyArray, restart: Array, obs: Array, state: Any, params: Any) -> tuple[Array, Any]:
        """Replace (obs, state) of the environments to restart by those of the pool."""
        from_state = getattr(self.env, "obs_from_state", False)

        def from_pool(current: Any) -> Any:
            pool = self._reset_many(key, params, self.num_fresh)
            fresh = jax.tree.map(self._tile, pool)
            return select(restart, fresh[1] if from_state else fresh, current)

        current = state if from_state else (obs, state)
        if getattr(self.env, "costly_reset", False):
            current = jax.lax.cond(jnp.any(restart), from_pool, lambda x: x, current)
        else:
            current = from_pool(current)
        return (jax.vmap(self.env.get_obs, in_axes=(0, None))(current, params), current) if from_state else current

    def _reset_many(self, key: PRNGKeyArray, params: Any, count: int) -> tuple[Array, Any]:
        """Return the first observations and states of `count` fresh episodes."""
        keys = jax.random.split(key, count)
        return jax.vmap(self.env.reset_env, in_axes=(0, None))(keys, params)

    def _tile(self, pool: Array) -> Array:
        """Repeat the pool along the leading axis to one row per environment."""
        repeats = -(-self.num_envs // pool.shape[0])
        return jnp.tile(pool, (repeats, *(1,) * (pool.ndim - 1)))[: self.num_envs]

    def _merge(self, x: PyTree) -> PyTree:
        """Join the axes of environments and agents."""
        return x if self.num_agents == 1 else jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), x)

    def _split(self, x: Array) -> Array:
        """Part the rows into environments and agents."""
        return x if self.num_agents == 1 else x.reshape(self.num_envs, self.num_agents, *x.shape[1:])
