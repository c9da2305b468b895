"""What is seen in `drive`: the other bodies, the lanes, the road's edge, each in the frame of a vehicle."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from envs import drive_motion
from envs.drive_motion import MAX_SPEED, Bodies
from envs.drive_roads import CELL, DISTANCE_UNIT, NUM_SAMPLES
from envs.drive_scenes import BLOCK, NUM_BLOCKS, SEEN_POINTS, WALKER, Scenes

SEEN_BODIES, SEEN_REACH = 8, 40.0
_DISTANCES, _ANGLES = np.array([4.0, 8.0, 14.0, 22.0]), np.radians([-60.0, -25.0, 0.0, 25.0, 60.0])
_PROBES = np.stack([np.outer(_DISTANCES, f(_ANGLES)).ravel() for f in (np.cos, np.sin)]).astype(np.float32)
OBS_SIZE = 8 + 8 * SEEN_BODIES + 4 * SEEN_POINTS + _PROBES.shape[1]


def seen_bodies(bodies: Bodies, own: Bodies) -> list[Float[Array, "k vehicles"]]:
    """Return place, heading, relative velocity and size of the nearest bodies, nearest first; 0 where there is none."""
    index, seen = drive_motion.nearest(bodies, own, SEEN_BODIES, SEEN_REACH)
    there = jnp.stack(bodies[:7], axis=1)[index]
    x, y, cos, sin, speed, length, width = (there[..., k] for k in range(7))
    ahead, aside = turned(x - own.x[None], y - own.y[None], own)
    cos, sin = turned(cos, sin, own)
    faster, sideways = (speed * cos - own.speed[None]) / MAX_SPEED, speed * sin / MAX_SPEED
    views = (ahead / SEEN_REACH, aside / SEEN_REACH, cos, sin, faster, sideways, length / 5, width / 2)
    return [jnp.where(seen, view, 0.0) for view in views]


def seen_road(own: Bodies, scene: Int[Array, ""], table: Scenes) -> list[Float[Array, "k vehicles"]]:
    """Return the nearest points of lanes, and the distance to the road's edge around the vehicle."""
    bx, by = (jnp.clip(v / BLOCK, 0, NUM_BLOCKS - 1).astype(jnp.int32) for v in (own.x, own.y))
    near = table.near[scene, bx, by].astype(jnp.int32).T
    point = table.points[scene, near]
    ahead, aside = turned(point[..., 0] - own.x[None], point[..., 1] - own.y[None], own)
    cos, sin = turned(point[..., 2], point[..., 3], own)
    x = own.x[None] + _PROBES[0][:, None] * own.cos[None] - _PROBES[1][:, None] * own.sin[None]
    y = own.y[None] + _PROBES[0][:, None] * own.sin[None] + _PROBES[1][:, None] * own.cos[None]
    i, j = (jnp.clip(jnp.round(v / CELL), 0, NUM_SAMPLES - 1).astype(jnp.int32) for v in (x, y))
    edge = table.edge[scene, i, j].astype(jnp.float32) * (DISTANCE_UNIT / 8)
    return [ahead / SEEN_REACH, aside / SEEN_REACH, cos, sin, jnp.clip(edge, -1.0, 1.0)]


def pedestrians(walk: Float[Array, "pedestrians 6"], seconds: Float[Array, ""]) -> Bodies:
    """Return the pedestrians, who walk between the ends of their way."""
    ax, ay, bx, by, speed, ahead = walk.T
    dx, dy = bx - ax, by - ay
    length = jnp.sqrt(dx**2 + dy**2)
    phase = jnp.mod((seconds + ahead) * speed / length, 2.0)
    share, way = jnp.where(phase < 1, phase, 2 - phase), jnp.where(phase < 1, 1.0, -1.0) / length
    size = jnp.full_like(ax, WALKER)
    return Bodies(ax + share * dx, ay + share * dy, way * dx, way * dy, speed, size, size, size > 0)


def turned(x: Float[Array, "..."], y: Float[Array, "..."], own: Bodies) -> tuple[Array, Array]:
    """Return a vector in the frame of each vehicle, the last axis: its parts ahead and to the left."""
    cos, sin = (jnp.broadcast_to(v, x.shape) for v in (own.cos, own.sin))
    return x * cos + y * sin, y * cos - x * sin


def road_distance(
    x: Float[Array, "..."], y: Float[Array, "..."], scene: Int[Array, ""], table: Scenes
) -> Float[Array, "..."]:
    """Return the distance to the road's edge in metres, between samples by bilinear interpolation."""
    x, y = (jnp.clip(v / CELL, 0.0, NUM_SAMPLES - 1.001) for v in (x, y))
    i, j = x.astype(jnp.int32), y.astype(jnp.int32)
    u, v = x - i.astype(jnp.float32), y - j.astype(jnp.float32)
    corner = [[table.edge[scene, i + a, j + b].astype(jnp.float32) for b in (0, 1)] for a in (0, 1)]
    low, high = (side[0] * (1 - v) + side[1] * v for side in corner)
    return (low * (1 - u) + high * u) * DISTANCE_UNIT
