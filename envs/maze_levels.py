"""Tables of mazes: many depth-first walks at once, in NumPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

_STEPS = np.array([[-2, 0], [2, 0], [0, -2], [0, 2]])


class Levels(NamedTuple):
    """Mazes without loops; start at cell (1, 1), goal at (size - 2, size - 2).

    The door stands half-way on the path from start to goal, the key on a cell that is reached without passing it.
    """

    walls: UInt8[np.ndarray, "levels padded padded"]
    size: Int32[np.ndarray, " levels"]
    key: Int32[np.ndarray, "levels 2"]
    door: Int32[np.ndarray, "levels 2"]


def carve(rng: np.random.Generator, size: int, min_size: int, num_maps: int, padding: int) -> Levels:
    """Draw levels.

    Args:
        rng: Source of randomness.
        size: Largest number of rows and columns, odd.
        min_size: Smallest number, odd; each level's is drawn.
        num_maps: How many.
        padding: Cells of wall around every level.
    """
    sizes = rng.integers(min_size // 2, size // 2 + 1, num_maps) * 2 + 1
    walls = np.ones((num_maps, size, size), np.uint8)
    walls[:, 1, 1] = 0
    maps = np.arange(num_maps)
    position = np.ones((num_maps, 2), int)
    came_from = np.full((num_maps, size, size), -1, np.int8)
    order = np.full((num_maps, size, size), -1, np.int32)
    order[:, 1, 1] = 0
    visited = np.ones(num_maps, int)
    for _ in range(2 * (size // 2) ** 2):
        ahead = position[:, None] + _STEPS
        inside = np.all((ahead >= 1) & (ahead <= sizes[:, None, None] - 2), axis=-1)
        at = np.where(inside[..., None], ahead, 1)
        open_ = np.logical_and(inside, order[maps[:, None], at[..., 0], at[..., 1]] < 0)
        choice = np.where(open_, rng.random((num_maps, 4)), -1.0).argmax(1)
        goes = np.any(open_, axis=1)
        back = came_from[maps, position[:, 0], position[:, 1]]
        target = np.where(goes[:, None], ahead[maps, choice], position - _STEPS[back] * (back >= 0)[:, None])
        between = (position + target) // 2
        walls[maps[goes], between[goes, 0], between[goes, 1]] = 0
        walls[maps[goes], target[goes, 0], target[goes, 1]] = 0
        came_from[maps[goes], target[goes, 0], target[goes, 1]] = choice[goes]
        order[maps[goes], target[goes, 0], target[goes, 1]] = visited[goes]
        visited[goes] += 1
        position = target
    door, room = _halfway(came_from, sizes)
    key = _before(rng, order, order[maps, room[:, 0], room[:, 1]])
    walls = np.pad(walls, ((0, 0), (padding, padding), (padding, padding)), constant_values=1)
    return Levels(walls, sizes.astype(np.int32), key.astype(np.int32), door.astype(np.int32))


def _halfway(came_from, sizes):
    """The passage half-way from start to goal, and the room behind it."""
    maps = np.arange(len(sizes))
    path = [np.repeat(sizes[:, None] - 2, 2, axis=1)]
    while True:
        step = came_from[maps, path[-1][:, 0], path[-1][:, 1]]
        if (step < 0).all():
            break
        path.append(np.where((step >= 0)[:, None], path[-1] - _STEPS[step], path[-1]))
    path = np.stack(path, axis=1)
    length = (path != 1).any(-1).sum(1)  # rooms on the path but for the start
    index = (length - 1) // 2
    room, previous = path[maps, index], path[maps, index + 1]
    return (room + previous) // 2, room


def _before(rng, order, bound):
    """A random room that the walk reached before the `bound`-th: no way to it leads through that one."""
    wanted = rng.integers(0, bound)
    wanted = np.where(bound > 1, np.maximum(wanted, 1), 0)
    found = order == wanted[:, None, None]
    return np.argwhere(found)[:, 1:]
