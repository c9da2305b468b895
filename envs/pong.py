"""Pong: the agent has the right paddle and plays against one that follows the ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from envs import environment
from envs.environment import Box, Discrete, Environment
from p3o_jax.checks import check_at_least


class EnvState(environment.EnvState):
    """State of an episode.

    Positions are lower left corners in pixels, with y pointing up. Velocities are in pixels per frame.
    """

    paddle_left: Float[Array, ""]
    paddle_right: Float[Array, ""]
    ball_x: Float[Array, ""]
    ball_y: Float[Array, ""]
    ball_vx: Float[Array, ""]
    ball_vy: Float[Array, ""]
    score_left: Int[Array, ""]
    score_right: Int[Array, ""]


class EnvParams(environment.EnvParams):
    """Sizes in pixels, speeds in pixels per frame."""

    width: float = 500.0
    height: float = 640.0
    paddle_width: float = 20.0  # for pictures only, because the paddles stand outside the field
    paddle_height: float = 70.0
    ball_width: float = 32.0
    ball_height: float = 32.0
    paddle_speed: float = 8.0
    ball_initial_speed_x: float = 10.0
    ball_initial_speed_y: float = 1.0
    ball_max_speed_y: float = 13.0
    ball_speed_y_increment: float = 3.0
    max_score: int = 21
    reward_hit: float = 0.1


@dataclass(frozen=True)
class Pong(Environment):
    """Be the first to have 21 points.

    Observation (8 floats):
        0, 1  left and right paddle, 0 lowest to 1 highest
        2, 3  ball x / width, y / height (a little outside [0, 1] for a frame at a bounce)
        4     (ball vx + 10) / 20, 0 or 1
        5     (ball vy + 13) / 26, 0 to 1
        6, 7  left and right score // 21 (so 0 until the end); score / 21 with `score_fractions`
    Actions: 0 still, 1 up (+8 pixels a frame), 2 down; continuous: the fraction of that speed in [-1, 1].
    Reward: +1 and -1 a point, 0.1 for returning the ball.
    Terminates: when either side has 21 points. No time limit: `max_steps_in_episode` sets one.
    Score: the agent's points minus the opponent's. Solved: mean score of at least 20; 21 is perfect.
    Source: Pong of PufferLib 3.0, equal to it step by step. Departures: a step that ends in a point returns the
    observation of the new round, where the original repeats the previous observation; `score_fractions`.

    Args:
        frameskip: Number of frames per step. A point ends the step early.
        continuous: Whether the action is the speed of the paddle.
        score_fractions: Whether the observed scores are fractions of 21 instead of integer divisions by it.
    """

    frameskip: int = 8
    continuous: bool = False
    score_fractions: bool = False

    def __post_init__(self):
        check_at_least(1, frameskip=self.frameskip)

    @property
    def default_params(self) -> EnvParams:
        return EnvParams()

    def action_space(self, params: EnvParams | None = None) -> Discrete | Box:
        return Box(-1.0, 1.0, (1,)) if self.continuous else Discrete(3)

    def observation_space(self, params: EnvParams | None = None) -> Box:
        return Box(-1.0, 2.0, (8,))

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[Float[Array, " 8"], EnvState]:
        state = self.start(self.draw(key), params)
        return self.get_obs(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Shaped[Array, "..."], params: EnvParams
    ) -> tuple[Float[Array, " 8"], EnvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        action = self.as_action(action, params)
        state, reward, terminated = self.transition(state, action, self.draw(key), params)
        score = (state.score_right - state.score_left).astype(jnp.float32)
        return self.get_obs(state, params), state, reward, terminated, {"score": score}

    def draw(self, key: PRNGKeyArray) -> Bool[Array, ""]:
        """Draw whether the next serve is horizontal. If not, it goes slightly downward."""
        return jax.random.bits(key, (), jnp.uint32) >> 31 == 1

    def start(self, serve_horizontal: Bool[Array, ""], params: EnvParams) -> EnvState:
        """Return the first state of an episode."""
        zero = jnp.zeros((), jnp.int32)
        blank = jnp.zeros((), jnp.float32)
        state = EnvState(zero, blank, blank, blank, blank, blank, blank, zero, zero)
        return _serve(state, serve_horizontal, params)

    def transition(
        self,
        state: EnvState,
        action: Shaped[Array, "..."],
        serve_horizontal: Bool[Array, ""],
        params: EnvParams,
    ) -> tuple[EnvState, Float[Array, ""], Bool[Array, ""]]:
        """Apply the rules to a given random draw and return (state, reward, terminated)."""
        direction = self._direction(action)

        def body(_, carry):
            state, reward, point = carry
            moved, frame_reward, frame_point = _frame(state, direction, params)
            state = environment.select(point, state, moved)
            reward = jnp.where(point | (frame_reward == 0.0), reward, frame_reward)
            return state, reward, point | frame_point

        begin = (state, jnp.zeros((), jnp.float32), jnp.zeros((), bool))
        state, reward, point = jax.lax.fori_loop(0, self.frameskip, body, begin)
        state = environment.select(point, _serve(state, serve_horizontal, params), state)
        terminated = (state.score_left >= params.max_score) | (state.score_right >= params.max_score)
        return state.replace(time=state.time + 1), reward, terminated

    def get_obs(self, state: EnvState, params: EnvParams) -> Float[Array, " 8"]:
        lowest = -params.paddle_height / 2
        scores = jnp.stack([state.score_left, state.score_right])
        scores = scores / params.max_score if self.score_fractions else scores // params.max_score
        rest = [
            (state.paddle_left - lowest) / params.height,
            (state.paddle_right - lowest) / params.height,
            state.ball_x / params.width,
            state.ball_y / params.height,
            (state.ball_vx + params.ball_initial_speed_x) / (2 * params.ball_initial_speed_x),
            (state.ball_vy + params.ball_max_speed_y) / (2 * params.ball_max_speed_y),
        ]
        return jnp.concatenate([jnp.stack(rest), scores.astype(jnp.float32)])

    def _direction(self, action: Shaped[Array, "..."]) -> Float[Array, ""]:
        if self.continuous:
            return jnp.clip(action.reshape(()).astype(jnp.float32), -1.0, 1.0)
        return jnp.where(action == 1, 1.0, jnp.where(action == 2, -1.0, 0.0))


def _serve(state: EnvState, horizontal: Bool[Array, ""], params: EnvParams) -> EnvState:
    """Start the next round of the game."""
    paddle = jnp.float32(params.height / 2 - params.paddle_height / 2)
    return state.replace(
        paddle_left=paddle,
        paddle_right=paddle,
        ball_x=jnp.float32(params.width / 5),
        ball_y=jnp.float32(params.height / 2 - params.ball_height / 2),
        ball_vx=jnp.float32(params.ball_initial_speed_x),
        ball_vy=jnp.float32(jnp.where(horizontal, 0.0, -1.0) * params.ball_initial_speed_y),
    )


def _frame(
    state: EnvState, direction: Float[Array, ""], params: EnvParams
) -> tuple[EnvState, Float[Array, ""], Bool[Array, ""]]:
    """Advance one frame and return (state, reward, whether a point was made)."""
    low, high = -params.paddle_height / 2, params.height - params.paddle_height / 2
    chase = state.ball_y - (state.paddle_left + params.paddle_height / 2)
    chase = jnp.clip(chase, -params.paddle_speed, params.paddle_speed)
    right = jnp.clip(state.paddle_right + params.paddle_speed * direction, low, high)
    left = jnp.clip(state.paddle_left + chase, low, high)

    x, y = state.ball_x + state.ball_vx, state.ball_y + state.ball_vy
    vx, vy = state.ball_vx, state.ball_vy
    vy = jnp.where((y < 0) | (y + params.ball_height > params.height), -vy, vy)

    at_left, at_right = x < 0, x + params.ball_width > params.width
    paddle = jnp.where(at_right, right, left)
    held = (y + params.ball_height > paddle) & (y < paddle + params.paddle_height)
    vx = jnp.where((at_left | at_right) & held, -vx, vx)

    spun = jnp.clip(vy + params.ball_speed_y_increment * direction, -params.ball_max_speed_y, params.ball_max_speed_y)
    spun = jnp.where(jnp.abs(spun) < 0.01, params.ball_speed_y_increment, spun)
    vy = jnp.where(at_right & held, spun, vy)
    x = jnp.where(at_right, jnp.clip(x, 0.0, params.width - params.ball_width), x)
    y = jnp.where(at_right, jnp.clip(y, 0.0, params.height - params.ball_height), y)

    won, lost = at_left & ~held, at_right & ~held
    reward = jnp.where(won, 1.0, jnp.where(lost, -1.0, jnp.where(at_right, params.reward_hit, 0.0)))
    state = state.replace(
        paddle_left=left,
        paddle_right=right,
        ball_x=x,
        ball_y=y,
        ball_vx=vx,
        ball_vy=vy,
        score_left=state.score_left + lost.astype(jnp.int32),
        score_right=state.score_right + won.astype(jnp.int32),
    )
    return state, jnp.float32(reward), won | lost
