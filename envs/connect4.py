"""Connect four against an opponent that searches three moves ahead, with boards stored as bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from envs import environment
from envs.environment import Box, Discrete, Environment, EnvParams

ROWS, COLUMNS = 6, 7

_COLUMN_BITS = ROWS + 1  # the bit above a full column stays free, so that no line wraps around
_LOW_COLUMNS = 4
_LOW_BITS = _LOW_COLUMNS * _COLUMN_BITS
_LIMB = np.uint32(2**_LOW_BITS - 1)


class Board(struct.PyTreeNode):
    """A set of cells: 7 bits per column from the bottom up, with columns 0..3 in `low` and 4..6 in `high`."""

    low: UInt32[Array, "..."]
    high: UInt32[Array, "..."]

    def __and__(self, other: Board) -> Board:
        return Board(self.low & other.low, self.high & other.high)

    def __or__(self, other: Board) -> Board:
        return Board(self.low | other.low, self.high | other.high)

    def __getitem__(self, index: Any) -> Board:
        """Index both words."""
        return Board(self.low[index], self.high[index])

    def up(self, count: int) -> Board:
        """Move every cell by `count` bits: 1 is one row up, 7 one column to the right, 6 and 8 are the diagonals."""
        carried = self.low >> np.uint32(_LOW_BITS - count)
        return Board((self.low << np.uint32(count)) & _LIMB, ((self.high << np.uint32(count)) | carried) & _LIMB)

    def down(self, count: int) -> Board:
        """Move every cell back by `count` bits, the opposite of `up`."""
        carried = (self.high << np.uint32(_LOW_BITS - count)) & _LIMB
        return Board((self.low >> np.uint32(count)) | carried, self.high >> np.uint32(count))

    def any(self) -> Bool[Array, "..."]:
        """Return whether the set has any cell."""
        return (self.low | self.high) != 0

    def count(self) -> Int[Array, "..."]:
        """Return the number of cells."""
        return (jax.lax.population_count(self.low) + jax.lax.population_count(self.high)).astype(jnp.int32)


def _columns(bits: int) -> Board:
    """Return seven boards, each with the same bits in another column."""
    words = [bits << _COLUMN_BITS * c for c in range(COLUMNS)]
    low = np.array([word & int(_LIMB) for word in words], np.uint32)
    high = np.array([word >> _LOW_BITS for word in words], np.uint32)
    return Board(low, high)  # pyright: ignore[reportArgumentType]


_COLUMN = _columns(2**ROWS - 1)
_CELLS = Board(np.bitwise_or.reduce(_COLUMN.low), np.bitwise_or.reduce(_COLUMN.high))
_FLOOR = Board(np.bitwise_or.reduce(_columns(1).low), np.bitwise_or.reduce(_columns(1).high))


class EnvState(environment.EnvState):
    """State of an episode: the pieces of the agent and of its opponent."""

    agent: Board
    opponent: Board


@dataclass(frozen=True)
class Connect4(Environment):
    """Get four pieces in a row. The agent moves first.

    Observation (42 floats): the cells, column by column from the left, from the bottom up: 1 own, -1 opponent's.
    Actions: the column, 0..6.
    Reward: +1 for a win, -1 for a loss or for playing a full column, at the end only.
    Terminates: with four in a row, a full board (a draw, 0) or an illegal move.
    Score: 1 for a win, else 0. Solved: at least 99% won.
    Source: Connect4 of PufferLib 3.0. Departure: a full board ends the game as a draw; the original goes on.

    The opponent plays the first column that wins at once, if there is one. Otherwise it plays the legal column c of the
    largest V(c) = S(agent, opponent after c, 3) and breaks ties at random. Here S(p, o, d) is 10^d if o has four in a
    row, else 0 if d = 0, else minus the *sum* over p's legal replies r of S(o, p after r, d - 1). There are two
    exceptions: it answers an opening in column 3 by column 2, and an opening in column 4 by column 3.

    Args:
        opponent: "negamax" for the opponent above, or "random".
    """

    opponent: Literal["negamax", "random"] = "negamax"

    def __post_init__(self):
        if self.opponent not in ("negamax", "random"):
            raise ValueError(f'`opponent` must be "negamax" or "random"; got {self.opponent!r}.')

    @property
    def default_params(self) -> EnvParams:
        return EnvParams()

    def action_space(self, params: EnvParams | None = None) -> Discrete:
        return Discrete(COLUMNS)

    def observation_space(self, params: EnvParams | None = None) -> Box:
        return Box(-1.0, 1.0, (ROWS * COLUMNS,))

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[Float[Array, " 42"], EnvState]:
        state = self.start()
        return self.get_obs(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Int[Array, ""], params: EnvParams
    ) -> tuple[Float[Array, " 42"], EnvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        action = self.as_action(action, params)
        state, reward, terminated = self.transition(state, action, self.draw(key), params)
        info = {"score": (reward > 0).astype(jnp.float32)}
        return self.get_obs(state, params), state, reward, terminated, info

    def draw(self, key: PRNGKeyArray) -> UInt32[Array, ""]:
        """Draw the random number of a step, which breaks ties by its remainder modulo their number."""
        return jax.random.bits(key, (), jnp.uint32)

    def start(self) -> EnvState:
        """Return the first state of an episode."""
        return EnvState(jnp.zeros((), jnp.int32), empty_board(), empty_board())

    def transition(
        self, state: EnvState, action: Int[Array, ""], draw: UInt32[Array, ""], params: EnvParams
    ) -> tuple[EnvState, Float[Array, ""], Bool[Array, ""]]:
        """Apply the rules to a given random draw and return (state, reward, terminated)."""
        del params
        move = playable(state.agent | state.opponent) & column(action)
        legal = move.any()
        won = (winning_cells(state.agent) & move).any()
        agent = state.agent | move

        reply = self._reply(agent, state.opponent, draw)
        reply = environment.select(legal & ~won, reply, empty_board())
        lost = (winning_cells(state.opponent) & reply).any() | ~legal
        opponent = state.opponent | reply
        reward = jnp.where(won, 1.0, jnp.where(lost, -1.0, 0.0)).astype(jnp.float32)
        full = ~playable(agent | opponent).any()
        return EnvState(state.time + 1, agent, opponent), reward, won | lost | full

    def get_obs(self, state: EnvState, params: EnvParams) -> Float[Array, " 42"]:
        return cells(state.agent) - cells(state.opponent)

    def _reply(self, agent: Board, opponent: Board, draw: UInt32[Array, ""]) -> Board:
        """Return the opponent's move as a set of one cell."""
        moves = playable(agent | opponent) & _COLUMN
        legal = moves.any()
        if self.opponent == "random":
            return moves[_pick(legal, draw)]
        wins = (winning_cells(opponent) & moves).any()
        values = jnp.where(legal, search_values(agent, opponent), -jnp.inf)
        choice = _pick(values == jnp.max(values), draw)
        opening = (agent | opponent).count() == 1
        choice = jnp.where(opening & (agent & _FLOOR & _COLUMN[3]).any(), 2, choice)
        choice = jnp.where(opening & (agent & _FLOOR & _COLUMN[4]).any(), 3, choice)
        return moves[jnp.where(jnp.any(wins), jnp.argmax(wins).astype(jnp.int32), choice)]


def search_values(agent: Board, opponent: Board) -> Float[Array, " 7"]:
    """Return V(c) of every column for the opponent, who is to move.

    The value has no meaning where column c is full or wins at once. No game is played out: a move wins if it is one of
    the mover's winning cells. The last move of the search only counts the agent's winning cells that can be played,
    and a reply changes only those of its own column.
    """
    occupied = agent | opponent
    move = playable(occupied) & _COLUMN
    after = occupied | move
    threats = winning_cells(opponent | move)[:, None, None]

    reply = playable(after)[:, None] & _COLUMN[None]
    reply_wins = (winning_cells(agent) & reply).any()
    agent_threats = winning_cells(agent | reply)
    free = playable(after[:, None] | reply)
    num_wins = (agent_threats & free).count()[:, :, None]

    third = free[:, :, None] & _COLUMN[None, None]
    agent_threats = agent_threats[:, :, None]
    opened = (agent_threats & third.up(1)).any().astype(jnp.int32)
    closed = (agent_threats & third).any().astype(jnp.int32)
    third_value = jnp.where((threats & third).any(), 10, closed - num_wins - opened)
    reply_value = -jnp.sum(jnp.where(third.any(), third_value, 0), axis=-1)
    reply_value = jnp.where(reply_wins, 100, reply_value)
    return -jnp.sum(jnp.where(reply.any(), reply_value, 0), axis=-1).astype(jnp.float32)


def winning_cells(pieces: Board) -> Board:
    """Return the cells that would complete four in a row, including occupied ones."""
    total = pieces.up(1) & pieces.up(2) & pieces.up(3)
    for step in (ROWS, ROWS + 1, ROWS + 2):
        before, after = pieces.up(step), pieces.down(step)
        two_before = before & pieces.up(2 * step)
        two_after = after & pieces.down(2 * step)
        total |= (two_before & (pieces.up(3 * step) | after)) | (two_after & (pieces.down(3 * step) | before))
    return total & _CELLS


def playable(occupied: Board) -> Board:
    """Return the lowest free cell of every column that is not full."""
    return Board(occupied.low + _FLOOR.low, occupied.high + _FLOOR.high) & _CELLS


def column(index: Int[Array, ""]) -> Board:
    """Return all cells of a column."""
    bits = np.uint32(2**ROWS - 1)
    shift = (index * _COLUMN_BITS).astype(jnp.uint32)
    low = jnp.where(index < _LOW_COLUMNS, bits << shift, jnp.uint32(0))
    high = jnp.where(index < _LOW_COLUMNS, jnp.uint32(0), bits << (shift - np.uint32(_LOW_BITS)))
    return Board(low, high)


def cells(pieces: Board) -> Float[Array, " 42"]:
    """Return 1 for each cell of the set and 0 elsewhere, column by column from the bottom up."""
    rows = np.arange(ROWS, dtype=np.uint32)
    low = _COLUMN_BITS * np.arange(_LOW_COLUMNS, dtype=np.uint32)[:, None] + rows
    high = low[: COLUMNS - _LOW_COLUMNS]
    bits = [(pieces.low >> low.reshape(-1)) & np.uint32(1), (pieces.high >> high.reshape(-1)) & np.uint32(1)]
    return jnp.concatenate(bits).astype(jnp.float32)


def empty_board() -> Board:
    """Return a set without cells."""
    return Board(jnp.zeros((), jnp.uint32), jnp.zeros((), jnp.uint32))


def _pick(candidates: Bool[Array, " 7"], draw: UInt32[Array, ""]) -> Int[Array, ""]:
    """Return the candidate whose rank is the draw modulo the number of candidates."""
    rank = jnp.cumsum(candidates, dtype=jnp.int32) - 1
    number = jnp.maximum(jnp.sum(candidates, dtype=jnp.int32), 1).astype(jnp.uint32)
    return jnp.argmax(candidates & (rank == (draw % number).astype(jnp.int32))).astype(jnp.int32)
