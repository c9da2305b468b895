"""Our environments for users of gymnasium and gymnax."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.environment import Box, Discrete, MultiDiscrete, Wrapper
from envs.registry import ENVIRONMENTS, make
from envs.spaces import gymnax_space
from p3o_jax.vector import VectorEnvironment


def _extra(name: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"{name} is needed here: pip install {name}.", name=error.name)


@dataclass(frozen=True)
class GymnaxView(Wrapper):
    """One of our environments with spaces of gymnax's classes, which code written for gymnax 1.0 asks for.

    For the interface of gymnax before 1.0 use `envs.wrappers.LegacyView`.
    """

    def action_space(self, params: Any = None) -> Any:
        return gymnax_space(self.env.action_space(params))

    def observation_space(self, params: Any = None) -> Any:
        return gymnax_space(self.env.observation_space(params))


def gymnasium_space(space: Discrete | MultiDiscrete | Box) -> Any:
    """Convert a space to gymnasium's class."""
    try:
        from gymnasium import spaces
    except ModuleNotFoundError as error:
        raise _extra("gymnasium", error) from error
    if isinstance(space, Discrete):
        return spaces.Discrete(space.n)
    if isinstance(space, MultiDiscrete):
        return spaces.MultiDiscrete(np.array(space.nvec))
    return spaces.Box(space.low, space.high, space.shape, np.dtype(space.dtype).type)


def gymnasium_vector(name: str, num_envs: int, seed: int = 0, **overrides: Any) -> Any:
    """Make a `gymnasium.vector.VectorEnv` of one of our environments, for code that does not use JAX.

    Each agent of a multi-agent environment counts as an environment. Ended episodes restart in the same step
    (`AutoresetMode.SAME_STEP`). Where info["_final_obs"] is true, info["final_obs"] is the last observation of the
    ended episode. In steps in which an episode ended, info["final_info"] holds what is known of it: "episode" with
    return "r" and length "l", as gymnasium's `RecordEpisodeStatistics` writes them, "score", and the environment's
    metrics. info["_final_info"] is true where one ended. Read episodes there: gymnasium 1.3's vector wrapper
    `RecordEpisodeStatistics` drops the first step of every episode but the first where restarts are in the same step.

    Args:
        name: Name of the environment, as for `make`.
        num_envs: Number of copies of the environment.
        seed: Seed of the randomness until `reset` is given one.
        **overrides: Constructor arguments of the environment.
    """
    try:
        from gymnasium.vector import AutoresetMode, VectorEnv
        from gymnasium.vector.utils import batch_space
    except ModuleNotFoundError as error:
        raise _extra("gymnasium", error) from error

    class View(VectorEnv):
        """The vector environment, which holds the state of its episodes."""

        metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 (gymnasium's own convention)

        def __init__(self):
            self.vector = VectorEnvironment(make(name, **overrides), num_envs, final_observation=True)
            self.params = self.vector.env.default_params
            self.num_envs = self.vector.batch_size
            self.single_observation_space = gymnasium_space(self.vector.env.observation_space(self.params))
            self.single_action_space = gymnasium_space(self.vector.env.action_space(self.params))
            self.observation_space = batch_space(self.single_observation_space, self.num_envs)
            self.action_space = batch_space(self.single_action_space, self.num_envs)
            self._key = jax.random.key(seed)

        def reset(self, *, seed=None, options=None):
            del options
            key = self._key if seed is None else jax.random.key(seed)
            self._key, reset_key = jax.random.split(key)
            obs, self._state = self.vector.reset(reset_key, self.params)
            return np.asarray(obs), {}

        def step(self, actions):
            self._key, step_key = jax.random.split(self._key)
            action = jnp.asarray(actions, self.vector.env.action_space(self.params).dtype)
            obs, self._state, *rest, info = self.vector.step(step_key, self._state, action, self.params)
            reward, terminated, truncated = (np.asarray(x) for x in rest)
            info = {k: np.asarray(v) for k, v in info.items()}
            final_obs, done = info.pop("final_observation"), info["done"]
            if done.any():
                info |= {"final_info": _final_info(info), "_final_info": done}
            return np.asarray(obs), reward, terminated, truncated, info | {"final_obs": final_obs, "_final_obs": done}

    return View()


def _final_info(info: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the infos of a step in which an episode ended; each has a mask by its name and an underscore."""
    episode = {"r": info["episode_return"], "l": info["episode_length"]}
    masks = {f"_{name}": info["done"] for name in (*info, "episode")}
    return {**info, "episode": {**episode, "_r": info["done"], "_l": info["done"]}, **masks}


def register_with_gymnax(prefix: str = "neocarbs/") -> list[str]:
    """Add our environments to gymnax's registry, for `gymnax.make("neocarbs/pong", frameskip=4)`.

    Each is a `GymnaxView`: spaces are of gymnax's classes. A second call changes nothing.

    Returns:
        The names in the registry.
    """
    try:
        import gymnax
    except ModuleNotFoundError as error:
        raise _extra("gymnax", error) from error
    names = [prefix + name for name in ENVIRONMENTS]
    for ours, theirs in zip(ENVIRONMENTS, names, strict=True):
        if theirs not in gymnax.registered_envs:
            gymnax.register(theirs, partial(_make_view, ours))
    return names


def _make_view(name: str, **overrides: Any) -> GymnaxView:
    """Make one of our environments as gymnax shows its own."""
    return GymnaxView(make(name, **overrides))
