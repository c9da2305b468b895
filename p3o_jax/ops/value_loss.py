"""Losses of the multi-horizon value head; their gradients are computed together with them, in one pass.

Because the gradient is written in the forward pass (`squared_error`), factors belong inside (`coefficient`): a factor
applied outside costs another pass over the gradient.

`p3o_value_loss` and `gaussian_nll` take plain arrays, for loops of other people; the learner checks a segment once and
calls `segment_value_loss` and `segment_nll` on its minibatches.

References:
    Nix and Weigend, Estimating the mean and variance of the target probability distribution, 1994.
    Seitzer et al., On the Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic Neural Networks, 2022.
"""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from p3o_jax.ops.common import resolve_implementation, sum_from
from p3o_jax.ops.squared_error import Total, squared_error
from p3o_jax.segment import Segment, check_shape, make_segment

Scalar = Float[Array, ""] | float

MIN_VARIANCE = 1e-4
"""Smallest variance that is divided by, in squared units of rewards near unit scale."""


def p3o_value_loss(
    mean: Float[Array, "T B H"],
    weights: Float[Array, " H"],
    std: Float[Array, " H"],
    returns: Float[Array, "T B"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    aggregate: Scalar = 3.0,
    coefficient: Scalar = 1.0,
    implementation: str | None = None,
) -> Float[Array, ""]:
    """Return the loss of the predicted rewards, each lag by itself and their weighted sum.

    With y the reward, N the number of known (t, b, j), and s_t = sum_j w_j mu_t[j] over all H lags,

    1/N sum_known (mu - y)^2 / (2 mean_j sigma_j^2)  +  aggregate mean_{t,b} (s_t - R_t)^2 / (2 Var(R)).

    The first term is the Gaussian NLL with beta = 1 (Seitzer et al. 2022) without the part that depends on sigma alone:
    every lag's mean gets the same weight, and short, certain lags do not starve the long ones. The second fits the sum,
    the baseline of the advantage, as a sum, since the errors of many lags are correlated.

    That sum runs over all lags, the bootstrapped ones included, because the advantage inside R counts the errors of
    all. If it stopped at the known lags, nothing would hold the means beyond the segment's end, and the short lags
    would have to make up for what those add to R. The predictions would tilt along j, the tilt would add more, and so
    on without bound once T is not much larger than H.

    Only `mean` has a gradient. Minibatches are made of whole environments, [T, b, H].

    Args:
        mean: Reward predicted at each lag, mu.
        weights: Weight of each lag, from `lag_weights`.
        std: Spread of each lag's error, sigma, from `Spread.std`.
        returns: R from `p3o_advantage`.
        rewards: Reward of the action at t.
        terminated: Whether that action ended the episode.
        truncated: Whether the episode was cut after it.
        aggregate: Factor of the second term.
        coefficient: Factor of the whole.
        implementation: "reference", "xla", "pallas", "interpret", or None for the platform's best.

    Raises:
        ValueError: The shapes do not fit together, or the implementation is unknown.
    """
    segment = make_segment(mean, rewards, terminated, truncated)
    check_shape("returns", returns, mean.shape[:2])
    check_shape("weights", weights, (mean.shape[2],))
    check_shape("std", std, (mean.shape[2],))
    return segment_value_loss(mean, weights, std, returns, segment, aggregate, coefficient, implementation)


def segment_value_loss(
    mean: Float[Array, "T B H"],
    weights: Float[Array, " H"],
    std: Float[Array, " H"],
    returns: Float[Array, "T B"],
    segment: Segment,
    aggregate: Scalar,
    coefficient: Scalar,
    implementation: str | None,
) -> Float[Array, ""]:
    """Return what `p3o_value_loss` does, for a segment that was checked; the arguments are described there."""
    factors = p3o_factors(weights, std, returns, segment, aggregate, coefficient)
    return squared_error(resolve_implementation(implementation), mean, *lax.stop_gradient((segment, *factors)))


def p3o_factors(
    weights: Float[Array, " H"],
    std: Float[Array, " H"],
    returns: Float[Array, "T B"],
    segment: Segment,
    aggregate: Scalar,
    coefficient: Scalar,
) -> tuple[Float[Array, " H"], Total]:
    """Return what `p3o_value_loss` multiplies each lag's squared error by, and its term of the sum over lags."""
    returns, std, weights = (x.astype(jnp.float32) for x in (returns, std, weights))
    num_known = jnp.sum(segment.num_known, dtype=jnp.float32)
    precision = coefficient / (jnp.maximum(jnp.mean(std**2), MIN_VARIANCE) * num_known)
    offset = returns - returns[0, 0]  # both moments in one pass, without the digits that a large mean would cost
    variance = jnp.maximum(jnp.mean(offset**2) - jnp.mean(offset) ** 2, MIN_VARIANCE)
    factor = jnp.asarray(aggregate * coefficient / (variance * returns.size), jnp.float32)
    return jnp.broadcast_to(precision, std.shape), Total(weights, factor, returns)


def gaussian_nll(
    mean: Float[Array, "T B H"],
    log_std: Float[Array, " H"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    coefficient: Scalar = 1.0,
    implementation: str | None = None,
) -> Float[Array, ""]:
    """Return the Gaussian negative log-likelihood of the rewards (Nix and Weigend 1994), a mean over known lags.

    (mu - y)^2 / (2 sigma_j^2) + log sigma_j + log(2 pi) / 2, where y is the reward at lag j.

    `mean` and `log_std` have a gradient. The original P3O masks rewards after a terminal: pass it as a truncation.

    Args:
        mean: Reward predicted at each lag, mu.
        log_std: Logarithm of its spread sigma, the same for all states.
        rewards: Reward of the action at t.
        terminated: Whether that action ended the episode.
        truncated: Whether the episode was cut after it.
        coefficient: Factor of the whole.
        implementation: "reference", "xla", "pallas", "interpret", or None for the platform's best.

    Raises:
        ValueError: The shapes do not fit together, or the implementation is unknown.
    """
    segment = make_segment(mean, rewards, terminated, truncated)
    check_shape("log_std", log_std, (mean.shape[2],))
    return segment_nll(mean, log_std, segment, coefficient, implementation)


def segment_nll(
    mean: Float[Array, "T B H"],
    log_std: Float[Array, " H"],
    segment: Segment,
    coefficient: Scalar,
    implementation: str | None,
) -> Float[Array, ""]:
    """Return what `gaussian_nll` does, for a segment that was checked; the arguments are described there."""
    num_steps, num_envs, horizon = mean.shape
    log_std = log_std.astype(jnp.float32)
    count = sum_from(segment.num_known - 1, jnp.ones((num_steps, num_envs, 1), jnp.float32), horizon)[:, 0]
    share = coefficient * count / jnp.sum(count)
    precision = coefficient * jnp.exp(-2.0 * log_std) / jnp.sum(count)
    implementation = resolve_implementation(implementation)
    error = squared_error(implementation, mean, lax.stop_gradient(segment), precision, None)
    return error + jnp.sum(share * (log_std + 0.5 * math.log(2.0 * math.pi)))
