"""Numbered scenes of `drive`: roads, and on them vehicles with routes, parked cars and pedestrians."""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from flax import struct
from jaxtyping import Float32, Int8, UInt16

from envs import disk_cache
from envs import drive_roads as roads_of
from envs.drive_roads import EXTENT, Lane, Roads

BLOCK = 8.0
"""Side of the blocks that list their nearest road points, metres."""
NUM_BLOCKS = int(np.ceil(EXTENT / BLOCK))
SEEN_POINTS = 8
POINT_SPACING, MAX_POINTS = 6.0, 768
ROUTE_SPACING, ROUTE_POINTS = 4.0, 24
SHORTEST_ROUTE = 24.0
CLEARANCE = 7.0
PARKED_ASIDE = 0.3
WALKER = 0.6
WORTH_KEEPING = 64
"""Tables of so many scenes are kept on disk."""


class Scenes(struct.PyTreeNode):
    """A table of scenes. Positions are x and y in metres, headings in radians.

    Attributes:
        edge: Distance to the road's edge at samples 2 m apart, in eighths of a metre; negative off the road.
        points: Points in the middle of lanes: x, y, and the direction of travel as cosine and sine.
        near: Numbers of the points that are nearest to the middle of each block, nearest first.
        start: Of every vehicle: x, y, heading, speed.
        size: Length and width of every vehicle.
        route: Of every vehicle, points 4 m apart from its start on; the last one is its goal, repeated.
        parked: Of every parked car: x, y, heading, length, width.
        walk: Of every pedestrian, who walks to and fro: x and y of both ends, speed, seconds since the first end.
    """

    edge: Int8[np.ndarray, "scenes samples samples"]
    points: Float32[np.ndarray, "scenes points 4"]
    near: UInt16[np.ndarray, "scenes blocks blocks seen"]
    start: Float32[np.ndarray, "scenes vehicles 4"]
    size: Float32[np.ndarray, "scenes vehicles 2"]
    route: Float32[np.ndarray, "scenes vehicles route 2"]
    parked: Float32[np.ndarray, "scenes parked 5"]
    walk: Float32[np.ndarray, "scenes pedestrians 6"]


class _Spot(NamedTuple):
    """A place in the middle of a lane: the lane and the metre along it."""

    lane: Lane
    metre: int

    @property
    def position(self):
        return self.lane.points[self.metre]

    @property
    def heading(self) -> float:
        x, y = self.lane.directions[self.metre]
        return float(np.arctan2(y, x))


@lru_cache(maxsize=4)
def scenes(seed: int, first: int, count: int, num_vehicles: int, num_parked: int, num_pedestrians: int) -> Scenes:
    """Return scenes number `first` to first + count - 1 of a seed. A scene depends on its number and on no other.

    A hundred take one to two seconds to draw; tables of `WORTH_KEEPING` or more are kept on disk.
    """
    numbers = (seed, first, count, num_vehicles, num_parked, num_pedestrians)
    if count < WORTH_KEEPING:
        return _draw(*numbers)
    key = f"{numbers} of {_generator()}"
    return Scenes(**disk_cache.kept("drive", key, lambda: vars(_draw(*numbers))))


def _draw(seed: int, first: int, count: int, *numbers: int) -> Scenes:
    drawn = [_scene(seed, number, *numbers) for number in range(first, first + count)]
    return Scenes(*(np.stack(arrays) for arrays in zip(*drawn, strict=True)))


@cache
def _generator() -> str:
    """Return what identifies the code that draws scenes: its text, and numpy's version."""
    files = (Path(__file__), Path(roads_of.__file__))
    return f"{hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()} numpy {np.__version__}"


def _scene(seed: int, number: int, num_vehicles: int, num_parked: int, num_pedestrians: int) -> tuple:
    """Draw networks until one has room for everybody."""
    rng = np.random.default_rng((seed, number))
    for _ in range(100):
        roads = roads_of.draw_roads(rng)
        parked = _parked(rng, roads, num_parked)
        walk = _walks(rng, roads, num_pedestrians)
        starts, routes = _starts(rng, roads, parked[:, :2], walk, num_vehicles)
        if len(starts) == num_vehicles:
            break
    else:
        raise ValueError(f"`num_vehicles` must fit on the roads of a scene; got {num_vehicles}.")
    edge, points = roads_of.edge_distance(roads), _road_points(roads)
    start = np.array([(*spot.position, spot.heading, rng.uniform(0.0, 8.0)) for spot in starts])
    size = np.stack([rng.uniform(3.8, 5.2, num_vehicles), rng.uniform(1.7, 2.1, num_vehicles)], axis=1)
    arrays = (start, size, np.stack(routes), parked, walk)
    return edge, *points, *(array.astype(np.float32) for array in arrays)


def _road_points(roads: Roads) -> tuple[np.ndarray, np.ndarray]:
    """Return the points in the middle of lanes, and the nearest of every block."""
    rows = []
    for lane in roads.lanes:
        at = np.arange(0, len(lane.points), int(POINT_SPACING))
        rows.append(np.concatenate([lane.points, lane.directions], axis=1)[at])
    points = np.concatenate(rows)[:MAX_POINTS].astype(np.float32)
    middle = BLOCK * (np.arange(NUM_BLOCKS, dtype=np.float32) + 0.5)
    aside = (middle[:, None] - points[None, :, 0]) ** 2, (middle[:, None] - points[None, :, 1]) ** 2
    squared = aside[0][:, None] + aside[1][None]
    near = np.argpartition(squared, SEEN_POINTS, axis=-1)[..., :SEEN_POINTS]
    order = np.argsort(np.take_along_axis(squared, near, axis=-1), axis=-1)
    padded = np.zeros((MAX_POINTS, 4), np.float32)
    padded[: len(points)] = points
    return padded, np.take_along_axis(near, order, axis=-1).astype(np.uint16)


def _parked(rng, roads: Roads, count: int) -> np.ndarray:
    """Park cars at the right edge of outer lanes, partly in the lane."""
    outer = [lane for lane in roads.lanes if lane.outer and len(lane.points) > 24]
    cars = np.zeros((count, 5))
    for i in range(count):
        lane = outer[rng.integers(len(outer))]
        spot = _Spot(lane, int(rng.integers(8, len(lane.points) - 8)))
        aside = roads_of.beside(lane.points, roads_of.LANE_WIDTH / 2 - PARKED_ASIDE)[spot.metre]
        cars[i] = *aside, spot.heading, rng.uniform(3.8, 4.8), rng.uniform(1.7, 1.9)
    return cars


def _walks(rng, roads: Roads, count: int) -> np.ndarray:
    """Let pedestrians cross roads, each at a place of its own."""
    walks = np.zeros((count, 6))
    for i in range(count):
        road = rng.integers(len(roads.middles))
        middle, half = roads.middles[road], roads.half_widths[road]
        metre = int(rng.integers(18, len(middle) - 18))
        ends = [roads_of.beside(middle, side * (half + 2.0))[metre] for side in (-1, 1)]
        walks[i] = *ends[0], *ends[1], rng.uniform(0.8, 1.6), rng.uniform(0.0, 20.0)
    return walks


def _starts(
    rng, roads: Roads, parked: np.ndarray, walk: np.ndarray, count: int
) -> tuple[list[_Spot], list[np.ndarray]]:
    """Choose places in lanes, 10 m apart within a lane, away from parked cars and crossings, and routes from there."""
    taken = np.concatenate([parked, walk[:, :2], walk[:, 2:4], (walk[:, :2] + walk[:, 2:4]) / 2])
    spots = [
        _Spot(lane, metre)
        for lane in roads.lanes
        for metre in range(int(rng.integers(2, 5)), len(lane.points) - 6, 10)
        if np.min(np.sum((taken - lane.points[metre]) ** 2, axis=1), initial=np.inf) > CLEARANCE**2
    ]
    onward = {
        (lane.begin, lane.end): [x for x in roads.lanes if x.begin == lane.end and x.end != lane.begin]
        for lane in roads.lanes
    }
    starts, routes = [], []
    for i in rng.permutation(len(spots)):
        if len(starts) == count:
            break
        route = _route(rng, onward, spots[i])
        if len(route) * ROUTE_SPACING >= SHORTEST_ROUTE:
            starts.append(spots[i])
            routes.append(np.concatenate([route, np.repeat(route[-1:], ROUTE_POINTS - len(route), axis=0)]))
    return starts, routes


def _route(rng, onward: dict[tuple[int, int], list[Lane]], spot: _Spot) -> np.ndarray:
    """Return the points of a random way along lanes, up to a goal at a random distance or where no lane goes on."""
    wanted = rng.uniform(SHORTEST_ROUTE, ROUTE_SPACING * (ROUTE_POINTS - 1))
    lane, pieces = spot.lane, [spot.lane.points[spot.metre :]]
    while sum(map(len, pieces)) < wanted + 2 and (choices := onward[lane.begin, lane.end]):
        after = choices[rng.integers(len(choices))]
        pieces += [roads_of.turn(lane, after)[1:-1], after.points]
        lane = after
    return roads_of.resampled(np.concatenate(pieces), ROUTE_SPACING)[: int(wanted / ROUTE_SPACING) + 1]
