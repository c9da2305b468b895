"""gymnasium's environments, in which agents are evaluated: they run on the host, called back at every step.

Any environment that `gymnasium.make` knows will do, those of MuJoCo, Atari and a user's own among them. Their steps
are Python, so a training in them would be slow; nothing here is compiled but the policy.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback
from jaxtyping import Array, Int, PRNGKeyArray, Shaped

from p3o_jax.vector import VectorState

PREFIX = "gymnasium:"


@dataclasses.dataclass(frozen=True)
class HostEnvironment:
    """An environment of gymnasium, for `p3o_jax.evaluate` alone.

    Attributes:
        task: Name by which `gymnasium.make` knows it; "module:Name" imports the module first.
        arguments: Names and values of the constructor's arguments, hashable.
    """

    task: str
    arguments: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        observations = self._one().observation_space
        if not hasattr(observations, "low"):
            raise ValueError(f"`env` must show arrays of numbers; {PREFIX}{self.task} shows {observations}.")

    @property
    def default_params(self) -> tuple[()]:
        """None: gymnasium's environments have constructor arguments instead."""
        return ()

    def observation_space(self, params: Any = None) -> Any:
        """Space of one observation, of gymnasium's class."""
        del params
        return self._one().observation_space

    def action_space(self, params: Any = None) -> Any:
        """Space of one action, of gymnasium's class."""
        del params
        return self._one().action_space

    def vectorized(self, num_envs: int) -> HostVector:
        """Return so many copies of it, which `p3o_jax` steps in place of a `VectorEnvironment`."""
        gymnasium = _gymnasium()
        from gymnasium.vector import AutoresetMode

        options = {"autoreset_mode": AutoresetMode.SAME_STEP}
        arguments = dict(self.arguments)
        made = gymnasium.make_vec(
            self.task, num_envs, vectorization_mode="sync", vector_kwargs=options, **arguments
        )  # fmt: skip
        return HostVector(self, made, num_envs)

    def _one(self) -> Any:
        gymnasium = _gymnasium()
        try:
            return gymnasium.make(self.task, **dict(self.arguments))
        except TypeError as error:
            raise ValueError(f"`arguments` must be some that {self.task} takes; got {dict(self.arguments)}.") from error
        except (gymnasium.error.Error, ImportError) as error:  # of a module before the colon, too
            raise ValueError(f"`env` must name an environment of gymnasium; got {self.task!r} ({error}).") from error


@dataclasses.dataclass(frozen=True, eq=False)
class HostVector:
    """Copies of a `HostEnvironment` with auto-reset and episode statistics, as a `VectorEnvironment` has them.

    Attributes:
        env: What there are copies of.
        host: gymnasium's vector of them, which restarts a copy in the step in which its episode ended.
        num_envs: Number of copies.
    """

    env: HostEnvironment
    host: Any
    num_envs: int
    final_observation: bool = False

    def reset(self, key: PRNGKeyArray, params: Any) -> tuple[Shaped[Array, "b ..."], VectorState]:
        """Start an episode in every copy: (obs, state)."""
        del params
        seed = jax.random.randint(key, (), 0, jnp.iinfo(jnp.int32).max)
        obs = io_callback(lambda seed: self._seen(self.host.reset(seed=int(seed))[0]), self._shape, seed, ordered=True)
        lengths: Int[Array, " b"] = jnp.zeros(self.num_envs, jnp.int32)
        return obs, VectorState((), jnp.zeros(self.num_envs, jnp.float32), lengths)

    def step(self, key: PRNGKeyArray, state: VectorState, action: Shaped[Array, "b ..."], params: Any):
        """Advance every copy: obs, state, reward, terminated, truncated, info; see `VectorEnvironment.step`."""
        del key, params
        flags = jax.ShapeDtypeStruct((self.num_envs,), bool)
        shapes = self._shape, jax.ShapeDtypeStruct((self.num_envs,), jnp.float32), flags, flags
        obs, reward, terminated, truncated = io_callback(self._step, shapes, action, ordered=True)
        done = terminated | truncated
        episode_return, episode_length = state.episode_return + reward, state.episode_length + 1
        info = {"done": done, "episode_return": episode_return, "episode_length": episode_length}
        info["score"] = episode_return
        state = VectorState((), jnp.where(done, 0.0, episode_return), jnp.where(done, 0, episode_length))
        return obs, state, reward, terminated, truncated, info

    def _step(self, action: Any) -> tuple[Any, ...]:
        space = self.host.action_space
        obs, reward, terminated, truncated, _ = self.host.step(np.asarray(action).astype(space.dtype))
        return self._seen(obs), np.asarray(reward, np.float32), terminated, truncated

    def _seen(self, obs: Any) -> Any:
        return np.asarray(obs).astype(self._shape.dtype)

    @property
    def _shape(self) -> jax.ShapeDtypeStruct:
        space = self.host.single_observation_space
        dtype = jnp.float32 if np.issubdtype(space.dtype, np.floating) else space.dtype
        return jax.ShapeDtypeStruct((self.num_envs, *space.shape), dtype)


def _gymnasium() -> Any:
    try:
        import gymnasium
    except ModuleNotFoundError as error:
        raise ValueError("`env` of gymnasium needs a package: pip install gymnasium.") from error
    return gymnasium
