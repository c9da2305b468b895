"""Search spaces: named axes, and the map between dictionaries of values and points of the unit cube.

    space = SearchSpace(learning_rate=Log(1e-5, 1e-1), train={"epochs": Integer(1, 8)}, seed=7)
    space.from_unit(np.full(2, 0.5))   # {"learning_rate": 0.001, "train/epochs": 5, "seed": 7}, exact Python numbers
    space.from_unit(jnp.full(2, 0.5))  # the same names, traced arrays: works under jit and vmap

A `SearchSpace` is immutable and hashable, and a pytree without leaves: static wherever JAX meets it.

Axes may have conditions (`when=`, see `neocarbs_jax.space.conditions`), and constraints may bind them to one another
(`constraints=`, see `neocarbs_jax.space.constraints`). Both are static: a space has one program, conditions are masks
in it that `snap` applies, and constraints are masks that decide which candidates it may suggest.
"""

import dataclasses
import functools
import typing
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neocarbs_jax.space import conditions, cube, feasibility
from neocarbs_jax.space.axes import Axis, Choice, Integer, Options, Pow2
from neocarbs_jax.space.constraints import Function, as_constraint, text_of
from neocarbs_jax.space.display import as_html
from neocarbs_jax.space.names import flatten


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, init=False)
class SearchSpace:
    """Named axes and fixed values; nested mappings become names with slashes.

    The entry `constraints`, a list of expressions and functions, binds axes to one another. An axis whose conditions
    fixed values rule out is left out of the space.

    Attributes:
        axes: (name, axis) of everything that is searched, in the order of the unit coordinates.
        fixed: (name, value) of numbers, strings and booleans that every suggestion carries unchanged.
        constraints: what every suggestion satisfies.
    """

    axes: tuple[tuple[str, Axis], ...]
    fixed: tuple[tuple[str, Any], ...]
    constraints: tuple[Function, ...]

    def __init__(self, /, **entries: Any) -> None:
        axes, fixed, constraints = {}, {}, ()
        given = entries.get("constraints")
        if isinstance(given, str | list | tuple) or callable(given):
            del entries["constraints"]
            constraints = tuple(map(as_constraint, given if isinstance(given, list | tuple) else (given,)))
        for name, entry in flatten(entries):
            if name in axes or name in fixed:
                raise ValueError(f"Names of a search space must be unique; got {name!r} twice.")
            if isinstance(entry, typing.get_args(Axis)):
                axes[name] = entry
            elif isinstance(entry, bool | int | float | str):
                fixed[name] = entry
            else:
                rule = "an axis, a mapping, or a fixed number, string or boolean"
                raise ValueError(f"`{name}` must be {rule}; got {entry!r}.")
        never = set()
        for name, when in conditions.resolved(axes, fixed).items():
            if when is None:
                never.add(name)
                del axes[name]
            else:
                axes[name] = dataclasses.replace(axes[name], when=when or None)
        if not axes:
            raise ValueError("A search space must have at least one axis; got none.")
        object.__setattr__(self, "axes", tuple(axes.items()))
        object.__setattr__(self, "fixed", tuple(fixed.items()))
        object.__setattr__(self, "constraints", feasibility.checked(self, constraints, never))

    @property
    def size(self) -> int:
        """Number of unit coordinates, d: one per axis, one per option of a Choice."""
        return sum(axis.size for _, axis in self.axes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes, in order."""
        return tuple(name for name, _ in self.axes)

    @functools.cached_property
    def axis_of(self) -> dict[str, Axis]:
        """The axes by name."""
        return dict(self.axes)

    @functools.cached_property
    def slices(self) -> dict[str, slice]:
        """Unit coordinates of each axis."""
        ends = np.cumsum([axis.size for _, axis in self.axes]).tolist()
        return {name: slice(end - axis.size, end) for (name, axis), end in zip(self.axes, ends, strict=True)}

    @functools.cached_property
    def conditions(self) -> dict[str, tuple[tuple[str, tuple[Any, ...]], ...]]:
        """Conditions of each axis that has some, parents before children."""
        return conditions.resolved(self.axis_of, {})

    @functools.cached_property
    def center(self) -> np.ndarray:
        """Unit point where a sweep starts: the centre of each axis, or the feasible point nearest to it.

        Raises:
            ValueError: if no point satisfies the constraints.
        """
        return feasibility.nearest(self, cube.project(self, self.start.copy()))

    @functools.cached_property
    def start(self) -> np.ndarray:
        """Unit coordinates of the centre of each axis by itself."""
        return np.array([u for _, axis in self.axes for u in axis.unit_center], np.float64)

    @functools.cached_property
    def width(self) -> np.ndarray:
        """Prior width per unit coordinate; infinite where the prior is uniform."""
        return np.array([axis.unit_width for _, axis in self.axes for _ in range(axis.size)], np.float64)

    def column(self, unit: Any, name: str) -> Any:
        """Coordinates of an axis: [..., k] of a Choice, [...] of any other."""
        column = unit[..., self.slices[name]]
        return column if isinstance(self.axis_of[name], Choice) else column[..., 0]

    def activity(self, unit: Any) -> dict[str, Any]:
        """Return for each axis with conditions where it is active among unit points; NumPy in, NumPy out."""
        return cube.activity(self, unit)

    def active(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values without those of axes that are not active with them."""
        if not self.conditions:
            return dict(values)
        names = conditions.active_names(self.conditions, self.axis_of, values)
        return {name: value for name, value in values.items() if name in names or name not in self.names}

    def missing(self, values: Mapping[str, Any]) -> list[str]:
        """Return the names of axes that are active with these values and have none."""
        active = conditions.active_names(self.conditions, self.axis_of, values)
        return [name for name in self.names if name in active and name not in values]

    def feasible(self, unit: Any) -> Any:
        """Return which unit points satisfy all constraints; NumPy in, NumPy out."""
        return feasibility.feasible(self, unit)

    def broken(self, values: Mapping[str, Any]) -> list[str]:
        """Return the constraints that the values break, as text."""
        return feasibility.broken(self, values)

    def from_unit(self, unit: Any) -> dict[str, Any]:
        """Values at unit points.

        Args:
            unit: one point, or points along leading dimensions. A JAX array gives JAX arrays (traceable); anything
                else is read by NumPy in double precision and gives Python numbers (arrays for several points).

        Returns:
            name -> value, fixed values included. Axes that are not active are absent from the Python values of one
            point; in arrays, which all points share, they hold the middle of the axis.
        """
        if isinstance(unit, jax.Array):
            values = {name: axis.from_unit(self.column(unit, name)) for name, axis in self.axes}
            return values | dict(self.fixed)
        unit = np.asarray(unit, np.float64)
        values = {name: axis.from_unit(self.column(unit, name)) for name, axis in self.axes}
        if unit.ndim > 1:
            return {name: self._option_array(axis, values[name]) for name, axis in self.axes} | dict(self.fixed)
        return self.active({name: axis.to_python(values[name]) for name, axis in self.axes}) | dict(self.fixed)

    def all_values(self, unit: Any) -> dict[str, Any]:
        """Return the Python values at one point, those of axes that are not active included: the centre of the axis."""
        point = np.array(unit, np.float64)
        for name, active in self.activity(point).items():
            if not active:
                point[self.slices[name]] = self.start[self.slices[name]]
        return {n: axis.to_python(axis.from_unit(self.column(point, n))) for n, axis in self.axes} | dict(self.fixed)

    def to_unit(self, values: Mapping[str, Any]) -> Any:
        """Unit point of a dictionary of values; fixed values, and those of axes that are not active, may be left out.

        Raises:
            ValueError: on the host, when a name is missing or unknown or a value lies outside its axis.
        """
        if not any(isinstance(values.get(name), jax.Array) for name in self.names):
            self.validate(values)
            active = self.active(values)
            return np.concatenate([self._coordinates(name, active) for name in self.names], axis=-1)
        columns = []
        for name, axis in self.axes:
            column = axis.to_unit(jnp.asarray(values[name]))
            columns.append(column if isinstance(axis, Choice) else column[..., None])
        return cube.project(self, jnp.concatenate(columns, axis=-1))

    def place(self, values: Mapping[str, Any]) -> np.ndarray | None:
        """Return the unit point of values; where some lie beyond the bounds, it lies outside the unit cube.

        Returns:
            The point; None where a value is missing or has no place, as an unknown option or a number <= 0 on a Log
            axis has none.
        """
        active = self.active(values)
        point = np.concatenate([self._coordinates(name, active) for name in self.names])
        return point if np.all(np.isfinite(point)) else None

    def coordinates(self, name: str, value: Any) -> np.ndarray:
        """Unit coordinates of a value on its axis, within [0, 1] or beyond; not finite where it has no place."""
        return self.axis_of[name].coordinates(value)

    def _coordinates(self, name: str, active: Mapping[str, Any]) -> np.ndarray:
        """Return the coordinates of an axis among active values; NaN where its value is missing."""
        if name in active:
            return self.coordinates(name, active[name])
        axis = self.axis_of[name]
        return np.full(axis.size, np.nan if name in self.missing(active) else conditions.DEAD)

    def can_be(self, name: str, value: Any) -> bool:
        """Return whether a value has a place on the axis of that name, within its bounds or beyond them.

        On an axis of whole numbers it must be whole.
        """
        counts = isinstance(self.axis_of[name], Integer | Pow2)
        if counts and isinstance(value, float | np.floating) and not float(value).is_integer():
            return False
        return bool(np.all(np.isfinite(self.coordinates(name, value))))

    def validate(self, values: Mapping[str, Any]) -> None:
        """Raise a `ValueError` that names the first missing, unknown or impossible value."""
        active = conditions.active_names(self.conditions, self.axis_of, values)
        for name, axis in self.axes:
            if name not in values and name in active:
                raise ValueError(f"`{name}` must be given; got only {sorted(values)}.")
            if name in active and not axis.contains(values[name]):
                raise ValueError(f"`{name}` must lie in {axis}; got {values[name]!r}.")
        fixed = dict(self.fixed)
        for name in values:
            if name not in self.names and name not in fixed:
                raise ValueError(f"`{name}` must be one of {[*self.names, *fixed]}; got an unknown name.")
            if name in fixed and values[name] != fixed[name]:
                raise ValueError(f"`{name}` must be {fixed[name]!r}, its fixed value; got {values[name]!r}.")

    def snap(self, unit: Float[Array, "*m d"]) -> Float[Array, "*m d"]:
        """Return the nearest canonical unit points: equal values have one such point.

        It has the middle of the cell of each grid level, one-hot options, and the middle of each axis that is not
        active.
        """
        return cube.snap(self, unit)

    def from_prior(self, uniform: Float[Array, "*m d"]) -> Float[Array, "*m d"]:
        """Map uniform points to the prior: a normal of each axis's `width` about its centre, cut to [0, 1]."""
        return cube.from_prior(self, uniform)

    def _repr_html_(self) -> str:
        """What notebooks show: a table of the axes and fixed values."""
        return as_html(self.axes, self.fixed, self.all_values(self.center), [text_of(one) for one in self.constraints])

    @staticmethod
    def _option_array(axis: Axis, value: np.ndarray) -> np.ndarray:
        return np.asarray(axis.options, object)[value] if isinstance(axis, Options) else value
