"""Invertible transforms of scores and log costs: what the surrogate sees, and the way back to the user's units.

Every score warp is an increasing, piecewise linear map through knots (x_k, z_k), straight beyond the outer ones: one
form for all of them, exact to invert, and traceable, so that `auto` can choose among them under jit.

    linear        z = y
    aggression    z = -log(1 - v + eps), v = y min-max scaled to [0, 1]: 0.99 and 0.90 are far apart
    log           z = log(v + 0.03): 0.01 and 0.1 are far apart, so that cheap trials tell what dear ones will do
    winsor        z = y above a lower fence, logarithmic below it: a few wrecks do not set the scale
    rank          z = Phi^-1((rank - 1/2) / n): normal whatever the scores
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

WARPS = ("linear", "aggression", "log", "winsor", "rank")
_NUM_KNOTS = 33
_FENCE = 2.0
_COMPRESSION = 0.3
_LOG_OFFSET = 0.03
_NUM_BELOW, _LOWEST_DECADE = 12, 10
_QUARTILES = np.array([0.25, 0.5, 0.75])


class Standardizer(NamedTuple):
    """z = (y - location) / scale."""

    location: Float[Array, ""]
    scale: Float[Array, ""]

    def forward(self, value: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return (value - self.location) / self.scale

    def inverse(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return self.location + self.scale * z


class Warp(NamedTuple):
    """Increasing piecewise linear map of standardised scores, then standardised again.

    Attributes:
        before: standardises the user's scores.
        x: knots, strictly ascending, in standardised scores.
        z: their images, strictly ascending, standardised over the observed scores.
    """

    before: Standardizer
    x: Float[Array, " k"]
    z: Float[Array, " k"]

    def forward(self, score: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return _interpolate(self.before.forward(score), self.x, self.z)

    def unwarp(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """Standardised scores: the inverse, but for the user's units."""
        return _interpolate(z, self.z, self.x)

    def inverse(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return self.before.inverse(self.unwarp(z))

    def slope(self, score: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """dz/dy of the standardised score y."""
        return (jnp.diff(self.z) / jnp.diff(self.x))[_segment(self.before.forward(score), self.x)]

    def moments(
        self, mean: Float[Array, " m"], std: Float[Array, " m"]
    ) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """Median of the score whose warped value is N(mean, std^2), and half the width of its central 68%."""
        low, high = self.inverse(mean - std), self.inverse(mean + std)
        return self.inverse(mean), (high - low) / 2


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
    # A rounded mean of equal values is none of them, which a scale of 1 would show.
    location = jnp.where(constant & jnp.any(mask), jnp.max(jnp.where(mask, value, -jnp.inf)), location)
    largest = jnp.where(constant, 1, largest)
    spread = largest * jnp.sqrt(jnp.sum((deviation / largest) ** 2) / count)
    return Standardizer(location, jnp.where(constant, 1, spread))


def robust_standardizer(value: Float[Array, " n"], mask: Bool[Array, " n"]) -> Standardizer:
    """By median and interquartile range, which a few wrecked runs do not move; by mean and deviation where it is 0."""
    plain = standardizer(value, mask)
    quartiles = _quantiles(plain.forward(value), mask, _QUARTILES)
    spread = quartiles[2] - quartiles[0]
    degenerate = spread <= 8 * jnp.finfo(value.dtype).eps * jnp.max(jnp.abs(quartiles))
    location = jnp.where(degenerate, plain.location, plain.inverse(quartiles[1]))
    return Standardizer(location, plain.scale * jnp.where(degenerate, 1, spread))


def fit_warps(kinds: Sequence[str], score: Float[Array, " n"], mask: Bool[Array, " n"], aggression: float) -> Warp:
    """The warp of each kind for the unmasked scores, along a leading axis.

    Args:
        kinds: some of `WARPS`.
        score: in the user's units.
        mask: rows that count.
        aggression: eps; smaller resolves the best scores further apart.
    """
    before = robust_standardizer(score, mask)
    y = before.forward(score)
    x, z = (jnp.stack(knots) for knots in zip(*(_knots(kind, y, mask, aggression) for kind in kinds), strict=True))

    def standardised(x: Array, z: Array) -> Warp:
        after = standardizer(_interpolate(y, x, z), mask)
        return Warp(before, x, after.forward(z))

    return jax.vmap(standardised)(x, z)


def _knots(
    kind: str, y: Float[Array, " n"], mask: Bool[Array, " n"], aggression: float
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Knots x among standardised scores, and their images z."""
    low, high = _range(y, mask)
    evenly = jnp.asarray(np.linspace(0, 1, _NUM_KNOTS), y.dtype)
    if kind == "linear":
        x = low + (high - low) * evenly
        return x, x
    if kind == "aggression":
        x = low + (high - low) * evenly**0.5
        return x, -jnp.log1p(aggression - (x - low) / (high - low))
    if kind == "log":
        x = low + (high - low) * evenly**2
        return x, jnp.log(_LOG_OFFSET + (x - low) / (high - low))
    if kind == "winsor":
        return _winsor_knots(y, mask, high)
    if kind == "rank":
        levels = (np.arange(_NUM_KNOTS) + 0.5) / _NUM_KNOTS
        # Ties would make the map steep; half the identity keeps every slope finite.
        ramp = jnp.asarray(1e-3 * np.arange(_NUM_KNOTS), y.dtype)
        x = _quantiles(y, mask, levels) + ramp
        normal = [NormalDist().inv_cdf(level) for level in levels]
        return x, 0.5 * jnp.asarray(normal, y.dtype) + 0.5 * x
    raise ValueError(f"`kind` must be one of {WARPS}; got {kind!r}.")


def _winsor_knots(
    y: Float[Array, " n"], mask: Bool[Array, " n"], high: Float[Array, ""]
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Identity above a fence below the median; under it -log(1 + depth), knot by knot down to 10 decades."""
    quartiles = _quantiles(y, mask, _QUARTILES)
    fence = quartiles[1] - _FENCE * jnp.maximum(quartiles[2] - quartiles[0], 0.1)
    fence = jnp.minimum(fence, high - 1e-3)
    depth = jnp.asarray(np.logspace(_LOWEST_DECADE, -1, _NUM_BELOW), y.dtype)
    above = fence + (high - fence) * jnp.asarray(np.linspace(0, 1, _NUM_KNOTS - _NUM_BELOW), y.dtype)
    compressed = fence - _COMPRESSION * jnp.log1p(depth / _COMPRESSION)
    return jnp.concatenate([fence - depth, above]), jnp.concatenate([compressed, above])


def _range(y: Float[Array, " n"], mask: Bool[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    any_row = jnp.any(mask)
    low = jnp.where(any_row, jnp.min(jnp.where(mask, y, jnp.inf)), 0)
    high = jnp.where(any_row, jnp.max(jnp.where(mask, y, -jnp.inf)), 1)
    return low, jnp.maximum(high, low + 1e-3)


def _quantiles(y: Float[Array, " n"], mask: Bool[Array, " n"], levels: np.ndarray) -> Float[Array, " k"]:
    """Linear-interpolation quantiles of the unmasked values; zeros without any."""
    ordered = jnp.sort(jnp.where(mask, y, jnp.inf))
    last = jnp.maximum(jnp.sum(mask, dtype=jnp.int32) - 1, 0)
    position = jnp.asarray(levels, y.dtype) * last.astype(y.dtype)
    index = jnp.minimum(position.astype(jnp.int32), jnp.maximum(last - 1, 0))
    low, high = ordered[index], ordered[jnp.minimum(index + 1, last)]
    return jnp.where(jnp.any(mask), low + (position - index.astype(y.dtype)) * (high - low), 0)


@jax.jit
def _interpolate(value: Float[Array, "*n"], x: Float[Array, " k"], z: Float[Array, " k"]) -> Float[Array, "*n"]:
    """Linear between knots and beyond them, along the outer segments."""
    segment, dx = _segment(value, x), jnp.diff(x)
    # In single precision, knots of a steep warp may coincide; there the map is a step.
    slope = jnp.where(dx > 0, jnp.diff(z) / jnp.where(dx > 0, dx, 1), 0)
    return z[segment] + (value - x[segment]) * slope[segment]


def _segment(value: Float[Array, "*n"], x: Float[Array, " k"]) -> Int[Array, "*n"]:
    """Index of the segment of each value, by comparisons with all inner knots: few, and quick to compile."""
    inner = x[1:-1].reshape(*(1,) * value.ndim, -1)
    return jnp.sum(value[..., None] > inner, axis=-1, dtype=jnp.int32)
