"""Axes of listed options: a choice among them, or an order of them."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from neocarbs_jax.space.bounded import LARGEST_INT32, check
from neocarbs_jax.space.conditions import When, hashable, normalised


@dataclasses.dataclass(frozen=True)
class Options:
    """What axes of listed options share. Numbers among the options stay the numbers that they are.

    Traced values are the option itself where all options are numbers, else its index.

    Attributes:
        options: the values to choose from, all different: numbers, strings, booleans, None, or tuples of such. Lists
            become tuples.
        center: where a sweep starts; see `start`.
        when: conditions on other axes under which this one is active; see `neocarbs_jax.space.conditions`.
    """

    options: tuple[Any, ...]
    center: Any = dataclasses.field(default=None, kw_only=True)
    when: When | None = dataclasses.field(default=None, kw_only=True)
    is_log: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(isinstance(self.options, list | tuple | range), "options", "be a list of options", self.options)
        object.__setattr__(self, "options", tuple(map(hashable, self.options)))
        object.__setattr__(self, "center", hashable(self.center))
        object.__setattr__(self, "when", normalised(self.when))
        check(len(self.options) >= 2, "options", "hold at least two options", self.options)
        try:
            num_different = len(set(self.options))
        except TypeError as error:
            rule = "`options` must be numbers, strings, booleans, None, or tuples of such"
            raise ValueError(f"{rule}; got {self.options!r}.") from error
        check(num_different == len(self.options), "options", "be all different", self.options)
        if self.center is not None:
            check(self.center in self.options, "center", f"be one of {self.options}", self.center)

    @property
    def start(self) -> int:
        """Index of the option where a sweep starts."""
        return 0 if self.center is None else self.options.index(self.center)

    @property
    def unit_width(self) -> float:
        """Prior width in unit coordinates; infinite for the uniform prior."""
        return math.inf

    @property
    def is_numeric(self) -> bool:
        """Whether traced values are the options themselves."""
        return all(type(option) in (int, float) and abs(option) <= LARGEST_INT32 for option in self.options)

    def contains(self, value: Any) -> bool:
        """Whether a Python value is one of the options."""
        return self.index(value) is not None

    def index(self, value: Any) -> int | None:
        """Position of an option, lists read as tuples; None for what is no option."""
        value = hashable(value)
        try:
            return self.options.index(value)
        except ValueError:  # not there, or an array, which is equal to nothing
            return None

    def to_unit(self, value: Any) -> Any:
        """Unit coordinates of each value, which is an option's index on the host and a traced value under JAX."""
        raise NotImplementedError

    def coordinates(self, value: Any) -> np.ndarray:
        """Unit coordinates of a Python value; not finite where it is no option."""
        index = self.index(value)
        place = np.atleast_1d(self.to_unit(np.asarray(index or 0)))
        return np.full_like(place, np.nan) if index is None else place

    def to_python(self, value: Any) -> Any:
        """The option of an index."""
        return self.options[int(value)]

    def _known(self, value: Any) -> Any:
        """What `value` is compared with: the options where it is traced and they are numbers, else their indices."""
        xp = value.__array_namespace__()
        known = xp.asarray(self.options) if xp is not np and self.is_numeric else xp.arange(len(self.options))
        return known.astype(value.dtype).reshape(*(1,) * value.ndim, -1)

    def _taken(self, index: Any) -> Any:
        """Option index (host) or traced value of an index."""
        xp = index.__array_namespace__()
        return xp.asarray(self.options)[index] if xp is not np and self.is_numeric else index


@dataclasses.dataclass(frozen=True)
class Choice(Options):
    """One of several options, each equally likely: one unit coordinate per option, the largest of them wins.

    A sweep starts at the first option, if `center` names no other.
    """

    @property
    def size(self) -> int:
        """Number of unit coordinates."""
        return len(self.options)

    @property
    def unit_center(self) -> tuple[float, ...]:
        """Unit coordinates of the search centre."""
        return tuple(float(i == self.start) for i in range(self.size))

    def to_unit(self, value: Any) -> Any:
        """One-hot coordinates [..., k]; `value` holds option indices on the host, traced values under JAX."""
        xp = value.__array_namespace__()
        return (value[..., None] == self._known(value)).astype(xp.ones(()).dtype)

    def level(self, unit: Any) -> Any:
        """Option index of coordinates [..., k]."""
        return unit.__array_namespace__().argmax(unit, axis=-1)

    def from_unit(self, unit: Any) -> Any:
        """Option index (host) or traced value of coordinates [..., k]."""
        return self._taken(self.level(unit))


@dataclasses.dataclass(frozen=True)
class Ordinal(Options):
    """One of several options in an order, each equally likely: a single unit coordinate, cut into equal cells.

    The options are ranks at equal distances, such as sizes 32, 64, 128, or "small", "medium", "large": neighbours are
    expected to do alike. A sweep starts at the middle option, the lower one of two, if `center` names no other.
    """

    size: ClassVar[int] = 1

    @property
    def start(self) -> int:
        """Index of the option where a sweep starts."""
        return (len(self.options) - 1) // 2 if self.center is None else self.options.index(self.center)

    @property
    def unit_center(self) -> tuple[float, ...]:
        """Unit coordinates of the search centre."""
        return ((self.start + 0.5) / len(self.options),)

    def to_unit(self, value: Any) -> Any:
        """Middle of each option's cell; `value` holds option indices on the host, traced values under JAX."""
        xp = value.__array_namespace__()
        rank = xp.argmin(xp.abs(value[..., None] - self._known(value)), axis=-1)
        return (rank.astype(xp.ones(()).dtype) + 0.5) / len(self.options)

    def level(self, unit: Any) -> Any:
        """Option index of each coordinate."""
        xp = unit.__array_namespace__()
        rank = xp.clip(xp.floor(unit * len(self.options)), 0, len(self.options) - 1)
        return rank.astype(xp.int64 if xp is np else xp.int32)

    def from_unit(self, unit: Any) -> Any:
        """Option index (host) or traced value of each coordinate."""
        return self._taken(self.level(unit))
