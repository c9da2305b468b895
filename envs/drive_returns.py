"""Where vehicles of `drive` come back after their episode: at starts of the scene that nobody is near."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

RespawnAt = Literal["start", "wait", "free"]
"""At the own start at once, as a ghost; there once it is free; or at the next start of the scene that is free."""

RESPAWN_AT: tuple[RespawnAt, ...] = ("start", "wait", "free")


class Returns(NamedTuple):
    """Which vehicles come back in a step, and at which start of the scene."""

    back: Bool[Array, " vehicles"]
    trip: Int[Array, " vehicles"]


def find_places(
    gone: Bool[Array, " vehicles"],
    there: Bool[Array, " vehicles"],
    place: Float[Array, "vehicles 2"],
    starts: Float[Array, "vehicles 2"],
    safe_distance: Float[Array, ""] | float,
    others_too: bool,
) -> Returns:
    """Give starts to vehicles that are gone. A start is free if no vehicle is within the safe distance of it.

    Each vehicle takes its own start if that is free, or else, if it may, the first free one of those that follow in the
    scene's list, which is in random order. Of several that want the same, the first one in the list gets it.

    Args:
        gone: Vehicles that wait to come back.
        there: Vehicles that are on the road.
        place: Where these are.
        starts: The starts of the scene; number i is vehicle i's own.
        safe_distance: Metres.
        others_too: Whether a vehicle may take another one's start.
    """
    count = len(starts)
    number = jnp.arange(count, dtype=jnp.int32)
    squared = sum((place[:, None, k] - starts[None, :, k]) ** 2 for k in range(2))
    is_free = ~jnp.any(there[:, None] & (squared < safe_distance**2), axis=0)
    if others_too:
        choices = (number[:, None] + number[None]) % count
        trip = choices[number, jnp.argmax(is_free[choices], axis=1)]
    else:
        trip = number
    finds = gone & is_free[trip]
    earlier = number[None] < number[:, None]
    is_taken = jnp.any(finds[None] & earlier & (trip[None] == trip[:, None]), axis=1)
    return Returns(finds & ~is_taken, trip)
