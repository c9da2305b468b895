"""Scripted players: one policy per environment that shows which scores can be reached."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from envs import (
    agar,
    boids,
    boids_rules,
    breakout,
    chambers,
    connect4,
    drive,
    drive_motion,
    foraging,
    maze,
    pong,
    snake,
)
from envs import breakout_contacts as field

Policy = Callable[[PRNGKeyArray, Any, Any], Shaped[Array, "..."]]
"""Function from (key, state, params) to an action. A player sees the whole state, not only the observation."""


def scripted(env: Any) -> Policy:
    """Return the scripted player of one of our environments.

    Raises:
        ValueError: There is none for this environment.
    """
    for kind, player in _PLAYERS.items():
        if isinstance(env, kind):
            return lambda key, state, params: player(env, key, state, params)
    known = ", ".join(kind.__name__ for kind in _PLAYERS)
    raise ValueError(f"`env` must be one of {known} for a scripted player; got {env.name}.")


def play_pong(env: pong.Pong, key: PRNGKeyArray, state: pong.EnvState, params: Any) -> Shaped[Array, "..."]:
    """Hit the ball with the edge of the moving paddle, so that it leaves too steeply for the opponent."""
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
    """Stand where the ball will come down, shifted by an offset that differs from hit to hit."""
    del key
    fall = field.PADDLE_Y - field.BALL - state.ball_y
    frames = jnp.where(state.ball_vy > 0, fall / jnp.maximum(state.ball_vy, 0.1), 0.0)
    landing = _reflect(state.ball_x + state.ball_vx * frames, field.WIDTH - field.BALL)
    spread = jnp.sin(37.0 * state.hits.astype(jnp.float32) + state.score.astype(jnp.float32))
    target = landing + field.BALL / 2 + 0.35 * spread * state.paddle_width
    step = params.paddle_speed / breakout.FRAMES_PER_SECOND * env.frameskip
    return _towards(env, target - state.paddle_x - state.paddle_width / 2, step, (2, 1))


def play_connect4(
    env: connect4.Connect4, key: PRNGKeyArray, state: connect4.EnvState, params: Any
) -> Shaped[Array, "..."]:
    """Play the column that wins most games in which both sides then play like the opponent."""
    legal = (connect4.playable(state.agent | state.opponent) & connect4.column(jnp.arange(7))).any()
    keys = jax.random.split(key, (7, 24))
    wins = jax.vmap(lambda column, keys: jax.vmap(lambda k: _playout(env, k, state, column, params))(keys))
    value = jnp.mean(wins(jnp.arange(7), keys), axis=1)
    return jnp.argmax(jnp.where(legal, value, -2.0)).astype(jnp.int32)


def _playout(env, key, state, column, params) -> Float[Array, ""]:
    """Return the outcome of a game in which both sides search: 1 if won, -1 if lost."""

    def move(carry):
        key, state, _, _, column = carry
        key, draw_key, own_key = jax.random.split(key, 3)
        state, reward, over = env.transition(state, column, env.draw(draw_key), params)
        free = connect4.playable(state.agent | state.opponent) & connect4.column(jnp.arange(7))
        wins = (connect4.winning_cells(state.agent) & free).any()
        values = connect4.search_values(state.opponent, state.agent) + jax.random.uniform(own_key, (7,), jnp.float32)
        values = jnp.where(wins, jnp.inf, jnp.where(free.any(), values, -jnp.inf))
        return key, state, reward, over, jnp.argmax(values)

    start = (key, state, jnp.zeros(()), jnp.zeros((), bool), column)
    return jax.lax.while_loop(lambda carry: ~carry[3], move, start)[2]


def play_snake(env: snake.Snake, key: PRNGKeyArray, state: snake.EnvState, params: Any) -> Shaped[Array, "..."]:
    """Go towards the nearest food in sight through free cells, or else straight on or to any free cell."""
    view = dataclasses.replace(env, layers=False).get_obs(state, params).astype(jnp.int32)
    agents, window, centre = view.shape[:-2], view.shape[-1], env.vision
    view = view.reshape(env.num_snakes, window, window)
    steps = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
    edible = (view == snake.FOOD) | (view == snake.CORPSE)
    costs = []
    for dr, dc in steps:
        far = np.abs(np.arange(window) - centre - dr)[:, None] + np.abs(np.arange(window) - centre - dc)[None]
        distance = jnp.min(jnp.where(edible, jnp.asarray(far)[None], 4 * window), axis=(1, 2))
        ahead = view[:, centre + dr, centre + dc]
        beyond = jnp.stack([view[:, centre + dr + r, centre + dc + c] for r, c in steps])
        dead_end = jnp.sum(beyond >= snake.WALL, axis=0) >= 4
        costs.append(distance + jnp.where(ahead >= snake.WALL, 1000, 0) + jnp.where(dead_end, 500, 0))
    noise = jax.random.uniform(key, (4, view.shape[0]), jnp.float32) * 0.5
    straight = jnp.where(jnp.arange(4)[:, None] == state.heading[None], 0.0, 0.5)
    best = jnp.argmin(jnp.stack(costs).astype(jnp.float32) + noise + straight, axis=0)
    return best.astype(jnp.int32).reshape(agents)


def play_maze(env: maze.Maze, key: PRNGKeyArray, state: maze.EnvState, params: Any) -> Shaped[Array, "..."]:
    """Follow the wall on the right, which visits every cell of a maze without loops."""
    del key
    actions = jnp.array([3, 1, 2, 4], jnp.int32)
    after = jax.vmap(lambda action: env.transition(state, action, params)[0].position)(actions)
    return actions[jnp.argmax(jnp.any(after != state.position[None], axis=1))]


def play_boids(env: boids.Boids, key: PRNGKeyArray, state: boids.EnvState, params: Any) -> Shaped[Array, "..."]:
    """Flock by Reynolds's rules."""
    del env
    return boids_rules.flock(key, state.position, state.velocity, params)


def play_agar(env: agar.Agar, key: PRNGKeyArray, state: agar.EnvState, params: Any) -> Shaped[Array, "..."]:
    """Flee from players that could soon eat this one, or else go to the nearest food."""
    del key
    to_food = state.food[None] - state.position[:, None]
    nearest = jnp.argmin(jnp.sum(to_food**2, axis=-1), axis=1)
    goal = jnp.take_along_axis(to_food, nearest[:, None, None], axis=1)[:, 0]
    to_other = state.position[None] - state.position[:, None]
    gap = jnp.sqrt(jnp.sum(to_other**2, axis=-1)) - jnp.sqrt(state.mass)[None]
    danger = (state.mass[:, None] <= params.edible * state.mass[None]) & (gap < 8.0)
    flight = -jnp.sum(jnp.where(danger[:, :, None], to_other, 0.0), axis=1)
    goal = jnp.where(jnp.any(danger, axis=1)[:, None], flight, goal)
    angle = jnp.arctan2(goal[:, 1], goal[:, 0])
    if env.continuous:
        action = jnp.stack([angle / jnp.pi, jnp.ones_like(angle)], axis=1)
    else:
        action = 1 + jnp.round(angle / (jnp.pi / 4)).astype(jnp.int32) % 8
    return action if env.num_players > 1 else action[0]


def play_chambers(
    env: chambers.Chambers, key: PRNGKeyArray, state: chambers.EnvState, params: Any
) -> Shaped[Array, "..."]:
    """Go to the height of the next door, then through it; in the last chamber go to the goal."""
    del key
    offset = env.target(state) - state.position
    is_last = env.chamber(state) == env.num_chambers - 1
    aligned = is_last | (jnp.abs(offset[1]) < params.door / 4)
    along = jnp.where(is_last, offset[0], jnp.where(aligned, 0.5, offset[0] - 0.1))
    wanted = 0.15 * jnp.stack([along, offset[1]])
    return jnp.clip((wanted - params.damping * state.velocity) / params.push, -1.0, 1.0)


def play_drive(env: drive.Drive, key: PRNGKeyArray, state: drive.EnvState, params: Any) -> Shaped[Array, "..."]:
    """Follow the route by rules, which see everybody and the whole way."""
    del key
    wish = env.rules(state, params)
    if env.continuous:
        most = jnp.where(wish.acceleration > 0, drive_motion.MAX_ACCELERATION, drive_motion.MAX_BRAKING)
        return jnp.stack([wish.steer / drive_motion.MAX_STEER, wish.acceleration / most], axis=1)
    steer = jnp.argmin(jnp.abs(wish.steer[:, None] - drive.STEERS[None]), axis=1)
    acceleration = jnp.argmin(jnp.abs(wish.acceleration[:, None] - drive.ACCELERATIONS[None]), axis=1)
    return (steer * len(drive.ACCELERATIONS) + acceleration).astype(jnp.int32)


def play_foraging(
    env: foraging.Foraging, key: PRNGKeyArray, state: foraging.EnvState, params: Any
) -> Shaped[Array, "..."]:
    """Catch an enemy that can still be reached in time, or else walk to the resource."""
    del env, key, params
    along, across = state.enemy
    reachable = (state.enemy_time > 0) & (jnp.abs(along) + jnp.abs(across) <= state.enemy_time)
    goal = jnp.where(reachable & (across == 0), along, state.resource)
    walk = jnp.where(goal > 0, 3, 4)
    return jnp.where(reachable & (across != 0), jnp.where(across > 0, 1, 2), walk).astype(jnp.int32)


def _reflect(x: Float[Array, "..."], high: float | Float[Array, ""]) -> Float[Array, "..."]:
    """Return where a point that bounces between 0 and `high` is, given its position without bounces."""
    phase = jnp.mod(x, 2 * high)
    return jnp.minimum(phase, 2 * high - phase)


def _towards(
    env: Any, distance: Float[Array, ""], step: Float[Array, ""] | float, actions: tuple[int, int]
) -> Shaped[Array, "..."]:
    """Move by `distance`, or as near to it as one step gets. `actions` move up and down the axis."""
    if env.continuous:
        return jnp.clip(distance / step, -1.0, 1.0)[None]
    action = jnp.where(distance > step / 2, actions[0], jnp.where(distance < -step / 2, actions[1], 0))
    return action.astype(jnp.int32)


_PLAYERS: dict[type, Callable[..., Shaped[Array, "..."]]] = {
    pong.Pong: play_pong,
    breakout.Breakout: play_breakout,
    connect4.Connect4: play_connect4,
    snake.Snake: play_snake,
    maze.Maze: play_maze,
    boids.Boids: play_boids,
    agar.Agar: play_agar,
    chambers.Chambers: play_chambers,
    drive.Drive: play_drive,
    foraging.Foraging: play_foraging,
}
