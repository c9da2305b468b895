"""A search space as notebooks show it."""

from collections.abc import Mapping, Sequence
from typing import Any

from neocarbs_jax import markup
from neocarbs_jax.space.axes import Axis, Bounded, Options
from neocarbs_jax.space.conditions import described


def as_html(
    axes: Sequence[tuple[str, Axis]],
    fixed: Sequence[tuple[str, Any]],
    start: Mapping[str, Any],
    constraints: Sequence[str] = (),
) -> str:
    """Return a table with one row per axis and per fixed value.

    Args:
        axes: (name, axis).
        fixed: (name, value).
        start: name -> value where a sweep starts.
        constraints: as text.
    """
    rows = [(name, type(axis).__name__, _values(axis), _shown(start[name])) for name, axis in axes]
    rows += [(name, "fixed", _shown(value), "") for name, value in fixed]
    rows += [("", "constraint", text, "") for text in constraints]
    return markup.table(("name", "axis", "values", "start"), rows)


def _values(axis: Axis) -> str:
    condition = f", where {described(axis.when)}" if axis.when else ""
    if isinstance(axis, Options):
        return ", ".join(map(repr, axis.options)) + condition
    assert isinstance(axis, Bounded)
    step = getattr(axis, "step", None)
    parts = [f"{axis.low} to {axis.high}"]
    parts += [f"step {step}"] if step not in (None, 1) else []
    parts += ["logarithmic"] if getattr(axis, "log", False) else []
    parts += [f"prior width {axis.width}"] if axis.width is not None else []
    return ", ".join(parts) + condition


def _shown(value: Any) -> Any:
    """Floats as they are, for few digits; all else as Python writes it, so that "1" is not 1."""
    return value if isinstance(value, float) else repr(value)
