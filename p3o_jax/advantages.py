"""Advantage estimators: P3O with a horizon of its own, the original P3O, and GAE.

All take one time-major segment [T, B] and name shapes as `horizon.py` does. Sums are in float32 whatever the
inputs.

References:
  De Asis et al., Fixed-Horizon Temporal Difference Methods for Stable Reinforcement Learning, 2020.
  Schulman et al., High-Dimensional Continuous Control Using Generalized Advantage Estimation, 2016.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from p3o_jax.horizon import (
    check_segment,
    check_shape,
    extent,
    resolve_implementation,
    reward_windows,
    weighted_sum,
)
from p3o_jax.kernels.triton import advantage_pass


class Advantage(NamedTuple):
    """What a policy update and a value update need of a segment.

    Attributes:
      advantages: how much better than predicted the action at t was.
      returns: the return that this is measured against: advantages plus the prediction's weighted sum over
        all lags, known or bootstrapped.
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
    tau: Float[Array, ""] | Float[Array, " H"] | float = 0.1,
    truncated_mean: Float[Array, "T B H"] | None = None,
    implementation: str | None = None,
) -> Advantage:
    """Returns advantages that weigh the error of every lag, A_t = sum_j w_j E_t[j].

    E_t[0] = r_t - mu_t[0] and E_t[j] = mu_{t+1}[j-1] - mu_t[j] + (1 - tau_j) E_{t+1}[j-1]: a lambda-return
    for each lag, where mu and E are 0 after a terminal. tau = 0 is Monte Carlo with a bootstrap, tau = 1 is
    one-step. The returns are the weighted lambda-returns, R_t = A_t + sum_j w_j mu_t[j] over all H lags, as
    the advantage counts the errors of all of them.

    The result is a target: no gradient flows through it.

    Args:
      mean: reward predicted at each lag, mu.
      weights: weight of each lag, from `lag_weights`.
      rewards: reward of the action at t.
      terminated: whether that action ended the episode; after it all rewards are 0.
      truncated: whether the episode was cut after it; what would have followed is unknown.
      last_mean: prediction at the observation that follows the segment.
      tau: how much each step trusts the next one's prediction, for all lags or for each.
      truncated_mean: predictions at the final observations of truncated episodes (other rows are not read).
        Without it, E = 0 at the lags beyond a truncation.
      implementation: "reference", "xla", "pallas", "interpret", or None for the platform's best.

    Raises:
      ValueError: on shapes that do not fit or an unknown implementation.
    """
    _, num_envs, horizon = check_segment(mean, rewards=rewards, terminated=terminated, truncated=truncated)
    check_shape("weights", weights, (horizon,))
    check_shape("last_mean", last_mean, (num_envs, horizon))
    if truncated_mean is not None:
        check_shape("truncated_mean", truncated_mean, mean.shape)
    implementation = resolve_implementation(implementation)
    terminated, truncated = terminated.astype(bool), truncated.astype(bool)
    decay = 1.0 - jnp.asarray(tau, jnp.float32)
    if decay.ndim != 0:
        check_shape("tau", decay, (horizon,))
        decay = jnp.append(decay[1:], 0.0)  # what lag j keeps when it becomes lag j + 1 of the step before
    estimate = {
        "reference": _p3o_reference,
        "xla": _p3o_by_slots,
        "pallas": partial(advantage_pass, interpret=False),
        "interpret": partial(advantage_pass, interpret=True),
    }[implementation]
    arguments = (mean, weights, rewards, terminated, truncated, last_mean, decay, truncated_mean)
    return Advantage(*estimate(*lax.stop_gradient(arguments)))


def _p3o_reference(mean, weights, rewards, terminated, truncated, last_mean, decay, truncated_mean):
    """Returns advantages and returns as the definition has them, lag by lag."""
    mean, last_mean = mean.astype(jnp.float32), last_mean.astype(jnp.float32)
    following = jnp.concatenate([mean[1:], last_mean[None]])
    beyond = jnp.pad(mean[:, :, 1:], ((0, 0), (0, 0), (0, 1))) if truncated_mean is None else truncated_mean
    following = jnp.where(truncated[:, :, None], beyond.astype(jnp.float32), following)
    following = jnp.where(terminated[:, :, None], 0.0, following)
    # delta_t[0] = r_t - mu_t[0], delta_t[j] = mu_{t+1}[j-1] - mu_t[j]
    delta = jnp.concatenate([rewards.astype(jnp.float32)[:, :, None], following[:, :, :-1]], axis=2) - mean
    goes_on = ~(terminated | truncated)
    decay = jnp.broadcast_to(decay, (1, mean.shape[2]))

    def step(error: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        delta_t, goes_on_t = inputs
        carried = jnp.where(goes_on_t[:, None], error[:, :-1] * decay[:, :-1], 0.0)
        error = delta_t + jnp.pad(carried, ((0, 0), (1, 0)))
        return error, error

    _, errors = lax.scan(step, jnp.zeros_like(last_mean), (delta, goes_on), reverse=True)
    weights = weights.astype(jnp.float32)[None, None, :]
    advantages = jnp.sum(weights * errors, axis=2)
    return advantages, advantages + jnp.sum(weights * mean, axis=2)


def _p3o_by_slots(mean, weights, rewards, terminated, truncated, last_mean, decay, truncated_mean):
    """Returns the same with each prediction read once, going back in time, and once more for the returns.

    The target of lag j, G_t[j] = E_t[j] + mu_t[j] = (1 - tau_j) G_{t+1}[j-1] + tau_j mu_{t+1}[j-1], belongs
    to the reward at time t + j. Kept in a slot of that number, it never moves from step to step: at t the
    slots t .. t + H - 1 hold G_t, with the reward itself at t, and are mixed in place with mu_t.
    """
    num_steps, _, horizon = mean.shape
    lag = jnp.arange(horizon)[None, :]
    weights = weights.astype(jnp.float32)
    decay = jnp.broadcast_to(decay, (1, horizon))
    slots = jnp.concatenate([rewards.T.astype(jnp.float32), last_mean.astype(jnp.float32)], axis=1)

    def step(slots: Array, t: Array) -> tuple[Array, Array]:
        mean_t = mean[t].astype(jnp.float32)
        target = lax.dynamic_slice_in_dim(slots, t, horizon, axis=1)
        beyond = mean_t
        if truncated_mean is not None:
            beyond = jnp.pad(truncated_mean[t, :, :-1].astype(jnp.float32), ((0, 0), (1, 0)))
        after = lag > 0
        target = jnp.where(truncated[t][:, None] & after, beyond, target)
        target = jnp.where(terminated[t][:, None] & after, 0.0, target)
        advantage = weighted_sum(target - mean_t, weights)
        mixed = mean_t + decay * (target - mean_t)
        return lax.dynamic_update_slice_in_dim(slots, mixed, t, axis=1), advantage

    _, advantages = lax.scan(step, slots, jnp.arange(num_steps), reverse=True)
    # One product for all steps: within the scan it costs a CPU more than the second reading.
    return advantages, advantages + weighted_sum(mean.astype(jnp.float32), weights)


def original_advantage(
    mean: Float[Array, "T B H"],
    log_std: Float[Array, " H"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    r_std: Float[Array, ""] | float,
    puf: Float[Array, ""] | float = 0.0,
) -> Float[Array, "T B"]:
    """Returns the advantage of the original P3O kernel (PufferLib 3.0), kept as a baseline.

    A_t = sum_j w_j (r_{t+j} - mu_t[j]) over the n_t lags whose reward lies within segment and episode, with
    w_j = max(0, 1 / sigma_j^2 - puf / r_std^2), divided by its largest over those lags. The sum stops at the
    first j >= 16 with sigma_j > .95 r_std.

    Args:
      mean: reward predicted at each lag, mu.
      log_std: log of its spread sigma, the same for all states.
      rewards: reward of the action at t.
      terminated: whether that action ended the episode.
      truncated: whether the episode was cut after it; no different here.
      r_std: standard deviation of the rewards.
      puf: how much of the rewards' own precision is taken off.
    """
    _, _, horizon = check_segment(mean, rewards=rewards, terminated=terminated, truncated=truncated)
    check_shape("log_std", log_std, (horizon,))
    mean, log_std = lax.stop_gradient((mean, log_std))
    std = jnp.exp(log_std.astype(jnp.float32))
    precision = jnp.maximum(0.0, 1.0 / std**2 - puf / jnp.asarray(r_std, jnp.float32) ** 2)
    largest = lax.cummax(precision)
    lag = jnp.arange(horizon)
    stopped = lax.cummax(((lag >= 16) & (std > 0.95 * r_std)).astype(jnp.int32)) > 0
    done = terminated.astype(bool) | truncated.astype(bool)
    reach = extent(jnp.zeros_like(done), done, horizon)
    window, known = reward_windows(rewards, reach, horizon)
    error = jnp.where(known & ~stopped[None, None, :], window - mean.astype(jnp.float32), 0.0)
    norm = largest[reach.num_known - 1]
    return weighted_sum(error, precision) / jnp.where(norm > 0, norm, 1.0)


def gae(
    values: Float[Array, "T B"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    last_value: Float[Array, " B"],
    gamma: Float[Array, ""] | float,
    lam: Float[Array, ""] | float,
    truncated_value: Float[Array, "T B"] | None = None,
) -> Advantage:
    """Returns generalised advantage estimates (Schulman et al. 2016) and the lambda-returns.

    delta_t = r_t + gamma v_{t+1} - v_t and A_t = delta_t + gamma lambda A_{t+1}, where v and A are 0 after a
    terminal.

    Args:
      values: predicted discounted return.
      rewards: reward of the action at t.
      terminated: whether that action ended the episode.
      truncated: whether the episode was cut after it.
      last_value: prediction at the observation that follows the segment.
      gamma: discount per step.
      lam: weight of longer returns, 0 for one-step.
      truncated_value: predictions at the final observations of truncated episodes (other entries are not
        read). Without it, A = 0 at the truncated step.

    Raises:
      ValueError: on shapes that do not fit.
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

    def step(advantage: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        delta_t, decay_t = inputs
        advantage = delta_t + decay_t * advantage
        return advantage, advantage

    _, advantages = lax.scan(step, jnp.zeros_like(values[0]), (delta, decay), reverse=True)
    return Advantage(advantages, advantages + values)
