"""Breakout: 108 bricks, a paddle and an exact sweep test for the earliest collision of every frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped, UInt32

from envs import environment
from envs.environment import Box, Discrete, Environment
from envs.floats import divided, rounded, scaled, scaled_sin_cos

WIDTH, HEIGHT = 576.0, 330.0
PADDLE_Y, PADDLE_HEIGHT = 312.0, 8.0
BALL = 32.0
ROWS, COLUMNS = 6, 18
BRICK_WIDTH, BRICK_HEIGHT, BRICKS_Y = 32.0, 12.0, 50.0
FRAMES_PER_SECOND = 60.0
HALF_SCORE, MAX_SCORE = 432, 864
HITS_PER_SPEEDUP, SPEEDUP = 4, 64.0

_FIRE_ANGLE = float(np.float32(np.pi / 3.25))
_BOUNCE_ANGLE = np.float32(np.pi / 4)
_NUDGE = np.float32(448) * np.float32(1.1) / np.float32(60)


class EnvState(environment.EnvState):
    """Positions are upper left corners in pixels, y down; the ball's velocity is in pixels per frame.

    Attributes:
        bricks: A word per row, bit c set where the brick of column c is destroyed.
    """

    paddle_x: Float[Array, ""]
    paddle_width: Float[Array, ""]
    ball_x: Float[Array, ""]
    ball_y: Float[Array, ""]
    ball_vx: Float[Array, ""]
    ball_vy: Float[Array, ""]
    ball_speed: Float[Array, ""]
    hits: Int[Array, ""]
    fired: Bool[Array, ""]
    num_balls: Int[Array, ""]
    score: Int[Array, ""]
    bricks: tuple[UInt32[Array, ""], ...]


class EnvParams(environment.EnvParams):
    """Speeds in pixels per second; the ball may not pass a brick's height in a frame (720 pixels per second)."""

    paddle_speed: float = 620.0
    paddle_width: float = 62.0
    initial_ball_speed: float = 256.0
    max_ball_speed: float = 448.0
    num_balls: int = 5


@dataclass(frozen=True)
class Breakout(Environment):
    """Clear the wall twice with six balls.

    Observation (118 floats):
        0, 1  paddle x / 576, y / 330
        2, 3  ball x / 576, y / 330
        4, 5  ball velocity / 512, pixels per frame
        6     1/5 once the ball is fired
        7     score / 864
        8     balls left / 5
        9     paddle width / 62, 1 or 1/2
        10..  108 flags, row by row from the top, 1 where the brick is destroyed
    Actions: 0 stay, 1 left, 2 right (620 pixels per second); continuous: the fraction of that speed in [-1, 1].
    Reward: the points of the bricks destroyed: 7, 7, 4, 4, 1, 1 by row from the top.
    Terminates: when the sixth ball is lost or at 864 points. No time limit: `max_steps_in_episode` sets one.
    Solved: mean score of at least 800; 864 is perfect.
    Source: Breakout of PufferLib 3.0, equal to it step by step. Departure: the frames that are left of the step
    that ends an episode are dropped, there they are already played in the next.

    Args:
        frameskip: Frames per step, of 1/60 s.
        continuous: Whether the action is a paddle speed.
    """

    frameskip: int = 4
    continuous: bool = False

    def __post_init__(self):
        if self.frameskip < 1:
            raise ValueError(f"`frameskip` must be at least 1; got {self.frameskip}.")

    @property
    def default_params(self) -> EnvParams:
        return EnvParams()

    def action_space(self, params: EnvParams | None = None) -> Discrete | Box:
        return Box(-1.0, 1.0, (1,)) if self.continuous else Discrete(3)

    def observation_space(self, params: EnvParams | None = None) -> Box:
        return Box(-1.0, 2.0, (10 + ROWS * COLUMNS,))

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[Float[Array, " 118"], EnvState]:
        state = self.start(params)
        return self.get_obs(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Shaped[Array, "..."], params: EnvParams
    ) -> tuple[Float[Array, " 118"], EnvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        state, reward, terminated = self.transition(state, action, self.draw(key), params)
        info = {"score": state.score.astype(jnp.float32)}
        return self.get_obs(state, params), state, reward, terminated, info

    def draw(self, key: PRNGKeyArray) -> Bool[Array, ""]:
        """The one random draw of a step: whether a ball fired in it goes to the left."""
        return jax.random.bits(key) >> 31 == 1

    def start(self, params: EnvParams) -> EnvState:
        """The first state of an episode."""
        zero, blank = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.float32)
        bricks = (jnp.zeros((), jnp.uint32),) * ROWS
        fields = dict.fromkeys(("paddle_x", "paddle_width", "ball_x", "ball_y", "ball_vx", "ball_vy"), blank)
        state = EnvState(
            time=zero,
            ball_speed=blank,
            hits=zero,
            fired=jnp.zeros((), bool),
            num_balls=jnp.asarray(params.num_balls, jnp.int32),
            score=zero,
            bricks=bricks,
            **fields,
        )
        return _new_round(state, params)

    def transition(
        self, state: EnvState, action: Shaped[Array, "..."], fire_left: Bool[Array, ""], params: EnvParams
    ) -> tuple[EnvState, Float[Array, ""], Bool[Array, ""]]:
        """The step without its randomness: (state, reward, terminated)."""
        paddle_step = divided(rounded(self._direction(action) * params.paddle_speed), FRAMES_PER_SECOND)
        speed = _float(params.initial_ball_speed)
        fire_vx = scaled(float(np.sin(_FIRE_ANGLE)) / FRAMES_PER_SECOND, speed)
        fire_vy = scaled(float(np.cos(_FIRE_ANGLE)) / FRAMES_PER_SECOND, speed)
        fire = (jnp.where(fire_left, -fire_vx, fire_vx), fire_vy)

        def body(_, state):
            return environment.select(_is_over(state), state, _frame(state, paddle_step, fire, params))

        after = jax.lax.fori_loop(0, self.frameskip, body, state)
        reward = (after.score - state.score).astype(jnp.float32)
        return after.replace(time=state.time + 1), reward, _is_over(after)

    def get_obs(self, state: EnvState, params: EnvParams) -> Float[Array, " 118"]:
        head = [
            state.paddle_x / WIDTH,
            jnp.full_like(state.paddle_x, PADDLE_Y / HEIGHT),
            state.ball_x / WIDTH,
            state.ball_y / HEIGHT,
            state.ball_vx / 512.0,
            state.ball_vy / 512.0,
            state.fired.astype(jnp.float32) / 5.0,
            state.score.astype(jnp.float32) / MAX_SCORE,
            state.num_balls.astype(jnp.float32) / 5.0,
            state.paddle_width / 62.0,
        ]
        words = jnp.stack(state.bricks)[:, None]
        flags = (words >> jnp.arange(COLUMNS, dtype=jnp.uint32)[None]) & jnp.uint32(1)
        return jnp.concatenate([jnp.stack(head), flags.reshape(-1).astype(jnp.float32)])

    def _direction(self, action: Shaped[Array, "..."]) -> Float[Array, ""]:
        if self.continuous:
            return jnp.clip(action.reshape(()).astype(jnp.float32), -1.0, 1.0)
        return jnp.where(action == 1, -1.0, jnp.where(action == 2, 1.0, 0.0))


class _Contact(NamedTuple):
    """A candidate for the earliest collision: the fraction of the frame, the overlap and where it would be."""

    time: Float[Array, ""]
    overlap: Float[Array, ""]
    x: Float[Array, ""]
    y: Float[Array, ""]
    row: Int[Array, ""]
    column: Int[Array, ""]
    vertical: Bool[Array, ""]  # the edge that was hit is vertical


_WALL_ROW = -1
_NEVER = 2.0


def _frame(
    state: EnvState, paddle_step: Float[Array, ""], fire: tuple[Array, Array], params: EnvParams
) -> EnvState:
    """One frame of 1/60 s."""
    moved = jnp.clip(state.paddle_x + paddle_step, 0.0, WIDTH - state.paddle_width)
    x = jnp.where(state.ball_x < 0, state.ball_x + _NUDGE, state.ball_x)
    x = jnp.where(x > WIDTH, x - _NUDGE, x)
    state = state.replace(
        paddle_x=jnp.where(state.fired, moved, state.paddle_x),
        ball_x=x,
        ball_y=jnp.where(state.ball_y < 0, state.ball_y + _NUDGE, state.ball_y),
        ball_vx=jnp.where(state.fired, state.ball_vx, fire[0]),
        ball_vy=jnp.where(state.fired, state.ball_vy, fire[1]),
        fired=jnp.ones((), bool),
    )
    contact = _earliest(_brick_beside(state), _brick_above_or_below(state))
    contact = _first(_first(contact, _side_wall(state)), _back_wall(state))
    paddle_hit = _hits_paddle(state, contact)
    bounced = (contact.time <= 1.0) & ~paddle_hit
    free = ~bounced & ~paddle_hit
    brick_hit = bounced & (contact.row > _WALL_ROW)
    back_wall_hit = bounced & (contact.row == _WALL_ROW) & ~contact.vertical

    points = jnp.where(brick_hit, 7 - 3 * (contact.row // 2), 0)
    mark = jnp.uint32(1) << jnp.clip(contact.column, 0, COLUMNS - 1).astype(jnp.uint32)
    bricks = tuple(
        jnp.where(brick_hit & (contact.row == r), word | mark, word) for r, word in enumerate(state.bricks)
    )
    vx, vy = state.ball_vx, state.ball_vy
    after = state.replace(
        ball_x=jnp.where(bounced, contact.x, jnp.where(free, state.ball_x + vx, state.ball_x)),
        ball_y=jnp.where(bounced, contact.y, jnp.where(free, state.ball_y + vy, state.ball_y)),
        ball_vx=jnp.where(bounced & contact.vertical, -vx, vx),
        ball_vy=jnp.where(bounced & ~contact.vertical, -vy, vy),
        ball_speed=jnp.where(brick_hit & (contact.row < 3), params.max_ball_speed, state.ball_speed),
        paddle_width=jnp.where(back_wall_hit, params.paddle_width / 2, state.paddle_width),
        score=state.score + points,
        bricks=bricks,
    )
    after = _bounce_off_paddle(after, paddle_hit, params)
    lost = after.ball_y >= PADDLE_Y + PADDLE_HEIGHT
    return environment.select(lost, _new_round(after.replace(num_balls=after.num_balls - 1), params), after)


def _brick_beside(state: EnvState) -> _Contact:
    """The best contact with a vertical brick edge: the ball can only reach the next one in its direction."""
    right = state.ball_vx > 0
    side = jnp.where(right, state.ball_x + BALL, state.ball_x)
    edge = jnp.where(right, jnp.floor(side / BRICK_WIDTH) + 1, jnp.ceil(side / BRICK_WIDTH) - 1)
    column = jnp.where(right, edge, edge - 1).astype(jnp.int32)
    time, top, bottom = _sweep(edge * BRICK_WIDTH - side, state.ball_vx, state.ball_y, state.ball_vy)
    inside = (column >= 0) & (column < COLUMNS)
    overlap, row = jnp.zeros_like(time), jnp.full_like(column, _WALL_ROW)
    for r in range(ROWS):
        brick_top = BRICKS_Y + BRICK_HEIGHT * r
        extent = jnp.minimum(brick_top + BRICK_HEIGHT, bottom) - jnp.maximum(brick_top, top)
        better = (extent > overlap) & _stands(state.bricks[r], column)
        overlap, row = jnp.where(better, extent, overlap), jnp.where(better, r, row)
    x = edge * BRICK_WIDTH - jnp.where(right, BALL, 0.0)
    time = jnp.where(inside & (overlap > 0), time, _NEVER)
    return _Contact(time, overlap, x, top, row, column, jnp.ones_like(right))


def _brick_above_or_below(state: EnvState) -> _Contact:
    """The best contact with a horizontal brick edge, of the one row and the two columns the ball can reach."""
    down = state.ball_vy > 0
    side = jnp.where(down, state.ball_y + BALL, state.ball_y)
    passed = jnp.where(down, side, side - BRICK_HEIGHT)
    row = jnp.where(down, 0, -1)
    for r in range(ROWS):
        brick_top = BRICKS_Y + BRICK_HEIGHT * r
        beyond = jnp.where(down, passed >= brick_top, side > brick_top + BRICK_HEIGHT)
        row = row + beyond.astype(jnp.int32)
    edge = BRICKS_Y + BRICK_HEIGHT * (row + jnp.where(down, 0, 1)).astype(jnp.float32)
    time, left, right = _sweep(edge - side, state.ball_vy, state.ball_x, state.ball_vx)
    word = jnp.uint32(0)
    for r in range(ROWS):
        word = jnp.where(row == r, state.bricks[r], word)
    first = jnp.floor(left / BRICK_WIDTH).astype(jnp.int32)
    overlap, column = jnp.zeros_like(time), first
    for c in (first, first + 1):
        brick_left = c.astype(jnp.float32) * BRICK_WIDTH
        extent = jnp.minimum(brick_left + BRICK_WIDTH, right) - jnp.maximum(brick_left, left)
        better = (extent > overlap) & _stands(word, c) & (c >= 0) & (c < COLUMNS)
        overlap, column = jnp.where(better, extent, overlap), jnp.where(better, c, column)
    y = edge - jnp.where(down, BALL, 0.0)
    time = jnp.where((row >= 0) & (row < ROWS) & (overlap > 0), time, _NEVER)
    return _Contact(time, overlap, left, y, row, column, jnp.zeros_like(down))


def _side_wall(state: EnvState) -> _Contact:
    right = state.ball_vx > 0
    side = jnp.where(right, WIDTH - (state.ball_x + BALL), -state.ball_x)
    time, top, bottom = _sweep(side, state.ball_vx, state.ball_y, state.ball_vy)
    overlap = jnp.minimum(HEIGHT, bottom) - jnp.maximum(0.0, top)
    x = jnp.where(right, WIDTH - BALL, 0.0)
    return _wall(time, overlap, x, top, jnp.ones_like(right))


def _back_wall(state: EnvState) -> _Contact:
    time, left, right = _sweep(-state.ball_y, state.ball_vy, state.ball_x, state.ball_vx)
    overlap = jnp.minimum(WIDTH, right) - jnp.maximum(0.0, left)
    time = jnp.where(state.ball_vy < 0, time, _NEVER)
    return _wall(time, overlap, left, jnp.zeros_like(left), jnp.zeros_like(left, bool))


def _wall(time, overlap, x, y, vertical) -> _Contact:
    row = jnp.full(time.shape, _WALL_ROW, jnp.int32)
    return _Contact(jnp.where(overlap > 0, time, _NEVER), overlap, x, y, row, row, vertical)


def _sweep(
    distance: Float[Array, ""],
    velocity: Float[Array, ""],
    corner: Float[Array, ""],
    drift: Float[Array, ""],
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """When the ball has gone `distance` on one axis (2 if not in this frame), and its extent on the other then."""
    still = velocity == 0
    time = distance / jnp.where(still, 1.0, velocity)
    drifted = rounded(drift * time)
    time = jnp.where(~still & (time > 0) & (time <= 1), time, _NEVER)
    return time, corner + drifted, (corner + BALL) + drifted


def _earliest(beside: _Contact, above: _Contact) -> _Contact:
    """The earlier of two contacts with bricks, then the one that overlaps more, then the first brick."""
    order = above.row * COLUMNS + above.column < beside.row * COLUMNS + beside.column
    tied = (above.time == beside.time) & (above.overlap == beside.overlap) & order
    return environment.select(tied, above, _first(beside, above))


def _first(first: _Contact, second: _Contact) -> _Contact:
    """The second contact if it is earlier, or simultaneous with more overlap."""
    later = (second.time == first.time) & (second.overlap > first.overlap)
    wins = (second.time <= 1.0) & ((second.time < first.time) | later)
    return environment.select(wins, second, first)


def _hits_paddle(state: EnvState, contact: _Contact) -> Bool[Array, ""]:
    """Whether the ball reaches the paddle's top line before the contact found so far."""
    bottom = state.ball_y + BALL
    time, left, right = _sweep(PADDLE_Y - bottom, state.ball_vy, state.ball_x, state.ball_vx)
    overlap = jnp.minimum(state.paddle_x + state.paddle_width, right) - jnp.maximum(state.paddle_x, left)
    reaches = (bottom + state.ball_vy >= PADDLE_Y) & (time <= 1.0) & (overlap > 0)
    return reaches & ((time < contact.time) | ((time == contact.time) & (overlap > contact.overlap)))


def _bounce_off_paddle(state: EnvState, hit: Bool[Array, ""], params: EnvParams) -> EnvState:
    """Where it hit sets the new direction; every fourth hit speeds the ball up; the wall may come back."""
    where = (state.ball_x + BALL / 2 - state.paddle_x) / state.paddle_width
    angle = rounded(where * 2 * _BOUNCE_ANGLE) - _BOUNCE_ANGLE
    vx, upward = scaled_sin_cos(jnp.where(hit, angle, 0.0), state.ball_speed, FRAMES_PER_SECOND)
    hits = state.hits + hit.astype(jnp.int32)
    faster = hit & (hits % HITS_PER_SPEEDUP == 0) & (state.ball_speed < params.max_ball_speed)
    refill = hit & (state.score == HALF_SCORE)
    return state.replace(
        ball_vx=jnp.where(hit, vx, state.ball_vx),
        ball_vy=jnp.where(hit, -upward, state.ball_vy),
        ball_speed=state.ball_speed + jnp.where(faster, SPEEDUP, 0.0),
        hits=hits,
        bricks=tuple(jnp.where(refill, jnp.uint32(0), word) for word in state.bricks),
    )


def _new_round(state: EnvState, params: EnvParams) -> EnvState:
    """The ball above the centred paddle, to be fired in the next frame."""
    width = _float(params.paddle_width)
    return state.replace(
        paddle_x=WIDTH / 2 - width / 2,
        paddle_width=width,
        ball_x=jnp.full((), WIDTH / 2 - BALL / 2, jnp.float32),
        ball_y=jnp.full((), HEIGHT / 2 - 30.0, jnp.float32),
        ball_vx=jnp.zeros((), jnp.float32),
        ball_vy=jnp.zeros((), jnp.float32),
        ball_speed=_float(params.initial_ball_speed),
        hits=jnp.zeros((), jnp.int32),
        fired=jnp.zeros((), bool),
    )


def _is_over(state: EnvState) -> Bool[Array, ""]:
    return (state.num_balls < 0) | (state.score == MAX_SCORE)


def _stands(word: UInt32[Array, ""], column: Int[Array, ""]) -> Bool[Array, ""]:
    """Whether the row's brick of a column in [0, 18) stands."""
    return (word >> column.astype(jnp.uint32)) & jnp.uint32(1) == jnp.uint32(0)


def _float(x: float | Float[Array, ""]) -> Float[Array, ""]:
    return jnp.asarray(x, jnp.float32)
