"""What a sweep has learnt: the predicted front, which axes matter along it, and how its optima scale with cost.

    front = predicted_front(config, state, key)
    importance = importances(config, state, front)
    laws = scaling_laws(config, front)
    worth_continuing(config, state, key)         # expected gain of the next trial, as `Suggestion.rating`

All are pure functions of a state, and jit-able with `config` static.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from neocarbs_jax import beliefs, candidates, fitting, pareto, sweep
from neocarbs_jax.beliefs import Surrogates
from neocarbs_jax.config import Config
from neocarbs_jax.space import Choice, Logit, Options
from neocarbs_jax.sweep import State

_NUM_LEVELS = 17
_NUM_CANDIDATES = 768


class PredictedFront(NamedTuple):
    """The best score that the surrogate believes in at each cost, over the observed range.

    Attributes:
        cost: evenly spaced in the logarithm.
        score: posterior median of the best point of at most that cost.
        low: 5% quantile of its noiseless score.
        high: 95% quantile.
        unit: that point.
    """

    cost: Float[Array, " k"]
    score: Float[Array, " k"]
    low: Float[Array, " k"]
    high: Float[Array, " k"]
    unit: Float[Array, "k d"]


class ScalingLaw(NamedTuple):
    """z = intercept + slope log(cost), least squares along the front.

    Attributes:
        intercept: at cost 1.
        slope: per nat of cost.
        slope_std: its standard error.
        residual_std: standard deviation around the line.
        mean_log_cost: where the line is best known.
        num_points: how many points it was fitted to.
    """

    intercept: Float[Array, "*a"]
    slope: Float[Array, "*a"]
    slope_std: Float[Array, "*a"]
    residual_std: Float[Array, "*a"]
    mean_log_cost: Float[Array, "*a"]
    num_points: Float[Array, "*a"]

    def predict(self, cost: Float[Array, ""]) -> tuple[Float[Array, "*a"], Float[Array, "*a"]]:
        """z and its standard deviation at any cost: the further from the data, the wider."""
        distance = jnp.log(cost) - self.mean_log_cost
        mean = self.intercept + self.slope * jnp.log(cost)
        about_mean = self.residual_std**2 * (1 + 1 / self.num_points)
        return mean, jnp.sqrt(about_mean + (self.slope_std * distance) ** 2)


def _surrogates(config: Config, state: State) -> Surrogates:
    fit = fitting.refit(config.form, state.observations, state.fit)
    return beliefs.condition(config.form, state.observations, fit)


def predicted_front(config: Config, state: State, key: PRNGKeyArray, num_costs: int = 32) -> PredictedFront:
    """The front of posterior means over the observed points and points around them.

    Args:
        config: of the sweep.
        state: of the sweep, with at least one success.
        key: consumed.
        num_costs: number of costs.
    """
    known = _surrogates(config, state)
    data = state.observations
    believed = known.at_observed()
    on_front = pareto.non_dominated(believed.score, believed.log_cost, data.success)
    near = candidates.perturb(config.space, key, data.unit, on_front, _NUM_CANDIDATES)
    units = jnp.concatenate([data.unit, near])
    valid = jnp.concatenate([data.success, jnp.ones(near.shape[0], bool)])
    at = known.at(units)
    lowest = jnp.min(jnp.where(data.success, believed.log_cost, jnp.inf))
    highest = jnp.max(jnp.where(data.success, believed.log_cost, -jnp.inf))
    log_cost = lowest + (highest - lowest) * jnp.linspace(0, 1, num_costs, dtype=units.dtype)
    # A point is believed only as far as its doubt allows: the mean less half a deviation.
    cautious = at.score - 0.5 * at.score_std
    affordable = valid[None, :] & (at.log_cost[None, :] <= log_cost[:, None] + 1e-6)
    best = jnp.argmax(jnp.where(affordable, cautious[None, :], -jnp.inf), axis=1)
    mean, std = at.score[best], at.score_std[best]
    low, middle, high = (known.warp.inverse(mean + z * std) for z in (-1.645, 0.0, 1.645))
    if config.direction == "minimize":
        low, middle, high = -high, -middle, -low
    return PredictedFront(jnp.exp(log_cost), middle, low, high, units[best])


def importances(config: Config, state: State, front: PredictedFront) -> Float[Array, "k a"]:
    """How far the posterior mean moves when one axis alone runs over its range, at each point of the front.

    I_j(p) = sd over t of mean(p with axis j at t), divided by the sum over the axes: which axis matters *there*.
    """
    known = _surrogates(config, state)

    def effect(name: str) -> Float[Array, " k"]:
        moved = _moved(config, front.unit, name)
        flat = moved.reshape(-1, config.space.size)
        score = known.at(flat).score.reshape(moved.shape[:2])
        return jnp.std(score, axis=0)

    effects = jnp.stack([effect(name) for name in config.space.names], axis=1)
    return effects / jnp.maximum(jnp.sum(effects, axis=1, keepdims=True), 1e-12)


def signed_importances(config: Config, state: State, unit: Float[Array, "k d"]) -> Float[Array, "k a"]:
    """The same at any points, negative where the score gets worse as the value rises; `State.fit` counts.

    The sign is that of the covariance of the posterior mean with the position on the axis; choices have none, and
    count as positive.
    """
    known = beliefs.condition(config.form, state.observations, state.fit)
    effects, signs = [], []
    for name, axis in config.space.axes:
        moved = _moved(config, unit, name)
        score = known.at(moved.reshape(-1, config.space.size)).score.reshape(moved.shape[:2])
        position = jnp.linspace(-1, 1, score.shape[0], dtype=score.dtype)[:, None]
        effects.append(jnp.std(score, axis=0))
        signs.append(jnp.where(isinstance(axis, Choice) | (jnp.sum(position * score, axis=0) >= 0), 1.0, -1.0))
    effect = jnp.stack(effects, axis=1)
    return jnp.stack(signs, axis=1) * effect / jnp.maximum(jnp.sum(effect, axis=1, keepdims=True), 1e-12)


def _moved(config: Config, unit: Float[Array, "k d"], name: str) -> Float[Array, "l k d"]:
    """Return the points with one axis at each of its levels."""
    columns, axis = config.space.slices[name], dict(config.space.axes)[name]
    if isinstance(axis, Choice):
        levels = jnp.eye(axis.size, dtype=unit.dtype)
    else:
        levels = jnp.linspace(0, 1, _NUM_LEVELS, dtype=unit.dtype)[:, None]
    moved = jax.vmap(lambda level: unit.at[:, columns].set(level[None, :]))(levels)
    return config.space.snap(moved) if config.space.conditions else moved


def scaling_laws(config: Config, front: PredictedFront) -> dict[str, ScalingLaw]:
    """Log-log fits against cost of the score and of each optimal hyperparameter along the front.

    Axes are fitted on the scale on which they are searched: log value (Log, Pow2, Integer with `log`), log(1 - value)
    (Logit), the value itself otherwise; the score, where positive, by its logarithm. Choices have no law. Only the
    points where the front rises count: its plateaus repeat one point.
    """
    rises = jnp.concatenate([jnp.ones(1, bool), jnp.any(front.unit[1:] != front.unit[:-1], axis=1)])
    values = config.space.from_unit(front.unit)
    active, laws = config.space.activity(front.unit), {}
    for name, axis in config.space.axes:
        if isinstance(axis, Options):
            continue
        value = jnp.asarray(values[name]).astype(front.unit.dtype)
        if axis.is_log:
            value = jnp.log(value)
        elif isinstance(axis, Logit):
            value = jnp.log1p(-value)
        laws[name] = fit_line(jnp.log(front.cost), value, rises & active[name] if name in active else rises)
    positive = rises & (front.score > 0)
    laws["score"] = fit_line(jnp.log(front.cost), jnp.log(jnp.where(positive, front.score, 1)), positive)
    return laws


def fit_line(x: Float[Array, " k"], y: Float[Array, " k"], mask: Bool[Array, " k"]) -> ScalingLaw:
    """Least squares over the unmasked points; with fewer than three of them the deviations are infinite."""
    weight = mask.astype(x.dtype)
    count = jnp.sum(weight)
    mean_x, mean_y = (jnp.sum(weight * a) / jnp.maximum(count, 1) for a in (x, y))
    dx, dy = weight * (x - mean_x), weight * (y - mean_y)
    spread = jnp.maximum(jnp.sum(dx * dx), jnp.finfo(x.dtype).tiny)
    slope = jnp.sum(dx * dy) / spread
    residual = dy - slope * dx
    variance = jnp.where(count > 2, jnp.sum(residual * residual) / jnp.maximum(count - 2, 1), jnp.inf)
    return ScalingLaw(
        intercept=mean_y - slope * mean_x,
        slope=slope,
        slope_std=jnp.sqrt(variance / spread),
        residual_std=jnp.sqrt(variance),
        mean_log_cost=mean_x,
        num_points=jnp.maximum(count, 1),
    )


def worth_continuing(config: Config, state: State, key: PRNGKeyArray) -> Float[Array, ""]:
    """Expected relative gain in hypervolume of the next trial: stop when it is less than the trial is worth."""
    return sweep.suggest(config, state, key)[1].rating
