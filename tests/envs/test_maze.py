"""Mazes: moves relative to the heading, views, doors, and that every level can be solved."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.maze import AGENT, DOOR, GOAL, KEY, EnvParams, EnvState, Maze
from envs.maze_levels import carve
from envs.players import scripted

STAY, FORWARD, LEFT, RIGHT, BACK = (jnp.int32(a) for a in range(5))
EAST, SOUTH, WEST, NORTH = range(4)


@pytest.fixture(scope="module")
def levels():
    return carve(np.random.default_rng(0), 15, 5, 60, 2)


def reachable(walls, start, closed=None):
    """Cells that can be walked to."""
    seen, todo = {start}, [start]
    while todo:
        r, c = todo.pop()
        for cell in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
            if walls[cell] == 0 and cell not in seen and cell != closed:
                seen.add(cell)
                todo.append(cell)
    return seen


def test_levels_are_trees_of_all_rooms_with_the_goal_in_the_corner(levels):
    for walls, size in zip(levels.walls, levels.size, strict=True):
        level = walls[2:-2, 2:-2][:size, :size]
        cells = reachable(level, (1, 1))
        assert (size - 2, size - 2) in cells
        assert len(cells) == (level == 0).sum() == 2 * (size // 2) ** 2 - 1  # rooms and passages of a tree
    assert set(levels.size.tolist()) == {5, 7, 9, 11, 13, 15}


def test_door_blocks_the_way_and_the_key_lies_before_it(levels):
    for walls, size, key, door in zip(*levels, strict=True):
        level = walls[2:-2, 2:-2]
        before = reachable(level, (1, 1), closed=tuple(door))
        assert level[tuple(door)] == 0
        assert tuple(key) in before
        assert (size - 2, size - 2) not in before


class Room(NamedTuple):
    """An environment, its parameters, its compiled step and the first state."""

    env: Maze
    params: EnvParams
    transition: Callable
    start: EnvState


@pytest.fixture(scope="module")
def room():
    """The only level has no inner walls."""
    env = Maze(size=7, min_size=7, num_maps=1, doors=True)
    walls = np.ones((1, 17, 17), np.uint8)
    walls[0, 6:11, 6:11] = 0
    params = env.default_params.replace(
        walls=jnp.asarray(walls), key=jnp.array([[1, 5]], jnp.int32), door=jnp.array([[3, 3]], jnp.int32)
    )
    return Room(env, params, jax.jit(env.transition), env.start(jnp.int32(0), params))


@pytest.mark.parametrize(
    ("heading", "action", "cell", "after"),
    [
        (EAST, STAY, (2, 2), EAST),
        (EAST, FORWARD, (2, 3), EAST),
        (EAST, LEFT, (1, 2), NORTH),
        (EAST, RIGHT, (3, 2), SOUTH),
        (EAST, BACK, (2, 1), WEST),
        (SOUTH, FORWARD, (3, 2), SOUTH),
        (SOUTH, LEFT, (2, 3), EAST),
        (NORTH, RIGHT, (2, 3), EAST),
        (WEST, BACK, (2, 3), EAST),
    ],
)
def test_actions_are_relative_to_the_heading_and_turn_and_move(room, heading, action, cell, after):
    state = room.start.replace(position=jnp.array([2, 2], jnp.int32), heading=jnp.int32(heading))
    state, reward, terminated = room.transition(state, action, room.params)
    assert (tuple(state.position.tolist()), int(state.heading)) == (cell, after)
    assert (reward, terminated) == (0, False)


def test_walls_stop_the_agent_but_it_turns(room):
    state = room.transition(room.start, LEFT, room.params)[0]
    assert (state.position.tolist(), int(state.heading)) == ([1, 1], NORTH)


def test_locked_door_opens_with_the_key(room):
    state = room.start.replace(position=jnp.array([3, 2], jnp.int32))
    assert room.transition(state, FORWARD, room.params)[0].position.tolist() == [3, 2]
    keyed = room.transition(room.start.replace(position=jnp.array([1, 4], jnp.int32)), FORWARD, room.params)[0]
    assert keyed.has_key
    assert room.transition(state.replace(has_key=keyed.has_key), FORWARD, room.params)[0].position.tolist() == [
        3,
        3,
    ]


def test_goal_pays_and_ends_and_time_runs_out_after_two_sweeps(room):
    state = room.start.replace(position=jnp.array([5, 4], jnp.int32))
    assert room.transition(state, FORWARD, room.params)[1:] == (1, True)
    assert not room.env.is_truncated(room.start.replace(time=jnp.int32(2 * 49 - 1)), room.params)
    assert room.env.is_truncated(room.start.replace(time=jnp.int32(2 * 49)), room.params)


def test_view_shows_walls_goal_key_door_and_the_agent_in_the_middle(room):
    view = np.asarray(room.env.get_obs(room.start, room.params))
    assert view.shape == (11, 11)
    assert (view[5, 5], view[9, 9], view[5, 9], view[7, 7]) == (AGENT, GOAL, KEY, DOOR)
    assert (view[:5] == 1).all()
    taken = np.asarray(room.env.get_obs(room.start.replace(has_key=jnp.bool(True)), room.params))
    assert (taken[5, 9], taken[7, 7]) == (0, 0)


@pytest.mark.parametrize("doors", [False, True])
def test_wall_follower_solves_every_level_in_time(doors):
    env = Maze(size=15, num_maps=64, doors=doors)
    params = env.default_params
    policy = scripted(env)

    def run(level):
        def body(carry, _):
            state, solved = carry
            in_time = ~env.is_truncated(state, params)
            state, _, reached = env.transition(state, policy(jax.random.key(0), state, params), params)
            return (state, solved | (reached & in_time)), None

        begin = (env.start(level, params), jnp.zeros((), bool))
        return jax.lax.scan(body, begin, None, length=2 * 15 * 15)[0][1]

    assert jax.jit(jax.vmap(run))(jnp.arange(64)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 10}, "`size` must be odd and at least 5; got 10"),
        ({"size": 7, "min_size": 9}, "`min_size` must not exceed `size`; got 9 and 7"),
        ({"num_maps": 0}, "`num_maps` must be at least 1; got 0"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        Maze(**arguments)
