"""MuJoCo Playground's control tasks and robots, on MJX (github.com/google-deepmind/mujoco_playground)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from envs.adapters.base import Adapter
from envs.spaces import Box


@dataclass(frozen=True)
class Playground(Adapter):
    """An environment of Playground's registry; arguments override entries of its configuration.

    Where it has an observation for the critic too, only the policy's is used.
    """

    library: ClassVar[str] = "playground"

    @property
    def time_limit(self) -> int:
        from mujoco_playground import registry

        return int(registry.get_default_config(self.task).episode_length)

    def make_world(self) -> Any:
        from mujoco_playground import registry

        if self.task not in registry.ALL_ENVS:
            known = ", ".join(registry.ALL_ENVS)
            raise ValueError(f"`name` after playground: must be one of {known}; got {self.task!r}.")
        try:
            # MJX on JAX's own arrays; the other implementation needs a GPU of one maker.
            return registry.load(self.task, config_overrides={"impl": "jax", **dict(self.arguments)})
        except KeyError as error:
            raise ValueError(f"`arguments` must be entries of {self.name}'s configuration; got {error}.") from error

    def action_space(self, params: Any = None) -> Box:
        del params
        return Box(-1.0, 1.0, (self.world.action_size,))

    def begin(self, key: Any) -> tuple[Any, Any]:
        state = self.world.reset(key)
        return _of_policy(state.obs), state

    def advance(self, key: Any, world: Any, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        del key
        state = self.world.step(world, action)
        return _of_policy(state.obs), state, state.reward, state.done, False


def _of_policy(obs: Any) -> Any:
    return obs["state"] if isinstance(obs, Mapping) and "state" in obs else obs
