"""The surrogate, a `tinygp.GaussianProcess` of a masked buffer: its likelihood is fitted, its conditioning predicts.

Two methods of tinygp are replaced by faster ones that give the same numbers: `log_probability`, whose derivative spares
three triangular solves, and `predict`, whose variances need no covariance between the test points.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import tinygp
from jaxtyping import Array, Bool, Float

from neocarbs_jax.gp.solver import MaskedCholesky
from neocarbs_jax.precision import matmul


class Surrogate(tinygp.GaussianProcess):
    """A Gaussian process of mean 0 over the rows of a buffer that a mask selects.

    Args:
        kernel: of the noiseless function.
        unit: points of the unit cube, one per row.
        noise: variance of a measurement.
        mask: rows that are observed. Those of `y` outside it are never read.
        **known: `covariance_value` of all rows and `inverse_factor`, as of `MaskedCholesky`, where they are known.
    """

    solver: MaskedCholesky

    def __init__(
        self,
        kernel: tinygp.kernels.Kernel,
        unit: Float[Array, "n d"],
        noise: Float[Array, ""],
        mask: Bool[Array, " n"],
        **known: Array,
    ):
        diagonal = tinygp.noise.Diagonal(jnp.broadcast_to(noise, mask.shape))
        zeros = jnp.zeros_like(unit[:, 0])
        super().__init__(kernel, unit, noise=diagonal, mean_value=zeros, solver=MaskedCholesky, mask=mask, **known)

    def log_probability(self, y: Float[Array, " n"]) -> Float[Array, ""]:
        """Return log N(y; 0, K) over the rows of the mask, with a derivative by the inverse of K."""
        solver = self.solver
        count = jnp.sum(solver.mask, dtype=self.dtype)
        target = jnp.where(solver.mask, y, 0)
        density = _log_normal_density(solver.covariance_value, solver.inverse_factor, target)
        return density - 0.5 * count * math.log(2 * math.pi)

    def predict(
        self,
        y: Float[Array, " n"],
        X_test: Float[Array, "m d"] | None = None,
        *,
        return_var: bool = False,
        **options: Any,
    ) -> Any:
        """Return the mean of the noiseless function at each test point, and its variance if asked for.

        Args:
            y: targets.
            X_test: test points; the observed ones by default.
            return_var: whether to return variances too.
            **options: those of `tinygp.GaussianProcess.predict`; with any of them tinygp's own method runs.
        """
        if options or X_test is None or not return_var:
            return super().predict(y, X_test, return_var=return_var, **options)
        solver = self.solver
        weights = solver.solve_triangular(solver.solve_triangular(y), transpose=True)
        cross = jnp.where(solver.mask[:, None], self.kernel(self.X, X_test), 0)
        half = matmul(solver.inverse_factor, cross)
        return matmul(weights, cross), self.kernel(X_test) - jnp.sum(half * half, axis=0)


@jax.custom_vjp
def _log_normal_density(
    covariance: Float[Array, "n n"], inverse_factor: Float[Array, "n n"], y: Float[Array, " n"]
) -> Float[Array, ""]:
    """Return -(y' K^-1 y + log |K|) / 2, with d/dK = (w w' - K^-1) / 2 and d/dy = -w, where w = K^-1 y."""
    del covariance
    innovations = matmul(inverse_factor, y)
    return -0.5 * jnp.sum(innovations * innovations) + jnp.sum(jnp.log(jnp.diagonal(inverse_factor)))


def _forward(covariance: Array, inverse_factor: Array, y: Array) -> tuple[Array, tuple[Array, Array]]:
    weights = matmul(inverse_factor.T, matmul(inverse_factor, y))
    return _log_normal_density(covariance, inverse_factor, y), (inverse_factor, weights)


def _backward(residuals: tuple[Array, Array], g: Array) -> tuple[Array, None, Array]:
    inverse_factor, weights = residuals
    inverse = matmul(inverse_factor.T, inverse_factor)
    return 0.5 * g * (weights[:, None] * weights[None, :] - inverse), None, -g * weights


_log_normal_density.defvjp(_forward, _backward)
