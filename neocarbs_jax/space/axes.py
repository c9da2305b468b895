"""One hyperparameter per axis: its bounds, its prior and its map between value and unit coordinates.

Every axis maps its values to [0, 1] such that the uniform distribution is the prior. Each method follows the array
that it is given: JAX in, JAX out (traceable); NumPy in, NumPy out, in the precision of the input.
"""

import dataclasses
import decimal
import math
from typing import Any, ClassVar

import numpy as np

_LARGEST_INT32 = 2**31 - 1


def _check(ok: bool, argument: str, rule: str, value: object) -> None:
    if not ok:
        raise ValueError(f"`{argument}` must {rule}; got {value!r}.")


def _is_number(value: object) -> bool:
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
    """

    low: float
    high: float
    center: float | None = dataclasses.field(default=None, kw_only=True)
    width: float | None = dataclasses.field(default=None, kw_only=True)
    size: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                object.__setattr__(self, field.name, value.item())
        _check(_is_number(self.low), "low", "be a finite number", self.low)
        _check(_is_number(self.high), "high", "be a finite number", self.high)
        _check(self.low < self.high, "low", "be less than `high`", (self.low, self.high))
        _check(math.isfinite(float(self.high) - self.low), "high", f"be within 1.8e308 of {self.low}", self.high)
        if self.center is not None:
            inside = _is_number(self.center) and self.low <= self.center <= self.high
            _check(inside, "center", f"lie in [{self.low}, {self.high}]", self.center)
        if self.width is not None:
            _check(_is_number(self.width) and self.width > 0, "width", "be positive", self.width)

    def contains(self, value: Any) -> bool:
        """Whether a Python value belongs to the axis."""
        return _is_number(value) and self.low <= value <= self.high

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

    def from_unit(self, unit: Any) -> Any:
        """Value of each unit coordinate."""
        raise NotImplementedError

    def to_python(self, value: Any) -> Any:
        """A NumPy scalar of `from_unit` as a Python number."""
        return float(value)


@dataclasses.dataclass(frozen=True)
class Linear(Bounded):
    """A real number, uniform between its bounds; with `step`, only low, low + step, ... up to `high`."""

    step: float | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step is not None:
            in_range = _is_number(self.step) and 0 < self.step <= self.high - self.low
            _check(in_range, "step", f"lie in (0, {self.high - self.low}]", self.step)

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
        _check(_is_number(self.low) and self.low > 0, "low", "be positive on a Log axis", self.low)
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
        _check(self.low > 0, "low", "be above 0 on a Logit axis", self.low)
        _check(self.high < 1, "high", "be below 1 on a Logit axis", self.high)

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
            _check(value == int(value), name, "be a whole number on an Integer axis", value)
            object.__setattr__(self, name, int(value))
        _check(1 <= self.step <= self.high - self.low, "step", "lie in [1, high - low]", self.step)
        if self.log:
            _check(self.low >= 1, "low", "be at least 1 with `log`", self.low)
            _check(self.step == 1, "step", "be 1 with `log`", self.step)

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
            return value if xp is not np and self.high > _LARGEST_INT32 else value.astype(integer)
        level = xp.clip(xp.floor(unit * self._count), 0, self._count - 1)
        if xp is not np and self.high > _LARGEST_INT32:
            return self.low + self.step * level
        return self.low + self.step * level.astype(integer)

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
            _check(whole, name, "be a power of two on a Pow2 axis", value)
            object.__setattr__(self, name, int(value))
        _check(self.high < 2**63, "high", "be below 2**63", self.high)

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
        if xp is not np and self.high > _LARGEST_INT32:
            return xp.ldexp(float(self.low) * xp.ones_like(unit), level.astype(xp.int32))
        return xp.left_shift(self.low, level.astype(xp.int64 if xp is np else xp.int32))

    def to_python(self, value: Any) -> int:
        return int(value)


def _as_float(value: Any) -> Any:
    xp = value.__array_namespace__()
    return value if xp.isdtype(value.dtype, "real floating") else value.astype(xp.ones(()).dtype)


def _hashable(option: Any) -> Any:
    """The option, lists as tuples and NumPy's scalars as Python's."""
    if isinstance(option, list | tuple):
        return tuple(map(_hashable, option))
    return option.item() if isinstance(option, np.generic) else option


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several options, each equally likely: one unit coordinate per option, the largest of them wins.

    Traced values are the option itself where all options are numbers, else its index.

    Attributes:
        options: the values to choose from, all different: numbers, strings, booleans, None, or tuples of such. Lists
            become tuples.
        center: where a sweep starts; the first option by default.
    """

    options: tuple[Any, ...]
    center: Any = dataclasses.field(default=None, kw_only=True)
    is_log: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(isinstance(self.options, list | tuple | range), "options", "be a list of options", self.options)
        object.__setattr__(self, "options", tuple(map(_hashable, self.options)))
        object.__setattr__(self, "center", _hashable(self.center))
        _check(len(self.options) >= 2, "options", "hold at least two options", self.options)
        try:
            num_different = len(set(self.options))
        except TypeError as error:
            rule = "`options` must be numbers, strings, booleans, None, or tuples of such"
            raise ValueError(f"{rule}; got {self.options!r}.") from error
        _check(num_different == len(self.options), "options", "be all different", self.options)
        if self.center is not None:
            _check(self.center in self.options, "center", f"be one of {self.options}", self.center)

    @property
    def size(self) -> int:
        return len(self.options)

    @property
    def unit_center(self) -> tuple[float, ...]:
        start = 0 if self.center is None else self.options.index(self.center)
        return tuple(float(i == start) for i in range(self.size))

    @property
    def unit_width(self) -> float:
        return math.inf

    @property
    def is_numeric(self) -> bool:
        """Whether traced values are the options themselves."""
        return all(type(option) in (int, float) and abs(option) <= _LARGEST_INT32 for option in self.options)

    def contains(self, value: Any) -> bool:
        return self.index(value) is not None

    def index(self, value: Any) -> int | None:
        """Position of an option, lists read as tuples; None for what is no option."""
        value = _hashable(value)
        try:
            return self.options.index(value)
        except ValueError:  # not there, or an array, which is equal to nothing
            return None

    def to_unit(self, value: Any) -> Any:
        """One-hot coordinates [..., k]; `value` holds option indices on the host, traced values under JAX."""
        xp = value.__array_namespace__()
        known = xp.asarray(self.options) if xp is not np and self.is_numeric else xp.arange(self.size)
        return (value[..., None] == known.astype(value.dtype)).astype(xp.ones(()).dtype)

    def from_unit(self, unit: Any) -> Any:
        """Option index (host) or traced value of coordinates [..., k]."""
        xp = unit.__array_namespace__()
        index = xp.argmax(unit, axis=-1)
        return xp.asarray(self.options)[index] if xp is not np and self.is_numeric else index

    def to_python(self, value: Any) -> Any:
        return self.options[int(value)]


Axis = Linear | Log | Logit | Integer | Pow2 | Choice
