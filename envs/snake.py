"""Snake: hundreds of snakes on one grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped, UInt8

from envs.environment import Box, Discrete, Environment
from envs.snake_grid import CORPSE, EMPTY, FOOD, SNAKE, TILE_MASK, WALL, Board
from envs.snake_turns import EnvParams, EnvState, Rules
from p3o_jax.checks import check_at_least

__all__ = ["CORPSE", "EMPTY", "FOOD", "SNAKE", "WALL", "EnvParams", "EnvState", "Snake"]


@dataclass(frozen=True)
class Snake(Environment):
    """Eat and grow without running into anything.

    Observation per snake (uint8, window x window): the cells around its head: 0 empty, 1 food, 2 corpse, 3 wall,
    4..7 snakes (7 for snake 0, else 4 + i % 4). With `layers`, window x window x 4: 0 or 1 for food, corpse, wall and
    snake.
    Actions: 0 up, 1 down, 2 left, 3 right; a move into its own neck goes straight on instead.
    Reward: 0.1 for food and corpse (and growth), -1 for entering a wall or a snake.
    Terminates, per snake: on death; every second segment becomes a corpse, and it respawns with length 1.
    Score: length at death. No time limit: `max_steps_in_episode` sets one, for the whole grid.
    Source: Snake of PufferLib 3.0, equal to it step by step. Departure: `terminated`, never set there.

    Snakes move in the order of their index, and each move depends on the earlier ones. But if a snake heads for an
    empty cell that no other snake heads for, the others cannot affect it, unless one of them respawns, or food
    reappears, on that cell. Such plain snakes move all at once, and only the others move one by one.

    Args:
        width: Number of columns of the grid, including the border of walls.
        height: Number of rows of the grid, including the border.
        num_snakes: Number of snakes; a single one has no axis of agents.
        num_food: Number of pieces of food, which is kept constant.
        vision: Number of cells that a snake sees in each direction. The border has the same thickness.
        max_length: Snakes stay shorter than this.
        parallel: Whether plain snakes move all at once. This changes the speed only.
        layers: Whether a snake observes each kind of cell in a layer of its own. The network that PufferLib trains
            makes such layers of the numbers.
    """

    width: int = 640
    height: int = 360
    num_snakes: int = 256
    num_food: int = 4096
    vision: int = 5
    max_length: int = 1024
    parallel: bool = True
    layers: bool = False

    costly_reset: ClassVar[bool] = True

    def __post_init__(self):
        check_at_least(1, num_snakes=self.num_snakes, vision=self.vision, max_length=self.max_length)
        if self.board.num_rows < 1 or self.board.num_columns < 1:
            raise ValueError(f"`width` and `height` must exceed 2 * vision; got {self.width} and {self.height}.")
        if 2 * (self.num_snakes + self.num_food) > self.board.num_inner:
            raise ValueError(
                "`num_snakes` + `num_food` must be at most half the cells inside the border; "
                f"got {self.num_snakes} + {self.num_food} for {self.board.num_inner}."
            )

    @property
    def board(self) -> Board:
        """The grid."""
        return Board(self.width, self.height, self.vision)

    @property
    def rules(self) -> Rules:
        """The rules for these sizes."""
        return Rules(self.board, self.num_snakes, self.max_length, self.parallel)

    @property
    def num_agents(self) -> int:
        return self.num_snakes

    @property
    def default_params(self) -> EnvParams:
        return EnvParams()

    def action_space(self, params: EnvParams | None = None) -> Discrete:
        return Discrete(4)

    def observation_space(self, params: EnvParams | None = None) -> Box:
        window = (2 * self.vision + 1,) * 2
        return Box(0, 1, (*window, SNAKE), jnp.uint8) if self.layers else Box(0, TILE_MASK, window, jnp.uint8)

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[UInt8[Array, "*shape"], EnvState]:
        count = self.num_snakes + self.num_food
        cells = self.board.cell(jax.random.randint(key, (count,), 0, self.board.num_inner, jnp.int32))
        state = jax.custom_batching.sequential_vmap(self.start)(cells)
        return self.get_obs(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Int[Array, " snakes"], params: EnvParams
    ) -> tuple[UInt8[Array, "*shape"], EnvState, Float[Array, " snakes"], Bool[Array, " snakes"], dict[str, Any]]:
        action = self.as_action(action, params)
        transition = jax.custom_batching.sequential_vmap(self.transition)  # a batch of loops would run in lockstep
        state, *outcome = transition(state, action.reshape(-1), self.draw(key), params)
        reward, died, final_length = (self._by_agent(x) for x in outcome)
        info = {"score": final_length.astype(jnp.float32)}
        return self.get_obs(state, params), state, reward, died, info

    def _by_agent(self, x: Shaped[Array, "snakes ..."]) -> Shaped[Array, "..."]:
        """Return `x` without the axis of agents where there is only one."""
        return x if self.num_snakes > 1 else x[0]

    def get_obs(self, state: EnvState, params: EnvParams) -> UInt8[Array, "*shape"]:
        window = 2 * self.vision + 1
        tiles = (state.grid & jnp.uint8(TILE_MASK)).reshape(self.height, self.width)
        corner = state.head - self.vision * (self.width + 1)
        start = jnp.stack([corner // self.width, corner % self.width], axis=-1)
        view = jax.vmap(lambda at: jax.lax.dynamic_slice(tiles, at, (window, window)))(start)
        if self.layers:
            kinds = jnp.arange(FOOD, SNAKE + 1, dtype=jnp.uint8)
            view = (jnp.minimum(view, jnp.uint8(SNAKE))[..., None] == kinds[None, None, None]).astype(jnp.uint8)
        return self._by_agent(view)

    def draw(self, key: PRNGKeyArray) -> Int[Array, "snakes 2"]:
        """Draw, for each snake, the cells where it and its food reappear, or the next free ones if these are taken."""
        return self.board.cell(jax.random.randint(key, (self.num_snakes, 2), 0, self.board.num_inner, jnp.int32))

    def start(self, cells: Int[Array, " snakes_and_food"]) -> EnvState:
        """Return the first state with snakes, and then food, on the given cells or on the next free ones."""

        def put(i, carry):
            grid, placed = carry
            cell = self.board.free_cell(cells[i], lambda c: grid[c])
            tile = jnp.where(
                i < self.num_snakes, self.rules.tiles()[jnp.minimum(i, self.num_snakes - 1)], jnp.uint8(FOOD)
            )
            return grid.at[cell].set(tile), placed.at[i].set(cell)

        grid, placed = jax.lax.fori_loop(0, cells.shape[0], put, (self.board.empty(), cells))
        head = placed[: self.num_snakes]
        zero = jnp.zeros(self.num_snakes, jnp.int32)
        return EnvState(jnp.zeros((), jnp.int32), grid, head, head, zero + 1, zero)

    def transition(
        self, state: EnvState, action: Int[Array, " snakes"], cells: Int[Array, "snakes 2"], params: EnvParams
    ) -> tuple[EnvState, Float[Array, " snakes"], Bool[Array, " snakes"], Int[Array, " snakes"]]:
        """Apply the rules to given random draws and return (state, reward, died, length before the move)."""
        return self.rules.step(state, action, cells, params)
