"""PufferLib's Protein over our surrogates, so that a comparison tells the rules apart and nothing else."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from neocarbs_jax.space.feasibility import settle
from neocarbs_jax.strategies.base import Situation, Strategy, check_positive, observed_range, random_parents


@dataclasses.dataclass(frozen=True)
class Protein(Strategy):
    """Maximise normalised mean score x (1 - |t - normalised log cost|) x 1[cost < trial_cap], t ~ U[0, 1.25].

    Attributes:
        num_candidates: points around the front among which it chooses.
        radius: half the width of the box around a front point that candidates are uniform in, as a fraction of an axis.

    References:
        PufferLib 3.0, `Protein`.
    """

    name: ClassVar[str] = "protein"
    uses_surrogates: ClassVar[bool] = True
    num_candidates: int = 768
    radius: float = 0.25

    def __post_init__(self) -> None:
        check_positive(self, "num_candidates", "radius")

    def propose(self, seen: Situation, key: PRNGKeyArray) -> Float[Array, " d"]:
        """Return the best candidate."""
        parent_key, step_key, target_key = jax.random.split(key, 3)
        data, known = seen.observations, seen.known
        base, _ = random_parents(seen, parent_key, self.num_candidates)
        step = jax.random.uniform(step_key, base.shape, jnp.float32, -self.radius, self.radius)
        units = settle(seen.space, base + step.astype(base.dtype), base)
        at = known.at(units)
        target = jax.random.uniform(target_key, (), jnp.float32, 0.0, 1.25).astype(base.dtype)
        worst, best = observed_range(known.warp.forward(data.score), data.success)
        cheapest, dearest = observed_range(jnp.log(data.cost), data.success)
        share = (at.log_cost - cheapest) / (dearest - cheapest)
        value = (at.score - worst) / (best - worst) * (1 - jnp.abs(target - share))
        return units[jnp.argmax(seen.affordable(at, value))]
