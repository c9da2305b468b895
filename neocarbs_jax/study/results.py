"""What an objective gives back: its score and cost, and attributes in a form that a storage can keep."""

import dataclasses
import datetime
import enum
import functools
import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

_LONGEST_REASON = 2000
_DEEPEST = 20


class Result(NamedTuple):
    """One measurement.

    Attributes:
        score: in its own sign; NaN where there is none.
        cost: in the study's unit; NaN where there is none.
        attrs: what the objective recorded besides.
    """

    score: float
    cost: float
    attrs: Mapping[str, Any]

    @property
    def flaw(self) -> str | None:
        """Why the trial is a failed one; None for a whole measurement."""
        if not math.isfinite(self.score):
            return f"score is {self.score}"
        return None if is_cost(self.cost) else f"cost is {self.cost}, and must be positive and finite"


def read_result(returned: Any) -> Result:
    """Read what an objective returned: (score, cost), or (score, cost, attributes).

    Score and cost may be any numbers, those of NumPy and JAX included, or None for what could not be measured.

    Raises:
        TypeError: if it is something else, which is an error of the program and not of the configuration.
    """
    rule = "An objective must return (score, cost) or (score, cost, attributes)"
    is_row = isinstance(returned, Sequence) and not isinstance(returned, str | bytes | bytearray)
    if not is_row and getattr(returned, "ndim", 0) != 1:
        raise TypeError(f"{rule}; got {_shown(returned)}.")
    if len(returned) not in (2, 3):
        raise TypeError(f"{rule}; got {_shown(returned)}.")
    score, cost, *rest = returned
    attrs = rest[0] if rest and rest[0] is not None else {}
    if not isinstance(attrs, Mapping):
        raise TypeError(f"{rule}, attributes being a dictionary; got {_shown(attrs)} for them.")
    return Result(to_float("score", score), to_float("cost", cost), attrs)


def with_trial(objective: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return trial -> what the objective returns, which takes the values, and the trial as well if it names it."""
    try:
        takes_trial = "trial" in inspect.signature(objective).parameters
    except (TypeError, ValueError):  # a builtin that tells nothing
        takes_trial = False

    @functools.wraps(objective, updated=())
    def run(trial: Any) -> Any:
        values = dict(trial.values)
        return objective(values, trial=trial) if takes_trial else objective(values)

    return run


def to_float(name: str, value: Any) -> float:
    """Return a number of any library as a float, NaN for None.

    Raises:
        TypeError: if it is no real number.
    """
    if value is None:
        return math.nan
    try:
        if isinstance(value, str | bytes | bytearray) or np.ma.is_masked(value):
            raise TypeError
        if hasattr(value, "__array__") and not _is_real(np.asarray(value).dtype):
            raise TypeError
        return float(np.asarray(value, np.float64).reshape(()))
    except OverflowError:  # a whole number beyond the largest float
        return -math.inf if str(value).startswith("-") else math.inf
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}` must be a number; got {_shown(value)}.") from error


def _is_real(dtype: np.dtype) -> bool:
    """Whether arrays of a type hold real numbers; JAX's small floats, such as bfloat16, have a kind of their own."""
    return dtype.kind in "biuf" or (dtype.kind == "V" and dtype.names is None and "float" in dtype.name)


def is_cost(cost: float) -> bool:
    """Whether a number can be a cost: positive and finite."""
    return math.isfinite(cost) and cost > 0


def describe(error: BaseException) -> str:
    """One text for people about an error, short enough to be kept."""
    try:
        text = str(error)
    except Exception:  # of somebody else's __str__
        text = ""
    return (text or type(error).__name__)[:_LONGEST_REASON]


def plain(attrs: Mapping[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the attributes as JSON can hold them, and a line for each one that has no such form.

    NumPy's and JAX's numbers and arrays become numbers and lists, NaN None, infinities "inf" and "-inf", paths and
    times text.
    """
    kept, complaints = {}, []
    try:
        entries = list(attrs.items())
    except Exception as error:  # whatever it is, here and below: the measurement must not be lost to it
        return {}, [f"Attributes are left out, as they cannot be read: {describe(error)}"]
    for name, value in entries:
        try:
            kept[str(name)] = _plain(value, 0)
        except Exception as error:
            complaints.append(f"Attribute {_shown(name)} is left out, as it has no JSON form: {describe(error)}")
    return kept, complaints


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    match value:
        case None | bool() | str():
            return value
        case enum.Enum():
            return _plain(value.value, depth + 1)
        case int():
            return int(value)
        case float():
            return None if math.isnan(value) else float(value) if math.isfinite(value) else str(float(value))
        case os.PathLike():
            return os.fspath(value)
        case np.datetime64() | np.timedelta64():
            return str(value)
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): _plain(entry, depth + 1) for key, entry in value.items()}
        case Set():
            return sorted((_plain(entry, depth + 1) for entry in value), key=str)
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [_plain(entry, depth + 1) for entry in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, depth + 1)
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.dtype.kind in "mM":
            array = array.astype(str)
        elif array.dtype.kind not in "biufU" and not _is_real(array.dtype):
            raise TypeError(f"an array of {array.dtype} is no array of numbers or texts")
        return _plain((array.astype(np.float64) if array.dtype.kind == "V" else array).tolist(), depth + 1)
    raise TypeError(f"{type(value).__name__} is no number, text, list or dictionary")


def _shown(value: Any) -> str:
    """A short form of a value for a message."""
    try:
        text = repr(value)
    except Exception:  # of somebody else's __repr__
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."
