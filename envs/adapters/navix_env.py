"""Navix's grid worlds, which are MiniGrid's in JAX (github.com/epignatelli/navix)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from envs.adapters.base import Adapter, called
from envs.spaces import Discrete


@dataclass(frozen=True)
class Navix(Adapter):
    """An environment of Navix's registry, such as Navix-Empty-5x5-v0; it knows its own time limit."""

    library: ClassVar[str] = "navix"

    def make_world(self) -> Any:
        import navix

        if self.task not in navix.registry():
            known = ", ".join(navix.registry())
            raise ValueError(f"`name` after navix: must be one of {known}; got {self.task!r}.")
        return called(lambda **kwargs: navix.make(self.task, **kwargs), self.name, dict(self.arguments))

    def action_space(self, params: Any = None) -> Discrete:
        del params
        return Discrete(len(self.world.action_set))

    def begin(self, key: Any) -> tuple[Any, Any]:
        timestep = self.world.reset(key)
        return timestep.observation, timestep

    def advance(self, key: Any, world: Any, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        del key
        timestep = self.world.step(world, action)
        ended = timestep.is_termination(), timestep.is_truncation()
        return timestep.observation, timestep, timestep.reward, *ended
