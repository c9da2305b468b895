"""What the rules for the next point have in common: what they see, and the methods that they define."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PRNGKeyArray

from neocarbs_jax import candidates, pareto
from neocarbs_jax.beliefs import Beliefs, Surrogates, cost_bound
from neocarbs_jax.observations import Observations, merge
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.strategies.active import ActiveRange, rate


class Situation(NamedTuple):
    """What a strategy sees.

    Attributes:
        space: the search space.
        observations: of the sweep.
        surrogates: conditioned on them; None for strategies that use none.
        count: number of earlier suggestions.
        log_max_cost: logarithm of the largest cost that a trial may have; None for no limit.
        log_remaining: logarithm of what is left of the sweep's budget; None for no budget.
        delta: largest accepted probability that a suggestion costs more than `log_max_cost`.
        resample_every: every so many suggestions, a front point is run again; 0 for never.
        continued_column: column of the budget along which trials may go on from others; None where none does.
    """

    space: SearchSpace
    observations: Observations
    surrogates: Surrogates | None
    count: Int[Array, ""]
    log_max_cost: Float[ArrayLike, ""] | None = None
    log_remaining: Float[Array, ""] | None = None
    delta: float = 0.05
    resample_every: int = 0
    continued_column: int | None = None

    @property
    def known(self) -> Surrogates:
        """The surrogates, of a strategy that uses them."""
        assert self.surrogates is not None
        return self.surrogates

    def affordable(self, at: Beliefs, value: Float[Array, " m"]) -> Float[Array, " m"]:
        """Return the value where the predicted cost is below the limit, -inf elsewhere."""
        if self.log_max_cost is None:
            return value
        return jnp.where(at.log_cost < self.log_max_cost, value, -jnp.inf)

    def admissible(self, at: Beliefs, value: Float[Array, " m"]) -> Float[Array, " m"]:
        """Return the values under the limit on cost: points that may break it rank below all others, the worst last.

        A point may break it where the probability of that is above `delta`.
        """
        if self.log_max_cost is None:
            return value
        excess = cost_bound(at, self.delta) - jnp.asarray(self.log_max_cost, value.dtype)
        return jnp.where((excess <= 0) | (value == -jnp.inf), value, -1e6 * (1 + jnp.maximum(excess, 0)))


@dataclasses.dataclass(frozen=True)
class Strategy:
    """A rule for the next point: a frozen dataclass whose fields are the rule's own numbers.

    The first suggestion of a sweep is the search centre, whatever the strategy.
    """

    name: ClassVar[str]
    """What command lines and studies call it."""
    uses_surrogates: ClassVar[bool] = False
    """Whether `propose` looks at `Situation.surrogates`."""
    continues: ClassVar[bool] = False
    """Whether `propose` may go on from earlier trials, where `Situation.continued_column` is given."""
    num_initial: ClassVar[int] = 1
    """Number of suggestions at the start of a sweep that need no surrogates; NeoCARBS has it as a field."""

    def starting(self, count: Any, num_successes: Any) -> Any:
        """Return whether the next point is `initial`, provided that nothing has failed and costs have no limit."""
        return count < self.num_initial

    def initial(self, space: SearchSpace, key: PRNGKeyArray) -> Float[Array, " d"]:
        """Return a point of the initial design, which needs no observations."""
        return candidates.from_prior(space, key, 1)[0]

    def propose(self, seen: Situation, key: PRNGKeyArray) -> Float[Array, " d"]:
        """Return the next point of the unit cube; the key is consumed."""
        raise NotImplementedError

    def rate(self, seen: Situation, at: Beliefs) -> Float[Array, ""]:
        """Return the expected hypervolume gain of a trial, as a share of the front's present hypervolume."""
        return rate(ActiveRange(), seen.observations, seen.known, at)


def check_positive(strategy: Strategy, *names: str) -> None:
    """Raise a ValueError unless these fields are positive: whole numbers where their defaults are."""
    for name in names:
        value, default = getattr(strategy, name), type(strategy).__dataclass_fields__[name].default
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(default, int) and not (is_number and isinstance(value, int) and value > 0):
            raise ValueError(f"`{name}` must be a positive whole number; got {value!r}.")
        if not (is_number and math.isfinite(value) and value > 0):
            raise ValueError(f"`{name}` must be positive and finite; got {value!r}.")


def raw_front(observations: Observations) -> Bool[Array, " n"]:
    """Return the points on the front of measured scores, replicates averaged."""
    merged = merge(observations)
    return pareto.non_dominated(merged.score, jnp.log(merged.cost), merged.first)


def random_parents(seen: Situation, key: PRNGKeyArray, num: int) -> tuple[Float[Array, "m d"], Bool[Array, " n"]]:
    """Return random points of the raw front, or the search centre while there is none, and the front."""
    unit = seen.observations.unit
    on_front = raw_front(seen.observations)
    logits = jnp.where(on_front | ~jnp.any(on_front), 0.0, -jnp.inf).astype(jnp.float32)
    index = jax.random.categorical(key, logits, shape=(num,))
    center = jnp.asarray(seen.space.center, unit.dtype)
    return jnp.where(jnp.any(on_front), unit[index], center[None, :]), on_front


def observed_range(value: Float[Array, " n"], mask: Bool[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return the least and the greatest of the unmasked values, at least .001 apart; 0 and 1 without any."""
    low = jnp.min(jnp.where(mask, value, jnp.inf), initial=jnp.inf)
    high = jnp.max(jnp.where(mask, value, -jnp.inf), initial=-jnp.inf)
    low = jnp.where(jnp.any(mask), low, 0)
    return low, jnp.maximum(jnp.where(jnp.any(mask), high, 1), low + 1e-3)
