"""Search spaces as plain dictionaries, TOML files and Optuna distributions, in both directions.

[learning_rate]              # a table with `type` is an axis: linear, log, logit, integer, pow2, choice, ordinal
type = "log"
low = 1e-5
high = 1e-1
center = 1e-3                # optional, with `width`: where a sweep starts and how far its prior reaches

[train.epochs]               # tables nest: this axis is "train/epochs"
type = "integer"
low = 1
high = 8

[momentum]
type = "linear"
low = 0.5
high = 0.99
when = { optimizer = "sgd" } # active where the choice "optimizer" is sgd; lists of values, and several names, may stand

[train]
seed = 7                     # anything else is a fixed value

Above all tables may stand constraints = ["train.epochs * 2 <= patience"]: see `neocarbs_jax.space.constraints`.
"""

import dataclasses
import json
import os
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from neocarbs_jax.space import conditions
from neocarbs_jax.space.axes import Axis, Choice, Integer, Linear, Log, Logit, Options, Ordinal, Pow2
from neocarbs_jax.space.constraints import Expression, text_of
from neocarbs_jax.space.space import SearchSpace

_TYPES: dict[str, type] = {
    "linear": Linear, "log": Log, "logit": Logit, "integer": Integer, "pow2": Pow2, "choice": Choice,
    "ordinal": Ordinal,
}  # fmt: skip

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # of TOML; a dot would make a table


def from_dict(tree: Mapping[str, Any]) -> SearchSpace:
    """The space that a nested dictionary describes; see the module's example.

    Raises:
        ValueError: when an axis has an unknown type or field, or impossible bounds.
    """
    return SearchSpace(**_parse(tree, ""))


def from_toml(path: str | os.PathLike[str]) -> SearchSpace:
    """The space that a TOML file describes.

    Raises:
        ValueError: when the file is no TOML, or describes no space.
    """
    with open(path, "rb") as file:
        return from_dict(tomllib.load(file))


def to_dict(space: SearchSpace) -> dict[str, Any]:
    """The flat dictionary, plain enough for JSON, from which `from_dict` makes the same space.

    Constraints that are functions have no such form, and are left out.

    Raises:
        ValueError: when an option has no JSON form.
    """
    names = {axis_type: name for name, axis_type in _TYPES.items()}
    tree: dict[str, Any] = {}
    for name, axis in space.axes:
        fields = {field.name: getattr(axis, field.name) for field in dataclasses.fields(axis)}
        fields = {key: value for key, value in fields.items() if value is not None}
        when = {"when": conditions.plain(fields.pop("when"))} if "when" in fields else {}
        if isinstance(axis, Options):
            fields = {key: _plain_option(name, value) for key, value in fields.items()}
        tree[name] = {"type": names[type(axis)], **fields, **when}
    texts = [text_of(one) for one in space.constraints if isinstance(one, Expression)]
    return tree | dict(space.fixed) | ({"constraints": texts} if texts else {})


def to_toml(space: SearchSpace) -> str:
    """The text of a TOML file from which `from_toml` makes the same space; see `to_dict`.

    Raises:
        ValueError: when an option is None, which TOML has no word for.
    """
    tree = to_dict(space)
    lines = [
        f"{toml_key(name)} = {toml_value(name, value)}" for name, value in tree.items() if not isinstance(value, dict)
    ]
    for name, fields in tree.items():
        if isinstance(fields, dict):
            lines += ["", f"[{toml_key(name)}]"]
            lines += [f"{key} = {toml_value(name, value)}" for key, value in fields.items()]
    return "\n".join(lines).lstrip() + "\n"


def toml_key(name: str) -> str:
    """A name as TOML writes it before an equals sign."""
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def toml_value(name: str, value: Any) -> str:
    """A value as TOML writes it; `name` is whose it is, for the error of a value that TOML has no word for."""
    match value:
        case bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(toml_value(name, entry) for entry in value)}]"
        case dict():
            return (
                "{ " + ", ".join(f"{toml_key(key)} = {toml_value(name, entry)}" for key, entry in value.items()) + " }"
            )
    raise ValueError(f"Options of `{name}` must be numbers, texts, booleans or lists, for TOML; got {value!r}.")


def from_optuna(distributions: Mapping[str, BaseDistribution]) -> SearchSpace:
    """The space of Optuna's float, int and categorical distributions.

    Raises:
        ValueError: when a distribution has no counterpart.
    """
    return SearchSpace(**{name: _from_distribution(name, entry) for name, entry in distributions.items()})


def to_optuna(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return Optuna's distribution of each axis.

    Optuna has no logit scale, so Logit axes read as linear, and no tuples, so that such options become their JSON text.
    """
    return {name: _to_distribution(axis) for name, axis in space.axes}


def to_parameter(axis: Axis, value: Any) -> Any:
    """Return what stands for a value of the axis in Optuna's storages."""
    index = axis.index(value) if isinstance(axis, Options) else None
    return value if index is None or not isinstance(axis, Options) else _labels(axis)[index]


def from_parameter(axis: Axis, parameter: Any) -> Any:
    """Return the value that a parameter of Optuna's stands for; what stands for none is returned as it is."""
    labels = _labels(axis) if isinstance(axis, Options) else ()
    return axis.options[labels.index(parameter)] if isinstance(axis, Options) and parameter in labels else parameter


def _labels(axis: Options) -> tuple[Any, ...]:
    """The options as Optuna can keep them, all different."""
    labels: list[Any] = []
    for option in axis.options:
        label = option if option is None or isinstance(option, bool | int | float | str) else json.dumps(option)
        while label in labels:
            label = f"{label} "
        labels.append(label)
    return tuple(labels)


def _plain_option(name: str, value: Any) -> Any:
    """Options as lists, for JSON."""
    if isinstance(value, tuple):
        return [_plain_option(name, entry) for entry in value]
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    rule = "must be numbers, strings, booleans, None, or tuples of such, to be kept"
    raise ValueError(f"Options of `{name}` {rule}; got {value!r}.")


def _parse(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    entries = {}
    for name, entry in tree.items():
        if not isinstance(entry, Mapping):
            entries[name] = entry
        elif isinstance(entry.get("type"), str):
            entries[name] = _parse_axis(f"{prefix}{name}", entry)
        else:
            entries[name] = _parse(entry, f"{prefix}{name}/")
    return entries


def _parse_axis(name: str, entry: Mapping[str, Any]) -> Axis:
    kind, fields = entry["type"], {key: value for key, value in entry.items() if key != "type"}
    if kind not in _TYPES:
        raise ValueError(f"`type` of `{name}` must be one of {', '.join(_TYPES)}; got {kind!r}.")
    known = [field.name for field in dataclasses.fields(_TYPES[kind])]
    for key in fields:
        if key not in known:
            raise ValueError(f"Fields of `{name}` must be among {', '.join(known)}; got {key!r}.")
    for field in dataclasses.fields(_TYPES[kind]):
        if field.default is dataclasses.MISSING and field.name not in fields:
            raise ValueError(f"`{name}` must have a `{field.name}`; got only {sorted(fields)}.")
    try:
        return _TYPES[kind](**fields)
    except ValueError as error:
        raise ValueError(f"`{name}`: {error}") from error


def _from_distribution(name: str, distribution: BaseDistribution) -> Any:
    """An axis; a distribution with a single value becomes a fixed value."""
    match distribution:
        case CategoricalDistribution(choices=(only,)):
            return only
        case CategoricalDistribution(choices=choices):
            return Choice(tuple(choices))
        case FloatDistribution(low=low, high=high) | IntDistribution(low=low, high=high) if low == high:
            return low
        case FloatDistribution(low=low, high=high, log=True):
            return Log(low, high)
        case FloatDistribution(low=low, high=high, step=step):
            return Linear(low, high, step=step)
        case IntDistribution(low=low, high=high, log=True):
            return Integer(low, high, log=True)
        case IntDistribution(low=low, high=high, step=step):
            return Integer(low, high, step=step)
        case _:
            raise ValueError(f"`{name}` must have a float, int or categorical distribution; got {distribution!r}.")


def _to_distribution(axis: Axis) -> BaseDistribution:
    match axis:
        case Choice() | Ordinal():
            return CategoricalDistribution(_labels(axis))
        case Integer():
            # Optuna wants the last level for a bound.
            return IntDistribution(axis.low, axis.high - (axis.high - axis.low) % axis.step, axis.log, axis.step)
        case Pow2():
            return IntDistribution(axis.low, axis.high, log=True)
        case Linear():
            last = axis.high if axis.step is None else axis.to_python(axis.from_unit(np.float64(1)))
            return FloatDistribution(axis.low, last, step=axis.step)
        case Log() | Logit():
            return FloatDistribution(axis.low, axis.high, log=isinstance(axis, Log))
