"""Checks that settings and arguments share; their messages name the argument, the rule and the value."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any


def check_at_least(low: float, **values: float | None) -> None:
    """Raise a ValueError unless each value, an argument of that name, is at least `low`; None passes."""
    for name, value in values.items():
        if value is not None and not value >= low:
            raise ValueError(f"`{name}` must be at least {low:g}; got {value}.")


def check_positive_integers(settings: Any, names: Iterable[str]) -> None:
    """Raise a ValueError unless the attributes `names` of `settings` are integers of at least 1."""
    for name in names:
        value = getattr(settings, name)
        if not isinstance(value, Integral):
            raise ValueError(f"`{name}` must be an integer; got {value!r}.")
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1; got {value}.")


def check_booleans(settings: Any, names: Iterable[str]) -> None:
    """Raise a ValueError unless the attributes `names` of `settings` are True or False."""
    for name in names:
        if not isinstance(getattr(settings, name), bool):
            raise ValueError(f"`{name}` must be True or False; got {getattr(settings, name)!r}.")


def check_choice(name: str, value: Any, known: Iterable[str]) -> None:
    """Raise a ValueError unless `value` is one of `known`."""
    if value not in (known := tuple(known)):
        raise ValueError(f"`{name}` must be one of {', '.join(known)}; got {value!r}.")
