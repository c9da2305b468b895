"""Errors of the predictions of bands, as their definitions have them, and statistics of them over a segment.

Notation as in `bands.py`: widths w_k, and the lower bidiagonal matrix A by which bands move on from step to step.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from p3o_jax.ops.common import mean_of_valid
from p3o_jax.ops.spread import Spread
from p3o_jax.segment import Segment


def one_step_errors(
    mean: Float[Array, "T B K"],
    widths: Float[Array, " K"],
    segment: Segment,
    last_mean: Float[Array, "B K"],
    truncated_mean: Float[Array, "T B K"] | None,
) -> Float[Array, "T B K"]:
    """Return r_t e_0 + A m_{t+1} - m_t, which is E with tau = 1; the arguments are those of `lambda_errors`."""
    by_band, last, final = (_bands_first(x) for x in (mean, last_mean, truncated_mean))
    return jnp.stack(_one_step_errors(by_band, widths, segment, last, final), axis=-1)


def band_statistics(
    mean: Float[Array, "T B K"],
    targets: Float[Array, "T B K"],
    widths: Float[Array, " K"],
    segment: Segment,
    last_mean: Float[Array, "B K"],
    truncated_mean: Float[Array, "T B K"] | None,
    valid: Bool[Array, "T B"] | None = None,
) -> tuple[Spread, Float[Array, " K"]]:
    """Return the spread of the targets of one segment, and the mean squared one-step error of each band.

    The sums run along the environments of one band after the other, which takes a CPU a third of the time that they
    take along the bands.

    Args:
        mean: Prediction of each band.
        targets: From `segment_bands`.
        widths: Width of each band, in steps.
        segment: Rewards and ends.
        last_mean: Prediction at the observation that follows the segment.
        truncated_mean: Predictions at the final observations of truncated episodes, or None.
        valid: Steps that count; None is all.
    """
    num_steps, num_envs, num_bands = mean.shape
    average_of = jax.vmap(mean_of_valid, in_axes=(1, None))
    by_band, last, final = (_bands_first(x) for x in (mean, last_mean, truncated_mean))
    target = _bands_first(targets)
    average = average_of(target, valid)
    variance = average_of((target - average[None, :, None]) ** 2, valid)
    residual = average_of((target - by_band) ** 2, valid)
    errors = _one_step_errors(by_band, widths, segment, last, final)
    news = jnp.stack([mean_of_valid(error**2, valid) for error in errors])
    count = jnp.asarray(num_steps * num_envs, jnp.float32) if valid is None else jnp.sum(valid, dtype=jnp.float32)
    return Spread(jnp.broadcast_to(count, num_bands), average, variance, residual), news


def _bands_first(x: Float[Array, "*T B K"] | None) -> Any:
    """Return an array with its last two axes exchanged, a row of environments for each band; None stays None."""
    return None if x is None else jnp.moveaxis(x.astype(jnp.float32), -1, -2)


def _one_step_errors(
    mean: Float[Array, "T K B"],
    widths: Float[Array, " K"],
    segment: Segment,
    last_mean: Float[Array, "K B"],
    truncated_mean: Float[Array, "T K B"] | None,
) -> list[Float[Array, "T B"]]:
    """Return the one-step error of each band."""
    keep, feed = 1.0 - 1.0 / widths, 1.0 / widths
    rewards, terminated, truncated = segment.rewards, segment.terminated, segment.truncated
    following = jnp.concatenate([mean[1:], last_mean[None]])
    if truncated_mean is not None:
        following = jnp.where(truncated[:, None, :], truncated_mean, following)
    following = jnp.where(terminated[:, None, :], 0.0, following)
    unknown = (truncated & ~terminated) if truncated_mean is None else jnp.zeros_like(truncated)
    errors = []
    for k in range(mean.shape[1]):
        entering = feed[k - 1] * following[:, k - 1] if k else rewards
        open_ended = jnp.asarray(k > 0) | (keep[k] > 0)
        error = keep[k] * following[:, k] + entering - mean[:, k]
        errors.append(jnp.where(unknown & open_ended, 0.0, error))
    return errors


def lambda_errors(
    mean: Float[Array, "T B K"],
    widths: Float[Array, " K"],
    segment: Segment,
    last_mean: Float[Array, "B K"],
    decay: Float[Array, ""] | Float[Array, " K"],
    truncated_mean: Float[Array, "T B K"] | None,
) -> Float[Array, "T B K"]:
    """Return E as its definition has it, by products with the matrix A: the reference for bands and for lags.

    Args:
        mean: Prediction of each band.
        widths: Width of each band, in steps.
        segment: Rewards and ends.
        last_mean: Prediction at the observation that follows the segment.
        decay: Share of a band's error that the step before keeps, 1 - tau, for all bands or for each.
        truncated_mean: Predictions at the final observations of truncated episodes, or None.
    """
    delta = one_step_errors(mean, widths, segment, last_mean, truncated_mean)
    shift = _shift_matrix(widths)
    goes_on = ~(segment.terminated | segment.truncated)
    decay = jnp.broadcast_to(decay, (1, mean.shape[2]))

    def step(error: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        delta_t, goes_on_t = inputs
        carried = jnp.where(goes_on_t[:, None], jnp.dot(decay * error, shift.T, precision=lax.Precision.HIGHEST), 0.0)
        error = delta_t + carried
        return error, error

    return lax.scan(step, jnp.zeros_like(delta[0]), (delta, goes_on), reverse=True)[1]


def _shift_matrix(widths: Float[Array, " K"]) -> Float[Array, "K K"]:
    """Return A."""
    return jnp.diag(1.0 - 1.0 / widths) + jnp.diag(1.0 / widths[:-1], -1)
