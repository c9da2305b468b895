"""The solver of the surrogates, a `tinygp.solvers.Solver`: masked, jittered, one matrix at a time.

Rows outside the mask become rows of the identity in K, so that they change nothing and shapes never change.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tinygp
from jaxtyping import Array, Bool, Float
from tinygp.solvers.solver import Solver

from neocarbs_jax.batching import one_by_one
from neocarbs_jax.precision import matmul


class MaskedCholesky(Solver):
    """Solve by the inverse of the Cholesky factor L, where L L' = K over the rows of the mask.

    A product with L^-1 is several times faster on many right-hand sides than a triangular solve. The factor carries no
    derivative with respect to K: differentiate `Surrogate.log_probability`, which has a derivative of its own.

    Attributes:
        X: points.
        mask: rows that count.
        variance_value: diagonal of K.
        covariance_value: K, noise included.
        inverse_factor: L^-1.
    """

    X: Float[Array, "n d"]
    mask: Bool[Array, " n"]
    variance_value: Float[Array, " n"]
    covariance_value: Float[Array, "n n"]
    inverse_factor: Float[Array, "n n"]

    def __init__(
        self,
        kernel: tinygp.kernels.Kernel,
        X: Float[Array, "n d"],
        noise: tinygp.noise.Noise,
        *,
        covariance: Float[Array, "n n"] | None = None,
        mask: Bool[Array, " n"],
        inverse_factor: Float[Array, "n n"] | None = None,
    ):
        """Factorise the covariance.

        Args:
            kernel: of the noiseless function.
            X: points.
            noise: of the measurements.
            covariance: K of all rows, where it is known already.
            mask: rows that count; all others become rows of the identity.
            inverse_factor: L^-1, where it is known already.
        """
        if covariance is None:
            covariance = kernel(X, X) + noise
        both = mask[:, None] & mask[None, :]
        eye = jnp.eye(mask.shape[0], dtype=covariance.dtype)
        self.X, self.mask = X, mask
        self.variance_value = jnp.where(mask, kernel(X) + noise.diagonal(), 1)
        self.covariance_value = jnp.where(both, covariance, eye)
        if inverse_factor is None:
            inverse_factor = inverse_triangular(safe_cholesky(jax.lax.stop_gradient(self.covariance_value)))
        self.inverse_factor = inverse_factor

    def variance(self) -> Float[Array, " n"]:
        """Return the diagonal of K."""
        return self.variance_value

    def covariance(self) -> Float[Array, "n n"]:
        """Return K."""
        return self.covariance_value

    def normalization(self) -> Float[Array, ""]:
        """Return (log |K| + n log(2 pi)) / 2, n the number of rows that count."""
        count = jnp.sum(self.mask, dtype=self.inverse_factor.dtype)
        return 0.5 * count * np.log(2 * np.pi) - jnp.sum(jnp.log(jnp.diagonal(self.inverse_factor)))

    def solve_triangular(self, y: Float[Array, "n *m"], *, transpose: bool = False) -> Float[Array, "n *m"]:
        """Return L^-1 y, or L'^-1 y; rows of y outside the mask count as 0."""
        inverse = self.inverse_factor.T if transpose else self.inverse_factor
        return matmul(inverse, _masked(self.mask, y))

    def dot_triangular(self, y: Float[Array, "n *m"]) -> Float[Array, "n *m"]:
        """Return L y."""
        return jax.scipy.linalg.solve_triangular(self.inverse_factor, y, lower=True)

    def condition(self, kernel: tinygp.kernels.Kernel, X_test: Array | None, noise: tinygp.noise.Noise) -> Any:
        """Return the covariance of the test points given the observed ones."""
        X_test = self.X if X_test is None else X_test
        half = self.solve_triangular(kernel(self.X, X_test))
        return kernel(X_test, X_test) + noise - matmul(half.T, half)


def _masked(mask: Bool[Array, " n"], y: Float[Array, "n *m"]) -> Float[Array, "n *m"]:
    return jnp.where(mask.reshape(-1, *(1,) * (y.ndim - 1)), y, 0)


@one_by_one
def safe_cholesky(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Return the Cholesky factor, with as little jitter as makes it finite: 0, then 1e-6, 1e-5, ... of the diagonal."""
    eye = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    scale = jnp.mean(jnp.diagonal(matrix))

    def retry(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        exponent, _ = carry
        return exponent + 1, jnp.linalg.cholesky(matrix + scale * 10.0 ** (exponent - 6) * eye)

    def failed(carry: tuple[Array, Array]) -> Array:
        exponent, factor = carry
        return ~jnp.all(jnp.isfinite(jnp.diagonal(factor))) & (exponent < 7)

    start = jnp.zeros((), matrix.dtype), jnp.linalg.cholesky(matrix)
    return jax.lax.while_loop(failed, retry, start)[1]


@one_by_one
def inverse_triangular(factor: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Return the inverse of a lower triangular matrix."""
    return jax.scipy.linalg.solve_triangular(factor, jnp.eye(factor.shape[0], dtype=factor.dtype), lower=True)
