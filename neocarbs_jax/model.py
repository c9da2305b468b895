"""What a sweep believes: surrogates of score, log cost and success, fitted to and conditioned on its observations."""

import math
from statistics import NormalDist
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Bool, Float, Int

from neocarbs_jax import surrogate, warping
from neocarbs_jax.batching import anywhere
from neocarbs_jax.config import Config
from neocarbs_jax.observations import Observations
from neocarbs_jax.surrogate import Hyperparameters, NoisePrior, Posterior
from neocarbs_jax.warping import Standardizer, Warp

AUTO_WARPS = ("linear", "aggression", "log", "winsor", "rank")
_WARP_PRICES = {"linear": 0.0, "aggression": 3.0, "log": 3.0, "winsor": 3.0, "rank": 10.0}
_SMALLEST_BUCKET, _LARGEST_BUCKET = 64, 128


class Fit(NamedTuple):
    """Hyperparameters of the surrogates, fitted when `count` suggestions had been made.

    Attributes:
        count: that number.
        warp: index of the score warp among those the configuration allows.
        score: of warped scores.
        cost: of log costs.
        success: of labels, +1 for success and -1 for failure.
    """

    count: Int[Array, ""]
    warp: Int[Array, ""]
    score: Hyperparameters
    cost: Hyperparameters
    success: Hyperparameters


class Model(NamedTuple):
    """Posteriors over standardised targets, and the transforms back to the user's units.

    Attributes:
        score: posterior of the warped score.
        cost: of the log cost.
        success: of the success label; means nothing while nothing has failed, and costs nothing then.
        warp: of scores.
        log_cost: of log costs.
        label: of success labels.
        any_failed: whether any trial has failed.
        failed_anywhere: the same, or in any sweep beside this one under `vmap`.
    """

    score: Posterior
    cost: Posterior
    success: Posterior
    warp: Warp
    log_cost: Standardizer
    label: Standardizer
    any_failed: Bool[Array, ""]
    failed_anywhere: Bool[Array, ""]


class Beliefs(NamedTuple):
    """What the surrogates say of some points.

    Attributes:
        score: posterior mean of the warped, noiseless score.
        score_std: its standard deviation.
        measured_std: the same for a measurement: noise included, calibrated on what the latest trials gave.
        log_cost: posterior mean of the log cost.
        log_cost_std: of a measurement of it, calibrated on leave-one-out residuals.
        log_success: log probability of success; 0 before anything has failed.
    """

    score: Float[Array, " m"]
    score_std: Float[Array, " m"]
    measured_std: Float[Array, " m"]
    log_cost: Float[Array, " m"]
    log_cost_std: Float[Array, " m"]
    log_success: Float[Array, " m"]


class Prediction(NamedTuple):
    """What a measurement would give, noise included, in the user's units."""

    score: Float[Array, " m"]
    score_std: Float[Array, " m"]
    cost: Float[Array, " m"]
    cost_std: Float[Array, " m"]


def unfitted(config: Config) -> Fit:
    """Prior medians."""
    dtype = jnp.zeros(()).dtype
    zero = jnp.zeros((), jnp.int32)
    noises = surrogate.SCORE_NOISE, surrogate.COST_NOISE, surrogate.LABEL_NOISE
    return Fit(zero, zero, *(surrogate.prior_mode(config.space.size, noise, dtype) for noise in noises))


def last_checkpoint(count: Int[Array, ""]) -> Int[Array, ""]:
    """The latest number of suggestions, at most `count`, at which surrogates are refitted.

    Every suggestion below 32, every 4th below 64, every 8th below 128, ...: fitting costs about the same share of the
    time at every n. It depends on nothing but the count, so a resumed sweep refits when it would have.
    """
    period = jnp.ones_like(count)
    for octave in range(5, 31):
        period = jnp.where(count >= 2**octave, 2 ** (octave - 3), period)
    return (count // period) * period


def _warp_kinds(config: Config) -> tuple[str, ...]:
    return AUTO_WARPS if config.warp == "auto" else (config.warp,)


def _labels(observations: Observations) -> tuple[Float[Array, " n"], Bool[Array, " n"], Standardizer]:
    known = observations.success | observations.failed
    label = jnp.where(observations.success, 1.0, -1.0).astype(observations.score.dtype)
    scale = warping.standardizer(label, known)
    return scale.forward(label), known, scale


def _fit_rows(config: Config, observations: Observations, count: Int[Array, ""], num_rows: int) -> Fit:
    """Fit on the first `count` rows, or on `num_rows` of them at even distances."""
    index = jnp.arange(num_rows, dtype=jnp.int32)
    index = jnp.where(count > num_rows, index * count // num_rows, index)
    rows = jax.tree.map(lambda a: a[index], observations)
    rows = rows._replace(status=jnp.where(index < count, rows.status, 0))
    warps = warping.fit_warps(_warp_kinds(config), rows.score, rows.success, config.aggression)
    warped = jax.vmap(lambda warp: warp.forward(rows.score))(warps)
    num_warps = warped.shape[0]
    log_cost = jnp.log(rows.cost)
    cost = warping.standardizer(log_cost, rows.success).forward(log_cost)
    label, labelled, _ = _labels(rows)
    noises = [*(surrogate.SCORE_NOISE for _ in range(num_warps)), surrogate.COST_NOISE, surrogate.LABEL_NOISE]
    noise = jax.tree.map(lambda *values: jnp.asarray(values, cost.dtype), *noises)
    targets = jnp.concatenate([warped, cost[None], label[None]])
    masks = jnp.stack([*(rows.success for _ in range(num_warps + 1)), labelled])
    any_failed = jnp.any(rows.failed)
    asked = jnp.stack([*(jnp.bool_(True) for _ in range(num_warps + 1)), anywhere(any_failed)])

    def fit_one(task: tuple[Array, Array, Array, NoisePrior]) -> Hyperparameters:
        asked, target, mask, noise = task
        return jax.lax.cond(
            asked,
            lambda: surrogate.fit(rows.unit, target, mask, noise, config.fit_steps),
            lambda: surrogate.prior_mode(config.space.size, noise, target.dtype),
        )

    # One after the other: on a CPU a batch of matrices leaves the cache, and takes longer.
    fitted = jax.lax.map(fit_one, (asked, targets, masks, noise))
    scores = jax.tree.map(lambda a: a[:num_warps], fitted)
    best = jnp.zeros((), jnp.int32)
    if num_warps > 1:
        slopes = jax.vmap(lambda warp: warp.slope(rows.score))(warps)
        evidence = jax.vmap(lambda h, target, slope: _evidence(h, rows, target, slope))(scores, warped, slopes)
        # A warp must earn its bends, in nats: on a few noisy scores the densities differ by chance, most for ranks,
        # whose bends are the scores themselves.
        price = jnp.asarray([_WARP_PRICES[kind] for kind in _warp_kinds(config)], cost.dtype)
        best = jnp.argmax(evidence - price).astype(jnp.int32)
    of_score, of_cost, of_success = (
        jax.tree.map(lambda a, i=i: a[i], fitted) for i in (best, num_warps, num_warps + 1)
    )
    start = surrogate.prior_mode(config.space.size, surrogate.LABEL_NOISE, cost.dtype)
    of_success = jax.tree.map(lambda a, b: jnp.where(any_failed, a, b), of_success, start)
    return Fit(count, best, of_score, of_cost, of_success)


def _evidence(
    hyperparameters: Hyperparameters, rows: Observations, target: Float[Array, " n"], slope: Float[Array, " n"]
) -> Float[Array, ""]:
    """Leave-one-out log density of the scores in their own units: that of the warped ones plus log dz/dy."""
    nothing = jnp.zeros_like(rows.success)
    posterior = surrogate.condition(hyperparameters, rows.unit, target, rows.success, nothing)
    z = (target - posterior.loo_mean) / posterior.loo_std
    density = -0.5 * z * z - jnp.log(posterior.loo_std) + jnp.log(slope)
    return jnp.sum(jnp.where(rows.success, density, 0))


def refit(config: Config, observations: Observations, fit: Fit, count: Int[Array, ""]) -> Fit:
    """Hyperparameters for the `count` rows: refitted where a checkpoint was passed since the last fit.

    Fits run on the smallest of a few bucket sizes that holds the rows, so that young sweeps are quick.
    """
    checkpoint = last_checkpoint(jnp.minimum(count, config.capacity))
    sizes = [_SMALLEST_BUCKET]
    while sizes[-1] < min(config.capacity, _LARGEST_BUCKET):
        sizes.append(2 * sizes[-1])
    sizes[-1] = min(sizes[-1], config.capacity)
    bucket = jnp.asarray(sum((checkpoint > size).astype(jnp.int32) for size in sizes[:-1]), jnp.int32)

    def run(_: None) -> Fit:
        branches = [lambda n=size: _fit_rows(config, observations, checkpoint, n) for size in sizes]
        return jax.lax.switch(bucket, branches)

    return jax.lax.cond(checkpoint > fit.count, run, lambda _: fit, None)


def build(config: Config, observations: Observations, fit: Fit) -> Model:
    """Condition the surrogates on every observation, pending points fantasised."""
    success, pending, unit = observations.success, observations.pending, observations.unit
    warps = warping.fit_warps(_warp_kinds(config), observations.score, success, config.aggression)
    warp = jax.tree.map(lambda a: a[fit.warp], warps)
    log_cost = jnp.log(observations.cost)
    cost_scale = warping.standardizer(log_cost, success)
    label, labelled, label_scale = _labels(observations)
    any_failed, nothing = jnp.any(observations.failed), jnp.zeros_like(pending)
    failed_anywhere = anywhere(any_failed)
    return Model(
        score=surrogate.condition(fit.score, unit, warp.forward(observations.score), success, pending),
        cost=surrogate.condition(fit.cost, unit, cost_scale.forward(log_cost), success, pending),
        success=jax.lax.cond(
            failed_anywhere,
            lambda: surrogate.condition(fit.success, unit, label, labelled, nothing),
            lambda: surrogate.unconditioned(fit.success, unit),
        ),
        warp=warp,
        log_cost=cost_scale,
        label=label_scale,
        any_failed=any_failed,
        failed_anywhere=failed_anywhere,
    )


def believe(model: Model, unit: Float[Array, "m d"]) -> Beliefs:
    """Posterior of score, cost and success at each point; P(success) = Phi(f / s) for labels predicted as N(f, s^2)."""

    def log_success() -> Array:
        mean, std = surrogate.predict(model.success, unit)
        measured = _measured(model.success, std)
        log_probability = log_ndtr(model.label.inverse(mean) / (measured * model.label.scale))
        return jnp.where(model.any_failed, log_probability, 0)

    score, score_std = surrogate.predict(model.score, unit)
    cost, cost_std = surrogate.predict(model.cost, unit)
    return Beliefs(
        score=score,
        score_std=score_std,
        # The sweep seeks high scores where it knows least: only what came after tells, and only ever warns.
        measured_std=_measured(model.score, score_std) * jnp.maximum(model.score.forward_stretch, 1),
        log_cost=model.log_cost.inverse(cost),
        log_cost_std=_measured(model.cost, cost_std) * model.cost.stretch * model.log_cost.scale,
        log_success=jax.lax.cond(model.failed_anywhere, log_success, lambda: jnp.zeros_like(score)),
    )


def _measured(posterior: Posterior, std: Float[Array, " m"]) -> Float[Array, " m"]:
    """Deviation of a measurement: that of the noiseless function and the noise."""
    return jnp.sqrt(std**2 + surrogate.noise_variance(posterior.hyperparameters))


def cost_bound(config: Config, beliefs: Beliefs) -> Float[Array, " m"]:
    """Log cost that a trial exceeds with probability delta."""
    return beliefs.log_cost + beliefs.log_cost_std * NormalDist().inv_cdf(1 - config.delta)


def predict(model: Model, beliefs: Beliefs) -> Prediction:
    """Predictive median and standard deviation of a measurement; costs are log-normal."""
    score, score_std = model.warp.moments(beliefs.score, beliefs.measured_std)
    median = jnp.exp(beliefs.log_cost)
    return Prediction(score, score_std, median, median * jnp.sinh(jnp.minimum(beliefs.log_cost_std, math.log(1e3))))
