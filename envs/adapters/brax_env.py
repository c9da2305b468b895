"""Brax's rigid bodies: ant, halfcheetah, hopper, humanoid, walker2d, ... (github.com/google/brax)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from envs.adapters.base import Adapter, called
from envs.spaces import Box

EPISODE_LENGTH = 1000
"""Steps of an episode, as everywhere where Brax is trained on."""


@dataclass(frozen=True)
class Brax(Adapter):
    """An environment of `brax.envs`, truncated after 1000 steps; `backend="spring"` and the like are arguments."""

    library: ClassVar[str] = "brax"

    @property
    def time_limit(self) -> int:
        return EPISODE_LENGTH

    def make_world(self) -> Any:
        from brax import envs

        try:
            return called(lambda **kwargs: envs.get_environment(self.task, **kwargs), self.name, dict(self.arguments))
        except KeyError as error:
            raise ValueError(f"`name` after brax: must be one that Brax has; got {self.task!r}.") from error

    def action_space(self, params: Any = None) -> Box:
        del params
        return Box(-1.0, 1.0, (self.world.action_size,))

    def begin(self, key: Any) -> tuple[Any, Any]:
        state = self.world.reset(key)
        return state.obs, state

    def advance(self, key: Any, world: Any, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        del key
        state = self.world.step(world, action)
        return state.obs, state, state.reward, state.done, False
