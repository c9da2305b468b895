"""Random search, the least that a tuner must beat."""

import dataclasses
from typing import Any, ClassVar

from jaxtyping import Array, Float, PRNGKeyArray

from neocarbs_jax.strategies.base import Situation, Strategy


@dataclasses.dataclass(frozen=True)
class Random(Strategy):
    """Draw each point from the prior of the search space."""

    name: ClassVar[str] = "random"

    def starting(self, count: Any, num_successes: Any) -> Any:
        """Return True: every point is one of the initial design."""
        return True

    def propose(self, seen: Situation, key: PRNGKeyArray) -> Float[Array, " d"]:
        """Return a draw from the prior."""
        return self.initial(seen.space, key)
