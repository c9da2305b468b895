"""Snake: hundreds of snakes on one grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped, UInt8

from envs import environment
from envs.environment import Box, Discrete, Environment

EMPTY, FOOD, CORPSE, WALL, SNAKE = range(5)

_STEPS = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
_OPPOSITE = np.array([1, 0, 3, 2], np.int32)
_TILE_BITS = 3
_TILE_MASK = 2**_TILE_BITS - 1
_RANDOM_TRIES = 64


class EnvState(environment.EnvState):
    """State of an episode. Cells are numbered row by row.

    Attributes:
        grid: The low 3 bits of a cell are its tile. If it holds a segment of a snake, the bits above are the direction
            of the next segment towards the head.
        head: Cell of the head of each snake.
        tail: Cell of its last segment.
        length: Number of its segments.
        heading: Direction of its last move. If it is longer than 1, its second segment lies in the opposite direction.
    """

    grid: UInt8[Array, " cells"]
    head: Int[Array, " snakes"]
    tail: Int[Array, " snakes"]
    length: Int[Array, " snakes"]
    heading: Int[Array, " snakes"]


class EnvParams(environment.EnvParams):
    """Rewards for eating food, for eating a corpse and for dying."""

    reward_food: float = 0.1
    reward_corpse: float = 0.1
    reward_death: float = -1.0


class _Moves(struct.PyTreeNode):
    """The move of every snake, as planned before any of them moves.

    Attributes:
        direction: Direction of the move.
        target: Cell that the head enters.
        next_tail: Cell of the tail after the move, if the snake does not grow.
        tile: Tile of its body.
    """

    direction: Int[Array, " snakes"]
    target: Int[Array, " snakes"]
    next_tail: Int[Array, " snakes"]
    tile: UInt8[Array, " snakes"]


class _Turns(struct.PyTreeNode):
    """Data that is carried from turn to turn.

    Attributes:
        state: State with the moves made so far.
        pending: Snakes that wait for their turn.
        plain: Snakes that move all at once at the end.
        tail_stands: Whether no other snake has moved onto the cell that a plain snake leaves.
        reward: Reward of each snake.
        died: Whether it died.
        final_length: Its length before the move.
    """

    state: EnvState
    pending: Bool[Array, " snakes"]
    plain: Bool[Array, " snakes"]
    tail_stands: Bool[Array, " snakes"]
    reward: Float[Array, " snakes"]
    died: Bool[Array, " snakes"]
    final_length: Int[Array, " snakes"]


@dataclass(frozen=True)
class Snake(Environment):
    """Eat and grow without running into anything.

    Observation per snake (uint8, window x window): the cells around its head: 0 empty, 1 food, 2 corpse, 3 wall,
    4..7 snakes (7 for snake 0, else 4 + i % 4).
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
    """

    width: int = 640
    height: int = 360
    num_snakes: int = 256
    num_food: int = 4096
    vision: int = 5
    max_length: int = 1024
    parallel: bool = True

    costly_reset: ClassVar[bool] = True

    def __post_init__(self):
        for field in ("num_snakes", "vision", "max_length"):
            if getattr(self, field) < 1:
                raise ValueError(f"`{field}` must be at least 1; got {getattr(self, field)}.")
        if self._rows < 1 or self._columns < 1:
            raise ValueError(f"`width` and `height` must exceed 2 * vision; got {self.width} and {self.height}.")
        if 2 * (self.num_snakes + self.num_food) > self._rows * self._columns:
            raise ValueError(
                "`num_snakes` + `num_food` must be at most half the cells inside the border; "
                f"got {self.num_snakes} + {self.num_food} for {self._rows * self._columns}."
            )

    @property
    def num_agents(self) -> int:
        return self.num_snakes

    @property
    def default_params(self) -> EnvParams:
        return EnvParams()

    def action_space(self, params: EnvParams | None = None) -> Discrete:
        return Discrete(4)

    def observation_space(self, params: EnvParams | None = None) -> Box:
        return Box(0, _TILE_MASK, (2 * self.vision + 1,) * 2, jnp.uint8)

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[UInt8[Array, "snakes w w"], EnvState]:
        count = self.num_snakes + self.num_food
        cells = self._cell(jax.random.randint(key, (count,), 0, self._rows * self._columns, jnp.int32))
        state = jax.custom_batching.sequential_vmap(self.start)(cells)
        return self.get_obs(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Int[Array, " snakes"], params: EnvParams
    ) -> tuple[UInt8[Array, "snakes w w"], EnvState, Float[Array, " snakes"], Bool[Array, " snakes"], dict[str, Any]]:
        action = self.as_action(action, params)
        transition = jax.custom_batching.sequential_vmap(self.transition)  # a batch of loops would run in lockstep
        state, *outcome = transition(state, action.reshape(-1), self.draw(key), params)
        reward, died, final_length = (self._by_agent(x) for x in outcome)
        info = {"score": final_length.astype(jnp.float32)}
        return self.get_obs(state, params), state, reward, died, info

    def _by_agent(self, x: Shaped[Array, "snakes ..."]) -> Shaped[Array, "..."]:
        """Return `x` without the axis of agents where there is only one."""
        return x if self.num_snakes > 1 else x[0]

    def get_obs(self, state: EnvState, params: EnvParams) -> UInt8[Array, "snakes w w"]:
        window = 2 * self.vision + 1
        tiles = (state.grid & jnp.uint8(_TILE_MASK)).reshape(self.height, self.width)
        corner = state.head - self.vision * (self.width + 1)
        start = jnp.stack([corner // self.width, corner % self.width], axis=-1)
        return self._by_agent(jax.vmap(lambda at: jax.lax.dynamic_slice(tiles, at, (window, window)))(start))

    def draw(self, key: PRNGKeyArray) -> Int[Array, "snakes 2"]:
        """Draw, for each snake, the cells where it and its food reappear, or the next free ones if these are taken."""
        return self._cell(jax.random.randint(key, (self.num_snakes, 2), 0, self._rows * self._columns, jnp.int32))

    def start(self, cells: Int[Array, " snakes_and_food"]) -> EnvState:
        """Return the first state with snakes, and then food, on the given cells or on the next free ones."""
        grid = np.full((self.height, self.width), WALL, np.uint8)
        grid[self.vision : -self.vision, self.vision : -self.vision] = EMPTY

        def put(i, carry):
            grid, placed = carry
            cell = self._free_cell(cells[i], lambda c: grid[c])
            tile = jnp.where(i < self.num_snakes, self._tiles()[jnp.minimum(i, self.num_snakes - 1)], jnp.uint8(FOOD))
            return grid.at[cell].set(tile), placed.at[i].set(cell)

        grid, placed = jax.lax.fori_loop(0, cells.shape[0], put, (jnp.asarray(grid.reshape(-1)), cells))
        head = placed[: self.num_snakes]
        zero = jnp.zeros(self.num_snakes, jnp.int32)
        return EnvState(jnp.zeros((), jnp.int32), grid, head, head, zero + 1, zero)

    def transition(
        self, state: EnvState, action: Int[Array, " snakes"], cells: Int[Array, "snakes 2"], params: EnvParams
    ) -> tuple[EnvState, Float[Array, " snakes"], Bool[Array, " snakes"], Int[Array, " snakes"]]:
        """Apply the rules to given random draws and return (state, reward, died, length before the move)."""
        moves = self._plan(state, action)
        plain = self._is_plain(state, moves) if self.parallel else jnp.zeros(self.num_snakes, bool)
        turns = _Turns(
            state=state,
            pending=~plain,
            plain=plain,
            tail_stands=jnp.ones(self.num_snakes, bool),
            reward=jnp.zeros(self.num_snakes, jnp.float32),
            died=jnp.zeros(self.num_snakes, bool),
            final_length=state.length,
        )
        turns = jax.lax.while_loop(
            lambda turns: jnp.any(turns.pending),
            lambda turns: self._turn(turns, moves, cells, params),
            turns,
        )
        state = self._move_plain(turns, moves)
        return state.replace(time=state.time + 1), turns.reward, turns.died, turns.final_length

    def _plan(self, state: EnvState, action: Int[Array, " snakes"]) -> _Moves:
        steps = jnp.asarray(_STEPS @ [self.width, 1], jnp.int32)
        backward = (state.length > 1) & (action == jnp.asarray(_OPPOSITE)[state.heading])
        direction = jnp.where(backward, state.heading, action).astype(jnp.int32)
        target = state.head + steps[direction]
        towards = (state.grid[state.tail] >> _TILE_BITS).astype(jnp.int32)
        next_tail = jnp.where(state.length == 1, target, state.tail + steps[towards])
        return _Moves(direction, target, next_tail, self._tiles())

    def _is_plain(self, state: EnvState, moves: _Moves) -> Bool[Array, " snakes"]:
        """Return whether each snake heads for an empty cell that no other heads for."""
        same = moves.target[:, None] == moves.target[None]
        alone = jnp.sum(same, axis=1, dtype=jnp.int32) == 1
        return alone & (state.grid[moves.target] & jnp.uint8(_TILE_MASK) == EMPTY)

    def _turn(self, turns: _Turns, moves: _Moves, cells: Int[Array, "snakes 2"], params: EnvParams) -> _Turns:
        """Move the first pending snake."""
        i = jnp.argmax(turns.pending).astype(jnp.int32)
        index = jnp.arange(self.num_snakes, dtype=jnp.int32)
        state, target, colour = turns.state, moves.target[i], moves.tile[i]
        head, tail, length, direction = state.head[i], state.tail[i], state.length[i], moves.direction[i]
        moved = turns.plain & (index < i)

        def tile_at(grid, cell):
            """Return the tile as of this turn. Earlier plain snakes have moved, though not yet on the grid."""
            tile = grid[cell] & jnp.uint8(_TILE_MASK)
            left = jnp.any(moved & turns.tail_stands & (state.tail == cell))
            entered = jnp.any(moved & (moves.target == cell))
            return jnp.where(entered, jnp.uint8(SNAKE), jnp.where(left, jnp.uint8(EMPTY), tile))

        tile = tile_at(state.grid, target)
        dies, finds_food = tile >= WALL, tile == FOOD
        grows = (finds_food | (tile == CORPSE)) & (length < self.max_length - 1)
        grid = self._remove(state.grid, tail, jnp.where(dies, length, 0))
        spawns = dies | finds_food
        wish = jnp.where(dies, cells[i, 0], cells[i, 1])
        spawn = self._free_cell(wish, lambda cell: jnp.where(spawns, tile_at(grid, cell), jnp.uint8(EMPTY)))

        steps_on = ~dies & ((length > 1) | grows)
        trail = colour | (direction << _TILE_BITS).astype(jnp.uint8)
        changes = [  # no cell twice, so that they may happen in any order
            (spawns, spawn, jnp.where(dies, colour, jnp.uint8(FOOD))),
            (steps_on, head, trail),
            (~dies & ~grows, tail, jnp.uint8(EMPTY)),
            (~dies, target, colour),
        ]
        grid = self._write(grid, *map(jnp.stack, zip(*changes, strict=True)))

        in_the_way = turns.plain & (index > i) & (moves.target == spawn) & spawns
        taken = (spawns & (state.tail == spawn)) | (~dies & (state.tail == target))
        next_tail = jnp.where(dies, spawn, jnp.where(grows, tail, moves.next_tail[i]))
        next_length = jnp.where(dies, 1, length + grows.astype(jnp.int32))
        reward = jnp.where(finds_food, params.reward_food, jnp.where(tile == CORPSE, params.reward_corpse, 0.0))
        return turns.replace(
            state=state.replace(
                grid=grid,
                head=state.head.at[i].set(jnp.where(dies, spawn, target)),
                tail=state.tail.at[i].set(next_tail),
                length=state.length.at[i].set(next_length),
                heading=state.heading.at[i].set(direction),
            ),
            pending=(turns.pending | in_the_way) & (index != i),
            plain=turns.plain & ~in_the_way,
            tail_stands=turns.tail_stands & ~taken,
            reward=turns.reward.at[i].set(jnp.where(dies, params.reward_death, reward)),
            died=turns.died.at[i].set(dies),
        )

    def _move_plain(self, turns: _Turns, moves: _Moves) -> EnvState:
        state, plain = turns.state, turns.plain
        trail = moves.tile | (moves.direction << _TILE_BITS).astype(jnp.uint8)
        grid = self._write(state.grid, plain & (state.length > 1), state.head, trail)
        grid = self._write(grid, plain & turns.tail_stands, state.tail, jnp.zeros_like(trail))
        grid = self._write(grid, plain, moves.target, moves.tile)
        return state.replace(
            grid=grid,
            head=jnp.where(plain, moves.target, state.head),
            tail=jnp.where(plain, moves.next_tail, state.tail),
            heading=jnp.where(plain, moves.direction, state.heading),
        )

    def _remove(self, grid: UInt8[Array, " cells"], tail: Int[Array, ""], length: Int[Array, ""]):
        """Remove a dead snake from the grid and leave a corpse at every second segment from the tail."""
        steps = jnp.asarray(_STEPS @ [self.width, 1], jnp.int32)

        def body(carry):
            grid, cell, k = carry
            towards = (grid[cell] >> _TILE_BITS).astype(jnp.int32)
            grid = grid.at[cell].set(jnp.where(k % 2 == 0, jnp.uint8(CORPSE), jnp.uint8(EMPTY)))
            return grid, cell + steps[towards], k + 1

        return jax.lax.while_loop(lambda carry: carry[2] <= length, body, (grid, tail, jnp.int32(1)))[0]

    def _free_cell(self, wish: Int[Array, ""], tile_at) -> Int[Array, ""]:
        """Return the wished cell if it is free, else the first free one of a pseudo-random sequence, then of all."""

        def taken(carry):
            tile = tile_at(carry[0])
            return (tile != EMPTY) & (tile != CORPSE) & (carry[1] < _RANDOM_TRIES + self._rows * self._columns)

        def another(carry):
            cell, tries, word = carry
            word = word * jnp.uint32(1664525) + jnp.uint32(1013904223)
            row, col = cell // self.width - self.vision, cell % self.width - self.vision
            inner = row * self._columns + col
            jump = (word >> 1).astype(jnp.int32) % (self._rows * self._columns)
            inner = jnp.where(tries < _RANDOM_TRIES, jump, (inner + 1) % (self._rows * self._columns))
            return self._cell(inner), tries + 1, word

        return jax.lax.while_loop(taken, another, (wish, jnp.int32(0), wish.astype(jnp.uint32)))[0]

    def _write(
        self,
        grid: UInt8[Array, " cells"],
        condition: Bool[Array, " k"],
        cell: Int[Array, " k"],
        tile: UInt8[Array, " k"],
    ) -> UInt8[Array, " cells"]:
        """Set the cells whose condition holds. No cell may occur twice among them."""
        beyond = self.width * self.height + jnp.arange(cell.shape[0], dtype=jnp.int32)
        index = jnp.where(condition, cell, beyond)
        return grid.at[index].set(tile, mode="drop", unique_indices=True)

    def _tiles(self) -> UInt8[Array, " snakes"]:
        tiles = SNAKE + np.arange(self.num_snakes) % 4
        tiles[0] = 7
        return jnp.asarray(tiles, jnp.uint8)

    def _cell(self, inner: Int[Array, "..."]) -> Int[Array, "..."]:
        """Return the cell of an index that counts only cells inside the border."""
        return (inner // self._columns + self.vision) * self.width + inner % self._columns + self.vision

    @property
    def _rows(self) -> int:
        return self.height - 2 * self.vision

    @property
    def _columns(self) -> int:
        return self.width - 2 * self.vision
