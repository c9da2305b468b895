"""The grid of `snake`: its cells, where something can be put on it, and writing to many cells at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

EMPTY, FOOD, CORPSE, WALL, SNAKE = range(5)

STEPS = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
"""Rows and columns of a step up, down, left and right."""
TILE_BITS = 3
TILE_MASK = 2**TILE_BITS - 1
"""The low bits of a cell are its tile; those above are the direction of the next segment towards a snake's head."""
RANDOM_TRIES = 64


@dataclass(frozen=True)
class Board:
    """Cells numbered row by row, with a border of walls.

    Attributes:
        width: Number of columns, including the border.
        height: Number of rows, including the border.
        border: Thickness of the border.
    """

    width: int
    height: int
    border: int

    @property
    def num_rows(self) -> int:
        """Rows inside the border."""
        return self.height - 2 * self.border

    @property
    def num_columns(self) -> int:
        """Columns inside the border."""
        return self.width - 2 * self.border

    @property
    def num_inner(self) -> int:
        """Cells inside the border."""
        return self.num_rows * self.num_columns

    @property
    def steps(self) -> Int[Array, " 4"]:
        """What a step in each direction adds to the number of a cell."""
        return jnp.asarray(STEPS @ [self.width, 1], jnp.int32)

    def empty(self) -> UInt8[Array, " cells"]:
        """Return a grid with walls and nothing else."""
        grid = np.full((self.height, self.width), WALL, np.uint8)
        grid[self.border : -self.border, self.border : -self.border] = EMPTY
        return jnp.asarray(grid.reshape(-1))

    def cell(self, inner: Int[Array, "..."]) -> Int[Array, "..."]:
        """Return the cell of an index that counts only cells inside the border."""
        return (inner // self.num_columns + self.border) * self.width + inner % self.num_columns + self.border

    def free_cell(self, wish: Int[Array, ""], tile_at: Callable[[Int[Array, ""]], UInt8[Array, ""]]) -> Int[Array, ""]:
        """Return the wished cell if it is free, else the first free one of a pseudo-random sequence, then of all."""

        def taken(carry):
            tile = tile_at(carry[0])
            return (tile != EMPTY) & (tile != CORPSE) & (carry[1] < RANDOM_TRIES + self.num_inner)

        def another(carry):
            cell, tries, word = carry
            word = word * jnp.uint32(1664525) + jnp.uint32(1013904223)
            row, col = cell // self.width - self.border, cell % self.width - self.border
            jump = (word >> 1).astype(jnp.int32) % self.num_inner
            inner = jnp.where(tries < RANDOM_TRIES, jump, (row * self.num_columns + col + 1) % self.num_inner)
            return self.cell(inner), tries + 1, word

        return jax.lax.while_loop(taken, another, (wish, jnp.int32(0), wish.astype(jnp.uint32)))[0]

    def write(
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

    def remove(
        self, grid: UInt8[Array, " cells"], tail: Int[Array, ""], length: Int[Array, ""]
    ) -> UInt8[Array, " cells"]:
        """Remove a dead snake and leave a corpse at every second segment from the tail."""
        steps = self.steps

        def body(carry):
            grid, cell, k = carry
            towards = (grid[cell] >> TILE_BITS).astype(jnp.int32)
            grid = grid.at[cell].set(jnp.where(k % 2 == 0, jnp.uint8(CORPSE), jnp.uint8(EMPTY)))
            return grid, cell + steps[towards], k + 1

        return jax.lax.while_loop(lambda carry: carry[2] <= length, body, (grid, tail, jnp.int32(1)))[0]
