"""NeoCARBS, the default: expected hypervolume improvement near a target cost that sweeps over the active range."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from neocarbs_jax import acquisition, candidates, pareto
from neocarbs_jax.beliefs import Beliefs
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.strategies.active import ActiveFront, ActiveRange, active_front, rate
from neocarbs_jax.strategies.base import Situation, Strategy, check_positive
from neocarbs_jax.strategies.continued import best_continuation
from neocarbs_jax.strategies.replicated import may_replicate, replicate_gain, resample_point
from neocarbs_jax.strategies.targets import calm, draw_target, within_budget

ACQUISITIONS = ("ehvi", "improvement", "conservative")
_SURE = 2.0  # power of the probability of success: one alone would go on trying what has failed all around


@dataclasses.dataclass(frozen=True)
class NeoCARBS(Strategy):
    """Maximise log EHVI - (g - t)^2 / (2 (w R)^2) + 2 log P(success) + caution, subject to P(cost > trial_cap) < delta.

    g is the predicted log cost and t a target in the active range R. Targets spread the *trials* evenly over log cost,
    while EHVI is largest in the front's gaps. The best of a set of candidates then climb by the gradient.

    Attributes:
        acquisition: "ehvi"; "improvement" of the mean over the nearest cheaper front point; or "conservative", the
            same with mean - kappa std.
        kappa: factor of the standard deviation in the conservative acquisition.
        num_initial: suggestions from the prior before the surrogates decide; the first is the search centre.
        num_candidates: points among which the acquisition chooses.
        num_refined: the best of them, which climb by the acquisition's gradient.
        refine_steps: steps that they climb.
        target_width: w, standard deviation of the weight around the target cost, as a fraction of the active range.
        thrift: once the range does not grow any more, targets are drawn with a density that falls as cost^-thrift.
        knee: where the active range of cost ends; see `ActiveRange`.
        growth: what is added to that end; see `ActiveRange`.
        reach: how far beyond it improvements count; see `ActiveRange`.
        caution: weight of a penalty on faces of the cube, divided by the number of successes.
        replicates: largest share of the trials that run a front point again. One does so where that is expected to
            change the expected front by more than a new point would; see `replicate_gain`. 0 is for never.
    """

    name: ClassVar[str] = "neocarbs"
    uses_surrogates: ClassVar[bool] = True
    continues: ClassVar[bool] = True
    acquisition: str = "ehvi"
    kappa: float = 1.0
    num_initial: int = 8
    num_candidates: int = 768
    num_refined: int = 16
    refine_steps: int = 12
    target_width: float = 0.15
    thrift: float = 0.35
    knee: float = ActiveRange.knee
    growth: float = ActiveRange.growth
    reach: float = ActiveRange.reach
    caution: float = 1.5
    replicates: float = 0.2

    def __post_init__(self) -> None:
        check_positive(self, "num_initial", "num_candidates", "num_refined", "refine_steps")
        check_positive(self, "kappa", "target_width", "thrift", "knee", "growth", "reach", "caution")
        if not (isinstance(self.replicates, int | float) and 0 <= self.replicates < 1):
            raise ValueError(f"`replicates` must be at least 0 and less than 1; got {self.replicates!r}.")
        if self.acquisition not in ACQUISITIONS:
            raise ValueError(f"`acquisition` must be one of {', '.join(ACQUISITIONS)}; got {self.acquisition!r}.")

    def starting(self, count: Any, num_successes: Any) -> Any:
        """Return whether the next point comes from the prior."""
        return (count < self.num_initial) | (num_successes == 0)

    def initial(self, space: SearchSpace, key: PRNGKeyArray) -> Float[Array, " d"]:
        """Return the first of the candidates from the prior."""
        return self._from_prior(space, jax.random.split(key)[0])[0]

    def rate(self, seen: Situation, at: Beliefs) -> Float[Array, ""]:
        """Return the expected gain over this strategy's active range."""
        return rate(self._range, seen.observations, seen.known, at)

    def propose(self, seen: Situation, key: PRNGKeyArray) -> Float[Array, " d"]:
        """Return the best point of all candidates and of those that climbed."""
        data, known = seen.observations, seen.known
        believed = self.observed(seen)
        on_front = pareto.non_dominated(believed.score, believed.log_cost, data.success)
        units = self._candidates(seen, on_front, key)
        at = known.at(units)
        most = jnp.inf if seen.log_max_cost is None else seen.log_max_cost
        # With its deviation: the mean alone saturates where nothing was tried, and the range would never grow there.
        reachable = jnp.max(jnp.minimum(at.log_cost + at.log_cost_std, most))
        front = active_front(self._range, data, known, believed, reachable, jnp.min(at.log_cost))
        target, width = draw_target(front, within_budget(seen, front, reachable), seen.count, self.thrift)
        width = width / jnp.sqrt(calm(seen, front))
        tried = data.success | data.pending | data.failed

        def worth(units: Float[Array, "m d"], at: Beliefs) -> Float[Array, " m"]:
            value = self._gain(front, at) + _SURE * at.log_success + self._caution(seen, units)
            return value + acquisition.target_weight(at.log_cost, target, self.target_width * width)

        def utility(units: Float[Array, "m d"], at: Beliefs) -> Float[Array, " m"]:
            return seen.admissible(at, worth(units, at))

        def evaluate(units: Float[Array, "m d"], at: Beliefs) -> Float[Array, " m"]:
            value = utility(units, at)
            new = candidates.is_new(units, data.unit, tried)
            return jnp.where(new & ~jnp.isnan(value), value, -jnp.inf)

        value, top = jax.lax.top_k(evaluate(units, at), min(self.num_refined, units.shape[0]))
        slope_fn = jax.grad(lambda unit: jnp.sum(utility(unit, known.at(unit))))
        near = candidates.climb(seen.space, slope_fn, units[top], self.refine_steps)
        near_value = evaluate(near, known.at(near))
        best = jnp.where(jnp.max(near_value) > value[0], near[jnp.argmax(near_value)], units[top[0]])
        most_worth = jnp.maximum(jnp.max(near_value), value[0])
        if seen.continued_column is not None:
            longer, its_worth = best_continuation(seen, on_front, key, max(self.num_candidates // 4, 1), worth)
            best = jnp.where(its_worth > most_worth, longer, best)
            most_worth = jnp.maximum(its_worth, most_worth)
        if self.replicates:
            gain = replicate_gain(seen, believed, on_front, front) + _SURE * believed.log_success
            gain = gain + acquisition.target_weight(believed.log_cost, target, self.target_width * width)
            gain = seen.admissible(believed, gain)
            wanted = (jnp.max(gain) > most_worth) & may_replicate(data, self.replicates)
            best = jnp.where(wanted, data.unit[jnp.argmax(gain)], best)
        starting = self.starting(seen.count, jnp.sum(data.success))
        # The first admissible draw from the prior: nothing is known yet but the likely cost.
        order = -jnp.arange(units.shape[0], dtype=units.dtype)
        first = units[jnp.argmax(seen.admissible(at, order + 100 * at.log_success))]
        unit = jnp.where(starting, first, best)
        if seen.resample_every:
            again, possible = resample_point(seen, believed, on_front, front)
            unit = jnp.where(possible & ~starting & (seen.count % seen.resample_every == 0), again, unit)
        return unit

    def observed(self, seen: Situation) -> Beliefs:
        """Return what is believed of the observed points: posterior means, so that no lucky seed stays on the front."""
        return seen.known.at_observed()

    @property
    def _range(self) -> ActiveRange:
        return ActiveRange(self.knee, self.growth, self.reach)

    def _from_prior(self, space: SearchSpace, key: PRNGKeyArray) -> Float[Array, "m d"]:
        return candidates.from_prior(space, key, max(self.num_candidates // 4, 1))

    def _candidates(self, seen: Situation, on_front: Bool[Array, " n"], key: PRNGKeyArray) -> Float[Array, "m d"]:
        """A quarter from the prior, the rest around the front."""
        prior_key, step_key = jax.random.split(key)
        prior = self._from_prior(seen.space, prior_key)
        num_steps = max(self.num_candidates - prior.shape[0], 1)
        return jnp.concatenate(
            [prior, candidates.perturb(seen.space, step_key, seen.observations.unit, on_front, num_steps)]
        )

    def _gain(self, front: ActiveFront, at: Beliefs) -> Float[Array, " m"]:
        """The acquisition of each point, without target and constraints."""
        if self.acquisition == "ehvi":
            return acquisition.log_expected_hypervolume_improvement(
                at.score, at.score_std, at.log_cost, front.edges, front.score
            )
        kappa = self.kappa if self.acquisition == "conservative" else 0.0
        strip = jnp.clip(jnp.searchsorted(front.edges, at.log_cost) - 1, 0, front.score.shape[0] - 1)
        return at.score - kappa * at.score_std - front.score[strip]

    def _caution(self, seen: Situation, units: Float[Array, "m d"]) -> Float[Array, " m"]:
        """(caution / n) sum_j log(4 u_j (1 - u_j)), bounded below, after n successes: faces and corners can wait.

        There the surrogates know least, so that a young sweep would look nowhere else. A prior that fades with the
        number of observations, after Hvarfner et al. (2022), pi-BO.
        """
        num = jnp.minimum(
            jnp.sum(seen.observations.success, dtype=jnp.int32), seen.count
        )  # points of a curve are no trials
        strength = self.caution / jnp.maximum(num, 1).astype(units.dtype)
        return strength * jnp.sum(jnp.log(0.02 + 4 * units * (1 - units)), axis=-1)
