"""Losses of policy and values. Those of the multi-horizon value head live in `p3o_jax.ops.value_loss`."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from p3o_jax.ops.common import mean_of_valid
from p3o_jax.ops.value_loss import gaussian_nll, p3o_value_loss
from p3o_jax.params import Scalar

__all__ = [
    "PolicyLoss",
    "clipped_surrogate",
    "clipped_value_loss",
    "gaussian_nll",
    "mean_of_valid",
    "p3o_value_loss",
    "standardize",
]


class PolicyLoss(NamedTuple):
    """The clipped surrogate, and how far the policy has moved.

    Attributes:
        loss: To be minimised.
        approx_kl: Estimate of the divergence from the policy that acted (Schulman 2020, "k3").
        clip_fraction: Share of steps whose ratio is out of bounds.
    """

    loss: Float[Array, ""]
    approx_kl: Float[Array, ""]
    clip_fraction: Float[Array, ""]


def standardize(x: Float[Array, "t b"], valid: Bool[Array, "t b"] | None = None) -> Float[Array, "t b"]:
    """Return `x` with mean 0 and standard deviation 1 over the valid steps; None says that all are valid."""
    if valid is None:
        return (x - jnp.mean(x)) / (jnp.std(x) + 1e-8)
    offset = x - mean_of_valid(x, valid)
    return offset / (jnp.sqrt(mean_of_valid(offset**2, valid)) + 1e-8)


def clipped_surrogate(
    log_prob: Float[Array, "t b"],
    old_log_prob: Float[Array, "t b"],
    advantages: Float[Array, "t b"],
    clip: Scalar,
    valid: Bool[Array, "t b"] | None = None,
) -> PolicyLoss:
    """Return -mean(min(rho A, clip(rho, 1 - clip, 1 + clip) A)) with rho = exp(log_prob - old_log_prob).

    Args:
        log_prob: Of the actions taken, under the policy in training.
        old_log_prob: The same under the policy that acted.
        advantages: Of those actions.
        clip: Bound of the ratio, away from 1.
        valid: Steps that the means are taken over; None is all.

    References:
        Schulman et al., Proximal Policy Optimization Algorithms, 2017.
    """
    log_ratio = log_prob - old_log_prob
    ratio = jnp.exp(log_ratio)
    bounded = jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
    loss = -mean_of_valid(jnp.minimum(ratio * advantages, bounded * advantages), valid)
    out_of_bounds = mean_of_valid((jnp.abs(ratio - 1.0) > clip).astype(jnp.float32), valid)
    return PolicyLoss(loss, mean_of_valid(ratio - 1.0 - log_ratio, valid), out_of_bounds)


def clipped_value_loss(
    values: Float[Array, "t b"], old_values: Float[Array, "t b"], returns: Float[Array, "t b"], clip: Scalar
) -> Float[Array, ""]:
    """Return half the mean of max((v - R)^2, (v' - R)^2) with v' = v kept within `clip` of the old value."""
    bounded = old_values + jnp.clip(values - old_values, -clip, clip)
    return 0.5 * jnp.mean(jnp.maximum((values - returns) ** 2, (bounded - returns) ** 2))
