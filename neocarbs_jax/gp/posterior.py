"""A surrogate given its data: predictions, leave-one-out residuals and the calibration that follows from them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from neocarbs_jax.batching import anywhere
from neocarbs_jax.gp.fit import Hyperparameters, noise_variance
from neocarbs_jax.gp.kernel import KernelBuilder
from neocarbs_jax.gp.process import Surrogate
from neocarbs_jax.precision import matmul

_NUM_LATEST = 32


class Posterior(NamedTuple):
    """A Gaussian process conditioned on data.

    Attributes:
        process: observed at the observed and at the pending rows.
        target: its data. Pending rows hold the posterior mean: they shrink variances, and leave means as they are.
        noise: variance of a measurement.
        mean: of the noiseless function at each observed row.
        std: its standard deviation there; pending points are not counted.
        loo_mean: leave-one-out mean of each observed row.
        loo_std: its standard deviation, noise included.
        stretch: factor on predictive deviations that makes 90% of the leave-one-out residuals lie within 1.645 of them.
        forward_stretch: the same for the latest residuals given earlier rows alone (Dawid, 1984): a point that was
            chosen because it looked good disappoints, which leaving out one does not show.
    """

    process: Surrogate
    target: Float[Array, " n"]
    noise: Float[Array, ""]
    mean: Float[Array, " n"]
    std: Float[Array, " n"]
    loo_mean: Float[Array, " n"]
    loo_std: Float[Array, " n"]
    stretch: Float[Array, ""]
    forward_stretch: Float[Array, ""]

    def predict(self, unit: Float[Array, "m d"]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """Return mean and standard deviation of the noiseless function at each point."""
        mean, variance = self.process.predict(self.target, unit, return_var=True)
        floor = 1e-12 if unit.dtype == jnp.float64 else 1e-8
        return mean, jnp.sqrt(jnp.maximum(variance, floor))


def condition(
    builder: KernelBuilder,
    hyperparameters: Hyperparameters,
    unit: Float[Array, "n d"],
    target: Float[Array, " n"],
    observed: Bool[Array, " n"],
    pending: Bool[Array, " n"] | None = None,
    correlation: Float[Array, "n n"] | None = None,
) -> Posterior:
    """Return the posterior given observed targets, and pending points fantasised at the posterior mean.

    Args:
        builder: of the kernel.
        hyperparameters: of kernel and noise.
        unit: points.
        target: standardised measurements; anything where not observed.
        observed: rows that were measured.
        pending: rows whose measurement is to come, if there may be any.
        correlation: of the noise; None where it is independent.
    """
    kernel, noise = builder.build(hyperparameters.kernel), noise_variance(hyperparameters)
    gram = kernel(unit, unit)
    noises = noise * (jnp.eye(unit.shape[0], dtype=unit.dtype) if correlation is None else correlation)
    covariance = gram + noises
    process = Surrogate(kernel, unit, noise, observed, covariance_value=covariance)
    inverse = process.solver.inverse_factor
    target = jnp.where(observed, target, 0)
    innovations = matmul(inverse, target)  # of every row given those before it, in units of their deviation
    weights = matmul(inverse.T, innovations)
    loo_variance = 1 / jnp.sum(inverse * inverse, axis=0)
    residual = weights * loo_variance
    age = jnp.sum(observed, dtype=jnp.int32) - jnp.cumsum(observed, dtype=jnp.int32)
    known, completed = process, target
    if pending is not None:

        def factorise() -> Array:
            return Surrogate(kernel, unit, noise, observed | pending, covariance_value=covariance).solver.inverse_factor

        factor = jax.lax.cond(anywhere(jnp.any(pending)), factorise, lambda: inverse)
        given = {"covariance_value": covariance, "inverse_factor": factor}
        known = Surrogate(kernel, unit, noise, observed | pending, **given)
        completed = jnp.where(pending, matmul(gram, jnp.where(observed, weights, 0)), target)
    # K^-1 says it all: mean = y - R w, variance = [R - R K^-1 R]_ii; with R = sigma^2 I, sigma^2 - sigma^4 [K^-1]_ii.
    if correlation is None:
        mean, variance = target - noise * weights, noise - noise * noise / loo_variance
    else:
        between = jnp.where(observed[:, None] & observed[None, :], noises, 0)
        half = matmul(inverse, between)
        mean, variance = target - matmul(between, weights), noise - jnp.sum(half * half, axis=0)
    return Posterior(
        process=known,
        target=completed,
        noise=noise,
        mean=mean,
        std=jnp.sqrt(jnp.maximum(variance, 0)),
        loo_mean=target - residual,
        loo_std=jnp.sqrt(loo_variance),
        stretch=_stretch(jnp.abs(residual) / jnp.sqrt(loo_variance), observed),
        forward_stretch=_stretch(jnp.abs(innovations), observed & (age < _NUM_LATEST)),
    )


def _stretch(ratio: Float[Array, " n"], observed: Bool[Array, " n"]) -> Float[Array, ""]:
    """Return the 90% quantile of standardised residuals over the normal's, drawn to 1 by ten imaginary residuals."""
    count = jnp.sum(observed, dtype=jnp.int32)
    ordered = jnp.sort(jnp.where(observed, ratio, jnp.inf))
    index = jnp.clip((0.9 * count.astype(ratio.dtype)).astype(jnp.int32), 0, jnp.maximum(count - 1, 0))
    quantile = jnp.where(count > 0, ordered[index], 1.645)
    share = (count / (count + 10)).astype(ratio.dtype)
    return jnp.exp(share * jnp.log(jnp.clip(quantile / 1.645, 0.3, 3.0)))
