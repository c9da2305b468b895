"""From a segment to what updates aim at: one interface over the estimators "p3o", "original" and "gae"."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from p3o_jax.advantages import gae, original_advantage, p3o_advantage
from p3o_jax.losses import clipped_value_loss, gaussian_nll, p3o_value_loss
from p3o_jax.settings import Config, Params
from p3o_jax.spread import Spread, init_spread, lag_taus, lag_weights, update_spread


class Outcome(NamedTuple):
    """What happened in a segment, rewards scaled."""

    rewards: Float[Array, "t b"]
    terminated: Bool[Array, "t b"]
    truncated: Bool[Array, "t b"]


class Targets(NamedTuple):
    """What an update aims at.

    Attributes:
      advantages: of the actions.
      returns: that the values shall predict (not used by "original").
      old_values: the values before the update ("gae" only, otherwise empty).
    """

    advantages: Float[Array, "t b"]
    returns: Float[Array, "t b"]
    old_values: Any


class Lags(NamedTuple):
    """Weight and spread of every lag, fixed for an update; unused by "gae"."""

    weights: Float[Array, " h"]
    std: Float[Array, " h"]


class Estimate(NamedTuple):
    """An estimator's answer: targets, lags, the new running spread, and the explained variance per lag."""

    targets: Targets
    lags: Lags
    spread: Spread
    explained_variance: Float[Array, " h"]


def init_estimate(config: Config) -> Spread:
    """Returns the running statistics that `estimate` starts from."""
    return init_spread(config.num_values)


def init_log_std(config: Config) -> dict[str, Array]:
    """Returns the trained parameters of the estimator itself: the original's log spread per lag."""
    return {"log_std": jnp.zeros(config.horizon)} if config.estimator == "original" else {}


def estimate(
    config: Config,
    params: Params,
    spread: Spread,
    log_std: dict[str, Array],
    outcome: Outcome,
    values: Float[Array, "t b v"],
    last_values: Float[Array, "b v"],
    final_values: Float[Array, "t b v"] | None,
) -> Estimate:
    """Returns what an update aims at.

    Args:
      config: settings.
      params: traced settings.
      spread: running statistics of every lag.
      log_std: from `init_log_std`, as trained so far.
      outcome: what happened.
      values: predictions along the segment.
      last_values: predictions at the observation that follows it.
      final_values: predictions at the final observations of truncated episodes, or None.
    """
    if config.estimator == "gae":
        return _gae(params, spread, outcome, values, last_values, final_values)
    known = _seen_by_original(outcome) if config.estimator == "original" else outcome
    spread = update_spread(spread, values, *known, decay=params.spread_decay, implementation=config.implementation)
    explained = spread.explained_variance
    if config.estimator == "original":
        reward_std = jnp.maximum(jnp.std(outcome.rewards), 1e-4)  # equal rewards have no precision to subtract
        advantages = original_advantage(values, log_std["log_std"], *outcome, r_std=reward_std, puf=params.puf)
        lags = Lags(jnp.ones(config.horizon), jnp.exp(log_std["log_std"]))
        return Estimate(Targets(advantages, advantages, ()), lags, spread, explained)
    weights = lag_weights(explained, params.floor, params.weight_prior)
    rule = config.tau_rule
    out = p3o_advantage(
        values,
        weights,
        *outcome,
        last_values,
        tau=params.tau if rule == "fixed" else lag_taus(spread, params.tau, rule),
        truncated_mean=final_values,
        implementation=config.implementation,
    )
    return Estimate(Targets(out.advantages, out.returns, ()), Lags(weights, spread.std), spread, explained)


def _gae(params: Params, spread: Spread, outcome: Outcome, values: Array, last_values: Array, final_values: Any):
    """Returns the same for one discounted return."""
    old_values = values[..., 0].astype(jnp.float32)
    final = None if final_values is None else final_values[..., 0]
    out = gae(old_values, *outcome, last_values[..., 0], params.gamma, params.gae_lambda, final)
    variance = jnp.var(out.returns)
    explained = 1.0 - jnp.var(out.advantages) / jnp.where(variance > 0, variance, 1.0)
    targets = Targets(out.advantages, out.returns, old_values)
    return Estimate(targets, Lags(jnp.ones(1), jnp.ones(1)), spread, jnp.where(variance > 0, explained, 0.0)[None])


def value_loss(
    config: Config,
    params: Params,
    lags: Lags,
    log_std: dict[str, Array],
    outcome: Outcome,
    targets: Targets,
    values: Float[Array, "t b v"],
) -> Float[Array, ""]:
    """Returns the value loss, its coefficient included."""
    if config.estimator == "gae":
        predicted = values[..., 0].astype(jnp.float32)
        return params.value * clipped_value_loss(predicted, targets.old_values, targets.returns, params.value_clip)
    if config.estimator == "original":
        bounded = jnp.clip(log_std["log_std"], -10.0, 10.0)
        known = _seen_by_original(outcome)
        return gaussian_nll(values, bounded, *known, coefficient=params.value, implementation=config.implementation)
    return p3o_value_loss(
        values,
        lags.weights,
        lags.std,
        targets.returns,
        *outcome,
        aggregate=params.aggregate,
        coefficient=params.value,
        implementation=config.implementation,
    )


def _seen_by_original(outcome: Outcome) -> Outcome:
    """Returns the outcome as the original masks it: nothing is known after a terminal."""
    done = outcome.terminated | outcome.truncated
    return Outcome(outcome.rewards, jnp.zeros_like(done), done)
