"""Losses of the multi-horizon value head; their gradients are computed together with them, in one pass.

Both read each prediction once and hold one step's reward windows at a time. Because the gradient is written
in the forward pass, factors belong *inside* (`coefficient`): a factor applied outside costs another pass over
the gradient.

References:
  Nix and Weigend, Estimating the mean and variance of the target probability distribution, 1994.
  Seitzer et al., On the Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic Neural
  Networks, 2022.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from p3o_jax.horizon import (
    Extent,
    check_segment,
    check_shape,
    extent,
    pad_rewards,
    resolve_implementation,
    reward_windows,
    step_window,
    sum_from,
    weighted_sum,
)
from p3o_jax.kernels.triton import value_pass

MIN_VARIANCE = 1e-4
"""Smallest variance that is divided by, in squared units of rewards near unit scale."""


class Total(NamedTuple):
    """The term of the sum over all lags, s = sum_j weights_j mean_j:  sum_{t,b} aggregate (s - returns)^2 / 2."""

    weights: Float[Array, " H"]
    aggregate: Float[Array, ""]
    returns: Float[Array, "T B"]


class Terms(NamedTuple):
    """The factors of the loss that both are, with e = mean - reward at known lags, 0 at others:

    sum_{t,b,j} precision_j e^2 / 2  +  the term of the sum, if there is one.
    """

    precision: Float[Array, " H"]
    total: Total | None


def p3o_value_loss(
    mean: Float[Array, "T B H"],
    weights: Float[Array, " H"],
    std: Float[Array, " H"],
    returns: Float[Array, "T B"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    aggregate: Float[Array, ""] | float = 3.0,
    coefficient: Float[Array, ""] | float = 1.0,
    implementation: str | None = None,
) -> Float[Array, ""]:
    """Returns the loss of the predicted rewards, each lag by itself and their weighted sum.

    With y the reward, N the number of known (t, b, j), and s_t = sum_j w_j mu_t[j] over all H lags,

    1/N sum_known (mu - y)^2 / (2 mean_j sigma_j^2)  +  aggregate mean_{t,b} (s_t - R_t)^2 / (2 Var(R)).

    The first term is the Gaussian NLL with beta = 1 (Seitzer et al. 2022) without the part that depends on
    sigma alone: every lag's mean gets the same weight, and short, certain lags do not starve the long ones.
    The second fits the sum, the baseline of the advantage, as a sum, since the errors of many lags are
    correlated.

    That sum runs over all lags, the bootstrapped ones included, because the advantage inside R counts the errors
    of all. Were it to stop at the known lags, the means beyond the segment's end would be free, and what they add
    to R would be laid upon the short lags: the predictions tilt along j, which adds more, without bound once T is
    not much larger than H.

    Only `mean` has a gradient. Minibatches are made of whole environments, [T, b, H].

    Args:
      mean: reward predicted at each lag, mu.
      weights: weight of each lag, from `lag_weights`.
      std: spread of each lag's error, sigma, from `Spread.std`.
      returns: R from `p3o_advantage`.
      rewards: reward of the action at t.
      terminated: whether that action ended the episode.
      truncated: whether the episode was cut after it.
      aggregate: factor of the second term.
      coefficient: factor of the whole.
      implementation: "reference", "xla", "pallas", "interpret", or None for the platform's best.

    Raises:
      ValueError: on shapes that do not fit or an unknown implementation.
    """
    segment = {"rewards": rewards, "terminated": terminated, "truncated": truncated}
    _, _, horizon = check_segment(mean, returns=returns, **segment)
    check_shape("weights", weights, (horizon,))
    check_shape("std", std, (horizon,))
    reach = extent(terminated, truncated, horizon)
    terms = p3o_terms(weights, std, returns, reach, aggregate, coefficient)
    rewards = lax.stop_gradient(rewards.astype(jnp.float32))
    return _quadratic(resolve_implementation(implementation), mean, rewards, reach, lax.stop_gradient(terms))


def p3o_terms(
    weights: Float[Array, " H"],
    std: Float[Array, " H"],
    returns: Float[Array, "T B"],
    reach: Extent,
    aggregate: Float[Array, ""] | float,
    coefficient: Float[Array, ""] | float,
) -> Terms:
    """Returns the factors of `p3o_value_loss`; its arguments are described there."""
    returns, std, weights = (x.astype(jnp.float32) for x in (returns, std, weights))
    num_known = jnp.sum(reach.num_known, dtype=jnp.float32)
    precision = coefficient / (jnp.maximum(jnp.mean(std**2), MIN_VARIANCE) * num_known)
    offset = returns - returns[0, 0]  # both moments in one pass, without the digits that a large mean would cost
    variance = jnp.maximum(jnp.mean(offset**2) - jnp.mean(offset) ** 2, MIN_VARIANCE)
    factor = jnp.asarray(aggregate * coefficient / (variance * returns.size), jnp.float32)
    return Terms(jnp.broadcast_to(precision, std.shape), Total(weights, factor, returns))


def gaussian_nll(
    mean: Float[Array, "T B H"],
    log_std: Float[Array, " H"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    coefficient: Float[Array, ""] | float = 1.0,
    implementation: str | None = None,
) -> Float[Array, ""]:
    """Returns the Gaussian negative log-likelihood of the rewards (Nix and Weigend 1994), a mean over known lags.

    (mu - y)^2 / (2 sigma_j^2) + log sigma_j + log(2 pi) / 2, where y is the reward at lag j.

    `mean` and `log_std` have a gradient. The original P3O masks rewards after a terminal: pass it as a
    truncation.

    Args:
      mean: reward predicted at each lag, mu.
      log_std: log of its spread sigma, the same for all states.
      rewards: reward of the action at t.
      terminated: whether that action ended the episode.
      truncated: whether the episode was cut after it.
      coefficient: factor of the whole.
      implementation: "reference", "xla", "pallas", "interpret", or None for the platform's best.

    Raises:
      ValueError: on shapes that do not fit or an unknown implementation.
    """
    segment = {"rewards": rewards, "terminated": terminated, "truncated": truncated}
    num_steps, num_envs, horizon = check_segment(mean, **segment)
    check_shape("log_std", log_std, (horizon,))
    reach = extent(terminated, truncated, horizon)
    rewards, log_std = lax.stop_gradient(rewards.astype(jnp.float32)), log_std.astype(jnp.float32)
    count = sum_from(reach.num_known - 1, jnp.ones((num_steps, num_envs, 1)), horizon)[:, 0]
    share = coefficient * count / jnp.sum(count)
    precision = coefficient * jnp.exp(-2.0 * log_std) / jnp.sum(count)
    terms = Terms(precision, total=None)
    error = _quadratic(resolve_implementation(implementation), mean, rewards, reach, terms)
    return error + jnp.sum(share * (log_std + 0.5 * math.log(2.0 * math.pi)))


def _quadratic(implementation: str, mean: Array, rewards: Array, reach: Extent, terms: Terms) -> Array:
    """Returns the loss that `Terms` states; `mean` and `terms.precision` have a gradient."""
    if implementation == "reference":
        return _quadratic_reference(mean, rewards, reach, terms)
    return _quadratic_one_pass(implementation, mean, rewards, reach, terms)


def _quadratic_reference(mean: Array, rewards: Array, reach: Extent, terms: Terms) -> Array:
    """Returns the loss as its definition has it, windows in full."""
    mean = mean.astype(jnp.float32)
    window, known = reward_windows(rewards, reach, mean.shape[2])
    error = jnp.where(known, mean - window, 0.0)
    loss = 0.5 * jnp.sum(terms.precision[None, None, :] * error**2)
    if terms.total is None:
        return loss
    weights, aggregate, returns = terms.total
    excess = jnp.sum(weights[None, None, :] * mean, axis=2) - returns
    return loss + 0.5 * aggregate * jnp.sum(excess**2)


class Pass(NamedTuple):
    """One pass over the predictions: sums of squares, and the loss's gradient if asked for.

    Attributes:
      squares: sum of squared errors at each lag.
      aggregate: sum over steps of (s - returns)^2, 0 without such a term.
      gradient: gradient with respect to the predictions, in their dtype, or None.
    """

    squares: Float[Array, " H"]
    aggregate: Float[Array, ""]
    gradient: Float[Array, "T B H"] | None


def _pass_by_step(mean: Array, rewards: Array, reach: Extent, terms: Terms, with_gradient: bool) -> Pass:
    """Returns the pass with a scan over steps."""
    num_steps, _, horizon = mean.shape
    padded = pad_rewards(rewards, horizon)

    def step(sums: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], Array | None]:
        window, known = step_window(padded, reach, t, horizon)
        mean_t = mean[t].astype(jnp.float32)
        error = jnp.where(known, mean_t - window, 0.0)
        gradient, squares, aggregate = terms.precision[None, :] * error, jnp.sum(error**2, axis=0), jnp.zeros(())
        if terms.total is not None:
            excess = weighted_sum(mean_t, terms.total.weights) - terms.total.returns[t]
            aggregate = jnp.sum(excess**2)
            gradient += terms.total.weights[None, :] * (terms.total.aggregate * excess)[:, None]
        sums = sums[0] + squares, sums[1] + aggregate
        return sums, gradient.astype(mean.dtype) if with_gradient else None

    sums = jnp.zeros(horizon), jnp.zeros(())
    (squares, aggregate), gradient = lax.scan(step, sums, jnp.arange(num_steps))
    return Pass(squares, aggregate, gradient)


def _run_pass(
    implementation: str, mean: Array, rewards: Array, reach: Extent, terms: Terms, with_gradient: bool
) -> tuple[Array, Pass]:
    """Returns the loss and the pass it came from."""
    if implementation == "xla":
        done = _pass_by_step(mean, rewards, reach, terms, with_gradient)
    else:
        interpret = implementation == "interpret"
        done = Pass(*value_pass(mean, rewards, *reach, *terms, with_gradient, interpret))
    loss = 0.5 * jnp.dot(terms.precision, done.squares, precision=lax.Precision.HIGHEST)
    if terms.total is not None:
        loss += 0.5 * terms.total.aggregate * done.aggregate
    return loss, done


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _quadratic_one_pass(implementation: str, mean: Array, rewards: Array, reach: Extent, terms: Terms) -> Array:
    """Returns the loss from one pass."""
    return _run_pass(implementation, mean, rewards, reach, terms, with_gradient=False)[0]


def _forward(implementation: str, mean: Array, rewards: Array, reach: Extent, terms: Terms):
    """Returns the loss and its gradients, ready."""
    loss, done = _run_pass(implementation, mean, rewards, reach, terms, with_gradient=True)
    return loss, (done.gradient, 0.5 * done.squares)


def _backward(implementation: str, gradients: tuple[Array, Array], cotangent: Array):
    """Returns the gradients times the cotangent; the compiler drops the product when that is a literal 1."""
    mean_gradient, precision_gradient = gradients
    nothing: Any = None
    terms = Terms(cotangent * precision_gradient, nothing)
    return cotangent.astype(mean_gradient.dtype) * mean_gradient, None, None, terms


_quadratic_one_pass.defvjp(_forward, _backward)
