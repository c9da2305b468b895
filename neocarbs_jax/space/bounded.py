"""What all axes have in common: bounds, prior, and the map between values and unit coordinates.

Every axis maps its values to [0, 1] such that the uniform distribution is the prior. Each method follows the array
that it is given: JAX in, JAX out (traceable); NumPy in, NumPy out, in the precision of the input.
"""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from neocarbs_jax.space.conditions import When, normalised

LARGEST_INT32 = 2**31 - 1


def check(ok: bool, argument: str, rule: str, value: object) -> None:
    """Raise a `ValueError` that names argument, rule and value, unless it is ok."""
    if not ok:
        raise ValueError(f"`{argument}` must {rule}; got {value!r}.")


def is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    try:
        return isinstance(value, int | float | np.number) and math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


@dataclasses.dataclass(frozen=True)
class Bounded:
    """What all axes with two bounds share.

    Attributes:
        low: smallest value.
        high: largest value.
        center: where a sweep starts; the middle of the axis by default.
        width: standard deviation of the prior around `center`, as a fraction of the axis; None means uniform.
        when: conditions on other axes under which this one is active; see `neocarbs_jax.space.conditions`.
    """

    low: float
    high: float
    center: float | None = dataclasses.field(default=None, kw_only=True)
    width: float | None = dataclasses.field(default=None, kw_only=True)
    when: When | None = dataclasses.field(default=None, kw_only=True)
    size: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                object.__setattr__(self, field.name, value.item())
        object.__setattr__(self, "when", normalised(self.when))
        check(is_number(self.low), "low", "be a finite number", self.low)
        check(is_number(self.high), "high", "be a finite number", self.high)
        check(self.low < self.high, "low", "be less than `high`", (self.low, self.high))
        check(math.isfinite(float(self.high) - self.low), "high", f"be within 1.8e308 of {self.low}", self.high)
        if self.center is not None:
            inside = is_number(self.center) and self.low <= self.center <= self.high
            check(inside, "center", f"lie in [{self.low}, {self.high}]", self.center)
        if self.width is not None:
            check(is_number(self.width) and self.width > 0, "width", "be positive", self.width)

    def contains(self, value: Any) -> bool:
        """Whether a Python value belongs to the axis."""
        return is_number(value) and self.low <= value <= self.high

    @property
    def unit_center(self) -> tuple[float, ...]:
        """Unit coordinates of the search centre."""
        if self.center is None:
            return (0.5,)
        return (float(self.to_unit(np.asarray(self.center, np.float64))),)

    @property
    def unit_width(self) -> float:
        """Prior width in unit coordinates; infinite for the uniform prior."""
        return math.inf if self.width is None else self.width

    @property
    def is_log(self) -> bool:
        """Whether the axis is best drawn on a logarithmic scale."""
        return False

    @property
    def _num_levels(self) -> int | None:
        """Number of values, each the middle of a cell; None for a continuum."""
        return None

    def to_unit(self, value: Any) -> Any:
        """Unit coordinate in [0, 1] of each value; that of the nearest bound for values beyond them."""
        edge = 0.5 / self._num_levels if self._num_levels else 0.0
        return value.__array_namespace__().clip(self.position(value), edge, 1.0 - edge)

    def position(self, value: Any) -> Any:
        """Unit coordinate of each value, below 0 or above 1 for values beyond the bounds; not finite where none is."""
        raise NotImplementedError

    def coordinates(self, value: Any) -> np.ndarray:
        """Unit coordinates of a Python value, within [0, 1] or beyond; not finite where it has no place."""
        if not isinstance(value, int | float | np.number):
            return np.full(1, np.nan)
        coordinate = self.to_unit if self.contains(value) else self.position
        try:
            with np.errstate(all="ignore"):
                return np.atleast_1d(coordinate(np.asarray(value, np.float64)))
        except OverflowError:  # a whole number beyond the largest float
            return np.full(1, np.nan)

    def from_unit(self, unit: Any) -> Any:
        """Value of each unit coordinate."""
        raise NotImplementedError

    def to_python(self, value: Any) -> Any:
        """A NumPy scalar of `from_unit` as a Python number."""
        return float(value)
