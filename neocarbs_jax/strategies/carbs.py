"""Imbue's CARBS over our surrogates, so that a comparison tells the rules apart and nothing else."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from neocarbs_jax import acquisition, pareto
from neocarbs_jax.observations import merge
from neocarbs_jax.space.feasibility import settle
from neocarbs_jax.strategies.base import Situation, Strategy, check_positive, observed_range, random_parents


@dataclasses.dataclass(frozen=True)
class CARBS(Strategy):
    """Maximise EI over the front at the predicted cost x search density x P(success) x 1[cost < trial_cap].

    Candidates are Gaussian steps from front points, and the search density is that of the step. A random log-uniform
    cost lifts the reference: only gains above the front at that cost count.

    Attributes:
        num_candidates: points around the front among which it chooses.
        radius: standard deviation of a step, as a fraction of each axis.
        resample_every: every so many suggestions, the least-sampled front point is run again.

    References:
        Fetterman et al. (2023), Tune As You Scale: Hyperparameter Optimization For Compute Efficient Training.
    """

    name: ClassVar[str] = "carbs"
    uses_surrogates: ClassVar[bool] = True
    num_candidates: int = 768
    radius: float = 0.15
    resample_every: int = 5

    def __post_init__(self) -> None:
        check_positive(self, "num_candidates", "radius", "resample_every")

    def propose(self, seen: Situation, key: PRNGKeyArray) -> Float[Array, " d"]:
        """Return the best candidate, or a front point to run again."""
        parent_key, step_key, floor_key = jax.random.split(key, 3)
        data, known = seen.observations, seen.known
        base, on_front = random_parents(seen, parent_key, self.num_candidates)
        step = jax.random.normal(step_key, base.shape, jnp.float32).astype(base.dtype)
        units = settle(seen.space, base + self.radius * step, base)
        at = known.at(units)
        cheapest, dearest = observed_range(jnp.log(data.cost), data.success)
        lift = jax.random.uniform(floor_key, (), jnp.float32).astype(base.dtype)
        reference_cost = jnp.maximum(at.log_cost, cheapest + (dearest - cheapest) * lift)
        believed = known.at_observed()
        worst, _ = observed_range(believed.score, data.success)
        reference = pareto.staircase(believed.score, believed.log_cost, data.success, reference_cost, worst)
        value = acquisition.log_expected_improvement(at.score, at.score_std, reference)
        value += -0.5 * jnp.mean(step**2, axis=1) + at.log_success
        replicates = jnp.where(on_front, merge(data).num_replicates, jnp.iinfo(jnp.int32).max)
        again = (seen.count % self.resample_every == self.resample_every - 1) & jnp.any(on_front)
        best = units[jnp.argmax(seen.affordable(at, value))]
        return jnp.where(again, data.unit[jnp.argmin(replicates)], best)
