"""Moving bodies of `drive`: how vehicles move, whom they touch, whom they see, and drivers that follow rules.

Pairs have the axis of bodies first and that of vehicles last, along which the compiler makes vector instructions.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

MAX_SPEED = 15.0
MAX_STEER, MAX_ACCELERATION, MAX_BRAKING = 0.6, 3.0, 5.0

AIM, CRUISE, SIDEWAYS = 5.0, 9.0, 2.5
"""Of drivers by rules: metres to the point that they aim at, metres per second, and metres per second squared."""


class Bodies(NamedTuple):
    """Rectangles on the ground: metres, radians' cosine and sine, metres per second."""

    x: Float[Array, " m"]
    y: Float[Array, " m"]
    cos: Float[Array, " m"]
    sin: Float[Array, " m"]
    speed: Float[Array, " m"]
    length: Float[Array, " m"]
    width: Float[Array, " m"]
    there: Bool[Array, " m"]


def bicycle(
    pose: Float[Array, "n 4"],
    length: Float[Array, " n"],
    steer: Float[Array, " n"],
    acceleration: Float[Array, " n"],
    dt: Float[Array, ""] | float,
) -> Float[Array, "n 4"]:
    """Move vehicles by one step of the kinematic bicycle around its centre; vehicles do not reverse.

    Args:
        pose: x, y, heading and speed of each.
        length: Of each vehicle, metres; its axles are 0.6 of that apart.
        steer: Angle of the front wheels, radians, positive to the left.
        acceleration: Metres per second squared.
        dt: Seconds.
    """
    x, y, heading, speed = pose.T
    slip = jnp.arctan(0.5 * jnp.tan(steer))
    x = x + dt * speed * jnp.cos(heading + slip)
    y = y + dt * speed * jnp.sin(heading + slip)
    heading = heading + dt * speed * jnp.sin(slip) / (0.3 * length)
    heading = heading - 2 * jnp.pi * jnp.round(heading / (2 * jnp.pi))
    return jnp.stack([x, y, heading, jnp.clip(speed + dt * acceleration, 0.0, MAX_SPEED)], axis=1)


def relative(bodies: Bodies, vehicles: Bodies) -> tuple[Float[Array, "m n"], ...]:
    """Return where bodies are in the vehicles' frames: ahead, to the left, and cosine and sine of the heading."""
    dx, dy = bodies.x[:, None] - vehicles.x[None], bodies.y[:, None] - vehicles.y[None]
    ahead = dx * vehicles.cos[None] + dy * vehicles.sin[None]
    left = dy * vehicles.cos[None] - dx * vehicles.sin[None]
    cos = bodies.cos[:, None] * vehicles.cos[None] + bodies.sin[:, None] * vehicles.sin[None]
    sin = bodies.sin[:, None] * vehicles.cos[None] - bodies.cos[:, None] * vehicles.sin[None]
    return ahead, left, cos, sin


def touching(bodies: Bodies, vehicles: Bodies) -> Bool[Array, "m n"]:
    """Return which rectangles overlap, by separating axes; the first n bodies are the vehicles themselves."""
    ahead, left, cos, sin = relative(bodies, vehicles)
    c, s = jnp.abs(cos), jnp.abs(sin)
    length, width = vehicles.length[None] / 2, vehicles.width[None] / 2
    their_length, their_width = bodies.length[:, None] / 2, bodies.width[:, None] / 2
    apart = jnp.abs(ahead) > length + their_length * c + their_width * s
    apart |= jnp.abs(left) > width + their_length * s + their_width * c
    apart |= jnp.abs(ahead * cos + left * sin) > their_length + length * c + width * s
    apart |= jnp.abs(left * cos - ahead * sin) > their_width + length * s + width * c
    return ~apart & others(bodies, vehicles) & vehicles.there[None]


def others(bodies: Bodies, vehicles: Bodies) -> Bool[Array, "m n"]:
    """Return which bodies are there and are not the vehicle itself."""
    index = jnp.arange(len(bodies.x))[:, None] != jnp.arange(len(vehicles.x))[None]
    return index & bodies.there[:, None]


def nearest(bodies: Bodies, vehicles: Bodies, count: int, reach: float) -> tuple[Int[Array, "k n"], Bool[Array, "k n"]]:
    """Return the numbers of the `count` bodies nearest to each vehicle, and whether there is one within `reach`.

    The squared distance, whose bits order like the number, has the body's number in its last bits. The smallest of
    these integers is found `count` times, which a CPU does faster than a sort.
    """
    dx, dy = bodies.x[:, None] - vehicles.x[None], bodies.y[:, None] - vehicles.y[None]
    squared = dx * dx + dy * dy
    num_bits = (len(bodies.x) - 1).bit_length()
    low = jnp.uint32(2**num_bits - 1)
    number = jnp.arange(len(bodies.x), dtype=jnp.uint32)[:, None]
    keys = (jax.lax.bitcast_convert_type(squared, jnp.uint32) & ~low) | number
    none = jnp.uint32(2**32 - 1)
    keys = jnp.where(others(bodies, vehicles) & (squared < reach**2), keys, none)
    found: list[UInt32[Array, " n"]] = []
    for _ in range(count):
        found.append(jnp.min(keys, axis=0))
        keys = jnp.where(keys == found[-1][None], none, keys)
    best = jnp.stack(found)
    return (best & low).astype(jnp.int32) % len(bodies.x), best != none


class Wish(NamedTuple):
    """What a driver wants: steering angle in radians, acceleration in metres per second squared."""

    steer: Float[Array, " n"]
    acceleration: Float[Array, " n"]


def follow_rules(bodies: Bodies, vehicles: Bodies, route: Float[Array, "n route 2"], still: Bool[Array, " m"]) -> Wish:
    """Drive along routes: aim at a point ahead, pass what stands at the right, slow down in bends and behind others.

    Args:
        bodies: Everybody.
        vehicles: Those that drive.
        route: Points of the way of each, some metres apart.
        still: Bodies that never move.
    """
    ahead, aside = _point_ahead(vehicles, route, AIM)
    later = _bend(*_point_ahead(vehicles, route, 2 * AIM))
    there, left, cos, _ = relative(bodies, vehicles)
    blocks = others(bodies, vehicles)
    at_the_right = blocks & still[:, None] & (there > -4.0) & (there < 13.0) & (left < 0.5) & (left > -3.5)
    aside = aside + jnp.where(jnp.any(at_the_right, axis=0), 0.9, 0.0)
    bend = _bend(ahead, aside)
    steer = jnp.arctan(2 * jnp.tan(jnp.arcsin(jnp.clip(0.3 * vehicles.length * bend, -0.6, 0.6))))

    reach = (bodies.width[:, None] + vehicles.width[None]) / 2 + 0.3
    in_the_way = blocks & (there > 0) & (jnp.abs(left - bend[None] * there**2 / 2) < reach) & ~at_the_right
    gap = there - (bodies.length[:, None] + vehicles.length[None]) / 2 - 1.5
    away = jnp.maximum(bodies.speed[:, None] * cos, 0.0)
    limit = away + jnp.sqrt(2 * 3.0 * jnp.maximum(gap, 0.0))
    limit = jnp.min(jnp.where(in_the_way, limit, MAX_SPEED), axis=0)
    sharpest = jnp.maximum(jnp.maximum(jnp.abs(bend), jnp.abs(later)), 1e-3)
    wanted = jnp.minimum(jnp.minimum(limit, CRUISE), jnp.sqrt(SIDEWAYS / sharpest))
    acceleration = jnp.clip(4 * (wanted - vehicles.speed), -MAX_BRAKING, MAX_ACCELERATION)
    return Wish(jnp.clip(steer, -MAX_STEER, MAX_STEER), acceleration)


def _point_ahead(vehicles: Bodies, route: Float[Array, "n route 2"], distance: float) -> tuple[Array, Array]:
    """Return where the way leaves the circle of that radius around each vehicle, in its frame; at most the goal."""
    dx, dy = route[..., 0] - vehicles.x[:, None], route[..., 1] - vehicles.y[:, None]
    ahead = dx * vehicles.cos[:, None] + dy * vehicles.sin[:, None]
    aside = dy * vehicles.cos[:, None] - dx * vehicles.sin[:, None]
    far = jnp.hypot(dx, dy)
    number = jnp.arange(route.shape[1])[None]
    outside = (far >= distance) & (number > jnp.argmin(far, axis=1)[:, None])
    after = jnp.where(jnp.any(outside, axis=1), jnp.argmax(outside, axis=1), route.shape[1] - 1)
    pair = jnp.stack([after - 1, after], axis=1)
    ahead, aside, far = (jnp.take_along_axis(x, pair, axis=1) for x in (ahead, aside, far))
    share = jnp.clip((distance - far[:, 0]) / jnp.maximum(far[:, 1] - far[:, 0], 1e-3), 0.0, 1.0)
    share = jnp.where(far[:, 1] > far[:, 0], share, 1.0)
    ahead, aside = ((1 - share) * x[:, 0] + share * x[:, 1] for x in (ahead, aside))
    return ahead, aside


def _bend(ahead: Float[Array, " n"], aside: Float[Array, " n"]) -> Float[Array, " n"]:
    """Return the curvature of the circle through a point, which starts in the vehicle's direction, per metre."""
    return 2 * aside / jnp.maximum(ahead**2 + aside**2, 1.0)
