"""Settings of a training by name: read from a command line, checked, written out whole, and read back.

A setting is a field of `Params`, of `Config`, of the network ("network.width"), or a constructor argument of the
environment ("env.frameskip").
"""

import ast
import dataclasses
import math
import re
import textwrap
import typing
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import nearest
from p3o_jax.networks import ACTIVATIONS, KINDS, NetworkConfig
from p3o_jax.params import STABLE
from p3o_jax.settings import PARAM_NAMES, Config, Params

CONFIG_NAMES = tuple(field.name for field in dataclasses.fields(Config) if field.name != "network")
NETWORK_NAMES = tuple(f"network.{field.name}" for field in dataclasses.fields(NetworkConfig))
NAMES = (*PARAM_NAMES, *CONFIG_NAMES, *NETWORK_NAMES)

BEFORE = {"kl_limit": math.inf, "bands": 0}
"""What a setting was before it had a name, for folders and studies that are older; others hold their own value."""

ENV = "env."
"""Before the names of constructor arguments of the environment, which knows by itself which ones it takes."""

WORDS = {"true": "True", "false": "False", "none": "None", "inf": "1e999", "nan": "1e999-1e999"}
"""Words of the shell and the Python literals that they stand for."""


class Range(NamedTuple):
    """Values that a number may take.

    Attributes:
        low: Lower end.
        high: Upper end.
        ends: "[" or "(" and "]" or ")": whether each end belongs to the range.
    """

    low: float
    high: float
    ends: str = "[]"

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float | np.number) or math.isnan(value):
            return False
        above = self.low < value or (self.low == value and self.ends[0] == "[")
        below = value < self.high or (self.high == value and self.ends[1] == "]")
        return bool(above and below)

    def __str__(self) -> str:
        low = f"{'at least' if self.ends[0] == '[' else 'more than'} {self.low:g}"
        if math.isinf(self.high):
            return low + (", or inf" if self.ends[1] == "]" else "")
        return f"{low}, {'at most' if self.ends[1] == ']' else 'less than'} {self.high:g}"


POSITIVE, NOT_NEGATIVE, SHARE = Range(0, math.inf, "()"), Range(0, math.inf, "[)"), Range(0, 1)
DECAY, LIMIT = Range(0, 1, "[)"), Range(0, math.inf, "(]")

RANGES = {
    "total_steps": POSITIVE,
    "learning_rate": NOT_NEGATIVE,
    "anneal": SHARE,
    "decay": Range(0, 1, "(]"),
    "warmup": NOT_NEGATIVE,
    "update_epochs": Range(1, math.inf, "[)"),
    "clip": POSITIVE,
    "kl_limit": LIMIT,
    "entropy": NOT_NEGATIVE,
    "entropy_anneal": SHARE,
    "value": NOT_NEGATIVE,
    "max_grad_norm": LIMIT,
    "adam_b1": DECAY,
    "adam_b2": DECAY,
    "adam_eps": POSITIVE,
    "tau": SHARE,
    "floor": SHARE,
    "weight_prior": NOT_NEGATIVE,
    "aggregate": NOT_NEGATIVE,
    "spread_decay": DECAY,
    "puf": NOT_NEGATIVE,
    "gamma": SHARE,
    "gae_lambda": SHARE,
    "value_clip": LIMIT,
}
"""Values of the fields of `Params`; those of the others are checked by `Config` itself."""


def assignments(groups: Iterable[str | Iterable[str]], argument: str = "set") -> dict[str, Any]:
    """Return the settings that NAME=VALUE entries of a command line stand for, as Python values.

    Args:
        groups: Entries, or groups of them, one for each time that the option was given.
        argument: Name of the option.

    Raises:
        ValueError: An entry reads otherwise, a setting is given twice or unknown, or a number is out of its range.
    """
    values: dict[str, Any] = {}
    for name, text in pairs(groups, argument).items():
        values[name] = literal(text)
    if "reward_scale" in values and values["reward_scale"] is None:
        values["reward_scale"] = "none"  # a scale of that name, where None is the estimator's own
    if values.get("anneal") == "stable":
        values = {**STABLE, **values, "anneal": STABLE["anneal"]}
    check_names(argument, values)
    for name, value in values.items():
        check_range(argument, name, value)
    return values


def pairs(groups: Iterable[str | Iterable[str]], argument: str) -> dict[str, str]:
    """Return name and text of NAME=VALUE entries.

    Raises:
        ValueError: An entry reads otherwise, or a name is given twice.
    """
    entries = [entry for group in groups for entry in ([group] if isinstance(group, str) else group)]
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, text = entry.partition("=")
        if not (name and equals and text):
            raise ValueError(f"`{argument}` must read NAME=VALUE; got {entry!r}.")
        if name in found:
            raise ValueError(f"`{argument}` must give {name} once; got {found[name]} and {text}.")
        found[name] = text
    return found


def literal(text: str) -> Any:
    """Return the Python value of a word of the shell: a number, True, False, None, or the word itself."""
    if text.lower() in ("nan", "-nan"):
        return math.nan
    try:
        return ast.literal_eval(WORDS.get(text.lower(), text))
    except (ValueError, SyntaxError):
        return text


def arguments_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor arguments of the environment among settings, under their own names."""
    return {name.removeprefix(ENV): value for name, value in values.items() if name.startswith(ENV)}


def check_names(argument: str, names: Iterable[str]) -> None:
    """Raise a ValueError unless all are names of settings."""
    for name in names:
        if name not in NAMES and not (name.startswith(ENV) and name != ENV):
            raise ValueError(
                f"`{argument}` must name a setting, which `p3o train --help` lists; got {name}{nearest(name, NAMES)}"
            )


def check_range(argument: str, name: str, value: Any) -> None:
    """Raise a ValueError unless the value is one that the field `name` of `Params` takes; other fields pass."""
    if name not in PARAM_NAMES:
        return
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ValueError(f"`{argument}` must give {name} a number; got {value!r}.")
    allowed = RANGES.get(name, Range(-math.inf, math.inf))
    if value not in allowed:
        raise ValueError(f"`{argument}` must give {name} a number that is {allowed}; got {value:g}.")


def replace(config: Config, params: Params, values: Mapping[str, Any]) -> tuple[Config, Params]:
    """Return the static and the traced settings with those that `values` name in their place.

    Constructor arguments of the environment are in neither.

    Raises:
        ValueError: A name is no setting, or a static value is out of range.
    """
    check_names("values", values)
    shape = {name.removeprefix("network."): value for name, value in values.items() if name in NETWORK_NAMES}
    static = {name: value for name, value in values.items() if name in CONFIG_NAMES}
    traced = {name: value for name, value in values.items() if name in PARAM_NAMES}
    network = dataclasses.replace(config.network, **shape)
    return dataclasses.replace(config, network=network, **static), as_arrays(dataclasses.replace(params, **traced))


def as_arrays(params: Params) -> Params:
    """Return the settings as float32 arrays, so that another value is no new compilation."""
    return jax.tree.map(lambda value: jnp.asarray(value, jnp.float32), params)


def flat(config: Config, params: Params) -> dict[str, Any]:
    """Return every setting by name as plain values, which `replace` makes the same `config` and `params` of."""
    static = dataclasses.asdict(config)
    network = static.pop("network")
    plain = ("segment_length", "num_minibatches", "horizon", "bands")
    static |= {name: int(static[name]) for name in plain}  # given from now on, so that nothing takes their place
    # The shortest decimal number that is the same float32.
    numbers = {name: float(str(np.float32(value))) for name, value in vars(params).items()}
    return numbers | static | {f"network.{name}": value for name, value in network.items()}


def differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return "name=value there, value now" for each name of both whose values differ."""
    return [
        f"{name}={shown(stored[name])} there, {shown(value)} now"
        for name, value in given.items()
        if name in stored and stored[name] != value
    ]


def shown(value: Any) -> str:
    """Return a value as a person would type it."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def describe(config: Config, params: Params) -> str:
    """Return the settings for `--help`: name and default, values, meaning; at most 80 columns wide."""
    meanings = {f.name: _meanings(Params).get(f.name, "") for f in dataclasses.fields(Params)}
    meanings |= {name: _meanings(Config).get(name, "") for name in CONFIG_NAMES}
    meanings |= {f"network.{name}": text for name, text in _meanings(NetworkConfig).items()}
    lines = ["Settings for --set, with their defaults and values:"]
    for name, value in flat(config, params).items():
        text = meanings[name]
        meaning = re.split(r"(?<=\.)\s" if text.startswith('"') else r"(?<=[.;])\s", text)[0].rstrip(";.")
        head = f"  {name}={shown(value)}"
        lines.append(
            textwrap.fill(
                f"{head:<30} {_values(name)}. {meaning}.", 80, subsequent_indent=" " * 31, drop_whitespace=True
            )
        )
    lines.append("  env.NAME=VALUE               A constructor argument of the environment.")
    return "\n".join(lines)


def _values(name: str) -> str:
    """Return the rule of a setting's values."""
    if name in PARAM_NAMES:
        return str(RANGES.get(name, "any number"))
    if name == "bands":
        return "an integer of at least 0"
    named = {"network.kind": KINDS, "network.activation": tuple(ACTIVATIONS)}
    if name in named:
        return " or ".join(named[name])
    owner = NetworkConfig if name.startswith("network.") else Config
    annotation = typing.get_type_hints(owner)[name.removeprefix("network.")]
    if name == "estimator":
        annotation = typing.get_args(annotation)[0]
    return " or ".join(dict.fromkeys(word for part in _parts(annotation) for word in part))


def _parts(annotation: Any) -> Iterable[tuple[str, ...]]:
    if typing.get_origin(annotation) is Literal:
        yield typing.get_args(annotation)
    elif typing.get_args(annotation):
        for part in typing.get_args(annotation):
            yield from _parts(part)
    else:
        known = {int: "an integer of at least 1", bool: "true or false", str: "a name", type(None): "none"}
        yield (known.get(annotation, getattr(annotation, "__name__", str(annotation))),)


def _meanings(kind: type) -> dict[str, str]:
    """Return the text of every attribute in a docstring."""
    _, _, body = (kind.__doc__ or "").partition("Attributes:")
    entries = re.findall(r"^\s{8}(\w+): (.*?)(?=^\s{8}\w+: |\Z)", body, re.M | re.S)
    return {name: " ".join(text.split()) for name, text in entries}
