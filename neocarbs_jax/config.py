"""The static choices of a sweep: one frozen, hashable object that jit treats as a constant."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from neocarbs_jax.fitting import LUCK, Form
from neocarbs_jax.gp import MATERN_LINEAR, KernelBuilder, Normal, prior_mode
from neocarbs_jax.gp.warping import WARPS
from neocarbs_jax.space import Options, SearchSpace
from neocarbs_jax.strategies import STRATEGIES, NeoCARBS, Strategy

DIRECTIONS = ("maximize", "minimize")
"""Of scores."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What a sweep searches, and how.

    Attributes:
        space: the search space.
        capacity: rows of the observation buffer. A full buffer forgets its oldest row off the front; see `sweep.grow`.
        strategy: the rule for the next point, such as `strategies.NeoCARBS()`; a name in `strategies.STRATEGIES` stands
            for that rule with its defaults.
        warp: the transform of scores that the surrogates see: a name in `gp.warping.WARPS`, several of them, of which
            the likeliest is taken, or "auto" for all.
        aggression: eps of the aggression warp; smaller resolves the best scores further apart.
        kernel_fn: tinygp kernel of the surrogates, with the prior of its parameters.
        resample_every: every so many suggestions, "neocarbs" runs a front point again; 0 for never.
        budget: name of the axis along which `observe_curve` gives observations.
        continues: whether a suggestion may go on from the checkpoint of an earlier trial, whose values are its own but
            for a smaller `budget`; see `continuations`.
        trial_cap: no suggestion shall cost more; None for no limit. Of one that goes on, what it pays itself counts.
        delta: largest accepted probability that a suggestion exceeds `trial_cap`.
        direction: "maximize", or "minimize" for a score that is to be small, such as a loss. Scores that come in and
            go out keep their sign; in `State.observations`, higher is better.
        max_cost: former name of `trial_cap`, for the constructor alone.
    """

    space: SearchSpace
    capacity: int = 256
    strategy: Strategy = NeoCARBS()  # noqa: RUF009  # frozen
    warp: str | tuple[str, ...] = "auto"
    aggression: float = 0.3
    kernel_fn: KernelBuilder = MATERN_LINEAR
    resample_every: int = 0
    budget: str | None = None
    continues: bool = False
    trial_cap: float | None = None
    delta: float = 0.05
    direction: str = "maximize"
    max_cost: dataclasses.InitVar[float | None] = None

    def __post_init__(self, max_cost: float | None) -> None:
        if max_cost is not None:
            object.__setattr__(self, "trial_cap", max_cost)
        if not isinstance(self.space, SearchSpace):
            raise ValueError(f"`space` must be a SearchSpace; got {self.space!r}.")
        if not _is_whole(self.capacity) or self.capacity < 1:
            raise ValueError(f"`capacity` must be a positive whole number; got {self.capacity!r}.")
        object.__setattr__(self, "strategy", _strategy(self.strategy))
        if isinstance(self.warp, list):
            object.__setattr__(self, "warp", tuple(self.warp))
        several = isinstance(self.warp, tuple) and self.warp and all(warp in WARPS for warp in self.warp)
        if not several and self.warp not in ("auto", *WARPS):
            raise ValueError(f"`warp` must be auto, or one or some of {', '.join(WARPS)}; got {self.warp!r}.")
        if not _is_positive(self.aggression):
            raise ValueError(f"`aggression` must be positive and finite; got {self.aggression!r}.")
        if not isinstance(self.kernel_fn, KernelBuilder):
            raise ValueError(f"`kernel_fn` must be a gp.KernelBuilder; got {self.kernel_fn!r}.")
        if self.kernel_fn is not MATERN_LINEAR:
            _check_kernel(self.kernel_fn, self.space.size)
        if not _is_whole(self.resample_every) or self.resample_every < 0:
            raise ValueError(f"`resample_every` must be a whole number, at least 0; got {self.resample_every!r}.")
        ordered = [name for name, axis in self.space.axes if not isinstance(axis, Options)]
        if self.budget is not None and self.budget not in ordered:
            raise ValueError(f"`budget` must be one of {', '.join(ordered)}; got {self.budget!r}.")
        if self.budget is not None and (
            self.space.axis_of[self.budget].when or any(self.budget in dict(w) for w in self.space.conditions.values())
        ):
            raise ValueError(f"`budget` must be an axis that no condition joins to others; got {self.budget!r}.")
        if not isinstance(self.continues, bool):
            raise ValueError(f"`continues` must be True or False; got {self.continues!r}.")
        if self.continues and self.budget is None:
            raise ValueError("`budget` must name an axis where `continues` is given; got None.")
        if self.continues and not self.strategy.continues:
            raise ValueError(f"`strategy` must be one that continues trials, neocarbs; got {self.strategy.name}.")
        _ = self.space.center  # says now where constraints leave nothing
        if self.trial_cap is not None and not _is_positive(self.trial_cap):
            raise ValueError(f"`trial_cap` must be positive and finite, or None; got {self.trial_cap!r}.")
        if self.direction not in DIRECTIONS:
            raise ValueError(f"`direction` must be maximize or minimize; got {self.direction!r}.")
        if not (_is_positive(self.delta) and self.delta < 0.5):
            raise ValueError(f"`delta` must lie in (0, 0.5); got {self.delta!r}.")

    def signed(self, score: Any) -> Any:
        """Return scores as the core sees them, higher being better, and back; NumPy in, NumPy out."""
        return -score if self.direction == "minimize" else score

    @property
    def continued_column(self) -> int | None:
        """Column of unit points in which a continuation differs from its parent; None where none is suggested."""
        return self.space.slices[self.budget].start if self.continues and self.budget is not None else None

    @property
    def warps(self) -> tuple[str, ...]:
        """The score warps among which the likeliest is taken."""
        if isinstance(self.warp, str):
            return WARPS if self.warp == "auto" else (self.warp,)
        return self.warp

    @property
    def form(self) -> Form:
        """The static form of the surrogates."""
        return Form(self.kernel_fn, self.warps, self.aggression, 0.0 if self.budget is None else LUCK)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _check_kernel(kernel_fn: KernelBuilder, num_axes: int) -> None:
    """Evaluate a user's kernel abstractly, so that what is wrong with it shows before the first trial."""

    def evaluate() -> Array:
        points = jnp.zeros((2, num_axes))
        return kernel_fn.build(prior_mode(kernel_fn, num_axes, Normal(0.0), points.dtype).kernel)(points, points)

    rule = f"`kernel_fn` must build a kernel of points with {num_axes} coordinates from the parameters of its prior"
    try:
        shape = jax.eval_shape(evaluate).shape
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{rule}; got {type(error).__name__}: {error}") from error
    if shape != (2, 2):
        raise ValueError(f"{rule}; got values of shape {shape} for two points and two points.")


def _strategy(given: Strategy | str) -> Strategy:
    if isinstance(given, Strategy):
        return given
    if not isinstance(given, str) or given not in STRATEGIES:
        raise ValueError(f"`strategy` must be a Strategy or one of {', '.join(STRATEGIES)}; got {given!r}.")
    return STRATEGIES[given]()
