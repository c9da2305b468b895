"""The search space of a W&B sweep: a YAML file, or the dictionary that `wandb.sweep` takes.

The names of nested parameters become names with slashes. Listed numbers that ascend become an `Ordinal`. A normal
distribution becomes a bounded axis of six standard deviations with that centre and width.
"""

import math
import os
import re
from collections.abc import Mapping
from typing import Any

import yaml

from neocarbs_jax.adapters.spaces.imported import ImportedSpace, options
from neocarbs_jax.space import Integer, Linear, Log, SearchSpace

_SIGMAS = 3.0


def from_wandb(sweep: str | os.PathLike[str] | Mapping[str, Any]) -> ImportedSpace:
    """Return the space, metric and goal of a W&B sweep.

    Args:
        sweep: path of a YAML file, or the sweep as a dictionary.

    Raises:
        ValueError: if it describes no parameters, or one of them cannot be understood.
    """
    if not isinstance(sweep, Mapping):
        with open(sweep, encoding="utf-8") as file:
            sweep = load_yaml(file.read())
    if not isinstance(sweep, Mapping) or not isinstance(sweep.get("parameters"), Mapping):
        raise ValueError(f"`sweep` must be a W&B sweep with parameters; got {str(sweep)[:80]!r}.")
    notes: list[str] = []
    space = SearchSpace(**_tree(sweep["parameters"], "", notes))
    metric = sweep.get("metric") or {}
    direction = {"maximize": "maximize", "minimize": "minimize"}.get(metric.get("goal", "minimize"))
    if direction is None:
        raise ValueError(f"`goal` of the metric must be maximize or minimize; got {metric['goal']!r}.")
    if not metric:
        notes.append("The sweep names no metric: its score is maximised here.")
    return ImportedSpace(space, tuple(notes), metric.get("name"), direction if metric else "maximize")


class _Loader(yaml.SafeLoader):
    """Reads 1e-5 as a number, as YAML 1.2 does and 1.1 does not; and the tuples that ConfigSpace writes, as lists."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", lambda loader, node: loader.construct_sequence(node))


def load_yaml(text: str) -> Any:
    """Return the content of a YAML file.

    Raises:
        yaml.YAMLError: if it is none.
    """
    return yaml.load(text, _Loader)


def _tree(parameters: Mapping[str, Any], prefix: str, notes: list[str]) -> dict[str, Any]:
    found = {}
    for name, entry in parameters.items():
        if not isinstance(entry, Mapping):
            raise ValueError(f"`{prefix}{name}` must be a table of a W&B sweep; got {entry!r}.")
        if isinstance(entry.get("parameters"), Mapping):
            found[name] = _tree(entry["parameters"], f"{prefix}{name}/", notes)
        else:
            found[name] = _entry(f"{prefix}{name}", entry, notes)
    return found


def _entry(name: str, entry: Mapping[str, Any], notes: list[str]) -> Any:
    """Return one parameter as an axis or a fixed value."""
    if "value" in entry:
        return entry["value"]
    if "values" in entry:
        if "probabilities" in entry:
            notes.append(f"`{name}` has probabilities, which have no counterpart: its values are equally likely.")
        return options(list(entry["values"]))
    kind = entry.get("distribution")
    if kind is None:
        whole = all(isinstance(entry.get(end), int) for end in ("min", "max"))
        kind = "int_uniform" if whole else "uniform"
    try:
        return _distribution(name, kind, entry, notes)
    except KeyError as error:
        raise ValueError(f"`{name}` must have a {error.args[0]!r}; got {dict(entry)}.") from error


def _distribution(name: str, kind: str, entry: Mapping[str, Any], notes: list[str]) -> Any:
    step = entry.get("q", 1)
    match kind:
        case "int_uniform":
            return _bounded(Integer, entry["min"], entry["max"])
        case "uniform":
            return _bounded(Linear, float(entry["min"]), float(entry["max"]))
        case "q_uniform":
            low, high = (round(float(entry[end]) / step) * step for end in ("min", "max"))
            if isinstance(step, int):
                return _bounded(Integer, int(low), int(high), step=step)
            return _bounded(Linear, low, high, step=step)
        case "log_uniform_values" | "inv_log_uniform_values":
            return _bounded(Log, float(entry["min"]), float(entry["max"]))
        case "log_uniform":
            return _bounded(Log, math.exp(float(entry["min"])), math.exp(float(entry["max"])))
        case "inv_log_uniform":
            return _bounded(Log, math.exp(-float(entry["max"])), math.exp(-float(entry["min"])))
        case "q_log_uniform_values" | "q_log_uniform":
            ends = [
                float(entry[end]) if kind.endswith("values") else math.exp(float(entry[end])) for end in ("min", "max")
            ]
            if step == 1 and round(ends[0]) >= 1:
                return _bounded(Integer, round(ends[0]), round(ends[1]), log=True)
            notes.append(f"`{name}` is rounded to multiples of {step} by W&B; here it is not rounded.")
            return _bounded(Log, *ends)
        case "normal" | "q_normal" | "log_normal" | "q_log_normal":
            return _normal(name, kind, float(entry.get("mu", 0.0)), float(entry.get("sigma", 1.0)), notes)
        case "beta" | "q_beta":
            notes.append(f"`{name}` has a beta distribution, which has no counterpart: it is uniform from 0 to 1.")
            return Linear(0.0, 1.0)
    raise ValueError(f"`distribution` of `{name}` must be one of W&B's; got {kind!r}.")


def _bounded(kind: Any, low: float, high: float, **fields: Any) -> Any:
    """Return an axis; its only value where the bounds are equal."""
    return low if low == high else kind(low, high, **fields)


def _normal(name: str, kind: str, mu: float, sigma: float, notes: list[str]) -> Any:
    low, high, width = mu - _SIGMAS * sigma, mu + _SIGMAS * sigma, 1 / (2 * _SIGMAS)
    notes.append(f"`{name}` has a normal distribution without bounds: it is cut at three standard deviations.")
    if kind.startswith("q_"):
        notes.append(f"`{name}` is rounded by W&B; here it is not rounded.")
    if kind.endswith("log_normal"):
        return Log(math.exp(low), math.exp(high), center=math.exp(mu), width=width)
    return Linear(low, high, center=mu, width=width)
