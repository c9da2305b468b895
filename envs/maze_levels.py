"""Random mazes, made by many depth-first walks at once in NumPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

_STEPS = np.array([[-2, 0], [2, 0], [0, -2], [0, 2]])


class Levels(NamedTuple):
    """Mazes without loops. They start at cell (1, 1) and have their goal at (size - 2, size - 2).

    The door is half-way on the path from start to goal. The key is on a cell that can be reached without the door.

    Attributes:
        walls: 1 where there is a wall.
        size: Number of rows, and of columns, of each level.
        key: Row and column of the key.
        door: Row and column of the door.
    """

    walls: UInt8[np.ndarray, "levels padded padded"]
    size: Int32[np.ndarray, " levels"]
    key: Int32[np.ndarray, "levels 2"]
    door: Int32[np.ndarray, "levels 2"]


class _Walk(NamedTuple):
    """A depth-first walk through every level, with rooms in the order of their discovery and -1 after the last.

    Attributes:
        walls: 1 where there is a wall.
        rooms: Row and column of each room.
        parent: Index of the room from which it was reached.
        depth: Number of rooms between it and the start.
    """

    walls: UInt8[np.ndarray, "levels size size"]
    rooms: Int32[np.ndarray, "levels rooms 2"]
    parent: Int32[np.ndarray, "levels rooms"]
    depth: Int32[np.ndarray, "levels rooms"]


def carve(rng: np.random.Generator, size: int, min_size: int, num_maps: int, padding: int) -> Levels:
    """Draw random levels.

    Args:
        rng: Source of randomness.
        size: Largest number of rows and columns, odd.
        min_size: Smallest number of rows and columns, odd. The size of each level is drawn.
        num_maps: Number of levels.
        padding: Number of cells of wall around every level.
    """
    sizes = (rng.integers(min_size // 2, size // 2 + 1, num_maps) * 2 + 1).astype(np.int32)
    walk = _walk(rng, sizes, size)
    door, key = _door_and_key(rng, walk, sizes)
    walls = np.pad(walk.walls, ((0, 0), (padding, padding), (padding, padding)), constant_values=1)
    return Levels(walls, sizes, key, door)


def _walk(rng: np.random.Generator, sizes: Int32[np.ndarray, " levels"], size: int) -> _Walk:
    """Make all levels at once. Each walk goes to a random new room, or back by one room if there is none."""
    maps, num_rooms = np.arange(len(sizes)), (size // 2) ** 2
    number = np.full((len(sizes), size, size), -1, np.int32)
    walls = np.ones((len(sizes), size, size), np.uint8)
    rooms = np.full((len(sizes), num_rooms, 2), -1, np.int32)
    parent, depth = (np.full((len(sizes), num_rooms), -1, np.int32) for _ in range(2))
    number[:, 1, 1] = walls[:, 1, 1] = depth[:, 0] = 0
    rooms[:, 0] = 1
    current, found = np.zeros_like(sizes), np.ones_like(sizes)
    for _ in range(2 * num_rooms):
        here = rooms[maps, current]
        ahead = here[:, None] + _STEPS
        inside = np.all((ahead >= 1) & (ahead <= sizes[:, None, None] - 2), axis=-1)
        at = np.where(inside[..., None], ahead, 1)
        new = np.logical_and(inside, number[maps[:, None], at[..., 0], at[..., 1]] < 0)
        goes = np.flatnonzero(np.any(new, axis=1))
        choice = np.where(new, rng.random(new.shape), -1.0).argmax(axis=1)[goes]
        target = ahead[goes, choice]
        between = (here[goes] + target) // 2
        walls[goes, between[:, 0], between[:, 1]] = walls[goes, target[:, 0], target[:, 1]] = 0
        number[goes, target[:, 0], target[:, 1]] = found[goes]
        rooms[goes, found[goes]] = target
        parent[goes, found[goes]] = current[goes]
        depth[goes, found[goes]] = depth[goes, current[goes]] + 1
        current = np.maximum(parent[maps, current], 0)
        current[goes] = found[goes]
        found[goes] += 1
    return _Walk(walls, rooms, parent, depth)


def _door_and_key(rng, walk: _Walk, sizes):
    """Return the passage half-way to the goal, and a random room that is not behind it.

    The room is one off the way to the goal if there is such a room.
    """
    maps, index = np.arange(len(sizes)), np.arange(walk.parent.shape[1])
    goal = np.all(walk.rooms == sizes[:, None, None] - 2, axis=-1).argmax(axis=1)
    half = (walk.depth[maps, goal] + 1) // 2
    room, on_path, steps = goal, np.zeros_like(walk.parent, bool), goal
    while np.any(steps > 0):
        on_path[maps, steps] = True
        room = np.where(walk.depth[maps, steps] == half, steps, room)
        steps = np.maximum(walk.parent[maps, steps], 0)
    door = (walk.rooms[maps, room] + walk.rooms[maps, walk.parent[maps, room]]) // 2

    shallow = (index > room[:, None]) & (walk.depth <= walk.depth[maps, room][:, None])
    end = np.where(np.any(shallow, axis=1), shallow.argmax(axis=1), len(index))
    behind = (index >= room[:, None]) & (index < end[:, None])
    allowed = ~behind & (walk.parent >= 0)
    off_path = allowed & ~on_path
    allowed = np.where(np.any(off_path, axis=1)[:, None], off_path, allowed)
    chosen = np.where(allowed, rng.random(allowed.shape), -1.0).argmax(axis=1)
    chosen = np.where(np.any(allowed, axis=1), chosen, 0)
    return door, walk.rooms[maps, chosen]
