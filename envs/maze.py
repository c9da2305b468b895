"""Mazes: find the goal of a level while seeing only the neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import environment
from envs.environment import Box, Discrete, Environment
from envs.maze_levels import Levels, carve
from p3o_jax.checks import check_at_least

EMPTY, WALL, KEY, GOAL, DOOR, AGENT = 0, 1, 2, 3, 4, 6

_STEPS = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]], np.int32)  # headings clockwise from east


class EnvState(environment.EnvState):
    """State of an episode. Cells are counted from the level's upper left corner, including its border.

    Attributes:
        level: Index of the level in the table.
        position: Row and column of the agent.
        heading: Quarter turns clockwise from east.
        has_key: Whether the agent has picked up the key.
    """

    level: Int[Array, ""]
    position: Int[Array, " 2"]
    heading: Int[Array, ""]
    has_key: Bool[Array, ""]


class EnvParams(environment.EnvParams):
    """The table of levels, which all environments share.

    Attributes:
        walls: 1 where there is a wall. Levels are padded with walls to the same size, and by `vision` on every side.
        size: Number of rows, and of columns, of each level.
        key: Row and column of the key of each level.
        door: Row and column of the locked door of each level.
        time_factor: An episode is truncated after time_factor * width * height steps.
    """

    walls: UInt8[Array, "levels padded padded"] = None  # pyright: ignore[reportAssignmentType]
    size: Int[Array, " levels"] = None  # pyright: ignore[reportAssignmentType]
    key: Int[Array, "levels 2"] = None  # pyright: ignore[reportAssignmentType]
    door: Int[Array, "levels 2"] = None  # pyright: ignore[reportAssignmentType]
    time_factor: int = 2


@dataclass(frozen=True)
class Maze(Environment):
    """Walk from one corner of a maze to the opposite one. The mazes have no loops.

    Observation (uint8, 11 x 11): the cells around the agent, north up: 0 empty, 1 wall, 3 goal, 6 the agent; with
    `doors` also 2 key, 4 locked door.
    Actions, relative to the agent's heading: 0 stay, 1 forward, 2 left, 3 right, 4 back. All but 0 turn the agent
    that way and move it a cell; a wall stops it, though the heading changes.
    Reward: 1 at the goal.
    Terminates: at the goal. Truncates: after 2 * width * height steps.
    Score: 1 if the goal was reached. Solved: mean score of at least 0.99.
    Source: the mazes of PufferLib 3.0; the levels are our own.

    Args:
        size: Largest number of rows and columns, odd; levels have odd sizes from `min_size` to it.
        min_size: Smallest number of rows and columns, odd.
        num_maps: Number of levels in the table.
        vision: Number of cells that the agent sees in each direction.
        doors: Whether there is a locked door on the way, with its key somewhere before it.
        seed: Seed of the table. Training and evaluation can use the same levels or different ones.
    """

    size: int = 47
    min_size: int = 5
    num_maps: int = 8192
    vision: int = 5
    doors: bool = False
    seed: int = 0

    def __post_init__(self):
        for field in ("size", "min_size"):
            if getattr(self, field) % 2 == 0 or getattr(self, field) < 5:
                raise ValueError(f"`{field}` must be odd and at least 5; got {getattr(self, field)}.")
        if self.min_size > self.size:
            raise ValueError(f"`min_size` must not exceed `size`; got {self.min_size} and {self.size}.")
        check_at_least(1, num_maps=self.num_maps, vision=self.vision)

    @property
    def default_params(self) -> EnvParams:
        levels = _levels(self.size, self.min_size, self.num_maps, self.vision, self.seed)
        return EnvParams(
            walls=jnp.asarray(levels.walls),
            size=jnp.asarray(levels.size),
            key=jnp.asarray(levels.key),
            door=jnp.asarray(levels.door),
        )

    @property
    def num_actions(self) -> int:
        return 5

    def action_space(self, params: EnvParams | None = None) -> Discrete:
        return Discrete(5)

    def observation_space(self, params: EnvParams | None = None) -> Box:
        return Box(0, AGENT, (2 * self.vision + 1,) * 2, jnp.uint8)

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[UInt8[Array, "w w"], EnvState]:
        state = self.start(jax.random.randint(key, (), 0, params.walls.shape[0], jnp.int32), params)
        return self.get_obs(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Int[Array, ""], params: EnvParams
    ) -> tuple[UInt8[Array, "w w"], EnvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        action = self.as_action(action, params)
        state, reward, terminated = self.transition(state, action, params)
        return self.get_obs(state, params), state, reward, terminated, {"score": reward}

    def start(self, level: Int[Array, ""], params: EnvParams) -> EnvState:
        """Return the first state of an episode on a level."""
        zero, position = jnp.zeros((), jnp.int32), jnp.ones(2, jnp.int32)
        return EnvState(zero, level, position, zero, jnp.all(position == params.key[level]))

    def transition(
        self, state: EnvState, action: Int[Array, ""], params: EnvParams
    ) -> tuple[EnvState, Float[Array, ""], Bool[Array, ""]]:
        """Apply the rules, which have no randomness, and return (state, reward, terminated)."""
        turn = jnp.array([0, 0, 3, 1, 2], jnp.int32)[action]
        heading = (state.heading + turn) % 4
        target = state.position + jnp.asarray(_STEPS)[heading] * (action > 0).astype(jnp.int32)
        blocked = params.walls[state.level, target[0] + self.vision, target[1] + self.vision] == WALL
        if self.doors:
            blocked |= jnp.all(target == params.door[state.level]) & ~state.has_key
        position = jnp.where(blocked, state.position, target)
        has_key = state.has_key | jnp.all(position == params.key[state.level])
        reached = jnp.all(position == params.size[state.level] - 2)
        state = EnvState(state.time + 1, state.level, position, heading, has_key)
        return state, reached.astype(jnp.float32), reached

    def is_truncated(self, state: EnvState, params: EnvParams) -> Bool[Array, ""]:
        size = params.size[state.level]
        limit = jnp.minimum(params.time_factor * size * size, params.max_steps_in_episode)
        return state.time >= limit

    def get_obs(self, state: EnvState, params: EnvParams) -> UInt8[Array, "w w"]:
        window = 2 * self.vision + 1
        index = np.arange(window, dtype=np.int32)
        corner = (state.level, state.position[0], state.position[1])
        view = jax.lax.dynamic_slice(params.walls, corner, (1, window, window))[0]
        marks = [(jnp.broadcast_to(params.size[state.level] - 2, (2,)), GOAL)]
        if self.doors:
            marks.append((jnp.where(state.has_key, -1, params.key[state.level]), KEY))
            marks.append((jnp.where(state.has_key, -1, params.door[state.level]), DOOR))
        for cell, mark in [*marks, (state.position, AGENT)]:
            row, col = cell - state.position + self.vision
            here = (index[:, None] == row) & (index[None] == col) & (cell[0] >= 0)
            view = jnp.where(here, jnp.uint8(mark), view)
        return view


@lru_cache(maxsize=8)
def _levels(size: int, min_size: int, num_maps: int, vision: int, seed: int) -> Levels:
    """Return the table of levels, which is made once per process."""
    return carve(np.random.default_rng(seed), size, min_size, num_maps, vision)
