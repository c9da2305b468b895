"""Breakout's geometry: the earliest collision of the moving ball within a frame.

The rule considers all bricks. But in one frame the ball moves by less than the height of a brick, so that it can reach
only one vertical and one horizontal line of brick edges. Six bricks touch the vertical line, and at most two bricks of
the horizontal one are within the ball's reach, so that eight tests are enough.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from envs import environment
from envs.floats import rounded

WIDTH, HEIGHT = 576.0, 330.0
PADDLE_Y, PADDLE_HEIGHT = 312.0, 8.0
BALL = 32.0
ROWS, COLUMNS = 6, 18
BRICK_WIDTH, BRICK_HEIGHT, BRICKS_Y = 32.0, 12.0, 50.0

WALL_ROW = -1
_NEVER = 2.0

Bricks = tuple[UInt32[Array, ""], ...]
"""One word per row. Bit c is set if the brick of column c is destroyed."""


class Ball(NamedTuple):
    """Upper left corner of the ball in pixels, with y pointing down, and its velocity in pixels per frame."""

    x: Float[Array, ""]
    y: Float[Array, ""]
    vx: Float[Array, ""]
    vy: Float[Array, ""]


class Contact(NamedTuple):
    """A possible collision.

    Attributes:
        time: Fraction of the frame at which it happens; 2 if it does not happen in this frame.
        overlap: Length in pixels over which the ball and the edge touch.
        x: Left edge of the ball at that time.
        y: Top edge of the ball at that time.
        row: Row of the brick, or `WALL_ROW`.
        column: Column of the brick.
        vertical: Whether the edge that is hit is vertical.
    """

    time: Float[Array, ""]
    overlap: Float[Array, ""]
    x: Float[Array, ""]
    y: Float[Array, ""]
    row: Int[Array, ""]
    column: Int[Array, ""]
    vertical: Bool[Array, ""]


def earliest_contact(ball: Ball, bricks: Bricks) -> Contact:
    """Return the earliest contact of the ball with a brick or a wall within the frame."""
    contact = _earliest(_brick_beside(ball, bricks), _brick_above_or_below(ball, bricks))
    return _first(_first(contact, _side_wall(ball)), _back_wall(ball))


def _brick_beside(ball: Ball, bricks: Bricks) -> Contact:
    """Return the earliest contact with a vertical edge, the next one in the ball's direction."""
    right = ball.vx > 0
    side = jnp.where(right, ball.x + BALL, ball.x)
    edge = jnp.where(right, jnp.floor(side / BRICK_WIDTH) + 1, jnp.ceil(side / BRICK_WIDTH) - 1)
    column = jnp.where(right, edge, edge - 1).astype(jnp.int32)
    time, top, bottom = _sweep(edge * BRICK_WIDTH - side, ball.vx, ball.y, ball.vy)
    inside = (column >= 0) & (column < COLUMNS)
    overlap, row = jnp.zeros_like(time), jnp.full_like(column, WALL_ROW)
    for r in range(ROWS):
        brick_top = BRICKS_Y + BRICK_HEIGHT * r
        extent = jnp.minimum(brick_top + BRICK_HEIGHT, bottom) - jnp.maximum(brick_top, top)
        better = (extent > overlap) & _stands(bricks[r], column)
        overlap, row = jnp.where(better, extent, overlap), jnp.where(better, r, row)
    x = edge * BRICK_WIDTH - jnp.where(right, BALL, 0.0)
    time = jnp.where(inside & (overlap > 0), time, _NEVER)
    return Contact(time, overlap, x, top, row, column, jnp.ones_like(right))


def _brick_above_or_below(ball: Ball, bricks: Bricks) -> Contact:
    """Return the earliest contact with a horizontal edge, in the one row and the two columns within reach."""
    down = ball.vy > 0
    side = jnp.where(down, ball.y + BALL, ball.y)
    passed = jnp.where(down, side, side - BRICK_HEIGHT)
    row = jnp.where(down, 0, -1)
    for r in range(ROWS):
        brick_top = BRICKS_Y + BRICK_HEIGHT * r
        beyond = jnp.where(down, passed >= brick_top, side > brick_top + BRICK_HEIGHT)
        row = row + beyond.astype(jnp.int32)
    edge = BRICKS_Y + BRICK_HEIGHT * (row + jnp.where(down, 0, 1)).astype(jnp.float32)
    time, left, right = _sweep(edge - side, ball.vy, ball.x, ball.vx)
    word = jnp.uint32(0)
    for r in range(ROWS):
        word = jnp.where(row == r, bricks[r], word)
    first = jnp.floor(left / BRICK_WIDTH).astype(jnp.int32)
    overlap, column = jnp.zeros_like(time), first
    for c in (first, first + 1):
        brick_left = c.astype(jnp.float32) * BRICK_WIDTH
        extent = jnp.minimum(brick_left + BRICK_WIDTH, right) - jnp.maximum(brick_left, left)
        better = (extent > overlap) & _stands(word, c) & (c >= 0) & (c < COLUMNS)
        overlap, column = jnp.where(better, extent, overlap), jnp.where(better, c, column)
    y = edge - jnp.where(down, BALL, 0.0)
    time = jnp.where((row >= 0) & (row < ROWS) & (overlap > 0), time, _NEVER)
    return Contact(time, overlap, left, y, row, column, jnp.zeros_like(down))


def _side_wall(ball: Ball) -> Contact:
    right = ball.vx > 0
    side = jnp.where(right, WIDTH - (ball.x + BALL), -ball.x)
    time, top, bottom = _sweep(side, ball.vx, ball.y, ball.vy)
    overlap = jnp.minimum(HEIGHT, bottom) - jnp.maximum(0.0, top)
    x = jnp.where(right, WIDTH - BALL, 0.0)
    return _wall(time, overlap, x, top, jnp.ones_like(right))


def _back_wall(ball: Ball) -> Contact:
    time, left, right = _sweep(-ball.y, ball.vy, ball.x, ball.vx)
    overlap = jnp.minimum(WIDTH, right) - jnp.maximum(0.0, left)
    time = jnp.where(ball.vy < 0, time, _NEVER)
    return _wall(time, overlap, left, jnp.zeros_like(left), jnp.zeros_like(left, bool))


def _wall(time, overlap, x, y, vertical) -> Contact:
    row = jnp.full(time.shape, WALL_ROW, jnp.int32)
    return Contact(jnp.where(overlap > 0, time, _NEVER), overlap, x, y, row, row, vertical)


def _sweep(
    distance: Float[Array, ""],
    velocity: Float[Array, ""],
    corner: Float[Array, ""],
    drift: Float[Array, ""],
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Return when the ball has gone `distance` along one axis, and its two ends on the other axis at that time.

    The time is a fraction of the frame, or 2 if the ball does not get that far in it.
    """
    still = velocity == 0
    time = distance / jnp.where(still, 1.0, velocity)
    drifted = rounded(drift * time)
    time = jnp.where(~still & (time > 0) & (time <= 1), time, _NEVER)
    return time, corner + drifted, (corner + BALL) + drifted


def _earliest(beside: Contact, above: Contact) -> Contact:
    """Return the earlier of two contacts with bricks. Ties go to the larger overlap, then to the first brick."""
    order = above.row * COLUMNS + above.column < beside.row * COLUMNS + beside.column
    tied = (above.time == beside.time) & (above.overlap == beside.overlap) & order
    return environment.select(tied, above, _first(beside, above))


def _first(first: Contact, second: Contact) -> Contact:
    """Return the second contact if it is earlier, or if it is simultaneous and overlaps more."""
    later = (second.time == first.time) & (second.overlap > first.overlap)
    wins = (second.time <= 1.0) & ((second.time < first.time) | later)
    return environment.select(wins, second, first)


def reaches_paddle(
    ball: Ball, paddle_x: Float[Array, ""], paddle_width: Float[Array, ""], contact: Contact
) -> Bool[Array, ""]:
    """Return whether the ball reaches the paddle before the given contact."""
    bottom = ball.y + BALL
    time, left, right = _sweep(PADDLE_Y - bottom, ball.vy, ball.x, ball.vx)
    overlap = jnp.minimum(paddle_x + paddle_width, right) - jnp.maximum(paddle_x, left)
    reaches = (bottom + ball.vy >= PADDLE_Y) & (time <= 1.0) & (overlap > 0)
    return reaches & ((time < contact.time) | ((time == contact.time) & (overlap > contact.overlap)))


def _stands(word: UInt32[Array, ""], column: Int[Array, ""]) -> Bool[Array, ""]:
    """Return whether the brick in a column from 0 to 17 of this row is still there."""
    return (word >> column.astype(jnp.uint32)) & jnp.uint32(1) == jnp.uint32(0)
