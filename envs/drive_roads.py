"""Random networks of roads: junctions, curved roads of one or two lanes a side, and where their surface ends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int8

Points = Float[np.ndarray, "k 2"]

SIDE, SPACING, MARGIN = 4, 60.0, 24.0
EXTENT = 2 * MARGIN + (SIDE - 1) * SPACING
LANE_WIDTH = 4.0
JITTER, BOW = 6.0, 10.0
EXTRA_ROADS, TWO_LANES = 0.6, 0.25

CELL = 2.0
"""Metres between two samples of the distance to the road's edge."""
DISTANCE_UNIT = 1 / 8
"""Metres of one unit of that distance, which is kept in eight bits."""
NUM_SAMPLES = int(EXTENT / CELL) + 1

_T = np.linspace(0.0, 1.0, 33)
_WEIGHTS = np.stack([(1 - _T) ** 3, 3 * _T * (1 - _T) ** 2, 3 * _T**2 * (1 - _T), _T**3], axis=1)


class Lane(NamedTuple):
    """One lane of a road in its direction of travel; traffic keeps to the right.

    Attributes:
        begin: Junction where it begins.
        end: Junction where it ends.
        outer: Whether it is next to the road's edge.
        points: Its middle, a point every metre.
        directions: Unit vector of the direction of travel at each point.
    """

    begin: int
    end: int
    outer: bool
    points: Points
    directions: Points


class Roads(NamedTuple):
    """A connected network.

    Attributes:
        lanes: Of all roads.
        middles: Middle line of each road, a point every metre.
        half_widths: Of each road, metres.
        junctions: Where roads meet.
        radii: Of the round surface of each junction, metres.
    """

    lanes: list[Lane]
    middles: list[Points]
    half_widths: list[float]
    junctions: Points
    radii: Float[np.ndarray, " n"]


def draw_roads(rng: np.random.Generator) -> Roads:
    """Draw a network: a grid of junctions off their places, joined by a random tree and some more roads."""
    rows, columns = np.divmod(np.arange(SIDE**2), SIDE)
    places = MARGIN + SPACING * np.stack([columns, rows], axis=1)
    junctions = places + rng.uniform(-JITTER, JITTER, places.shape)
    pairs = _joined(rng, rows, columns)
    counts = 1 + (rng.random(len(pairs)) < TWO_LANES)
    radii = np.full(len(junctions), 10.0)
    for pair, count in zip(pairs, counts, strict=True):
        radii[list(pair)] = np.maximum(radii[list(pair)], 6.0 + LANE_WIDTH * count)
    lanes, middles = [], []
    for (a, b), count in zip(pairs, counts, strict=True):
        middle = _curve(junctions[a], junctions[b], rng.uniform(-BOW, BOW))
        middles.append(middle)
        for begin, end, line in ((a, b, middle), (b, a, middle[::-1])):
            for k in range(count):
                points = beside(line, LANE_WIDTH * (k + 0.5))[int(radii[begin]) : len(line) - int(radii[end])]
                lanes.append(Lane(begin, end, k == count - 1, points, directions(points)))
    return Roads(lanes, middles, [LANE_WIDTH * float(count) for count in counts], junctions, radii)


def edge_distance(roads: Roads) -> Int8[np.ndarray, "samples samples"]:
    """Return the distance to the road's edge at every sample, x first, in units; negative off the road."""
    field = np.full((NUM_SAMPLES, NUM_SAMPLES), -127 * DISTANCE_UNIT)
    for middle, half in zip(roads.middles, roads.half_widths, strict=True):
        _stamp(field, middle[::2], half)
    for junction, radius in zip(roads.junctions, roads.radii, strict=True):
        _stamp(field, junction[None], float(radius))
    return np.clip(np.round(field / DISTANCE_UNIT), -127, 127).astype(np.int8)


def beside(line: Points, offset: float) -> Points:
    """Return a line of points to the right of another one, by `offset` metres."""
    direction = directions(line)
    return line + offset * np.stack([direction[:, 1], -direction[:, 0]], axis=1)


def directions(line: Points) -> Points:
    """Return the unit vector of the direction at every point of a line."""
    step = np.diff(line, axis=0)
    step = np.concatenate([step[:1], step[:-1] + step[1:], step[-1:]])
    return step / np.sqrt(np.sum(step**2, axis=1, keepdims=True))


def turn(before: Lane, after: Lane) -> Points:
    """Return the way over a junction from the end of one lane to the beginning of another, a point every metre."""
    begin, end = before.points[-1], after.points[0]
    lead = 0.39 * np.linalg.norm(end - begin)  # which makes a quarter turn nearly a circle
    return _bezier(begin, begin + lead * before.directions[-1], end - lead * after.directions[0], end)


def resampled(line: Points, step: float) -> Points:
    """Return points along a line, one every `step` metres."""
    lengths = np.concatenate([[0.0], np.cumsum(np.sqrt(np.sum(np.diff(line, axis=0) ** 2, axis=1)))])
    at = np.arange(0.0, lengths[-1] + 1e-9, step)
    return np.stack([np.interp(at, lengths, line[:, k]) for k in range(2)], axis=1)


def _joined(rng, rows, columns) -> list[tuple[int, int]]:
    """Return the pairs of neighbours that a road joins: all junctions can be reached from one another."""
    neighbours = [
        (a, b)
        for a, b in np.ndindex(SIDE**2, SIDE**2)
        if a < b and abs(rows[a] - rows[b]) + abs(columns[a] - columns[b]) == 1
    ]
    group = np.arange(SIDE**2)
    chosen = []
    for index in rng.permutation(len(neighbours)):
        a, b = neighbours[index]
        apart = group[a] != group[b]
        if apart or rng.random() < EXTRA_ROADS:
            chosen.append((a, b))
            group[group == group[a]] = group[b]
    return chosen


def _curve(begin, end, bow: float) -> Points:
    along = end - begin
    aside = bow * np.array([-along[1], along[0]]) / np.linalg.norm(along)
    return _bezier(begin, begin + along / 3 + aside, begin + 2 * along / 3 + aside, end)


def _bezier(*corners: Float[np.ndarray, " 2"]) -> Points:
    """Return the cubic curve of four corners, a point every metre."""
    return resampled(_WEIGHTS @ np.stack(corners), 1.0)


def _stamp(field, points: Points, radius: float) -> None:
    """Raise the field to the distance to the edge of discs around points, in place, up to 6 m off the edge."""
    reach = int(np.ceil((radius + 6.0) / CELL))
    offsets = np.stack(np.meshgrid(*2 * [np.arange(-reach, reach + 1)], indexing="ij"), axis=-1).reshape(-1, 2)
    at = np.round(points / CELL).astype(int)[:, None] + offsets[None]
    at = np.clip(at, 0, NUM_SAMPLES - 1)
    aside = CELL * at - points[:, None]
    distance = radius - np.sqrt(aside[..., 0] ** 2 + aside[..., 1] ** 2)
    np.maximum.at(field, (at[..., 0], at[..., 1]), distance)
