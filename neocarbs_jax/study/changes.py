"""A study that goes on over another space: which values its trials have on new axes, and what changes, in words."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from neocarbs_jax.space import Axis, SearchSpace
from neocarbs_jax.space.conditions import plain
from neocarbs_jax.space.constraints import Expression, text_of


def earlier_values(
    name: str, old: SearchSpace, new: SearchSpace, known: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values that trials over the old space have on axes that they had no value of.

    Each is the given one, or else the one that was fixed in the old space, or the known one, or the axis's centre.

    Args:
        name: of the study.
        old: its space so far.
        new: its space from now on.
        known: values on axes that were added earlier; they are among those returned.
        given: values of the user's choice.

    Raises:
        ValueError: if a given value belongs to no axis, or the spaces have no axis in common.
    """
    before, now, fixed = old.axis_of, new.axis_of, dict(old.fixed)
    for axis, value in given.items():
        if axis not in now or not new.can_be(axis, value):
            raise ValueError(
                f"`defaults` must be values of axes of the space ({', '.join(now)}); got {axis}={value!r}."
            )
    if not set(before) & set(now):
        rule = f"`space` must share an axis with the one of study {name!r} ({', '.join(before)})"
        raise ValueError(f"{rule}; got {', '.join(now)}. Choose another `name` for another task.")
    values, center = dict(known), new.all_values(new.center)
    for axis in now:
        if axis not in before or before[axis].when not in (None, now[axis].when):  # else earlier trials have a value
            value = given.get(axis, fixed.get(axis, values.get(axis, center[axis])))
            values[axis] = value.item() if isinstance(value, np.generic) else value
    return values


def in_words(old: SearchSpace, new: SearchSpace, earlier: Mapping[str, Any]) -> list[str]:
    """Return what changes from one space to the other, a phrase for each change.

    Args:
        old: the space so far.
        new: the space from now on.
        earlier: values of earlier trials on new axes, as `earlier_values` gives them.
    """
    before, now, fixed = old.axis_of, new.axis_of, dict(old.fixed)
    gone = [name for name in before if name not in now]
    limits, limits_before = _limits(new), _limits(old)
    return [
        *(f"{n} is new ({earlier[n]!r} in earlier trials)" for n in now if n not in before and n not in fixed),
        *(f"{name} is searched" for name in now if name in fixed),
        *([f"not searched any more: {', '.join(gone)}"] if gone else []),
        *(f"{name} is {_text(now[name])}" for name in now if name in before and now[name] != before[name]),
        *([f"constraints are {', '.join(limits) or 'gone'}"] if limits != limits_before else []),
    ]


def _limits(space: SearchSpace) -> list[str]:
    """Return the constraints that are expressions, as text."""
    return [text_of(one) for one in space.constraints if isinstance(one, Expression)]


def _text(axis: Axis) -> str:
    """Return the axis as one would write it, without what it leaves at its default."""
    fields = [(field.name, getattr(axis, field.name), field.default) for field in dataclasses.fields(axis)]
    required = [repr(value) for _, value, default in fields if default is dataclasses.MISSING]
    others = [f"{name}={value!r}" for name, value, default in fields if default not in (dataclasses.MISSING, value)]
    others = [f"when={plain(axis.when)}" if text.startswith("when=") else text for text in others]
    return f"{type(axis).__name__}({', '.join(required + others)})"
