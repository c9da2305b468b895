"""The front that a sweep believes in, the range of cost that it works on, and what the next trial may add to it."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from neocarbs_jax import pareto
from neocarbs_jax.config import Config
from neocarbs_jax.model import Beliefs, Model
from neocarbs_jax.observations import Observations

_NUM_STRIPS = 32
_MARGIN = 0.1
_GOLDEN_RATIO = 0.6180339887498949
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(12)


class Believed(NamedTuple):
    """The observed points as the surrogates see them; rows that are not successful mean nothing.

    Attributes:
        score: posterior mean of the warped score at each observed point.
        plain: the same, unwarped.
        log_cost: posterior mean of the log cost.
        std: posterior standard deviation of the warped score.
        on_front: successful points that no other one beats in both.
    """

    score: Float[Array, " n"]
    plain: Float[Array, " n"]
    log_cost: Float[Array, " n"]
    std: Float[Array, " n"]
    on_front: Bool[Array, " n"]


class Front(NamedTuple):
    """The staircase front over log cost, in warped score.

    Attributes:
        edges: ascending log costs, from the first to the last that counts.
        score: value of the front in each strip.
        end: end of the active range of log cost, from which targets are drawn.
    """

    edges: Float[Array, " k+1"]
    score: Float[Array, " k"]
    end: Float[Array, ""]


def believe(observations: Observations, model: Model) -> Believed:
    """Posterior means, not raw scores: a lucky seed does not stay on the front."""
    score, log_cost = model.score.mean, model.log_cost.inverse(model.cost.mean)
    on_front = pareto.non_dominated(score, log_cost, observations.success)
    return Believed(score, model.warp.unwarp(score), log_cost, model.score.std, on_front)


def active_front(
    config: Config,
    observations: Observations,
    believed: Believed,
    reachable: Float[Array, ""] | float = jnp.inf,
    cheapest: Float[Array, ""] | float = -jnp.inf,
) -> Front:
    """The front from where it rises to its knee, plus `growth` nats of cost at either end.

    The knee is the cheapest point within `knee` (of the front's range of scores) of the best: a solved task does not
    run off to ever higher cost, and an unsolved one may grow. The front rises from the dearest point before any leaves
    the worst score by as much; while even the cheapest one is better than that, the range grows downwards.

    Args:
        config: of the sweep.
        observations: of the sweep.
        believed: the same, as the surrogates see them.
        reachable: the highest log cost that any candidate may well have.
        cheapest: the lowest.
    """
    success, log_cost = observations.success, believed.log_cost
    any_success = jnp.any(success)
    high = jnp.max(jnp.where(success, believed.plain, -jnp.inf))
    cheapest_score = jnp.min(jnp.where(believed.on_front, believed.plain, jnp.inf))
    tolerance = jnp.where(any_success, config.knee * (high - cheapest_score), 0)
    good = success & (believed.plain >= high - tolerance)
    first = jnp.where(any_success, jnp.min(jnp.where(success, log_cost, jnp.inf)), 0)
    above = success & (believed.plain > jnp.min(jnp.where(success, believed.plain, jnp.inf)) + tolerance)
    rise = jnp.where(jnp.any(above), jnp.min(jnp.where(above, log_cost, jnp.inf)), first)
    before = jnp.max(jnp.where(success & (log_cost < rise), log_cost, -jnp.inf))
    below = jnp.maximum(first - config.growth, jnp.minimum(cheapest, first))
    start = jnp.where(rise > first, before, below)
    end = jnp.where(any_success, jnp.min(jnp.where(good, log_cost, jnp.inf)), 0) + config.growth
    # Beyond what any candidate can reach there is nothing to gain: a margin keeps the dearest ones in.
    last = jnp.maximum(jnp.minimum(end + config.reach, reachable + _MARGIN), start + _MARGIN)
    edges = start + (last - start) * jnp.linspace(0, 1, _NUM_STRIPS + 1, dtype=log_cost.dtype)
    floor = jnp.where(any_success, jnp.min(jnp.where(success, believed.score, jnp.inf)), 0)
    return Front(edges, pareto.staircase(believed.score, log_cost, success, edges[:-1], floor), end)


def draw_target(
    config: Config, front: Front, reachable: Float[Array, ""], count: Int[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Target log cost of this suggestion, and the width of the active range that it comes from.

    Targets follow the golden-ratio sequence, the most even one. While the front may still grow, the top of the range is
    tried more often; once it is all that candidates can reach, the density falls as cost^-thrift.
    """
    start = front.edges[0]
    dtype = start.dtype
    end = jnp.maximum(jnp.minimum(front.end, reachable), start + 1e-3)
    growing = front.end < reachable
    overshoot = jnp.where(growing, config.overshoot, 0.0).astype(dtype)
    golden = jnp.remainder(count.astype(dtype) * _GOLDEN_RATIO, 1.0) * (1 + overshoot)
    fall = jnp.where(growing, 1e-3, config.thrift).astype(dtype) * (end - start)
    share = -jnp.log1p(jnp.minimum(golden, 1) * jnp.expm1(-fall)) / fall
    return start + (end - start) * share, end - start


def rate(config: Config, observations: Observations, model: Model, believed: Believed, at: Beliefs) -> Float[Array, ""]:
    """Expected hypervolume gain of a trial, as a fraction of the present hypervolume of the front.

    Sum over the strips to the right of its cost of width x E[max(y - front, 0)], y the noiseless score in the user's
    units (by Gauss-Hermite quadrature through the warp), over the same area of the front above the worst score seen.
    """
    front = active_front(config, observations, believed, jnp.inf)
    nodes = jnp.asarray(_NODES, at.score.dtype)
    weights = jnp.asarray(_WEIGHTS / _WEIGHTS.sum(), at.score.dtype)
    # Standardised scores: extreme units would overflow in single precision.
    unwarp = model.warp.unwarp
    score = unwarp(at.score[0] + at.score_std[0] * nodes)
    height = unwarp(front.score)
    width = jnp.maximum(front.edges[1:] - jnp.maximum(front.edges[:-1], at.log_cost[0]), 0)
    gain = width @ (jnp.maximum(score[None, :] - height[:, None], 0) @ weights)
    span = front.edges[-1] - front.edges[0]
    floor = unwarp(jnp.min(jnp.where(observations.success, believed.score, jnp.inf))[None])[0]
    area = jnp.diff(front.edges) @ (height - floor)
    # A front without area (one point) counts as one standard deviation high.
    gain = gain / jnp.where(area > 1e-3 * span, area, span)
    return jnp.where(jnp.any(observations.success), gain, jnp.inf)
