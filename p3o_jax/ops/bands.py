"""Bands: the rewards to come in a few sums of growing width, instead of one by one.

With widths w_k of at least 1, the target of band k is

    x_t[0] = r_t + (1 - 1/w_0) x_{t+1}[0]
    x_t[k] = (1 - 1/w_k) x_{t+1}[k] + x_{t+1}[k-1] / w_{k-1}          or   x_t = r_t e_0 + A x_{t+1}

where A is lower bidiagonal. A reward enters band 0 and moves on from band to band; it stays in band k for w_k steps on
average. The sum over bands is the undiscounted return of about sum_k w_k steps. Two special cases are well known:

* If all widths are 1, A is the shift by one place, and x_t[k] is the reward k steps after t: the lags of
  `p3o_advantage`.
* One band of width 1 / (1 - gamma) is the discounted return, and its errors are those of `gae` with tau = 1 - lambda.

References:
    De Asis et al., Fixed-Horizon Temporal Difference Methods for Stable Reinforcement Learning, 2020.
    Romoff et al., Separating value functions across time-scales, 2019.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from p3o_jax.ops.band_errors import lambda_errors
from p3o_jax.ops.common import resolve_implementation, weighted_sum
from p3o_jax.ops.triton_bands import band_pass
from p3o_jax.segment import Segment, check_shape, make_segment

Scalar = Float[Array, ""] | float


class BandAdvantage(NamedTuple):
    """What a policy update and a value update need of a segment.

    Attributes:
        advantages: How much better than predicted the action at t was.
        returns: The return that this is measured against: the weighted sum of the targets.
        targets: The lambda-return of each band, which is what the value head is to predict.
    """

    advantages: Float[Array, "T B"]
    returns: Float[Array, "T B"]
    targets: Float[Array, "T B K"]


def band_widths(num_bands: int) -> Float[np.ndarray, " K"]:
    """Return the widths 1, 1, 2, 4, ..., 2^(K-2), in steps; their sum is 2^(K-1).

    Args:
        num_bands: Number of bands K, at least 1.
    """
    return 2.0 ** np.maximum(np.arange(num_bands) - 1, 0)


def bands_over(horizon: int) -> int:
    """Return the smallest number of bands that reach over so many steps; see `band_widths`."""
    return 1 + (int(horizon) - 1).bit_length()


def band_means(widths: Float[np.ndarray, " K"], values: Float[np.ndarray, " H"]) -> Float[np.ndarray, " K"]:
    """Return the mean over each band of a number that belongs to every lag j, and is 0 beyond the last one given.

    The share of the reward at lag j that band k holds is (A^j)[k, 0], and these shares add up to w_k over all lags.

    Args:
        widths: Width of each band, in steps.
        values: The number at lags 0 .. H-1.
    """
    shift = np.diag(1.0 - 1.0 / widths) + np.diag(1.0 / widths[:-1], -1)
    share, total = np.eye(len(widths))[0], np.zeros(len(widths))
    for value in values:
        total += value * share
        share = shift @ share
    return total / widths


def band_advantage(
    mean: Float[Array, "T B K"],
    widths: Float[Array, " K"],
    weights: Float[Array, " K"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    last_mean: Float[Array, "B K"],
    tau: Scalar = 0.2,
    truncated_mean: Float[Array, "T B K"] | None = None,
    implementation: str | None = None,
) -> BandAdvantage:
    """Return advantages that weigh the error of every band, A_t = sum_k v_k E_t[k], and the bands' targets.

    E_t = r_t e_0 + A m_{t+1} - m_t + (1 - tau) A E_{t+1}: a lambda-return for each band, where m and E are 0 after a
    terminal. tau = 0 is Monte Carlo with a bootstrap, tau = 1 is one-step. The targets are G = E + m, and the returns
    are sum_k v_k G_t[k]. No gradient flows through the result.

    Args:
        mean: Prediction of each band, m, in units of reward.
        widths: Width of each band in steps, at least 1; `band_widths` gives the usual ones.
        weights: Weight of each band, v.
        rewards: Reward of the action at t.
        terminated: Whether that action ended the episode; after it all rewards are 0.
        truncated: Whether the episode was cut after it; what would have followed is unknown.
        last_mean: Prediction at the observation that follows the segment.
        tau: How much each step trusts the next one's prediction.
        truncated_mean: Predictions at the final observations of truncated episodes (other rows are not read).
            Without it, E = 0 at a truncation in all bands but those that nothing after it flows into: the first one, if
            its width is 1.
        implementation: "reference", "xla", "pallas", "interpret", or None for the platform's best.

    Raises:
        ValueError: The shapes do not fit together, or the implementation is unknown.
    """
    segment = make_segment(mean, rewards, terminated, truncated)
    _, num_envs, num_bands = mean.shape
    check_shape("widths", widths, (num_bands,))
    check_shape("weights", weights, (num_bands,))
    check_shape("last_mean", last_mean, (num_envs, num_bands))
    check_shape("tau", jnp.asarray(tau), ())
    if truncated_mean is not None:
        check_shape("truncated_mean", truncated_mean, mean.shape)
    return segment_bands(mean, widths, weights, segment, last_mean, tau, truncated_mean, implementation)


def segment_bands(
    mean: Float[Array, "T B K"],
    widths: Float[Array, " K"],
    weights: Float[Array, " K"],
    segment: Segment,
    last_mean: Float[Array, "B K"],
    tau: Scalar,
    truncated_mean: Float[Array, "T B K"] | None,
    implementation: str | None,
) -> BandAdvantage:
    """Return what `band_advantage` does, for a segment that was checked; the arguments are described there."""
    estimate = {
        "reference": _by_definition,
        "xla": _by_step,
        "pallas": partial(band_pass, interpret=False),
        "interpret": partial(band_pass, interpret=True),
    }[resolve_implementation(implementation)]
    decay = 1.0 - jnp.asarray(tau, jnp.float32)
    widths, weights = jnp.asarray(widths, jnp.float32), jnp.asarray(weights, jnp.float32)
    arguments = (mean, widths, weights, segment, last_mean, decay, truncated_mean)
    return BandAdvantage(*estimate(*lax.stop_gradient(arguments)))


def band_value_loss(
    mean: Float[Array, "T B K"],
    targets: Float[Array, "T B K"],
    weights: Float[Array, " K"],
    precision: Float[Array, " K"],
    aggregate: Scalar,
) -> Float[Array, ""]:
    """Return the loss of each band by itself and of their weighted sum, a mean over all steps.

    mean_{t,b} 1/2 ( sum_k precision_k (m_k - G_k)^2  +  aggregate (sum_k v_k (m_k - G_k))^2 ).

    Args:
        mean: Prediction of each band, m.
        targets: From `band_advantage`, G.
        weights: Weight of each band, v.
        precision: Factor of each band's squared error.
        aggregate: Factor of the squared error of the weighted sum, the baseline of the advantage.
    """
    error = mean.astype(jnp.float32) - targets
    total = weighted_sum(error, weights)
    return 0.5 * jnp.mean(weighted_sum(error**2, precision) + aggregate * total**2)


def _by_definition(
    mean: Array,
    widths: Array,
    weights: Array,
    segment: Segment,
    last_mean: Array,
    decay: Array,
    truncated_mean: Array | None,
) -> tuple[Array, Array, Array]:
    """Return advantages, returns and targets from `lambda_errors`."""
    errors = lambda_errors(mean, widths, segment, last_mean, decay, truncated_mean)
    targets = errors + mean.astype(jnp.float32)
    weights = weights[None, None, :]
    return jnp.sum(weights * errors, axis=2), jnp.sum(weights * targets, axis=2), targets


def _by_step(
    mean: Array,
    widths: Array,
    weights: Array,
    segment: Segment,
    last_mean: Array,
    decay: Array,
    truncated_mean: Array | None,
) -> tuple[Array, Array, Array]:
    """Return the same in one pass back in time, a row of environments for each band.

    The pass carries y = m + (1 - tau) E of the step after, as G_t = r_t e_0 + A y. Bands are unrolled, so that each
    operation runs along the environments, which CPUs vectorise; K is small.
    """
    num_bands = mean.shape[2]
    keep, feed = 1.0 - 1.0 / widths, 1.0 / widths
    by_band = [jnp.moveaxis(x, -1, -2) for x in (mean, last_mean)]
    final = None if truncated_mean is None else jnp.moveaxis(truncated_mean, -1, -2)
    ends = segment.terminated, segment.truncated

    def flow(k: int, y: Array) -> Array:
        """Return (A y)[k]."""
        stays = keep[k] * y[k]
        return stays + feed[k - 1] * y[k - 1] if k else stays

    def step(y: Array, inputs: tuple) -> tuple[Array, tuple[Array, Array, Array]]:
        mean_t, reward, (terminated, truncated), final_t = inputs
        mean_t = mean_t.astype(jnp.float32)
        targets = []
        for k in range(num_bands):
            reward_k = reward if k == 0 else jnp.zeros_like(reward)
            if final_t is not None:
                beyond = flow(k, final_t.astype(jnp.float32))
            else:  # a target that is the prediction is no error
                beyond = mean_t[k] - reward_k if k else jnp.where(keep[0] > 0, mean_t[0] - reward, 0.0)
            after = jnp.where(terminated, 0.0, jnp.where(truncated, beyond, flow(k, y)))
            targets.append(reward_k + after)
        zero = jnp.zeros_like(reward)
        advantage = sum((weights[k] * (targets[k] - mean_t[k]) for k in range(num_bands)), zero)
        total = sum((weights[k] * targets[k] for k in range(num_bands)), zero)
        target = jnp.stack(targets)
        return mean_t + decay * (target - mean_t), (advantage, total, target)

    inputs = by_band[0], segment.rewards, ends, final
    _, (advantages, returns, targets) = lax.scan(step, by_band[1].astype(jnp.float32), inputs, reverse=True)
    return advantages, returns, jnp.moveaxis(targets, -2, -1)
