"""Connect four for two players, without the built-in opponent, for self-play."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs.connect4 import COLUMNS, Board, cells, column, empty_board, playable, winning_cells
from envs.environment import select


class DuelState(struct.PyTreeNode):
    """State of a game between players 0 and 1, with the names that pgx uses.

    Attributes:
        current_player: The player to move.
        observation: The 42 cells as the current player sees them: 1 for its own pieces, -1 for the other's.
        legal_action_mask: Columns that are not full.
        rewards: Rewards of the last move for players 0 and 1.
        terminated: Whether the game is over. Further steps then change nothing and give no reward.
        mine: Pieces of the current player.
        theirs: Pieces of the other one.
    """

    current_player: Int[Array, ""]
    observation: Float[Array, " 42"]
    legal_action_mask: Bool[Array, " 7"]
    rewards: Float[Array, " 2"]
    terminated: Bool[Array, ""]
    mine: Board
    theirs: Board


def init(key: PRNGKeyArray) -> DuelState:
    """Start a game. The player who begins is drawn at random."""
    player = jax.random.bernoulli(key).astype(jnp.int32)
    return _state(player, empty_board(), empty_board(), jnp.zeros(2), jnp.zeros((), bool))


def step(state: DuelState, action: Int[Array, ""]) -> DuelState:
    """Drop a piece of the current player into column `action`. A full column loses the game."""
    move = playable(state.mine | state.theirs) & column(action)
    legal = move.any()
    won = (winning_cells(state.mine) & move).any()
    mine = state.mine | move
    over = won | ~legal | ~playable(mine | state.theirs).any()
    outcome = jnp.where(won, 1.0, jnp.where(legal, 0.0, -1.0))
    rewards = jnp.where(jnp.arange(2) == state.current_player, outcome, -outcome)
    after = _state(1 - state.current_player, state.theirs, mine, rewards, over)
    return select(state.terminated, state.replace(rewards=jnp.zeros(2)), after)


def _state(player, mine: Board, theirs: Board, rewards, terminated) -> DuelState:
    legal = (playable(mine | theirs) & column(jnp.arange(COLUMNS))).any()
    return DuelState(player, cells(mine) - cells(theirs), legal, rewards, terminated, mine, theirs)
