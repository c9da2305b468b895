"""Scripted players: one pure policy per environment, good enough to show that its maximum can be reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from envs import breakout, pong

Policy = Callable[[PRNGKeyArray, Any, Any], Shaped[Array, "..."]]
"""(key, state, params) -> action; a player may look at the whole state."""


def scripted(env: Any) -> Policy:
    """The scripted player of one of our environments.

    Raises:
        ValueError: There is none for this environment.
    """
    for kind, player in _PLAYERS.items():
        if isinstance(env, kind):
            return lambda key, state, params: player(env, key, state, params)
    known = ", ".join(kind.__name__ for kind in _PLAYERS)
    raise ValueError(f"`env` must be one of {known} for a scripted player; got {env.name}.")


def play_pong(env: pong.Pong, key: PRNGKeyArray, state: pong.EnvState, params: Any) -> Shaped[Array, "..."]:
    """Meet the ball with an edge of the paddle while moving, so that it leaves too steeply to be followed."""
    del key
    centre = state.ball_y + params.ball_height / 2 - params.paddle_height / 2
    frames = (params.width - params.ball_width - state.ball_x) / params.ball_initial_speed_x
    coming = state.ball_vx > 0
    landing = _reflect(state.ball_y + state.ball_vy * frames, params.height - params.ball_height)
    landing = landing + params.ball_height / 2 - params.paddle_height / 2
    wind_up = 40.0 * jnp.where(state.ball_vy >= 0, -1.0, 1.0)
    close = frames <= env.frameskip
    target = jnp.where(coming, jnp.where(close, landing - wind_up, landing + wind_up), centre)
    return _towards(env, target - state.paddle_right, params.paddle_speed * env.frameskip, (1, 2))


def play_breakout(
    env: breakout.Breakout, key: PRNGKeyArray, state: breakout.EnvState, params: Any
) -> Shaped[Array, "..."]:
    """Stand where the ball will come down, a little aside by an offset that differs from hit to hit."""
    del key
    fall = breakout.PADDLE_Y - breakout.BALL - state.ball_y
    frames = jnp.where(state.ball_vy > 0, fall / jnp.maximum(state.ball_vy, 0.1), 0.0)
    landing = _reflect(state.ball_x + state.ball_vx * frames, breakout.WIDTH - breakout.BALL)
    spread = jnp.sin(37.0 * state.hits.astype(jnp.float32) + state.score.astype(jnp.float32))
    target = landing + breakout.BALL / 2 + 0.35 * spread * state.paddle_width
    step = params.paddle_speed / breakout.FRAMES_PER_SECOND * env.frameskip
    return _towards(env, target - state.paddle_x - state.paddle_width / 2, step, (2, 1))


def _reflect(x: Float[Array, "..."], high: float | Float[Array, ""]) -> Float[Array, "..."]:
    """Fold a coordinate that bounces between 0 and `high`."""
    phase = jnp.mod(x, 2 * high)
    return jnp.minimum(phase, 2 * high - phase)


def _towards(
    env: Any, distance: Float[Array, ""], step: Float[Array, ""] | float, actions: tuple[int, int]
) -> Shaped[Array, "..."]:
    """Move by `distance` as nearly as a step allows; `actions` are those for plus and minus."""
    if env.continuous:
        return jnp.clip(distance / step, -1.0, 1.0)[None]
    action = jnp.where(distance > step / 2, actions[0], jnp.where(distance < -step / 2, actions[1], 0))
    return action.astype(jnp.int32)


_PLAYERS: dict[type, Callable[..., Shaped[Array, "..."]]] = {
    pong.Pong: play_pong,
    breakout.Breakout: play_breakout,
}
