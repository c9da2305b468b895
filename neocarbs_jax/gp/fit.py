"""Maximum a posteriori hyperparameters of a surrogate."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from neocarbs_jax.gp.kernel import KernelBuilder, Normal
from neocarbs_jax.gp.process import Surrogate

SCORE_NOISE = Normal(-2.0, 1.3)
COST_NOISE = Normal(-6.0, 2.0)
LABEL_NOISE = Normal(-2.0, 1.0)
"""Priors of log noise variance, by what is predicted; targets are standardised."""

_NUM_STEPS = 26
_BOUND = 12.0  # prior standard deviations from the prior mean; of log noise, from 0


class Hyperparameters(NamedTuple):
    """What a fit decides.

    Attributes:
        kernel: parameters of the kernel by name.
        log_noise: logarithm of the noise variance.
    """

    kernel: Mapping[str, Array]
    log_noise: Float[Array, ""]


def prior_mode(builder: KernelBuilder, num_axes: int, noise: Normal, dtype: jnp.dtype) -> Hyperparameters:
    """Return the prior means, where every fit starts."""
    return _away_from_prior(builder, num_axes, noise, dtype, 0.0)


def _away_from_prior(
    builder: KernelBuilder, num_axes: int, noise: Normal, dtype: jnp.dtype, deviations: float
) -> Hyperparameters:
    """Return hyperparameters that are so many prior standard deviations from the prior means."""

    def point(prior: Normal) -> Array:
        mean, std = (jnp.asarray(a, dtype) for a in prior)
        return mean + deviations * std

    kernel = {name: point(prior) for name, prior in builder.prior(num_axes).items()}
    return Hyperparameters(kernel, point(noise))


def log_prior(builder: KernelBuilder, hyperparameters: Hyperparameters, num_axes: int, noise: Normal) -> Array:
    """Return the log density of the priors, up to a constant."""
    priors = builder.prior(num_axes)
    terms = [_log_normal(hyperparameters.kernel[name], prior) for name, prior in priors.items()]
    return sum(terms, start=_log_normal(hyperparameters.log_noise, noise))


def _log_normal(value: Array, prior: Normal) -> Float[Array, ""]:
    mean, std = (jnp.asarray(a, value.dtype) for a in prior)
    return -0.5 * jnp.sum(((value - mean) / std) ** 2)


def noise_variance(hyperparameters: Hyperparameters) -> Float[Array, ""]:
    """Return sigma^2, with a floor that keeps K well conditioned in the precision at hand."""
    floor = 1e-6 if hyperparameters.log_noise.dtype == jnp.float64 else 1e-4
    return jnp.exp(hyperparameters.log_noise) + floor


def surrogate(
    builder: KernelBuilder,
    hyperparameters: Hyperparameters,
    unit: Float[Array, "n d"],
    mask: Bool[Array, " n"],
    correlation: Float[Array, "n n"] | None = None,
) -> Surrogate:
    """Return the process with these hyperparameters, observed at the rows of the mask.

    The noise is independent, or has the correlation that is given.
    """
    kernel, noise = builder.build(hyperparameters.kernel), noise_variance(hyperparameters)
    known = {} if correlation is None else {"covariance_value": kernel(unit, unit) + noise * correlation}
    return Surrogate(kernel, unit, noise, mask, **known)


def fit(
    builder: KernelBuilder,
    unit: Float[Array, "n d"],
    target: Float[Array, " n"],
    mask: Bool[Array, " n"],
    noise: Normal,
    num_steps: int = _NUM_STEPS,
    correlation: Float[Array, "n n"] | None = None,
) -> Hyperparameters:
    """Return the maximum a posteriori hyperparameters, by resilient propagation from the prior means.

    Twenty steps reach what takes Adam 500. The start does not depend on earlier fits: the result is a function of the
    data, so a resumed sweep repeats it.

    Args:
        builder: of the kernel, with its prior.
        unit: points.
        target: standardised measurements.
        mask: rows that count.
        noise: prior of the log noise variance.
        num_steps: that are taken.
        correlation: of the noise; None where it is independent.

    References:
        Riedmiller and Braun (1993), A direct adaptive method for faster backpropagation learning: Rprop.
    """
    num_axes = unit.shape[1]
    optimizer = optax.rprop(0.2, eta_plus=1.3, min_step_size=1e-3, max_step_size=1.0)

    def loss(h: Hyperparameters) -> Float[Array, ""]:
        likelihood = surrogate(builder, h, unit, mask, correlation).log_probability(target)
        return -likelihood - log_prior(builder, h, num_axes, noise)

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        h, state = carry
        gradient = jax.tree.map(jnp.nan_to_num, jax.grad(loss)(h))
        updates, state = optimizer.update(gradient, state)
        h = jax.tree.map(lambda value, update, low, high: jnp.clip(value + update, low, high), h, updates, *bounds)
        return (h, state), None

    start = prior_mode(builder, num_axes, noise, unit.dtype)
    bounds = [_away_from_prior(builder, num_axes, Normal(0.0), unit.dtype, bound) for bound in (-_BOUND, _BOUND)]
    (fitted, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), None, length=num_steps)
    return fitted
