"""Axes of real numbers: even in the value, in its logarithm, or in its log odds."""

import dataclasses
import decimal
import math
from typing import Any

from neocarbs_jax.space.bounded import Bounded, check, is_number


@dataclasses.dataclass(frozen=True)
class Linear(Bounded):
    """A real number, uniform between its bounds; with `step`, only low, low + step, ... up to `high`."""

    step: float | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step is not None:
            in_range = is_number(self.step) and 0 < self.step <= self.high - self.low
            check(in_range, "step", f"lie in (0, {self.high - self.low}]", self.step)

    @property
    def _num_levels(self) -> int | None:
        return None if self.step is None else math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def position(self, value: Any) -> Any:
        if self.step is None or self._num_levels is None:
            return (value - self.low) / (self.high - self.low)
        return (value.__array_namespace__().round((value - self.low) / self.step) + 0.5) / self._num_levels

    def from_unit(self, unit: Any) -> Any:
        xp = unit.__array_namespace__()
        if self.step is None or self._num_levels is None:
            return xp.clip(self.low + unit * (self.high - self.low), self.low, self.high)
        level = xp.clip(xp.floor(unit * self._num_levels), 0, self._num_levels - 1)
        return xp.clip(self.low + level * self.step, self.low, self.high)

    def to_python(self, value: Any) -> float:
        if self.step is None:
            return float(value)
        low, step = (decimal.Decimal(str(float(number))) for number in (self.low, self.step))
        return float(low + round((float(value) - self.low) / self.step) * step)  # 0.3, not 3 x 0.1


@dataclasses.dataclass(frozen=True)
class Log(Bounded):
    """A positive real number, uniform in its logarithm."""

    def __post_init__(self) -> None:
        check(is_number(self.low) and self.low > 0, "low", "be positive on a Log axis", self.low)
        super().__post_init__()

    @property
    def is_log(self) -> bool:
        return True

    def position(self, value: Any) -> Any:
        low, high = math.log(self.low), math.log(self.high)
        return (value.__array_namespace__().log(value) - low) / (high - low)

    def from_unit(self, unit: Any) -> Any:
        xp = unit.__array_namespace__()
        low, high = math.log(self.low), math.log(self.high)
        return xp.clip(xp.exp(low + unit * (high - low)), self.low, self.high)


@dataclasses.dataclass(frozen=True)
class Logit(Bounded):
    """A real number between 0 and 1, uniform in its log odds: resolves 0.999 from 0.9999, and 0.001 from 0.0001."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.low > 0, "low", "be above 0 on a Logit axis", self.low)
        check(self.high < 1, "high", "be below 1 on a Logit axis", self.high)

    @property
    def _log_odds(self) -> tuple[float, float]:
        return math.log(self.low) - math.log1p(-self.low), math.log(self.high) - math.log1p(-self.high)

    def position(self, value: Any) -> Any:
        xp = value.__array_namespace__()
        low, high = self._log_odds
        return (xp.log(value) - xp.log1p(-value) - low) / (high - low)

    def from_unit(self, unit: Any) -> Any:
        xp = unit.__array_namespace__()
        low, high = self._log_odds
        return xp.clip(1 / (1 + xp.exp(-(low + unit * (high - low)))), self.low, self.high)
