"""How each of our environments looks: from its state to a picture and the text of its header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from envs import (
    agar,
    boids,
    breakout,
    chambers,
    connect4,
    drive,
    drive_roads,
    drive_state,
    drive_views,
    foraging,
    maze,
    pong,
    snake,
)
from envs import breakout_contacts as field
from envs.drawing import (
    BACKGROUND,
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PANEL,
    PURPLE,
    RED,
    YELLOW,
    Frame,
    box,
    canvas,
    cells,
    disc,
)


def _pong(env: pong.Pong, state: pong.EnvState, params: Any) -> tuple[Frame, str]:
    scale, side = 0.4, params.paddle_width
    picture = canvas(scale * params.height, scale * (params.width + 2 * side))
    for x, y, colour in ((0.0, state.paddle_left, RED), (side + params.width, state.paddle_right, BLUE)):
        top = params.height - y - params.paddle_height
        box(picture, scale * x, scale * top, scale * side, scale * params.paddle_height, colour)
    top = params.height - state.ball_y - params.ball_height
    box(
        picture,
        scale * (side + state.ball_x),
        scale * top,
        scale * params.ball_width,
        scale * params.ball_height,
        INK,
    )
    return picture, f"SCORE {state.score_left} : {state.score_right}"


def _breakout(env: breakout.Breakout, state: breakout.EnvState, params: Any) -> tuple[Frame, str]:
    scale = 0.5
    picture = canvas(scale * field.HEIGHT, scale * field.WIDTH)
    colours = (RED, RED, ORANGE, ORANGE, GREEN, GREEN)
    for index in range(field.ROWS * field.COLUMNS):
        row, column = divmod(index, field.COLUMNS)
        if int(state.bricks[row]) >> column & 1:
            continue
        top = field.BRICKS_Y + row * field.BRICK_HEIGHT
        width, height = scale * field.BRICK_WIDTH - 1, scale * field.BRICK_HEIGHT - 1
        box(picture, scale * column * field.BRICK_WIDTH, scale * top, width, height, colours[row])
    size = scale * field.BALL
    box(picture, scale * state.ball_x, scale * state.ball_y, size, size, INK)
    paddle = scale * state.paddle_x, scale * field.PADDLE_Y
    box(picture, *paddle, scale * state.paddle_width, scale * field.PADDLE_HEIGHT, BLUE)
    return picture, f"SCORE {state.score}  BALLS {state.num_balls}"


def _connect4(env: connect4.Connect4, state: connect4.EnvState, params: Any) -> tuple[Frame, str]:
    size = 28
    board = np.asarray(env.get_obs(state, params)).reshape(connect4.COLUMNS, connect4.ROWS)
    picture = canvas(size * connect4.ROWS, size * connect4.COLUMNS)
    picture[:] = (30, 60, 140)
    for (column, row), piece in np.ndenumerate(board):
        colour = {1.0: YELLOW, -1.0: RED}.get(float(piece), BACKGROUND)
        disc(picture, size * (column + 0.5), size * (connect4.ROWS - row - 0.5), 0.4 * size, colour)
    return picture, f"MOVE {state.time}"


def _snake(env: snake.Snake, state: snake.EnvState, params: Any) -> tuple[Frame, str]:
    palette = np.array([BACKGROUND, GREEN, (120, 70, 70), GREY, BLUE, PURPLE, ORANGE, YELLOW], np.uint8)
    tiles = (state.grid & 7).reshape(env.height, env.width)
    picture = cells(palette[tiles], max(1, 360 // env.width))
    return picture, f"LONGEST {state.length.max()}  MEAN {state.length.mean():.1f}"


def _maze(env: maze.Maze, state: maze.EnvState, params: Any) -> tuple[Frame, str]:
    size, pad = int(params.size[state.level]), env.vision
    walls = np.asarray(params.walls[state.level])[pad : pad + size, pad : pad + size]
    picture = np.where(walls[..., None] == 1, np.array(GREY), np.array(BACKGROUND))
    picture[size - 2, size - 2] = GREEN
    if env.doors and not state.has_key:
        picture[tuple(np.asarray(params.key[state.level]))] = YELLOW
        picture[tuple(np.asarray(params.door[state.level]))] = RED
    picture[tuple(state.position)] = BLUE
    large = cells(picture, max(4, 230 // size))
    return large, f"LEVEL {state.level}  STEP {state.time}"


def _boids(env: boids.Boids, state: boids.EnvState, params: Any) -> tuple[Frame, str]:
    scale = 0.25
    picture = canvas(scale * boids.HEIGHT, scale * boids.WIDTH)
    margin = round(scale * boids.MARGIN)
    picture[margin:-margin, margin:-margin] = (22, 28, 40)
    for (x, y), (vx, vy) in zip(state.position, state.velocity, strict=True):
        x, y = scale * (x + boids.BOID / 2), scale * (y + boids.BOID / 2)
        disc(picture, x, y, 2.6, YELLOW)
        disc(picture, x + vx, y + vy, 1.3, ORANGE)
    return picture, f"STEP {state.time}"


def _agar(env: agar.Agar, state: agar.EnvState, params: Any) -> tuple[Frame, str]:
    scale = 240 / float(params.field)
    picture = canvas(240, 240)
    for x, y in state.food:
        disc(picture, scale * x, scale * y, 1.2, GREEN)
    colours = (BLUE, RED, YELLOW, PURPLE, ORANGE)
    for i in np.argsort(state.mass):
        x, y = scale * state.position[i]
        disc(picture, x, y, scale * np.sqrt(state.mass[i]), colours[i % len(colours)])
    return picture, f"LARGEST {state.mass.max():.0f}"


def _chambers(env: chambers.Chambers, state: chambers.EnvState, params: Any) -> tuple[Frame, str]:
    size, wall = 120, 4
    picture = canvas(size + 2 * wall, size * env.num_chambers + 2 * wall)
    picture[:wall] = picture[-wall:] = picture[:, :wall] = picture[:, -wall:] = GREY
    for x, y in enumerate(state.gaps[:-1], 1):
        left = wall + size * x - wall // 2
        picture[:, left : left + wall] = GREY
        top = wall + size * (1 - y - float(params.door) / 2)
        box(picture, left, top, wall, size * float(params.door), BACKGROUND)
    goal = env.num_chambers - 1 + chambers.GOAL_X, state.gaps[-1]
    for (x, y), radius, colour in ((goal, float(params.goal_radius), GREEN), (state.position, 0.035, BLUE)):
        disc(picture, wall + size * x, wall + size * (1 - y), size * radius, colour)
    return picture, f"CHAMBER {int(state.position[0]) + 1} OF {env.num_chambers}  STEP {state.time}"


def _drive(env: drive.Drive, state: drive.EnvState, params: Any) -> tuple[Frame, str]:
    size, scale = 3 * drive_roads.NUM_SAMPLES, 3 / drive_roads.CELL
    row, column = np.mgrid[:size, :size]
    x, y = (column + 0.5) / scale, (size - row - 0.5) / scale
    picture = canvas(size, size)
    picture[np.asarray(drive_views.road_distance(x, y, state.scene, params.scenes)) > 0] = (58, 64, 76)
    numbers = np.arange(env.num_vehicles)
    palette = np.array([BLUE, YELLOW, PURPLE, ORANGE, GREEN], np.uint8)[numbers % 5]
    colours = np.where((numbers < env.num_controlled)[:, None], palette, np.array([INK], np.uint8))
    goals = np.asarray(params.scenes.route)[state.scene, state.trip, -1]
    for (gx, gy), colour, there in zip(goals, colours, state.there, strict=True):
        if there:
            disc(picture, scale * gx, size - scale * gy, 2.2, colour)
    bodies, _ = drive_state.bodies_of(state, params)
    groups = (colours, np.full((env.num_parked, 3), GREY), np.full((env.num_pedestrians, 3), RED))
    for *body, there, colour in zip(*map(np.asarray, bodies), np.concatenate(groups), strict=True):
        if there:
            _rectangle(picture, body, scale, size, colour)
    return picture, f"SCENE {env.first_scene + state.scene}  STEP {state.time}"


def _rectangle(picture: Frame, body: list[Any], scale: float, size: int, colour: Any) -> None:
    """Fill a body of `drive`, turned by its heading; small ones are drawn larger."""
    x, y, cos, sin, _, length, width = body
    reach = int(scale * length) + 2
    top, left = max(0, int(size - scale * y) - reach), max(0, int(scale * x) - reach)
    spot = picture[top : top + 2 * reach, left : left + 2 * reach]
    row, column = np.mgrid[top : top + spot.shape[0], left : left + spot.shape[1]]
    dx, dy = (column + 0.5) / scale - x, (size - row - 0.5) / scale - y
    ahead, aside = np.abs(dx * cos + dy * sin), np.abs(dy * cos - dx * sin)
    spot[(ahead <= max(length, 1.6) / 2) & (aside <= max(width, 1.6) / 2)] = colour


def _foraging(env: foraging.Foraging, state: foraging.EnvState, params: Any) -> tuple[Frame, str]:
    reach, size = 12, 11
    picture = np.full((env.rows, 2 * reach + 1, 3), PANEL, np.uint8)
    if abs(int(state.resource)) <= reach:
        picture[:, reach + int(state.resource)] = GREEN
    if state.enemy_time > 0 and abs(int(state.enemy[0])) <= reach:
        picture[int(state.row) + int(state.enemy[1]), reach + int(state.enemy[0])] = RED
    picture[int(state.row), reach] = BLUE
    large = cells(picture[::-1], size, gap=1)
    way = np.full((14, large.shape[1], 3), BACKGROUND, np.uint8)
    middle = way.shape[1] / 2
    box(way, middle - 2, 2, 4, 10, BLUE)
    box(way, middle + middle * float(state.resource) / float(params.far_high) - 3, 2, 6, 10, GREEN)
    text = f"NEAR {state.num_enemies}  FAR {state.num_resources}"
    return np.concatenate([large, way]), text


PAINTERS: dict[type, Callable[..., tuple[Frame, str]]] = {
    agar.Agar: _agar,
    boids.Boids: _boids,
    breakout.Breakout: _breakout,
    chambers.Chambers: _chambers,
    connect4.Connect4: _connect4,
    drive.Drive: _drive,
    foraging.Foraging: _foraging,
    maze.Maze: _maze,
    pong.Pong: _pong,
    snake.Snake: _snake,
}
"""By the class of the environment: (environment, state of NumPy arrays, parameters) -> (picture, text)."""
