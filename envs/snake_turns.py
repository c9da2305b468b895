"""The rules of `snake`: all plain moves at once, the others turn by turn."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, UInt8

from envs import environment
from envs.snake_grid import CORPSE, EMPTY, FOOD, SNAKE, TILE_BITS, TILE_MASK, WALL, Board

OPPOSITE = np.array([1, 0, 3, 2], np.int32)


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


class Moves(struct.PyTreeNode):
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


class Turns(struct.PyTreeNode):
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
class Rules:
    """What a step depends on beside the state; see `Snake`.

    Attributes:
        board: The grid.
        num_snakes: Number of snakes.
        max_length: Snakes stay shorter than this.
        parallel: Whether plain snakes move all at once.
    """

    board: Board
    num_snakes: int
    max_length: int
    parallel: bool

    def tiles(self) -> UInt8[Array, " snakes"]:
        """Return the tile of each snake's body."""
        tiles = SNAKE + np.arange(self.num_snakes) % 4
        tiles[0] = 7
        return jnp.asarray(tiles, jnp.uint8)

    def step(
        self, state: EnvState, action: Int[Array, " snakes"], cells: Int[Array, "snakes 2"], params: EnvParams
    ) -> tuple[EnvState, Float[Array, " snakes"], Bool[Array, " snakes"], Int[Array, " snakes"]]:
        """Apply the rules to given random draws and return (state, reward, died, length before the move)."""
        moves = self._plan(state, action)
        plain = self._is_plain(state, moves) if self.parallel else jnp.zeros(self.num_snakes, bool)
        turns = Turns(
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

    def _plan(self, state: EnvState, action: Int[Array, " snakes"]) -> Moves:
        steps = self.board.steps
        backward = (state.length > 1) & (action == jnp.asarray(OPPOSITE)[state.heading])
        direction = jnp.where(backward, state.heading, action).astype(jnp.int32)
        target = state.head + steps[direction]
        towards = (state.grid[state.tail] >> TILE_BITS).astype(jnp.int32)
        next_tail = jnp.where(state.length == 1, target, state.tail + steps[towards])
        return Moves(direction, target, next_tail, self.tiles())

    def _is_plain(self, state: EnvState, moves: Moves) -> Bool[Array, " snakes"]:
        """Return whether each snake heads for an empty cell that no other heads for."""
        same = moves.target[:, None] == moves.target[None]
        alone = jnp.sum(same, axis=1, dtype=jnp.int32) == 1
        return alone & (state.grid[moves.target] & jnp.uint8(TILE_MASK) == EMPTY)

    def _turn(self, turns: Turns, moves: Moves, cells: Int[Array, "snakes 2"], params: EnvParams) -> Turns:
        """Move the first pending snake."""
        i = jnp.argmax(turns.pending).astype(jnp.int32)
        index = jnp.arange(self.num_snakes, dtype=jnp.int32)
        state, target, colour = turns.state, moves.target[i], moves.tile[i]
        head, tail, length, direction = state.head[i], state.tail[i], state.length[i], moves.direction[i]
        moved = turns.plain & (index < i)

        def tile_at(grid, cell):
            """Return the tile as of this turn. Earlier plain snakes have moved, though not yet on the grid."""
            tile = grid[cell] & jnp.uint8(TILE_MASK)
            left = jnp.any(moved & turns.tail_stands & (state.tail == cell))
            entered = jnp.any(moved & (moves.target == cell))
            return jnp.where(entered, jnp.uint8(SNAKE), jnp.where(left, jnp.uint8(EMPTY), tile))

        tile = tile_at(state.grid, target)
        dies, finds_food = tile >= WALL, tile == FOOD
        grows = (finds_food | (tile == CORPSE)) & (length < self.max_length - 1)
        grid = self.board.remove(state.grid, tail, jnp.where(dies, length, 0))
        spawns = dies | finds_food
        wish = jnp.where(dies, cells[i, 0], cells[i, 1])
        spawn = self.board.free_cell(wish, lambda cell: jnp.where(spawns, tile_at(grid, cell), jnp.uint8(EMPTY)))

        steps_on = ~dies & ((length > 1) | grows)
        trail = colour | (direction << TILE_BITS).astype(jnp.uint8)
        changes = [  # no cell twice, so that they may happen in any order
            (spawns, spawn, jnp.where(dies, colour, jnp.uint8(FOOD))),
            (steps_on, head, trail),
            (~dies & ~grows, tail, jnp.uint8(EMPTY)),
            (~dies, target, colour),
        ]
        grid = self.board.write(grid, *map(jnp.stack, zip(*changes, strict=True)))

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

    def _move_plain(self, turns: Turns, moves: Moves) -> EnvState:
        state, plain = turns.state, turns.plain
        trail = moves.tile | (moves.direction << TILE_BITS).astype(jnp.uint8)
        grid = self.board.write(state.grid, plain & (state.length > 1), state.head, trail)
        grid = self.board.write(grid, plain & turns.tail_stands, state.tail, jnp.zeros_like(trail))
        grid = self.board.write(grid, plain, moves.target, moves.tile)
        return state.replace(
            grid=grid,
            head=jnp.where(plain, moves.target, state.head),
            tail=jnp.where(plain, moves.next_tail, state.tail),
            heading=jnp.where(plain, moves.direction, state.heading),
        )
