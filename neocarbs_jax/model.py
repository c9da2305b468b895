"""What a sweep believes: surrogates of score, log cost and success, fitted to and conditioned on its observations."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr, ndtri
from jaxtyping import Array, Bool, Float, Int

from neocarbs_jax import surrogate, warping
from neocarbs_jax.config import Config
from neocarbs_jax.observations import Observations
from neocarbs_jax.surrogate import Hyperparameters, NoisePrior, Posterior
from neocarbs_jax.warping import Standardizer, Warp

_SMALLEST_BUCKET, _LARGEST_BUCKET = 32, 128


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
    """Posteriors over standardised targets, and the transforms back to the user's units."""

    score: Posterior
    cost: Posterior
    success: Posterior
    warp: Warp
    log_cost: Standardizer
    label: Standardizer
    any_failed: Bool[Array, ""]


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
    return warping.WARPS if config.warp == "auto" else (config.warp,)


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
    warps = [warping.fit_warp(kind, rows.score, rows.success, config.aggression) for kind in _warp_kinds(config)]
    log_cost = jnp.log(rows.cost)
    label, labelled, _ = _labels(rows)
    cost = warping.standardizer(log_cost, rows.success).forward(log_cost)
    targets = jnp.stack([*(warp.forward(rows.score) for warp in warps), cost, label])
    masks = jnp.stack([*(rows.success for _ in warps), rows.success, labelled])
    noises = [*(surrogate.SCORE_NOISE for _ in warps), surrogate.COST_NOISE, surrogate.LABEL_NOISE]
    noise = jax.tree.map(lambda *values: jnp.asarray(values, targets.dtype), *noises)

    def fit(target: Array, mask: Array, noise: NoisePrior) -> Hyperparameters:
        return surrogate.fit(rows.unit, target, mask, noise, config.fit_steps)

    fitted = jax.vmap(fit)(targets, masks, noise)
    each = [jax.tree.map(lambda a, i=i: a[i], fitted) for i in range(len(noises))]
    best = jnp.zeros((), jnp.int32)
    if len(warps) > 1:
        evidence = [_evidence(warp, h, rows) for warp, h in zip(warps, each, strict=False)]
        best = jnp.argmax(jnp.stack(evidence)).astype(jnp.int32)
    chosen = jax.tree.map(lambda a: a[: len(warps)][best], fitted)
    return Fit(count, best, chosen, each[-2], each[-1])


def _evidence(warp: Warp, hyperparameters: Hyperparameters, rows: Observations) -> Float[Array, ""]:
    """Leave-one-out log density of the scores in their own units: that of the warped ones plus log dz/dy."""
    nothing = jnp.zeros_like(rows.success)
    target = warp.forward(rows.score)
    posterior = surrogate.condition(hyperparameters, rows.unit, target, rows.success, nothing)
    z = (target - posterior.loo_mean) / posterior.loo_std
    density = -0.5 * z * z - jnp.log(posterior.loo_std) + jnp.log(warp.slope(rows.score))
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
    warps = [warping.fit_warp(kind, observations.score, success, config.aggression) for kind in _warp_kinds(config)]
    warp = jax.tree.map(lambda *leaves: jnp.stack(leaves)[fit.warp], *warps)
    log_cost = jnp.log(observations.cost)
    cost_scale = warping.standardizer(log_cost, success)
    label, labelled, label_scale = _labels(observations)
    return Model(
        score=surrogate.condition(fit.score, unit, warp.forward(observations.score), success, pending),
        cost=surrogate.condition(fit.cost, unit, cost_scale.forward(log_cost), success, pending),
        success=surrogate.condition(fit.success, unit, label, labelled, jnp.zeros_like(pending)),
        warp=warp,
        log_cost=cost_scale,
        label=label_scale,
        any_failed=jnp.any(observations.failed),
    )


def log_cost(model: Model, unit: Float[Array, "m d"]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Posterior mean and predictive standard deviation (noise included, calibrated) of the log cost."""
    mean, std = surrogate.predict(model.cost, unit)
    std = jnp.sqrt(std**2 + surrogate.noise_variance(model.cost.hyperparameters)) * model.cost.stretch
    return model.log_cost.inverse(mean), std * model.log_cost.scale


def cost_bound(config: Config, model: Model, unit: Float[Array, "m d"]) -> Float[Array, " m"]:
    """Log cost that a trial exceeds with probability delta."""
    mean, std = log_cost(model, unit)
    return mean + std * float(ndtri(1 - config.delta))


def log_probability_of_success(model: Model, unit: Float[Array, "m d"]) -> Float[Array, " m"]:
    """log Phi(f / s) for labels predicted as N(f, s^2), noise included; 0 before anything has failed."""
    mean, std = surrogate.predict(model.success, unit)
    std = jnp.sqrt(std**2 + surrogate.noise_variance(model.success.hyperparameters)) * model.label.scale
    return jnp.where(model.any_failed, log_ndtr(model.label.inverse(mean) / std), 0)


def predict(model: Model, unit: Float[Array, "m d"]) -> Prediction:
    """Predictive median and standard deviation of a measurement; costs are log-normal."""
    mean, std = surrogate.predict(model.score, unit)
    std = jnp.sqrt(std**2 + surrogate.noise_variance(model.score.hyperparameters)) * model.score.stretch
    score, score_std = model.warp.moments(mean, std)
    log_mean, log_std = log_cost(model, unit)
    median = jnp.exp(log_mean)
    return Prediction(score, score_std, median, median * jnp.sinh(jnp.minimum(log_std, math.log(1e3))))
