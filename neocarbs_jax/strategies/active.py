"""The range of cost that a sweep works on, the front over it, and what the next trial may add to that."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from neocarbs_jax import pareto
from neocarbs_jax.beliefs import Beliefs, Surrogates
from neocarbs_jax.observations import Observations
from neocarbs_jax.precision import matmul

_MOST_STEPS = 48  # of the staircase; the least of more are left out
_MARGIN = 0.1
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(12)


class ActiveFront(NamedTuple):
    """The staircase front over the active range of log cost, in warped score.

    Attributes:
        edges: ascending log costs, from the first to the last that counts.
        score: value of the front in each strip between two edges.
        end: end of the active range, from which target costs are drawn.
    """

    edges: Float[Array, " k+1"]
    score: Float[Array, " k"]
    end: Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class ActiveRange:
    """Where the active range of cost ends: at its knee, plus some.

    Attributes:
        knee: the range ends at the cheapest front point within this share (of the front's range of scores) of the best
            score, and starts where the front leaves the worst score by as much.
        growth: nats of cost added at the end, and below the cheapest trial while its score is good.
        reach: nats beyond the end in which an improvement still counts.
    """

    knee: float = 0.02
    growth: float = 1.0
    reach: float = 0.7


def active_front(
    rule: ActiveRange,
    observations: Observations,
    known: Surrogates,
    believed: Beliefs,
    reachable: Float[Array, ""] | float = jnp.inf,
    cheapest: Float[Array, ""] | float = -jnp.inf,
) -> ActiveFront:
    """Return the front of posterior means from where it rises to its knee, plus `growth` nats of cost at either end.

    A solved task does not run off to ever higher cost, and an unsolved one may grow. The front rises from the dearest
    point before any leaves the worst score; while even the cheapest one is better than that, the range grows downwards.

    Args:
        rule: where the range ends.
        observations: of the sweep.
        known: surrogates of the sweep.
        believed: of the observed points.
        reachable: the highest log cost that any candidate may well have.
        cheapest: the lowest.
    """
    success, log_cost, plain = observations.success, believed.log_cost, known.plain(believed.score)
    any_success = jnp.any(success)
    on_front = pareto.non_dominated(believed.score, log_cost, success)
    high = jnp.max(jnp.where(success, plain, -jnp.inf))
    tolerance = jnp.where(any_success, rule.knee * (high - jnp.min(jnp.where(on_front, plain, jnp.inf))), 0)
    good = success & (plain >= high - tolerance)
    first = jnp.where(any_success, jnp.min(jnp.where(success, log_cost, jnp.inf)), 0)
    above = success & (plain > jnp.min(jnp.where(success, plain, jnp.inf)) + tolerance)
    rise = jnp.where(jnp.any(above), jnp.min(jnp.where(above, log_cost, jnp.inf)), first)
    cheaper = success & (log_cost < rise)
    before = jnp.max(jnp.where(cheaper, log_cost, -jnp.inf))
    below = jnp.maximum(first - rule.growth, jnp.minimum(cheapest, first))
    start = jnp.where(jnp.any(cheaper), before, below)
    end = jnp.where(any_success, jnp.min(jnp.where(good, log_cost, jnp.inf)), 0) + rule.growth
    # Beyond what any candidate can reach there is nothing to gain: a margin keeps the dearest ones in.
    last = jnp.maximum(jnp.minimum(end + rule.reach, reachable + _MARGIN), start + _MARGIN)
    floor = jnp.where(any_success, jnp.min(jnp.where(success, believed.score, jnp.inf)), 0)
    begins = pareto.staircase(believed.score, log_cost, success, start[None], floor)
    costs, scores = _steps(believed, on_front, start, last, begins)
    edges = jnp.concatenate([start[None], costs, last[None]])
    return ActiveFront(edges, jnp.concatenate([begins, scores]), end)


def _steps(
    believed: Beliefs,
    on_front: Bool[Array, " n"],
    start: Float[Array, ""],
    last: Float[Array, ""],
    begins: Float[Array, " 1"],
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Return where the staircase rises within a range, by ascending log cost, and to which scores.

    The costs are those of the points themselves. On a fixed grid of costs, whatever lies a little to the left of a
    front point would seem to gain the rest of a cell. Where there are fewer steps than rows, the others are at the end
    of the range, without width.
    """
    inside = on_front & (believed.log_cost < last)
    order = jnp.argsort(jnp.where(inside, believed.log_cost, jnp.inf))
    inside = inside[order]
    costs = jnp.where(inside, jnp.clip(believed.log_cost[order], start, last), last)
    scores = jax.lax.cummax(jnp.where(inside, believed.score[order], begins))  # padding continues the last step
    if costs.shape[0] > _MOST_STEPS:
        rise = scores - jnp.concatenate([begins, scores[:-1]])
        area = jnp.where(inside, rise * (jnp.concatenate([costs[1:], last[None]]) - costs), -1)
        kept = jnp.sort(jax.lax.top_k(area, _MOST_STEPS)[1])
        costs, scores = costs[kept], scores[kept]
    return costs, scores


def rate(rule: ActiveRange, observations: Observations, known: Surrogates, at: Beliefs) -> Float[Array, ""]:
    """Return the expected hypervolume gain of a trial, as a fraction of the present hypervolume of the front.

    It is the sum over the strips to the right of the trial's cost of width x E[max(y - front, 0)], y the noiseless
    score in the user's units (by Gauss-Hermite quadrature through the warp), over the area of the front above the worst
    score seen. Before the first success it is 1: the whole front is to come.

    Args:
        rule: where the active range of cost ends.
        observations: of the sweep.
        known: surrogates of the sweep.
        at: beliefs about the one point to rate.
    """
    believed = known.at_observed()
    front = active_front(rule, observations, known, believed)
    nodes = jnp.asarray(_NODES, at.score.dtype)
    weights = jnp.asarray(_WEIGHTS / _WEIGHTS.sum(), at.score.dtype)
    # Standardised scores: extreme units would overflow in single precision.
    score, height = known.plain(at.score[0] + at.score_std[0] * nodes), known.plain(front.score)
    width = jnp.maximum(front.edges[1:] - jnp.maximum(front.edges[:-1], at.log_cost[0]), 0)
    gain = matmul(width, matmul(jnp.maximum(score[None, :] - height[:, None], 0), weights))
    span = front.edges[-1] - front.edges[0]
    floor = known.plain(jnp.min(jnp.where(observations.success, believed.score, jnp.inf))[None])[0]
    area = jnp.sum(jnp.diff(front.edges) * (height - floor))
    # A front without area (one point) counts as one standard deviation high.
    gain = gain / jnp.where(area > 1e-3 * span, area, span)
    return jnp.where(jnp.any(observations.success), gain, 1)
