"""Axes of whole numbers: all of a range, every few, or powers of two."""

import dataclasses
import math
from typing import Any

import numpy as np

from neocarbs_jax.space.bounded import LARGEST_INT32, Bounded, check


@dataclasses.dataclass(frozen=True)
class Integer(Bounded):
    """A whole number, each of low, low + step, ... equally likely; with `log`, uniform in the logarithm.

    Traced values are int32; where `high` does not fit, floats.
    """

    low: int
    high: int
    step: int = dataclasses.field(default=1, kw_only=True)
    log: bool = dataclasses.field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            check(value == int(value), name, "be a whole number on an Integer axis", value)
            object.__setattr__(self, name, int(value))
        check(1 <= self.step <= self.high - self.low, "step", "lie in [1, high - low]", self.step)
        if self.log:
            check(self.low >= 1, "low", "be at least 1 with `log`", self.low)
            check(self.step == 1, "step", "be 1 with `log`", self.step)

    @property
    def is_log(self) -> bool:
        return self.log

    @property
    def _num_levels(self) -> int | None:
        return None if self.log else self._count

    @property
    def _count(self) -> int:
        return (self.high - self.low) // self.step + 1

    def contains(self, value: Any) -> bool:
        return super().contains(value) and (value - self.low) % self.step == 0

    def position(self, value: Any) -> Any:
        value = _as_float(value)
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return (value.__array_namespace__().log(value) - low) / (high - low)
        return (value - self.low + 0.5 * self.step) / (self.step * self._count)

    def from_unit(self, unit: Any) -> Any:
        xp = unit.__array_namespace__()
        integer = xp.int64 if xp is np else xp.int32
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            value = xp.clip(xp.round(xp.exp(low + unit * (high - low))), self.low, self.high)
            return value if xp is not np and self.high > LARGEST_INT32 else value.astype(integer)
        level = xp.clip(xp.floor(unit * self._count), 0, self._count - 1)
        if xp is not np and self.high > LARGEST_INT32:
            return self.low + self.step * level
        return self.low + self.step * level.astype(integer)

    def level(self, unit: Any) -> Any:
        """Value of each unit coordinate, as conditions compare it."""
        return self.from_unit(unit)

    def to_python(self, value: Any) -> int:
        return int(value)


@dataclasses.dataclass(frozen=True)
class Pow2(Bounded):
    """A power of two, each equally likely. Traced values are int32; where `high` does not fit, floats."""

    low: int
    high: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high"):
            value = getattr(self, name)
            whole = value == int(value) and value >= 1 and int(value) & (int(value) - 1) == 0
            check(whole, name, "be a power of two on a Pow2 axis", value)
            object.__setattr__(self, name, int(value))
        check(self.high < 2**63, "high", "be below 2**63", self.high)

    @property
    def is_log(self) -> bool:
        return True

    @property
    def _num_levels(self) -> int:
        return self.high.bit_length() - self.low.bit_length() + 1

    def contains(self, value: Any) -> bool:
        return super().contains(value) and value == int(value) and int(value) & (int(value) - 1) == 0

    def position(self, value: Any) -> Any:
        value = _as_float(value)
        xp = value.__array_namespace__()
        return (xp.round(xp.log2(value / self.low)) + 0.5) / self._num_levels

    def from_unit(self, unit: Any) -> Any:
        xp = unit.__array_namespace__()
        level = xp.clip(xp.floor(unit * self._num_levels), 0, self._num_levels - 1)
        if xp is not np and self.high > LARGEST_INT32:
            return xp.ldexp(float(self.low) * xp.ones_like(unit), level.astype(xp.int32))
        return xp.left_shift(self.low, level.astype(xp.int64 if xp is np else xp.int32))

    def level(self, unit: Any) -> Any:
        """Value of each unit coordinate, as conditions compare it."""
        return self.from_unit(unit)

    def to_python(self, value: Any) -> int:
        return int(value)


def _as_float(value: Any) -> Any:
    xp = value.__array_namespace__()
    return value if xp.isdtype(value.dtype, "real floating") else value.astype(xp.ones(()).dtype)
