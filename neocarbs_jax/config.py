"""The static choices of a sweep: one frozen, hashable object that jit treats as a constant."""

import dataclasses
import math

from neocarbs_jax.space import Choice, SearchSpace
from neocarbs_jax.warping import WARPS

ACQUISITIONS = ("ehvi", "improvement", "conservative")
STRATEGY_NAMES = ("neocarbs", "protein", "carbs", "pareto_genetic", "random")


@dataclasses.dataclass(frozen=True)
class Config:
    """What a sweep searches, and how.

    Attributes:
        space: the search space.
        capacity: rows of the observation buffer. Full, it forgets its oldest row off the front; see `sweep.grow`.
        strategy: a name in `STRATEGY_NAMES`.
        warp: what the surrogate makes of scores: a name in `warping.WARPS`, or "auto".
        aggression: eps of the aggression warp; smaller resolves the best scores further apart.
        acquisition: "ehvi"; "improvement" of the mean over the nearest cheaper front point; or "conservative", the
            same with mean - kappa std.
        kappa: see there.
        resample_every: every so many suggestions, a front point is run again; 0 for never.
        budget: name of the axis along which `observe_curve` gives observations.
        max_cost: no suggestion shall cost more; None for no limit.
        delta: largest accepted probability that a suggestion exceeds `max_cost`.
        num_initial: suggestions from the prior before the surrogate decides; the first is the search centre.
        num_candidates: points among which the acquisition chooses.
        target_width: standard deviation of the weight around the target cost, as a fraction of the active range.
        knee: the active cost range ends at the cheapest front point within this fraction of the best score, and starts
            where the front leaves the worst score by as much ...
        growth: ... plus this many nats of cost beyond the end, and below the cheapest trial while its score is good.
        reach: nats beyond that end in which an improvement still counts.
        overshoot: extra share of suggestions at the end of the range while it may grow.
        thrift: once it cannot grow, the density of target costs falls as cost^-thrift.
        num_refined: the best of them, which then climb by the acquisition's gradient ...
        refine_steps: ... for so many steps.
        caution: weight of a penalty on faces of the cube, divided by the number of successes.
        fit_steps: optimiser steps per surrogate fit.
    """

    space: SearchSpace
    capacity: int = 256
    strategy: str = "neocarbs"
    warp: str = "auto"
    aggression: float = 0.3
    acquisition: str = "ehvi"
    kappa: float = 1.0
    resample_every: int = 0
    budget: str | None = None
    max_cost: float | None = None
    delta: float = 0.05
    num_initial: int = 4
    num_candidates: int = 768
    num_refined: int = 16
    refine_steps: int = 12
    caution: float = 1.5
    target_width: float = 0.15
    knee: float = 0.02
    growth: float = 1.0
    reach: float = 0.7
    overshoot: float = 0.15
    thrift: float = 0.15
    fit_steps: int = 24

    def __post_init__(self) -> None:
        if not isinstance(self.space, SearchSpace):
            raise ValueError(f"`space` must be a SearchSpace; got {self.space!r}.")
        for name in ("capacity", "num_initial", "num_candidates", "num_refined", "refine_steps", "fit_steps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a positive whole number; got {value!r}.")
        shares = ("target_width", "knee", "growth", "reach", "overshoot", "thrift", "aggression", "kappa", "caution")
        for name in shares:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"`{name}` must be positive and finite; got {value!r}.")
        for name, known in (("warp", ("auto", *WARPS)), ("acquisition", ACQUISITIONS), ("strategy", STRATEGY_NAMES)):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {', '.join(known)}; got {getattr(self, name)!r}.")
        if not isinstance(self.resample_every, int) or self.resample_every < 0:
            raise ValueError(f"`resample_every` must be a whole number, at least 0; got {self.resample_every!r}.")
        ordered = [name for name, axis in self.space.axes if not isinstance(axis, Choice)]
        if self.budget is not None and self.budget not in ordered:
            raise ValueError(f"`budget` must be one of {', '.join(ordered)}; got {self.budget!r}.")
        if self.max_cost is not None and not (math.isfinite(self.max_cost) and self.max_cost > 0):
            raise ValueError(f"`max_cost` must be positive and finite, or None; got {self.max_cost!r}.")
        if not 0 < self.delta < 0.5:
            raise ValueError(f"`delta` must lie in (0, 0.5); got {self.delta!r}.")
