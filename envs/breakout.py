"""Breakout: a paddle, a ball and 108 bricks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from envs import environment
from envs.breakout_contacts import (
    BALL,
    COLUMNS,
    HEIGHT,
    PADDLE_HEIGHT,
    PADDLE_Y,
    ROWS,
    WALL_ROW,
    WIDTH,
    Ball,
    Bricks,
    earliest_contact,
    reaches_paddle,
)
from envs.environment import Box, Discrete, Environment
from envs.floats import divided, rounded, scaled, scaled_sin_cos
from p3o_jax.checks import check_at_least

FRAMES_PER_SECOND = 60.0
HALF_SCORE, MAX_SCORE = 432, 864
HITS_PER_SPEEDUP, SPEEDUP = 4, 64.0

_FIRE_ANGLE = float(np.float32(np.pi / 3.25))
_BOUNCE_ANGLE = np.float32(np.pi / 4)
_NUDGE = np.float32(448) * np.float32(1.1) / np.float32(60)


class EnvState(environment.EnvState):
    """State of an episode.

    Positions are upper left corners in pixels, with y pointing down. Velocities are in pixels per frame.

    Attributes:
        bricks: One word per row. Bit c is set if the brick of column c is destroyed.
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
    bricks: Bricks


class EnvParams(environment.EnvParams):
    """Speeds in pixels per second, sizes in pixels.

    The ball must be slower than 720 pixels per second, which is the height of a brick per frame.
    """

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
    Source: Breakout of PufferLib 3.0, equal to it step by step. Departure: when an episode ends within
    a step, the remaining frames of that step are dropped; the original plays them in the next episode.

    Args:
        frameskip: Frames per step, of 1/60 s.
        continuous: Whether the action is the speed of the paddle.
    """

    frameskip: int = 4
    continuous: bool = False

    def __post_init__(self):
        check_at_least(1, frameskip=self.frameskip)

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
        action = self.as_action(action, params)
        state, reward, terminated = self.transition(state, action, self.draw(key), params)
        info = {"score": state.score.astype(jnp.float32)}
        return self.get_obs(state, params), state, reward, terminated, info

    def draw(self, key: PRNGKeyArray) -> Bool[Array, ""]:
        """Draw whether a ball that is fired in this step goes to the left."""
        return jax.random.bits(key, (), jnp.uint32) >> 31 == 1

    def start(self, params: EnvParams) -> EnvState:
        """Return the first state of an episode."""
        return EnvState(
            time=jnp.zeros((), jnp.int32),
            num_balls=jnp.asarray(params.num_balls, jnp.int32),
            score=jnp.zeros((), jnp.int32),
            bricks=(jnp.zeros((), jnp.uint32),) * ROWS,
            **_new_round(params),
        )

    def transition(
        self, state: EnvState, action: Shaped[Array, "..."], fire_left: Bool[Array, ""], params: EnvParams
    ) -> tuple[EnvState, Float[Array, ""], Bool[Array, ""]]:
        """Apply the rules to a given random draw and return (state, reward, terminated)."""
        paddle_step = divided(rounded(self._direction(action) * params.paddle_speed), FRAMES_PER_SECOND)
        speed = jnp.float32(params.initial_ball_speed)
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
        return jnp.where(action == 1, -1.0, jnp.where(action == 2, 1.0, 0.0)).astype(jnp.float32)


def _frame(state: EnvState, paddle_step: Float[Array, ""], fire: tuple[Array, Array], params: EnvParams) -> EnvState:
    """Advance one frame of 1/60 s."""
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
    ball = Ball(state.ball_x, state.ball_y, state.ball_vx, state.ball_vy)
    contact = earliest_contact(ball, state.bricks)
    paddle_hit = reaches_paddle(ball, state.paddle_x, state.paddle_width, contact)
    bounced = (contact.time <= 1.0) & ~paddle_hit
    free = ~bounced & ~paddle_hit
    brick_hit = bounced & (contact.row > WALL_ROW)
    back_wall_hit = bounced & (contact.row == WALL_ROW) & ~contact.vertical

    points = jnp.where(brick_hit, 7 - 3 * (contact.row // 2), 0)
    mark = jnp.uint32(1) << jnp.clip(contact.column, 0, COLUMNS - 1).astype(jnp.uint32)
    bricks = tuple(jnp.where(brick_hit & (contact.row == r), word | mark, word) for r, word in enumerate(state.bricks))
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
    return environment.select(lost, after.replace(num_balls=after.num_balls - 1, **_new_round(params)), after)


def _bounce_off_paddle(state: EnvState, hit: Bool[Array, ""], params: EnvParams) -> EnvState:
    """Let the ball bounce off the paddle if it hits.

    The place of the hit sets the new direction. Every fourth hit makes the ball faster. At 432 points a hit restores
    all bricks.
    """
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


def _new_round(params: EnvParams) -> dict[str, Array]:
    """Return where a round begins: the ball above the centred paddle, from where the next frame fires it."""
    width = jnp.float32(params.paddle_width)
    return {
        "paddle_x": WIDTH / 2 - width / 2,
        "paddle_width": width,
        "ball_x": jnp.float32(WIDTH / 2 - BALL / 2),
        "ball_y": jnp.float32(HEIGHT / 2 - 30.0),
        "ball_vx": jnp.zeros((), jnp.float32),
        "ball_vy": jnp.zeros((), jnp.float32),
        "ball_speed": jnp.float32(params.initial_ball_speed),
        "hits": jnp.zeros((), jnp.int32),
        "fired": jnp.zeros((), bool),
    }


def _is_over(state: EnvState) -> Bool[Array, ""]:
    return (state.num_balls < 0) | (state.score == MAX_SCORE)
