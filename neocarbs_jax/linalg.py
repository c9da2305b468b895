"""Factors, inverses and normal densities of covariance matrices, as fast and as finite as they can be made."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from neocarbs_jax.batching import one_by_one


@one_by_one
def safe_cholesky(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Cholesky factor, with as little jitter as makes it finite: 0, then 1e-6, 1e-5, ... of the mean diagonal."""
    eye = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    scale = jnp.mean(jnp.diagonal(matrix))

    def retry(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        exponent, _ = carry
        return exponent + 1, jnp.linalg.cholesky(matrix + scale * 10.0 ** (exponent - 6) * eye)

    def failed(carry: tuple[Array, Array]) -> Array:
        exponent, factor = carry
        return ~jnp.all(jnp.isfinite(jnp.diagonal(factor))) & (exponent < 7)  # which all else passes through

    start = jnp.zeros((), matrix.dtype), jnp.linalg.cholesky(matrix)
    return jax.lax.while_loop(failed, retry, start)[1]


@one_by_one
def inverse_triangular(factor: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Inverse of a lower triangular matrix."""
    return jax.scipy.linalg.solve_triangular(factor, jnp.eye(factor.shape[0], dtype=factor.dtype), lower=True)


@jax.custom_vjp
def log_normal_density(matrix: Float[Array, "n n"], target: Float[Array, " n"]) -> Float[Array, ""]:
    """log N(target; 0, matrix) up to a constant: -(y' K^-1 y + log |K|) / 2, with d/dK = (a a' - K^-1) / 2, a = K^-1 y.

    The hand-written derivative spares the three triangular solves per step of differentiating a Cholesky factor.
    """
    return _log_normal_density(matrix, target)[0]


def _log_normal_density(matrix: Array, target: Array) -> tuple[Array, tuple[Array, Array]]:
    factor = safe_cholesky(matrix)
    inverse_factor = inverse_triangular(factor)
    inverse = inverse_factor.T @ inverse_factor
    weights = inverse @ target
    value = -0.5 * target @ weights - jnp.sum(jnp.log(jnp.diagonal(factor)))
    return value, (inverse, weights)


def _log_normal_density_vjp(residuals: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    inverse, weights = residuals
    return 0.5 * g * (weights[:, None] * weights[None, :] - inverse), -g * weights


log_normal_density.defvjp(_log_normal_density, _log_normal_density_vjp)
