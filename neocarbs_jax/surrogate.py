"""One Gaussian process on the unit cube: tinygp kernel, priors, MAP fit, posterior; masked so that shapes never change.

A masked row becomes a row of the identity in K and a zero in the target: exact, as if it were not there.

    k(u, u') = a Matern52(|(u - u') / l|) + b (u - 1/2).(u' - 1/2) + m,   K = k(U, U) + sigma^2 I

with one lengthscale l_j per axis, linear variance b, mean variance m = 1 and noise sigma^2; targets are standardised.
Priors: l_j ~ LogNormal(sqrt 2 + ln(d)/2 - 1, sqrt 3) (Hvarfner et al., 2024), a ~ LogNormal(0, 1),
b ~ LogNormal(-1, 1), sigma^2 ~ LogNormal(-4, 1).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import tinygp
from jaxtyping import Array, Bool, Float

_MEAN_VARIANCE = 1.0
_LEARNING_RATE = 0.1


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
        cholesky: lower factor of K over the known rows.
        weights: K^-1 target over the observed rows, so that mean = k(., U) weights.
    """

    hyperparameters: Hyperparameters
    unit: Float[Array, "n d"]
    known: Bool[Array, " n"]
    cholesky: Float[Array, "n n"]
    weights: Float[Array, " n"]


def prior_mode(num_axes: int, dtype: jnp.dtype) -> Hyperparameters:
    """Medians of the priors: where every fit starts."""
    median = math.sqrt(2) + math.log(num_axes) / 2 - 1
    return Hyperparameters(
        jnp.full(num_axes, median, dtype), jnp.zeros((), dtype), jnp.full((), -1.0, dtype), jnp.full((), -4.0, dtype)
    )


def log_prior(hyperparameters: Hyperparameters) -> Float[Array, ""]:
    """Log density of the priors, up to a constant."""
    mode = prior_mode(hyperparameters.lengthscale.shape[0], hyperparameters.noise.dtype)
    stds = Hyperparameters(math.sqrt(3), 1.0, 1.0, 1.0)
    terms = jax.tree.map(lambda h, m, s: -0.5 * jnp.sum(((h - m) / s) ** 2), hyperparameters, mode, stds)
    return sum(terms, start=jnp.zeros((), hyperparameters.noise.dtype))


def kernel(hyperparameters: Hyperparameters) -> tinygp.kernels.Kernel:
    """The tinygp kernel of centred points u - 1/2."""
    h = hyperparameters
    one = jnp.ones((), h.noise.dtype)
    matern = tinygp.kernels.Matern52(scale=one, distance=tinygp.kernels.distance.L2Distance())
    smooth = jnp.exp(h.amplitude) * tinygp.transforms.Linear(jnp.exp(-h.lengthscale), matern)
    slopes = jnp.exp(h.linear) * tinygp.kernels.DotProduct()
    return smooth + slopes + tinygp.kernels.Constant(_MEAN_VARIANCE * one)


def covariance(
    hyperparameters: Hyperparameters, left: Float[Array, "n d"], right: Float[Array, "m d"]
) -> Float[Array, "n m"]:
    """k between every pair of points."""
    return kernel(hyperparameters)(left - 0.5, right - 0.5)


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


def safe_cholesky(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Cholesky factor, with as little jitter as makes it finite: 0, then 1e-6, 1e-5, ... of the mean diagonal."""
    eye = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    scale = jnp.mean(jnp.diagonal(matrix))

    def retry(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        exponent, _ = carry
        return exponent + 1, jnp.linalg.cholesky(matrix + scale * 10.0 ** (exponent - 6) * eye)

    def failed(carry: tuple[Array, Array]) -> Array:
        exponent, factor = carry
        return ~jnp.all(jnp.isfinite(factor)) & (exponent < 7)

    start = jnp.zeros((), matrix.dtype), jnp.linalg.cholesky(matrix)
    return jax.lax.while_loop(failed, retry, start)[1]


@jax.custom_vjp
def log_normal_density(matrix: Float[Array, "n n"], target: Float[Array, " n"]) -> Float[Array, ""]:
    """log N(target; 0, matrix) up to a constant: -(y' K^-1 y + log |K|) / 2, with d/dK = (a a' - K^-1) / 2, a = K^-1 y.

    The hand-written derivative spares the three triangular solves per step of differentiating a Cholesky factor.
    """
    return _log_normal_density(matrix, target)[0]


def _log_normal_density(matrix: Array, target: Array) -> tuple[Array, tuple[Array, Array]]:
    factor = safe_cholesky(matrix)
    inverse_factor = jax.scipy.linalg.solve_triangular(factor, jnp.eye(matrix.shape[0], dtype=matrix.dtype), lower=True)
    inverse = inverse_factor.T @ inverse_factor
    weights = inverse @ target
    value = -0.5 * target @ weights - jnp.sum(jnp.log(jnp.diagonal(factor)))
    return value, (inverse, weights)


def _log_normal_density_vjp(residuals: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    inverse, weights = residuals
    return 0.5 * g * (weights[:, None] * weights[None, :] - inverse), -g * weights


log_normal_density.defvjp(_log_normal_density, _log_normal_density_vjp)


def log_posterior(
    hyperparameters: Hyperparameters, unit: Float[Array, "n d"], target: Float[Array, " n"], mask: Bool[Array, " n"]
) -> Float[Array, ""]:
    """Log marginal likelihood of the unmasked targets plus the log prior, up to a constant."""
    gram = covariance(hyperparameters, unit, unit)
    matrix = _masked(gram, noise_variance(hyperparameters), mask)
    return log_normal_density(matrix, jnp.where(mask, target, 0)) + log_prior(hyperparameters)


def fit(
    unit: Float[Array, "n d"], target: Float[Array, " n"], mask: Bool[Array, " n"], num_steps: int
) -> Hyperparameters:
    """Maximum a posteriori hyperparameters by `num_steps` of Adam from the prior medians.

    The start does not depend on earlier fits: the result is a function of the data, so a resumed sweep repeats it.
    """
    start = prior_mode(unit.shape[1], unit.dtype)
    gradient_fn = jax.grad(log_posterior)

    def step(carry: tuple[Hyperparameters, ...], t: Array) -> tuple[tuple[Hyperparameters, ...], None]:
        h, first, second = carry
        gradient = gradient_fn(h, unit, target, mask)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, second, gradient)
        # Annealing to a tenth makes the last steps settle.
        rate = _LEARNING_RATE * (1 - 0.9 * t / num_steps)
        m_scale, v_scale = 1 / (1 - 0.9 ** (t + 1)), 1 / (1 - 0.99 ** (t + 1))
        h = jax.tree.map(
            lambda h, m, v: h + rate * m * m_scale / (jnp.sqrt(v * v_scale) + 1e-8), h, first, second
        )
        return (h, first, second), None

    zeros = jax.tree.map(jnp.zeros_like, start)
    times = jnp.arange(num_steps, dtype=unit.dtype)
    (fitted, _, _), _ = jax.lax.scan(step, (start, zeros, zeros), times)
    return jax.tree.map(lambda new, old: jnp.where(jnp.isfinite(new), new, old), fitted, start)


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
    factor = safe_cholesky(_masked(gram, noise, observed))
    weights = jax.scipy.linalg.cho_solve((factor, True), jnp.where(observed, target, 0))
    known = observed | pending
    factor = safe_cholesky(_masked(gram, noise, known))
    return Posterior(hyperparameters, unit, known, factor, jnp.where(observed, weights, 0))


def predict(posterior: Posterior, unit: Float[Array, "m d"]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Posterior mean and standard deviation of the noiseless function at each point."""
    cross = covariance(posterior.hyperparameters, posterior.unit, unit)
    cross = jnp.where(posterior.known[:, None], cross, 0)
    half = jax.scipy.linalg.solve_triangular(posterior.cholesky, cross, lower=True)
    variance = prior_variance(posterior.hyperparameters, unit) - jnp.sum(half * half, axis=0)
    floor = 1e-12 if unit.dtype == jnp.float64 else 1e-8
    return posterior.weights @ cross, jnp.sqrt(jnp.maximum(variance, floor))
