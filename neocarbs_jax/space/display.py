"""A search space as notebooks show it."""

from collections.abc import Mapping, Sequence
from typing import Any

from neocarbs_jax import markup
from neocarbs_jax.space.axes import Axis, Bounded, Options


def as_html(axes: Sequence[tuple[str, Axis]], fixed: Sequence[tuple[str, Any]], start: Mapping[str, Any]) -> str:
    """Return a table with one row per axis and per fixed value.

    Args:
        axes: (name, axis).
        fixed: (name, value).
        start: name -> value where a sweep starts.
    """
    rows = [(name, type(axis).__name__, _values(axis), _shown(start[name])) for name, axis in axes]
    rows += [(name, "fixed", _shown(value), "") for name, value in fixed]
    return markup.table(("name", "axis", "values", "start"), rows)


def _values(axis: Axis) -> str:
    if isinstance(axis, Options):
        return ", ".join(map(repr, axis.options))
    assert isinstance(axis, Bounded)
    step = getattr(axis, "step", None)
    parts = [f"{axis.low} to {axis.high}"]
    parts += [f"step {step}"] if step not in (None, 1) else []
    parts += ["logarithmic"] if getattr(axis, "log", False) else []
    parts += [f"prior width {axis.width}"] if axis.width is not None else []
    return ", ".join(parts)


def _shown(value: Any) -> Any:
    """Floats as they are, for few digits; all else as Python writes it, so that "1" is not 1."""
    return value if isinstance(value, float) else repr(value)
