"""What a sweep believes: surrogates of score and of log cost, conditioned on its observations."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from neocarbs_jax import surrogate, warping
from neocarbs_jax.config import Config
from neocarbs_jax.observations import Observations
from neocarbs_jax.surrogate import Hyperparameters, Posterior

_SMALLEST_BUCKET, _LARGEST_BUCKET = 32, 128


class Fit(NamedTuple):
    """Hyperparameters of the surrogates, fitted at `count` suggestions."""

    count: Int[Array, ""]
    score: Hyperparameters
    cost: Hyperparameters


class Model(NamedTuple):
    """Posteriors over standardised targets, and the transforms back to the user's units."""

    score: Posterior
    cost: Posterior
    score_transform: warping.Standardizer
    cost_transform: warping.Standardizer


class Prediction(NamedTuple):
    """What a measurement would give, noise included, in the user's units."""

    score: Float[Array, " m"]
    score_std: Float[Array, " m"]
    cost: Float[Array, " m"]
    cost_std: Float[Array, " m"]


def unfitted(config: Config) -> Fit:
    """Prior medians."""
    mode = surrogate.prior_mode(config.space.size, jnp.zeros(()).dtype)
    return Fit(jnp.zeros((), jnp.int32), mode, mode)


def last_checkpoint(count: Int[Array, ""]) -> Int[Array, ""]:
    """The latest number of suggestions, at most `count`, at which surrogates are refitted.

    Every suggestion up to 32, then every 4th, 8th, ... of twice as many: fitting costs about the same share of the
    time at every n. It depends on nothing but the count, so a resumed sweep refits when it would have.
    """
    period = jnp.ones_like(count)
    for octave in range(5, 31):
        period = jnp.where(count >= 2**octave, 2 ** (octave - 3), period)
    return (count // period) * period


def _targets(observations: Observations) -> tuple[Array, Array, warping.Standardizer, warping.Standardizer]:
    success = observations.success
    log_cost = jnp.log(observations.cost)
    score = warping.standardizer(observations.score, success)
    cost = warping.standardizer(log_cost, success)
    return score.forward(observations.score), cost.forward(log_cost), score, cost


def _fit_rows(
    observations: Observations, count: Int[Array, ""], num_rows: int, num_steps: int
) -> tuple[Hyperparameters, Hyperparameters]:
    """Fit on the first `count` rows, or on `num_rows` of them at even distances."""
    index = jnp.arange(num_rows, dtype=jnp.int32)
    spread = index * count // num_rows
    index = jnp.where(count > num_rows, spread, index)
    rows = jax.tree.map(lambda a: a[index], observations)
    rows = rows._replace(status=jnp.where(index < count, rows.status, 0))
    score, cost, _, _ = _targets(rows)
    both = jax.vmap(lambda target: surrogate.fit(rows.unit, target, rows.success, num_steps))
    fitted = both(jnp.stack([score, cost]))
    return jax.tree.map(lambda a: a[0], fitted), jax.tree.map(lambda a: a[1], fitted)


def refit(config: Config, observations: Observations, fit: Fit, count: Int[Array, ""]) -> Fit:
    """Hyperparameters for the `count` rows: refitted where a checkpoint was passed since the last fit.

    Fits run on the smallest of a few bucket sizes that holds the rows, so that young sweeps are quick.
    """
    checkpoint = last_checkpoint(count)
    sizes = [_SMALLEST_BUCKET]
    while sizes[-1] < min(config.capacity, _LARGEST_BUCKET):
        sizes.append(2 * sizes[-1])
    sizes[-1] = min(sizes[-1], config.capacity)
    bucket = sum((checkpoint > size).astype(jnp.int32) for size in sizes[:-1])
    bucket = jnp.asarray(bucket, jnp.int32)

    def run(_: None) -> Fit:
        branches = [lambda n=size: _fit_rows(observations, checkpoint, n, config.fit_steps) for size in sizes]
        score, cost = jax.lax.switch(bucket, branches)
        return Fit(checkpoint, score, cost)

    return jax.lax.cond(checkpoint > fit.count, run, lambda _: fit, None)


def build(observations: Observations, fit: Fit) -> Model:
    """Condition the surrogates on every observation, pending points fantasised."""
    score, cost, score_transform, cost_transform = _targets(observations)
    data = observations.success, observations.pending
    return Model(
        score=surrogate.condition(fit.score, observations.unit, score, *data),
        cost=surrogate.condition(fit.cost, observations.unit, cost, *data),
        score_transform=score_transform,
        cost_transform=cost_transform,
    )


def log_cost(model: Model, unit: Float[Array, "m d"]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Posterior mean and standard deviation of the noiseless log cost."""
    mean, std = surrogate.predict(model.cost, unit)
    return model.cost_transform.inverse(mean), std * model.cost_transform.scale


def predict(model: Model, unit: Float[Array, "m d"]) -> Prediction:
    """Predictive mean and standard deviation; cost is log-normal: its median, and the deviation that goes with it."""
    mean, std = surrogate.predict(model.score, unit)
    std = jnp.sqrt(std**2 + surrogate.noise_variance(model.score.hyperparameters))
    log_mean, log_std = surrogate.predict(model.cost, unit)
    log_std = jnp.sqrt(log_std**2 + surrogate.noise_variance(model.cost.hyperparameters))
    median = jnp.exp(model.cost_transform.inverse(log_mean))
    log_std = jnp.minimum(log_std * model.cost_transform.scale, math.log(1e3))
    return Prediction(
        score=model.score_transform.inverse(mean),
        score_std=std * model.score_transform.scale,
        cost=median,
        cost_std=median * jnp.sinh(log_std),
    )
