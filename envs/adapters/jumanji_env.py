"""Jumanji's puzzles, packing and routing problems (github.com/instadeepai/jumanji)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax

from envs.adapters.base import Adapter, called, space_of
from envs.spaces import Box, Discrete, MultiDiscrete


@dataclass(frozen=True)
class Jumanji(Adapter):
    """An environment of Jumanji's registry, such as Snake-v1.

    A mask of legal actions is part of the observation; that an action is illegal is for the agent to learn. Several
    agents are one, which chooses all their actions; their rewards are added.
    """

    library: ClassVar[str] = "jumanji"

    def make_world(self) -> Any:
        from jumanji.registration import make, registered_environments

        known = registered_environments()
        if self.task not in known:
            raise ValueError(f"`name` after jumanji: must be one of {', '.join(sorted(known))}; got {self.task!r}.")
        return called(lambda **kwargs: make(self.task, **kwargs), self.name, dict(self.arguments))

    def action_space(self, params: Any = None) -> Discrete | MultiDiscrete | Box:
        del params
        with jax.ensure_compile_time_eval():  # its specifications are arrays
            return space_of(self.world.action_spec)

    def begin(self, key: Any) -> tuple[Any, Any]:
        state, timestep = self.world.reset(key)
        return timestep.observation, state

    def advance(self, key: Any, world: Any, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        del key
        state, timestep = self.world.step(world, action.reshape(self.world.action_spec.shape))
        has_value = timestep.discount.max() > 0  # an end with a future is one for lack of time
        return timestep.observation, state, timestep.reward, timestep.last() & ~has_value, timestep.last() & has_value
