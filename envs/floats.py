"""Single-precision arithmetic that gives the same results as the original's C code.

Breakout is chaotic: every bounce multiplies an error of the ball's position by about eight, so that one wrong bit leads
to a different game ten bounces later. There are two causes of wrong bits. Compilers contract `a * b + c` into one
instruction with one rounding. And C computes sines in double precision, which is slow or missing on accelerators. Here
a product can be rounded by itself, and a sine is computed as the sum of two floats (about 46 bits).
"""

from __future__ import annotations

from math import factorial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Pair = tuple[Float[Array, "..."], Float[Array, "..."]]
"""The number high + low, where |low| is at most half a unit in the last place of high."""

_LOWEST = float(np.finfo(np.float32).min)
_HIGH_BITS = np.int32(-(2**12))
_PAIR_TERMS, _TERMS = 5, 10


def rounded(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the same number and keep the compiler from contracting it with the next operation."""
    return jnp.maximum(x, _LOWEST)


def scaled_sin_cos(
    angle: Float[Array, "..."], scale: Float[Array, "..."], divisor: float
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Return `sin(angle) * scale / divisor` and `cos(angle) * scale / divisor`, each rounded only once.

    Args:
        angle: Radians, at most 1.3 in magnitude.
        scale: A number of at most 12 significant bits.
        divisor: A number of at most 12 significant bits.
    """
    exact_angle = (angle, jnp.zeros_like(angle))
    square = _product(exact_angle, exact_angle)
    sine = _product(exact_angle, _series(square, 1))
    cosine = _series(square, 0)
    exact_scale = (scale, jnp.zeros_like(scale))
    return _divide(_product(sine, exact_scale), divisor), _divide(_product(cosine, exact_scale), divisor)


def divided(x: Float[Array, "..."], divisor: float) -> Float[Array, "..."]:
    """Return `x / divisor`, correctly rounded.

    The plain operation is not exact, because compilers multiply by the inverse of a constant divisor.

    Args:
        x: The numerator.
        divisor: A number of at most 12 significant bits.
    """
    return _divide((x, jnp.zeros_like(x)), divisor)


def scaled(constant: float, scale: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return `constant * scale` for a constant in double precision, rounded only once."""
    high = np.float32(constant)
    pair = jnp.full_like(scale, high), jnp.full_like(scale, constant - float(high))
    product = _product(pair, (scale, jnp.zeros_like(scale)))
    return product[0] + product[1]


def _series(square: Pair, first: int) -> Pair:
    """Return the sum over k of (-1)^k square^k / (2 k + first)!, with the small terms in single precision."""
    coefficients = [(-1) ** k / factorial(2 * k + first) for k in range(_TERMS)]
    tail = jnp.zeros_like(square[0])
    for coefficient in coefficients[:_PAIR_TERMS:-1]:
        tail = (tail + coefficient) * square[0]
    total = (tail + coefficients[_PAIR_TERMS], jnp.zeros_like(tail))
    for coefficient in coefficients[_PAIR_TERMS - 1 :: -1]:
        high = np.float32(coefficient)
        low = np.float32(coefficient - float(high))
        product = _product(total, square)
        partial = rounded(high + product[0])  # or the compiler merges the two constants of the next line
        total = _sum(partial, (product[0] - (partial - high)) + (low + product[1]))
    return total


def _divide(x: Pair, divisor: float) -> Float[Array, "..."]:
    """Return x / divisor, rounded only once: a first quotient plus the quotient of its exact remainder."""
    quotient = rounded(x[0] / divisor)
    head, tail = _split(quotient)
    remainder = ((x[0] - head * divisor) - tail * divisor) + x[1]
    return quotient + remainder / divisor


def _product(x: Pair, y: Pair) -> Pair:
    product = rounded(x[0] * y[0])
    (a, b), (c, d) = _split(x[0]), _split(y[0])
    error = ((a * c - product) + a * d + b * c) + b * d
    return _sum(product, error + (x[0] * y[1] + x[1] * y[0]))


def _sum(high: Float[Array, "..."], low: Float[Array, "..."]) -> Pair:
    """Return high + low as a pair. |low| must be less than |high|."""
    total = high + low
    return total, low - (total - high)


def _split(x: Float[Array, "..."]) -> Pair:
    """Split a number into its first 12 significant bits and the rest, whose products are exact."""
    bits = jax.lax.bitcast_convert_type(x, jnp.int32) & _HIGH_BITS
    high = jax.lax.bitcast_convert_type(bits, jnp.float32)
    return high, x - high
