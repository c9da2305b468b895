"""Invertible transforms of targets: standardised scores and log costs for the surrogate, and the way back."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class Standardizer(NamedTuple):
    """z = (y - location) / scale."""

    location: Float[Array, ""]
    scale: Float[Array, ""]

    def forward(self, value: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return (value - self.location) / self.scale

    def inverse(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return self.location + self.scale * z


def standardizer(value: Float[Array, " n"], mask: Bool[Array, " n"]) -> Standardizer:
    """Mean and standard deviation of the unmasked values; scale 1 where they are all equal, or fewer than two.

    Deviations are divided by the largest before they are squared: safe from 1e-30 to 1e30 in float32.
    """
    count = jnp.maximum(jnp.sum(mask), 1).astype(value.dtype)
    location = jnp.sum(jnp.where(mask, value, 0) / count)
    deviation = jnp.where(mask, value - location, 0)
    largest = jnp.max(jnp.abs(deviation))
    tiny = 8 * jnp.finfo(value.dtype).eps * jnp.abs(location)
    constant = largest <= jnp.maximum(tiny, jnp.finfo(value.dtype).tiny)
    largest = jnp.where(constant, 1, largest)
    spread = largest * jnp.sqrt(jnp.sum((deviation / largest) ** 2) / count)
    return Standardizer(location, jnp.where(constant, 1, spread))
