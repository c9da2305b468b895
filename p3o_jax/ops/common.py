"""What the operations share: the choice of an implementation, sums over lags, means over steps."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from p3o_jax.devices import flatten

Implementation = Literal["reference", "xla", "pallas", "interpret"]
IMPLEMENTATIONS: tuple[Implementation, ...] = get_args(Implementation)


def resolve_implementation(implementation: str | None) -> Implementation:
    """Return the implementation to use: the given one, or the platform's best for None.

    Raises:
        ValueError: `implementation` is none of them.
    """
    if implementation is None:
        return "pallas" if jax.default_backend() == "gpu" else "xla"
    for known in IMPLEMENTATIONS:
        if implementation == known:
            return known
    raise ValueError(f"`implementation` must be None or one of {', '.join(IMPLEMENTATIONS)}; got {implementation!r}.")


def check_platform(implementation: str | None) -> None:
    """Raise a ValueError unless `implementation` is one of them and runs on the platform of this process.

    The operations themselves do not ask: a program for a GPU can be compiled elsewhere.
    """
    if resolve_implementation(implementation) == "pallas" and jax.default_backend() != "gpu":
        platform = jax.default_backend()
        raise ValueError(f"`implementation` must not be 'pallas' on the platform '{platform}', only on GPUs.")


def weighted_sum(x: Float[Array, "*batch H"], weights: Float[Array, " H"]) -> Float[Array, "*batch"]:
    """Return the weighted sum over lags; as a matrix-vector product, which CPUs vectorise."""
    return jnp.dot(x, weights, precision=lax.Precision.HIGHEST)


def mean_of_valid(x: Float[Array, "t b"], valid: Bool[Array, "t b"] | None) -> Float[Array, ""]:
    """Return the mean over the valid steps, 0 where there is none; None says that all are valid."""
    if valid is None:
        return jnp.mean(x)
    return jnp.sum(jnp.where(valid, x, 0.0)) / jnp.maximum(jnp.sum(valid, dtype=jnp.float32), 1.0)


def variance_of_valid(x: Float[Array, "t b"], valid: Bool[Array, "t b"] | None) -> Float[Array, ""]:
    """Return the population variance over the valid steps, 0 where there is none; None says that all are valid."""
    return mean_of_valid((x - mean_of_valid(x, valid)) ** 2, valid)


def sum_from(index: Int[Array, "T B"], values: Float[Array, "T B k"], horizon: int) -> Float[Array, "H k"]:
    """Return for each lag j the sum of the values whose index is at least j."""
    index = flatten(jnp.minimum(index, horizon - 1))
    sums = jax.ops.segment_sum(flatten(values), index, num_segments=horizon)
    return lax.cumsum(sums, axis=0, reverse=True)
