"""Search spaces: named axes, and the map between dictionaries of values and points of the unit cube.

    space = SearchSpace(learning_rate=Log(1e-5, 1e-1), train={"epochs": Integer(1, 8)}, seed=7)
    space.from_unit(np.full(2, 0.5))   # {"learning_rate": 0.001, "train/epochs": 5, "seed": 7}, exact Python numbers
    space.from_unit(jnp.full(2, 0.5))  # the same names, traced arrays: works under jit and vmap

A `SearchSpace` is immutable and hashable, and a pytree without leaves: static wherever JAX meets it.
"""

import dataclasses
import functools
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neocarbs_jax.space.axes import Axis, Choice, Integer, Linear, Options, Ordinal, Pow2
from neocarbs_jax.space.display import as_html


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, entry in tree.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"Names of a search space must be non-empty strings; got {name!r}.")
        if isinstance(entry, Mapping):
            yield from _flatten(entry, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", entry


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, init=False)
class SearchSpace:
    """Named axes and fixed values; nested mappings become names with slashes.

    Attributes:
        axes: (name, axis) of everything that is searched, in the order of the unit coordinates.
        fixed: (name, value) of numbers, strings and booleans that every suggestion carries unchanged.
    """

    axes: tuple[tuple[str, Axis], ...]
    fixed: tuple[tuple[str, Any], ...]

    def __init__(self, /, **entries: Any) -> None:
        axes, fixed = {}, {}
        for name, entry in _flatten(entries):
            if name in axes or name in fixed:
                raise ValueError(f"Names of a search space must be unique; got {name!r} twice.")
            if isinstance(entry, typing.get_args(Axis)):
                axes[name] = entry
            elif isinstance(entry, bool | int | float | str):
                fixed[name] = entry
            else:
                rule = "an axis, a mapping, or a fixed number, string or boolean"
                raise ValueError(f"`{name}` must be {rule}; got {entry!r}.")
        if not axes:
            raise ValueError("A search space must have at least one axis; got none.")
        object.__setattr__(self, "axes", tuple(axes.items()))
        object.__setattr__(self, "fixed", tuple(fixed.items()))

    @property
    def size(self) -> int:
        """Number of unit coordinates, d: one per axis, one per option of a Choice."""
        return sum(axis.size for _, axis in self.axes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes, in order."""
        return tuple(name for name, _ in self.axes)

    @functools.cached_property
    def slices(self) -> dict[str, slice]:
        """Unit coordinates of each axis."""
        ends = np.cumsum([axis.size for _, axis in self.axes]).tolist()
        return {name: slice(end - axis.size, end) for (name, axis), end in zip(self.axes, ends, strict=True)}

    @functools.cached_property
    def center(self) -> np.ndarray:
        """Unit point where a sweep starts."""
        return np.array([u for _, axis in self.axes for u in axis.unit_center], np.float64)

    @functools.cached_property
    def width(self) -> np.ndarray:
        """Prior width per unit coordinate; infinite where the prior is uniform."""
        return np.array([axis.unit_width for _, axis in self.axes for _ in range(axis.size)], np.float64)

    def from_unit(self, unit: Any) -> dict[str, Any]:
        """Values at unit points.

        Args:
            unit: one point, or points along leading dimensions. A JAX array gives JAX arrays (traceable); anything
                else is read by NumPy in double precision and gives Python numbers (arrays for several points).

        Returns:
            name -> value, fixed values included.
        """
        on_host = not isinstance(unit, jax.Array)
        unit = np.asarray(unit, np.float64) if on_host else unit
        values = {}
        for name, axis in self.axes:
            column = unit[..., self.slices[name]]
            value = axis.from_unit(column if isinstance(axis, Choice) else column[..., 0])
            if on_host:
                value = axis.to_python(value) if unit.ndim == 1 else self._option_array(axis, value)
            values[name] = value
        return values | dict(self.fixed)

    def to_unit(self, values: Mapping[str, Any]) -> Any:
        """Unit point of a dictionary of values (fixed values may be left out).

        Raises:
            ValueError: on the host, when a name is missing or unknown or a value lies outside its axis.
        """
        traced = any(isinstance(values.get(name), jax.Array) for name in self.names)
        if not traced:
            self.validate(values)
        columns = []
        for name, axis in self.axes:
            if traced:
                column = axis.to_unit(jnp.asarray(values[name]))
            elif isinstance(axis, Options):
                column = axis.to_unit(np.asarray(axis.index(values[name])))
            else:
                column = axis.to_unit(np.asarray(values[name], np.float64))
            columns.append(column if isinstance(axis, Choice) else column[..., None])
        return (jnp if traced else np).concatenate(columns, axis=-1)

    def place(self, values: Mapping[str, Any]) -> np.ndarray | None:
        """Unit point of values that may lie beyond the bounds, and outside the unit cube then.

        Returns:
            None where a value is missing or has no place: an option that is none, a number <= 0 on a Log axis.
        """
        columns = []
        for name, axis in self.axes:
            value = values.get(name)
            if isinstance(axis, Options):
                index = axis.index(value) if name in values else None
                unit = np.full(axis.size, np.nan) if index is None else axis.to_unit(np.asarray(index))
                columns.append(np.atleast_1d(unit))
            elif isinstance(value, int | float | np.number):
                coordinate = axis.to_unit if axis.contains(value) else axis.position
                try:
                    with np.errstate(all="ignore"):
                        columns.append(np.atleast_1d(coordinate(np.asarray(value, np.float64))))
                except OverflowError:  # a whole number beyond the largest float
                    return None
            else:
                return None
        point = np.concatenate(columns)
        return point if np.all(np.isfinite(point)) else None

    def can_be(self, name: str, value: Any) -> bool:
        """Whether a value has a place on the axis of that name, within its bounds or beyond; whole where it counts."""
        axis = dict(self.axes)[name]
        counts = isinstance(axis, Integer | Pow2)
        if counts and isinstance(value, float | np.floating) and not float(value).is_integer():
            return False
        return SearchSpace(**{name: axis}).place({name: value}) is not None

    def validate(self, values: Mapping[str, Any]) -> None:
        """Raise a `ValueError` that names the first missing, unknown or impossible value."""
        for name, axis in self.axes:
            if name not in values:
                raise ValueError(f"`{name}` must be given; got only {sorted(values)}.")
            if not axis.contains(values[name]):
                raise ValueError(f"`{name}` must lie in {axis}; got {values[name]!r}.")
        fixed = dict(self.fixed)
        for name in values:
            if name not in self.names and name not in fixed:
                raise ValueError(f"`{name}` must be one of {[*self.names, *fixed]}; got an unknown name.")
            if name in fixed and values[name] != fixed[name]:
                raise ValueError(f"`{name}` must be {fixed[name]!r}, its fixed value; got {values[name]!r}.")

    def snap(self, unit: Float[Array, "*m d"]) -> Float[Array, "*m d"]:
        """The nearest canonical unit points: those that equal values share (grid levels, one-hot options)."""
        unit = jnp.clip(unit, 0, 1)
        for name, axis in self.axes:
            column = unit[..., self.slices[name]]
            if isinstance(axis, Choice):
                column = jax.nn.one_hot(jnp.argmax(column, axis=-1), axis.size, dtype=unit.dtype)
            elif isinstance(axis, Integer | Pow2 | Ordinal) or (isinstance(axis, Linear) and axis.step is not None):
                column = jnp.clip(axis.to_unit(axis.from_unit(column)).astype(unit.dtype), 0, 1)
            else:
                continue
            unit = unit.at[..., self.slices[name]].set(column)
        return unit

    def from_prior(self, uniform: Float[Array, "*m d"]) -> Float[Array, "*m d"]:
        """Map uniform points to the prior: a normal of each axis's `width` about its centre, cut to [0, 1]."""
        bounded = np.isfinite(self.width)
        if not bounded.any():
            return uniform
        dtype = uniform.dtype
        center = jnp.asarray(self.center, dtype)
        width = jnp.asarray(np.where(bounded, self.width, 1.0), dtype)
        low, high = (jax.scipy.special.ndtr((edge - center) / width) for edge in (0.0, 1.0))
        broadcast = (1,) * (uniform.ndim - 1) + (self.size,)
        low, high, center, width = (a.reshape(broadcast) for a in (low, high, center, width))
        normal = center + width * jax.scipy.special.ndtri(low + uniform * (high - low))
        return jnp.where(jnp.asarray(bounded).reshape(broadcast), jnp.clip(normal, 0, 1), uniform)

    def _repr_html_(self) -> str:
        """What notebooks show: a table of the axes and fixed values."""
        return as_html(self.axes, self.fixed, self.from_unit(self.center))

    @staticmethod
    def _option_array(axis: Axis, value: np.ndarray) -> np.ndarray:
        return np.asarray(axis.options, object)[value] if isinstance(axis, Options) else value


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dictionary of dictionaries from names with slashes: {"train/epochs": 3} -> {"train": {"epochs": 3}}."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *parents, leaf = name.split("/")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return tree
