"""Advantage estimators: P3O with a horizon of its own, the original P3O, and GAE.

All take one time-major segment [T, B], with names as in `segment.py`. Sums are in float32 whatever the inputs.
`p3o_advantage`, `original_advantage` and `gae` take plain arrays, for loops of other people; the learner checks a
segment once and calls `segment_advantage` and `segment_original_advantage`.

References:
    De Asis et al., Fixed-Horizon Temporal Difference Methods for Stable Reinforcement Learning, 2020.
    Schulman et al., High-Dimensional Continuous Control Using Generalized Advantage Estimation, 2016.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from p3o_jax.ops.band_errors import lambda_errors
from p3o_jax.ops.common import resolve_implementation, weighted_sum
from p3o_jax.ops.triton import advantage_pass
from p3o_jax.segment import Segment, check_shape, make_segment, reward_windows

Scalar = Float[Array, ""] | float


class Advantage(NamedTuple):
    """What a policy update and a value update need of a segment.

    Attributes:
        advantages: How much better than predicted the action at t was.
        returns: The return that this is measured against: advantages plus the weighted sum of the predictions over all
            lags, known or bootstrapped.
    """

    advantages: Float[Array, "T B"]
    returns: Float[Array, "T B"]


def p3o_advantage(
    mean: Float[Array, "T B H"],
    weights: Float[Array, " H"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    last_mean: Float[Array, "B H"],
    tau: Scalar | Float[Array, " H"] = 0.2,
    truncated_mean: Float[Array, "T B H"] | None = None,
    implementation: str | None = None,
) -> Advantage:
    """Return advantages that weigh the error of every lag, A_t = sum_j w_j E_t[j].

    E_t[0] = r_t - mu_t[0] and E_t[j] = mu_{t+1}[j-1] - mu_t[j] + (1 - tau_j) E_{t+1}[j-1]: a lambda-return for each
    lag, where mu and E are 0 after a terminal. tau = 0 is Monte Carlo with a bootstrap, tau = 1 is one-step. The
    returns are the weighted lambda-returns, R_t = A_t + sum_j w_j mu_t[j] over all H lags, as the advantage counts the
    errors of all of them.

    The result is a target: no gradient flows through it.

    Args:
        mean: Reward predicted at each lag, mu.
        weights: Weight of each lag, from `lag_weights`.
        rewards: Reward of the action at t.
        terminated: Whether that action ended the episode; after it all rewards are 0.
        truncated: Whether the episode was cut after it; what would have followed is unknown.
        last_mean: Prediction at the observation that follows the segment.
        tau: How much each step trusts the next one's prediction, for all lags or for each.
        truncated_mean: Predictions at the final observations of truncated episodes (other rows are not read).
            Without it, E = 0 at the lags beyond a truncation.
        implementation: "reference", "xla", "pallas", "interpret", or None for the platform's best.

    Raises:
        ValueError: The shapes do not fit together, or the implementation is unknown.
    """
    segment = make_segment(mean, rewards, terminated, truncated)
    _, num_envs, horizon = mean.shape
    check_shape("weights", weights, (horizon,))
    check_shape("last_mean", last_mean, (num_envs, horizon))
    if truncated_mean is not None:
        check_shape("truncated_mean", truncated_mean, mean.shape)
    if jnp.ndim(tau) != 0:
        check_shape("tau", jnp.asarray(tau), (horizon,))
    return segment_advantage(mean, weights, segment, last_mean, tau, truncated_mean, implementation)


def segment_advantage(
    mean: Float[Array, "T B H"],
    weights: Float[Array, " H"],
    segment: Segment,
    last_mean: Float[Array, "B H"],
    tau: Scalar | Float[Array, " H"],
    truncated_mean: Float[Array, "T B H"] | None,
    implementation: str | None,
) -> Advantage:
    """Return what `p3o_advantage` does, for a segment that was checked; the arguments are described there."""
    decay = 1.0 - jnp.asarray(tau, jnp.float32)
    if decay.ndim != 0:
        decay = jnp.append(decay[1:], 0.0)  # what lag j keeps when it becomes lag j + 1 of the step before
    estimate = {
        "reference": _p3o_reference,
        "xla": _p3o_by_slots,
        "pallas": partial(advantage_pass, interpret=False),
        "interpret": partial(advantage_pass, interpret=True),
    }[resolve_implementation(implementation)]
    arguments = (mean, weights, segment, last_mean, decay, truncated_mean)
    return Advantage(*estimate(*lax.stop_gradient(arguments)))


def _p3o_reference(
    mean: Array, weights: Array, segment: Segment, last_mean: Array, decay: Array, truncated_mean: Array | None
) -> tuple[Array, Array]:
    """Return advantages and returns as the definition has them: those of bands that are all one step wide."""
    widths = jnp.ones(mean.shape[2], jnp.float32)
    errors = lambda_errors(mean, widths, segment, last_mean, decay, truncated_mean)
    weights = weights.astype(jnp.float32)[None, None, :]
    advantages = jnp.sum(weights * errors, axis=2)
    return advantages, advantages + jnp.sum(weights * mean.astype(jnp.float32), axis=2)


def _p3o_by_slots(
    mean: Array, weights: Array, segment: Segment, last_mean: Array, decay: Array, truncated_mean: Array | None
) -> tuple[Array, Array]:
    """Return the same, reading each prediction once while going back in time and once more for the returns.

    The target of lag j, G_t[j] = E_t[j] + mu_t[j] = (1 - tau_j) G_{t+1}[j-1] + tau_j mu_{t+1}[j-1], belongs to the
    reward at time t + j. Kept in a slot of that number, it never moves from step to step: at t the slots t .. t + H - 1
    hold G_t, with the reward itself at t, and are mixed in place with mu_t.
    """
    num_steps, _, horizon = mean.shape
    lag = jnp.arange(horizon, dtype=jnp.int32)[None, :]
    weights = weights.astype(jnp.float32)
    decay = jnp.broadcast_to(decay, (1, horizon))
    slots = jnp.concatenate([segment.rewards.T, last_mean.astype(jnp.float32)], axis=1)

    def step(slots: Array, t: Array) -> tuple[Array, Array]:
        mean_t = mean[t].astype(jnp.float32)
        target = lax.dynamic_slice_in_dim(slots, t, horizon, axis=1)
        beyond = mean_t
        if truncated_mean is not None:
            beyond = jnp.pad(truncated_mean[t, :, :-1].astype(jnp.float32), ((0, 0), (1, 0)))
        after = lag > 0
        target = jnp.where(segment.truncated[t][:, None] & after, beyond, target)
        target = jnp.where(segment.terminated[t][:, None] & after, 0.0, target)
        advantage = weighted_sum(target - mean_t, weights)
        mixed = mean_t + decay * (target - mean_t)
        return lax.dynamic_update_slice_in_dim(slots, mixed, t, axis=1), advantage

    _, advantages = lax.scan(step, slots, jnp.arange(num_steps, dtype=jnp.int32), reverse=True)
    # One product for all steps: within the scan it costs a CPU more than the second reading.
    return advantages, advantages + weighted_sum(mean.astype(jnp.float32), weights)


def original_advantage(
    mean: Float[Array, "T B H"],
    log_std: Float[Array, " H"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    r_std: Scalar,
    puf: Scalar = 0.0,
) -> Float[Array, "T B"]:
    """Return the advantage of the original P3O kernel (PufferLib 3.0), kept as a baseline.

    A_t = sum_j w_j (r_{t+j} - mu_t[j]) over the n_t lags whose reward lies within segment and episode, with
    w_j = max(0, 1 / sigma_j^2 - puf / r_std^2), divided by its largest over those lags. The sum stops at the first
    j >= 16 with sigma_j > .95 r_std.

    Args:
        mean: Reward predicted at each lag, mu.
        log_std: Logarithm of its spread sigma, the same for all states.
        rewards: Reward of the action at t.
        terminated: Whether that action ended the episode.
        truncated: Whether the episode was cut after it, which makes no difference here.
        r_std: Standard deviation of the rewards.
        puf: How much of the rewards' own precision is subtracted.

    Raises:
        ValueError: The shapes do not fit together.
    """
    done = terminated.astype(bool) | truncated.astype(bool)
    segment = make_segment(mean, rewards, jnp.zeros_like(done), done)
    check_shape("log_std", log_std, (mean.shape[2],))
    return segment_original_advantage(mean, log_std, segment, r_std, puf)


def segment_original_advantage(
    mean: Float[Array, "T B H"], log_std: Float[Array, " H"], segment: Segment, r_std: Scalar, puf: Scalar
) -> Float[Array, "T B"]:
    """Return what `original_advantage` does, for a segment whose ends are all truncations."""
    mean, log_std = lax.stop_gradient((mean, log_std))
    horizon = mean.shape[2]
    std = jnp.exp(log_std.astype(jnp.float32))
    precision = jnp.maximum(0.0, 1.0 / std**2 - puf / jnp.asarray(r_std, jnp.float32) ** 2)
    largest = lax.cummax(precision)
    lag = jnp.arange(horizon, dtype=jnp.int32)
    stopped = lax.cummax(((lag >= 16) & (std > 0.95 * r_std)).astype(jnp.int32)) > 0
    window, known = reward_windows(segment, horizon)
    error = jnp.where(known & ~stopped[None, None, :], window - mean.astype(jnp.float32), 0.0)
    norm = largest[segment.num_known - 1]
    return weighted_sum(error, precision) / jnp.where(norm > 0, norm, 1.0)


def gae(
    values: Float[Array, "T B"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    last_value: Float[Array, " B"],
    gamma: Scalar,
    lam: Scalar,
    truncated_value: Float[Array, "T B"] | None = None,
) -> Advantage:
    """Return generalised advantage estimates (Schulman et al. 2016) and the lambda-returns.

    delta_t = r_t + gamma v_{t+1} - v_t and A_t = delta_t + gamma lambda A_{t+1}, where v and A are 0 after a terminal.

    Args:
        values: Predicted discounted return.
        rewards: Reward of the action at t.
        terminated: Whether that action ended the episode.
        truncated: Whether the episode was cut after it.
        last_value: Prediction at the observation that follows the segment.
        gamma: Discount per step.
        lam: Weight of longer returns; 0 is one-step.
        truncated_value: Predictions at the final observations of truncated episodes (other entries are not read).
            Without it, A = 0 at the truncated step.

    Raises:
        ValueError: The shapes do not fit together.
    """
    if jnp.ndim(values) != 2 or 0 in jnp.shape(values):
        raise ValueError(f"`values` must have shape [T, B], each at least 1; got {jnp.shape(values)}.")
    for name, array in {"rewards": rewards, "terminated": terminated, "truncated": truncated}.items():
        check_shape(name, array, values.shape)
    check_shape("last_value", last_value, values.shape[1:])
    values, last_value, truncated_value = lax.stop_gradient((values, last_value, truncated_value))
    terminated, truncated = terminated.astype(bool), truncated.astype(bool)
    values, rewards = values.astype(jnp.float32), rewards.astype(jnp.float32)
    following = jnp.concatenate([values[1:], last_value.astype(jnp.float32)[None]])
    if truncated_value is not None:
        check_shape("truncated_value", truncated_value, values.shape)
        following = jnp.where(truncated, truncated_value.astype(jnp.float32), following)
    delta = rewards + gamma * jnp.where(terminated, 0.0, following) - values
    if truncated_value is None:
        delta = jnp.where(truncated & ~terminated, 0.0, delta)
    decay = jnp.where(terminated | truncated, 0.0, gamma * lam)
    accumulate = _by_doubling if jax.default_backend() == "gpu" else _by_step
    advantages = accumulate(delta, decay)
    return Advantage(advantages, advantages + values)


def _by_step(delta: Float[Array, "T B"], decay: Float[Array, "T B"]) -> Float[Array, "T B"]:
    """Return A_t = delta_t + decay_t A_{t+1}, one step after the other: the least work."""

    def step(after: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        delta_t, decay_t = inputs
        now = delta_t + decay_t * after
        return now, now

    return lax.scan(step, jnp.zeros_like(delta[0]), (delta, decay), reverse=True)[1]


def _by_doubling(delta: Float[Array, "T B"], decay: Float[Array, "T B"]) -> Float[Array, "T B"]:
    """Return the same in log2(T) rounds over all steps, as a GPU has more lanes than patience for T launches."""

    def join(later: tuple[Array, Array], earlier: tuple[Array, Array]) -> tuple[Array, Array]:
        (sum_l, decay_l), (sum_e, decay_e) = later, earlier
        return sum_e + decay_e * sum_l, decay_e * decay_l

    return lax.associative_scan(join, (delta, decay), reverse=True)[0]
