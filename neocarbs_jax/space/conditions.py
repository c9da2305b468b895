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
        pairs = dict(when).items()
        found = tuple((name, _values(value)) for name, value in pairs)
        hash(found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{rule}; got {when!r}.") from error
    if not found or not all(isinstance(name, str) and values for name, values in found):
        raise ValueError(f"{rule}; got {when!r}.")
    return found


def _values(value: Any) -> tuple[Any, ...]:
    value = hashable(value)
    return value if isinstance(value, tuple) else (value,)
