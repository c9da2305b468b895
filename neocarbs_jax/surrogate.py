"""One Gaussian process on the unit cube: tinygp kernel, priors, MAP fit, posterior; masked so that shapes never change.

A masked row becomes a row of the identity in K and a zero in the target: exact, as if it were not there.

    k(u, u') = a Matern52(|(u - u') / l|) + b (u - 1/2).(u' - 1/2) + m,   K = k(U, U) + sigma^2 I

with one lengthscale l_j per axis, linear variance b, mean variance m = 1 and noise sigma^2; targets are standardised.
Priors: l_j ~ LogNormal(ln(d)/2 - 1.25, 1), a ~ LogNormal(0, 1), b ~ LogNormal(-3, 1), sigma^2 ~ LogNormal by target.
The lengthscales grow with sqrt(d) as distances do (Hvarfner et al., 2024), from a shorter and firmer start: with a few
observations long lengthscales are confident and wrong.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import tinygp
from jaxtyping import Array, Bool, Float
from tinygp.kernels.distance import L2Distance

from neocarbs_jax import linalg
from neocarbs_jax.batching import anywhere

_MEAN_VARIANCE = 1.0
_FIRST_STEP, _STEP_BOUNDS = 0.2, (1e-3, 1.0)
_BOUND = 12.0
_NUM_LATEST = 32


class Hyperparameters(NamedTuple):
    """Logarithms of the kernel's parameters."""

    lengthscale: Float[Array, " d"]
    amplitude: Float[Array, ""]
    linear: Float[Array, ""]
    noise: Float[Array, ""]


class Posterior(NamedTuple):
    """A Gaussian process conditioned on data.

    Attributes:
        hyperparameters: of its kernel.
        unit: data points.
        known: rows that reduce the variance (observed or pending).
        inverse_factor: L^-1, where L L' = K over the known rows; a matrix product is several times quicker on many
            candidates than a triangular solve.
        weights: K^-1 target over the observed rows, so that mean = k(., U) weights.
        mean: of the noiseless function at each observed row.
        std: its standard deviation there; pending points are not counted.
        loo_mean: leave-one-out mean of each observed row.
        loo_std: its standard deviation, noise included.
        stretch: factor on predictive deviations that makes 90% of the leave-one-out residuals lie within 1.645 of them.
        forward_stretch: the same for the latest residuals given earlier rows alone (Dawid, 1984): a point that was
            chosen because it looked good disappoints, which leaving out one does not show.
    """

    hyperparameters: Hyperparameters
    unit: Float[Array, "n d"]
    known: Bool[Array, " n"]
    inverse_factor: Float[Array, "n n"]
    weights: Float[Array, " n"]
    mean: Float[Array, " n"]
    std: Float[Array, " n"]
    loo_mean: Float[Array, " n"]
    loo_std: Float[Array, " n"]
    stretch: Float[Array, ""]
    forward_stretch: Float[Array, ""]


class NoisePrior(NamedTuple):
    """log sigma^2 ~ N(mean, std^2)."""

    mean: Float[Array, ""] | float
    std: Float[Array, ""] | float


SCORE_NOISE = NoisePrior(-3.0, 1.3)
LABEL_NOISE = NoisePrior(-2.0, 1.0)
COST_NOISE = NoisePrior(-6.0, 2.0)


def prior_mode(num_axes: int, noise_prior: NoisePrior, dtype: jnp.dtype) -> Hyperparameters:
    """Medians of the priors: where every fit starts."""
    return Hyperparameters(
        lengthscale=jnp.full(num_axes, math.log(num_axes) / 2 - 1.25, dtype),
        amplitude=jnp.zeros((), dtype),
        linear=jnp.full((), -3.0, dtype),
        noise=jnp.asarray(noise_prior.mean, dtype),
    )


def log_prior(hyperparameters: Hyperparameters, noise_prior: NoisePrior) -> Float[Array, ""]:
    """Log density of the priors, up to a constant."""
    dtype = hyperparameters.noise.dtype
    mode = prior_mode(hyperparameters.lengthscale.shape[0], noise_prior, dtype)
    one = jnp.ones((), dtype)
    stds = Hyperparameters(one, one, one, jnp.asarray(noise_prior.std, dtype))
    terms = jax.tree.map(lambda h, m, s: -0.5 * jnp.sum(((h - m) / s) ** 2), hyperparameters, mode, stds)
    return sum(terms, start=jnp.zeros((), dtype))


def kernel(hyperparameters: Hyperparameters) -> tinygp.kernels.Kernel:
    """The tinygp kernel of centred points u - 1/2."""
    h = hyperparameters
    one = jnp.ones((), h.noise.dtype)
    matern = tinygp.kernels.Matern52(scale=one, distance=L2Distance())
    smooth = jnp.exp(h.amplitude) * tinygp.transforms.Linear(jnp.exp(-h.lengthscale), matern)
    slopes = jnp.exp(h.linear) * tinygp.kernels.DotProduct()
    return smooth + slopes + tinygp.kernels.Constant(_MEAN_VARIANCE * one)


def covariance(
    hyperparameters: Hyperparameters, left: Float[Array, "n d"], right: Float[Array, "m d"]
) -> Float[Array, "n m"]:
    """k between every pair of points: `kernel` by matrix products, five times as quick on a CPU as pair by pair."""
    h = hyperparameters
    left, right = left - 0.5, right - 0.5
    product = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    inverse_scale = jnp.exp(-h.lengthscale)[None, :]
    a, b = left * inverse_scale, right * inverse_scale
    squared = jnp.sum(a * a, axis=1)[:, None] + jnp.sum(b * b, axis=1)[None, :] - 2 * product(a, b.T)
    r = jnp.sqrt(5 * jnp.maximum(squared, jnp.finfo(squared.dtype).tiny))  # at 0 the root has no slope
    smooth = jnp.exp(h.amplitude) * (1 + r + r * r / 3) * jnp.exp(-r)
    return smooth + jnp.exp(h.linear) * product(left, right.T) + _MEAN_VARIANCE


def prior_variance(hyperparameters: Hyperparameters, unit: Float[Array, "m d"]) -> Float[Array, " m"]:
    """k(u, u) of each point."""
    slopes = jnp.exp(hyperparameters.linear) * jnp.sum((unit - 0.5) ** 2, axis=-1)
    return jnp.exp(hyperparameters.amplitude) + slopes + _MEAN_VARIANCE


def noise_variance(hyperparameters: Hyperparameters) -> Float[Array, ""]:
    """sigma^2, with a floor that keeps K well conditioned in the precision at hand."""
    floor = 1e-6 if hyperparameters.noise.dtype == jnp.float64 else 1e-4
    return jnp.exp(hyperparameters.noise) + floor


def _masked(gram: Float[Array, "n n"], noise: Float[Array, ""], mask: Bool[Array, " n"]) -> Float[Array, "n n"]:
    both = mask[:, None] & mask[None, :]
    return jnp.where(both, gram, 0) + jnp.diag(jnp.where(mask, noise, 1))


def _inverse_factor(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    return linalg.inverse_triangular(linalg.safe_cholesky(matrix))


def log_posterior(
    hyperparameters: Hyperparameters,
    unit: Float[Array, "n d"],
    target: Float[Array, " n"],
    mask: Bool[Array, " n"],
    noise_prior: NoisePrior,
) -> Float[Array, ""]:
    """Log marginal likelihood of the unmasked targets plus the log prior, up to a constant."""
    gram = covariance(hyperparameters, unit, unit)
    matrix = _masked(gram, noise_variance(hyperparameters), mask)
    return linalg.log_normal_density(matrix, jnp.where(mask, target, 0)) + log_prior(hyperparameters, noise_prior)


def fit(
    unit: Float[Array, "n d"],
    target: Float[Array, " n"],
    mask: Bool[Array, " n"],
    noise_prior: NoisePrior,
    num_steps: int,
) -> Hyperparameters:
    """Maximum a posteriori hyperparameters by `num_steps` of resilient propagation from the prior medians.

    Each parameter moves by its own step, which grows by 1.3 while the sign of its gradient lasts and halves when it
    turns: 20 steps reach what takes Adam 500. The start does not depend on earlier fits: the result is a function of
    the data, so a resumed sweep repeats it.

    References:
        Riedmiller and Braun (1993), A direct adaptive method for faster backpropagation learning: Rprop.
    """
    start = prior_mode(unit.shape[1], noise_prior, unit.dtype)
    gradient_fn = jax.grad(log_posterior)

    def resize(size: Array, gradient: Array, previous: Array) -> Array:
        factor = jnp.where(gradient * previous > 0, 1.3, jnp.where(gradient * previous < 0, 0.5, 1.0))
        return jnp.clip(size * factor.astype(size.dtype), *_STEP_BOUNDS)

    def step(carry: tuple[Hyperparameters, ...], _: None) -> tuple[tuple[Hyperparameters, ...], None]:
        h, sizes, previous = carry
        gradient = jax.tree.map(jnp.nan_to_num, gradient_fn(h, unit, target, mask, noise_prior))
        sizes = jax.tree.map(resize, sizes, gradient, previous)
        h = jax.tree.map(lambda h, size, g: jnp.clip(h + size * jnp.sign(g), -_BOUND, _BOUND), h, sizes, gradient)
        return (h, sizes, gradient), None

    sizes = jax.tree.map(lambda h: jnp.full_like(h, _FIRST_STEP), start)
    zeros = jax.tree.map(jnp.zeros_like, start)
    (fitted, _, _), _ = jax.lax.scan(step, (start, sizes, zeros), None, length=num_steps)
    return fitted


def unconditioned(hyperparameters: Hyperparameters, unit: Float[Array, "n d"]) -> Posterior:
    """The prior, in the form of a posterior given none of the rows."""
    zeros, ones = jnp.zeros_like(unit[:, 0]), jnp.ones_like(unit[:, 0])
    nothing, one = jnp.zeros(unit.shape[0], bool), jnp.ones((), unit.dtype)
    eye = jnp.eye(unit.shape[0], dtype=unit.dtype)
    return Posterior(hyperparameters, unit, nothing, eye, zeros, zeros, ones, zeros, ones, one, one)


def condition(
    hyperparameters: Hyperparameters,
    unit: Float[Array, "n d"],
    target: Float[Array, " n"],
    observed: Bool[Array, " n"],
    pending: Bool[Array, " n"],
) -> Posterior:
    """Posterior given observed targets and pending points fantasised at the posterior mean.

    A fantasy at the mean leaves the mean unchanged and shrinks the variance as an observation would.
    """
    gram = covariance(hyperparameters, unit, unit)
    noise = noise_variance(hyperparameters)
    target = jnp.where(observed, target, 0)
    inverse = _inverse_factor(_masked(gram, noise, observed))
    innovations = inverse @ target  # of every row given those before it, in units of their deviation
    weights = inverse.T @ innovations
    loo_variance = 1 / jnp.sum(inverse * inverse, axis=0)
    residual = weights * loo_variance
    known = observed | pending
    age = jnp.sum(observed, dtype=jnp.int32) - jnp.cumsum(observed, dtype=jnp.int32)
    return Posterior(
        hyperparameters=hyperparameters,
        unit=unit,
        known=known,
        inverse_factor=jax.lax.cond(
            anywhere(jnp.any(pending)), lambda: _inverse_factor(_masked(gram, noise, known)), lambda: inverse
        ),
        weights=weights,
        # K^-1 says it all: mean = y - sigma^2 w, variance = sigma^2 - sigma^4 [K^-1]_ii.
        mean=target - noise * weights,
        std=jnp.sqrt(jnp.maximum(noise - noise * noise / loo_variance, 0)),
        loo_mean=target - residual,
        loo_std=jnp.sqrt(loo_variance),
        stretch=_stretch(jnp.abs(residual) / jnp.sqrt(loo_variance), observed),
        forward_stretch=_stretch(jnp.abs(innovations), observed & (age < _NUM_LATEST)),
    )


def _stretch(ratio: Float[Array, " n"], observed: Bool[Array, " n"]) -> Float[Array, ""]:
    """90% quantile of the standardised residuals over the normal's, drawn to 1 by ten imaginary residuals."""
    count = jnp.sum(observed, dtype=jnp.int32)
    ordered = jnp.sort(jnp.where(observed, ratio, jnp.inf))
    index = jnp.clip((0.9 * count.astype(ratio.dtype)).astype(jnp.int32), 0, jnp.maximum(count - 1, 0))
    quantile = jnp.where(count > 0, ordered[index], 1.645)
    share = (count / (count + 10)).astype(ratio.dtype)
    return jnp.exp(share * jnp.log(jnp.clip(quantile / 1.645, 0.3, 3.0)))


def predict(posterior: Posterior, unit: Float[Array, "m d"]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Posterior mean and standard deviation of the noiseless function at each point."""
    cross = covariance(posterior.hyperparameters, posterior.unit, unit)
    cross = jnp.where(posterior.known[:, None], cross, 0)
    half = posterior.inverse_factor @ cross
    variance = prior_variance(posterior.hyperparameters, unit) - jnp.sum(half * half, axis=0)
    floor = 1e-12 if unit.dtype == jnp.float64 else 1e-8
    return posterior.weights @ cross, jnp.sqrt(jnp.maximum(variance, floor))
