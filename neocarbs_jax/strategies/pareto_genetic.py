"""PufferLib's first rule, with the mathematics thrown away: small steps from the front."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from neocarbs_jax import pareto
from neocarbs_jax.space.feasibility import settle
from neocarbs_jax.strategies.base import Situation, Strategy, check_positive, random_parents


@dataclasses.dataclass(frozen=True)
class ParetoGenetic(Strategy):
    """Take a Gaussian step from a front point; every other time from the one farthest from its neighbours in cost.

    Attributes:
        radius: standard deviation of a step, as a fraction of each axis.

    References:
        PufferLib 3.0, `ParetoGenetic`.
    """

    name: ClassVar[str] = "pareto_genetic"
    radius: float = 0.15

    def __post_init__(self) -> None:
        check_positive(self, "radius")

    def propose(self, seen: Situation, key: PRNGKeyArray) -> Float[Array, " d"]:
        """Return a perturbed front point."""
        parent_key, step_key = jax.random.split(key)
        data = seen.observations
        parents, on_front = random_parents(seen, parent_key, 1)
        gaps = pareto.gaps(jnp.log(data.cost), on_front)
        lonely = data.unit[jnp.argmax(jnp.where(jnp.isfinite(gaps), gaps, 0))]
        parent = jnp.where((seen.count % 2 == 0) & (jnp.sum(on_front) > 1), lonely, parents[0])
        step = self.radius * jax.random.normal(step_key, parent.shape, jnp.float32)
        return settle(seen.space, parent + step.astype(parent.dtype), parent)
