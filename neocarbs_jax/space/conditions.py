"""When an axis is active: the option `when` of every axis, such as `Linear(0.5, 0.99, when={"optimizer": "sgd"})`.

An axis with conditions is active where each of the named axes is active itself and has one of the named values.
Everywhere else it is absent: its trials have no such value, and the surrogates see the middle of the axis, so that
settings of equal effect are equal points.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

When = Mapping[str, Any] | tuple[tuple[str, tuple[Any, ...]], ...]
"""Name of another axis -> the value, or a list of the values, with which this one is active."""

DEAD = 0.5
"""Unit coordinate of an axis that is not active: the middle, of which no branch is nearer than another."""


def hashable(value: Any) -> Any:
    """Return the value, lists as tuples and NumPy's scalars as Python's."""
    if isinstance(value, list | tuple):
        return tuple(map(hashable, value))
    return value.item() if isinstance(value, np.generic) else value


def normalised(when: Any) -> tuple[tuple[str, tuple[Any, ...]], ...] | None:
    """Return conditions as pairs of a name and its values; None for none.

    Raises:
        ValueError: if they are no mapping from names to values.
    """
    if when is None:
        return None
    rule = '`when` must map names of axes to values, such as {"optimizer": "sgd"} or {"layers": [2, 3]}'
    try:
        found = tuple((name, _values(value)) for name, value in dict(when).items())
        hash(found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{rule}; got {when!r}.") from error
    if not found or not all(isinstance(name, str) and values for name, values in found):
        raise ValueError(f"{rule}; got {when!r}.")
    return found


def _values(value: Any) -> tuple[Any, ...]:
    value = hashable(value)
    return value if isinstance(value, tuple) else (value,)


def resolved(axes: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the conditions of each axis that has some, parents before children; None for an axis that never is active.

    Conditions on fixed values are decided here, once and for all.

    Args:
        axes: name -> axis.
        fixed: name -> value.

    Raises:
        ValueError: if a condition names no axis, an axis without countable values, or a value that it cannot have; or
            if axes depend on one another in a circle.
    """
    found: dict[str, Any] = {}
    waiting = {name: axis.when for name, axis in axes.items() if axis.when}
    while waiting:
        ready = [name for name, when in waiting.items() if not any(parent in waiting for parent, _ in when)]
        if not ready:
            circle = ", ".join(sorted(waiting))
            raise ValueError(f"`when` must not lead back to the axis itself; got a circle among {circle}.")
        for name in ready:
            found[name] = _resolved(name, waiting.pop(name), axes, fixed, found)
    return found


def _resolved(name: str, when: Any, axes: Mapping[str, Any], fixed: Mapping[str, Any], found: Mapping[str, Any]) -> Any:
    kept = []
    for parent, values in when:
        if parent in fixed:
            if fixed[parent] not in values:
                return None
            continue
        if parent not in axes:
            known = ", ".join([*(other for other in axes if other != name), *fixed])
            raise ValueError(f"`when` of `{name}` must name another axis ({known}); got {parent!r}.")
        axis = axes[parent]
        if not hasattr(axis, "level"):
            rule = "an axis of listed options or whole numbers"
            raise ValueError(f"`when` of `{name}` must name {rule}; got {parent!r}, a {type(axis).__name__} axis.")
        for value in values:
            if not axis.contains(value):
                raise ValueError(f"`when` of `{name}` must have values of `{parent}`, {axis}; got {value!r}.")
        if parent in found and found[parent] is None:
            return None
        kept.append((parent, values))
    return tuple(kept)


def active_names(conditions: Mapping[str, Any], axes: Mapping[str, Any], values: Mapping[str, Any]) -> set[str]:
    """Return the names of the axes that are active with these values.

    Args:
        conditions: of `resolved`, parents first.
        axes: name -> axis.
        values: name -> value.
    """
    inactive: set[str] = set()
    for name, when in conditions.items():
        for parent, wanted in when:
            if parent in inactive or not _is_one_of(axes[parent], values.get(parent), wanted):
                inactive.add(name)
    return set(axes) - inactive


def _is_one_of(axis: Any, value: Any, wanted: tuple[Any, ...]) -> bool:
    if hasattr(axis, "index"):
        index = axis.index(value)
        return index is not None and index in [axis.index(one) for one in wanted]
    return value in wanted


def levels_of(axis: Any, values: tuple[Any, ...]) -> np.ndarray:
    """Return what `axis.level` says of these values."""
    return np.array([axis.index(value) if hasattr(axis, "index") else value for value in values])


def described(when: Any) -> str:
    """Return conditions in words, such as "optimizer is 'sgd' or 'lion' and layers is 2"."""
    return " and ".join(f"{name} is {' or '.join(map(repr, values))}" for name, values in when or ())


def plain(when: Any) -> dict[str, list[Any]]:
    """Return conditions as files and people write them."""
    return {name: [list(value) if isinstance(value, tuple) else value for value in values] for name, values in when}
