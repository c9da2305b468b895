"""The static choices of a sweep: one frozen, hashable object that jit treats as a constant."""

import dataclasses
import math

from neocarbs_jax.space import SearchSpace


@dataclasses.dataclass(frozen=True)
class Config:
    """What a sweep searches, and how.

    Attributes:
        space: the search space.
        capacity: rows of the observation buffer. Full, it forgets its oldest row off the front; see `sweep.grow`.
        strategy: a name in `strategies.STRATEGIES`.
        max_cost: no suggestion shall cost more; None for no limit.
        delta: largest accepted probability that a suggestion exceeds `max_cost`.
        num_initial: suggestions from the prior before the surrogate decides; the first is the search centre.
        num_candidates: points among which the acquisition chooses.
        target_width: standard deviation of the weight around the target cost, as a fraction of the active range.
        knee: the active cost range ends at the cheapest front point within this fraction of the best score ...
        growth: ... plus this many nats of cost.
        fit_steps: optimiser steps per surrogate fit.
    """

    space: SearchSpace
    capacity: int = 256
    strategy: str = "neocarbs"
    max_cost: float | None = None
    delta: float = 0.05
    num_initial: int = 4
    num_candidates: int = 2048
    target_width: float = 0.15
    knee: float = 0.02
    growth: float = 0.7
    fit_steps: int = 60

    def __post_init__(self) -> None:
        if not isinstance(self.space, SearchSpace):
            raise ValueError(f"`space` must be a SearchSpace; got {self.space!r}.")
        for name in ("capacity", "num_initial", "num_candidates", "fit_steps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a positive whole number; got {value!r}.")
        for name in ("target_width", "knee", "growth"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"`{name}` must be positive and finite; got {value!r}.")
        if self.max_cost is not None and not (math.isfinite(self.max_cost) and self.max_cost > 0):
            raise ValueError(f"`max_cost` must be positive and finite, or None; got {self.max_cost!r}.")
        if not 0 < self.delta < 0.5:
            raise ValueError(f"`delta` must lie in (0, 0.5); got {self.delta!r}.")
