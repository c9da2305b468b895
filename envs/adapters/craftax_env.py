"""Craftax, Crafter and NetHack's dungeons in JAX (github.com/MichaelTMatthews/Craftax)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from envs.adapters.base import Adapter
from envs.environment import NO_TIME_LIMIT
from envs.spaces import Discrete

TASKS = ("Craftax-Symbolic-v1", "Craftax-Pixels-v1", "Craftax-Classic-Symbolic-v1", "Craftax-Classic-Pixels-v1")


@dataclass(frozen=True)
class Craftax(Adapter):
    """One of `TASKS`; arguments are fields of Craftax's parameters. A world takes long to draw."""

    library: ClassVar[str] = "craftax"
    costly_reset: ClassVar[bool] = True

    @property
    def time_limit(self) -> int:
        return int(dict(self.arguments).get("max_timesteps", self.world.default_params.max_timesteps))

    def make_world(self) -> Any:
        from craftax.craftax_env import make_craftax_env_from_name

        if self.task not in TASKS:
            raise ValueError(f"`name` after craftax: must be one of {', '.join(TASKS)}; got {self.task!r}.")
        world = make_craftax_env_from_name(self.task, auto_reset=False)
        for name, _ in self.arguments:
            if not hasattr(world.default_params, name):
                raise ValueError(f"`arguments` must be fields of {self.name}'s parameters; got {name}.")
        return world

    @property
    def _params(self) -> Any:
        # Its own limit of time looks like a death; ours does not.
        return self.world.default_params.replace(**{**dict(self.arguments), "max_timesteps": NO_TIME_LIMIT})

    def action_space(self, params: Any = None) -> Discrete:
        del params
        return Discrete(int(self.world.action_space(self._params).n))

    def begin(self, key: Any) -> tuple[Any, Any]:
        return self.world.reset_env(key, self._params)

    def advance(self, key: Any, world: Any, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        obs, state, reward, done, _ = self.world.step_env(key, world, action, self._params)
        return obs, state, reward, done, False
