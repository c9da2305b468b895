"""What `p3o sweep` may search: every setting of a training by name, with a range and a scale that suit it."""

import dataclasses
import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

from experiments.common import nearest
from experiments.environments import maker_of
from experiments.settings import ENV, RANGES, literal
from neocarbs_jax.space import Bounded, Choice, Integer, Linear, Log, Logit, Options, Pow2
from p3o_jax.networks import ACTIVATIONS

SWITCH = Choice((False, True))

AXES: dict[str, Bounded | Choice] = {
    "total_steps": Log(1e5, 4e6),
    "learning_rate": Log(1e-3, 5e-2),
    "anneal": Linear(0.0, 1.0),
    "update_epochs": Integer(1, 4),
    "clip": Linear(0.05, 0.5),
    "kl_limit": Log(0.02, 1.0),
    "entropy": Log(1e-4, 1e-1),
    "entropy_anneal": Linear(0.0, 1.0),
    "decay": Linear(0.05, 1.0),
    "warmup": Linear(0.0, 32.0),
    "value": Log(0.01, 1.0),
    "max_grad_norm": Log(0.1, 4.0),
    "adam_b1": Logit(0.5, 0.99),
    "adam_b2": Logit(0.9, 0.9999),
    "adam_eps": Log(1e-8, 1e-3),
    "tau": Log(0.02, 0.8),
    "floor": Linear(0.05, 1.0),
    "weight_prior": Log(0.5, 50.0),
    "aggregate": Log(0.3, 10.0),
    "spread_decay": Logit(0.5, 0.995),
    "puf": Linear(0.0, 1.0),
    "gamma": Logit(0.8, 0.9999),
    "gae_lambda": Logit(0.5, 0.995),
    "value_clip": Log(0.05, 10.0),
    "num_envs": Pow2(64, 256),
    "segment_length": Pow2(8, 128),
    "horizon": Pow2(8, 128),
    "bands": Integer(4, 8),
    "evidence": SWITCH,
    "num_minibatches": Pow2(1, 8),
    "minibatches_of": Choice(("environments", "samples")),
    "estimator": Choice(("p3o", "original", "gae")),
    "optimizer": Choice(("adam", "muon")),
    "precision": Choice(("float32", "bfloat16")),
    "reward_scale": Choice(("rms", "return", "clip", "none")),
    "tau_rule": Choice(("noise", "fixed")),  # two more without bands: tau_rule=noise,fixed,explained,precision
    "normalize_observations": SWITCH,
    "bootstrap_truncations": SWITCH,
    "squash": SWITCH,
    "network.kind": Choice(("mlp", "gru")),  # a cnn needs images: network.kind=mlp,cnn
    "network.width": Pow2(32, 256),
    "network.depth": Integer(1, 3),
    "network.channels": Pow2(8, 64),
    "network.activation": Choice(tuple(ACTIVATIONS)),
    "network.shared": SWITCH,
}
"""Each setting that can be searched, with its default range. Those of `Config` and the network change the program."""

_DEAD = {
    "p3o": ("gae_lambda", "value_clip", "puf"),
    "original": (
        "gae_lambda",
        "value_clip",
        "tau",
        "floor",
        "weight_prior",
        "aggregate",
        "tau_rule",
        "bands",
        "evidence",
    ),
    "gae": (
        "tau",
        "floor",
        "weight_prior",
        "aggregate",
        "spread_decay",
        "puf",
        "horizon",
        "tau_rule",
        "bands",
        "evidence",
    ),
}
"""Settings that an estimator does not look at."""


@dataclasses.dataclass(frozen=True)
class Preset:
    """A choice of axes, and the settings that it starts from.

    Attributes:
        axes: names of what is searched.
        settings: that differ from the defaults.
    """

    axes: tuple[str, ...]
    settings: Mapping[str, Any]


SEGMENTS = {"segment_length": 64, "num_minibatches": 4}
"""Of all trainings of a sweep, whatever the preset."""

USUAL = {"value": 0.5, "entropy": 0.01, "kl_limit": math.inf}
"""Coefficients of the losses of PPO and the original P3O, which have no limit; P3O has its defaults."""

PRESETS = {
    "p3o": Preset(
        (
            *("total_steps", "num_envs", "learning_rate", "update_epochs", "entropy", "clip", "value"),
            *("max_grad_norm", "tau", "floor"),
        ),
        SEGMENTS,
    ),
    "ppo": Preset(
        (
            *("total_steps", "num_envs", "learning_rate", "update_epochs", "entropy", "clip", "value"),
            *("max_grad_norm", "gamma", "gae_lambda"),
        ),
        {**SEGMENTS, "estimator": "gae", **USUAL},
    ),
}
"""Only `num_envs` changes a shape, so that a sweep compiles three trainings."""


def describe() -> str:
    """Return the axes for `--help`: name and default range, and the presets."""
    lines = ["Axes for --axes, with their default ranges (NAME=LOW,HIGH or NAME=A,B,C gives others):"]
    lines += [f"  {name:<24} {shown(axis)}" for name, axis in AXES.items()]
    lines += ["  env.ARGUMENT=LOW,HIGH    an argument of the environment's constructor", "Presets for --preset:"]
    return "\n".join([*lines, *(f"  {name:<5} {' '.join(preset.axes)}" for name, preset in PRESETS.items())])


def shown(axis: Bounded | Choice) -> str:
    """Return an axis as a person would read it."""
    if isinstance(axis, Choice):
        return " or ".join(str(option) for option in axis.options)
    scale = type(axis).__name__.lower()
    return f"{axis.low:g} to {axis.high:g}, {scale}"


def text_of(axis: Bounded | Options) -> str:
    """Return what stands behind the name of an axis on the command line."""
    options = axis.options if isinstance(axis, Options) else (axis.low, axis.high)
    return ",".join(f"{option:.10g}" if isinstance(option, float) else str(option) for option in options)


def parse(entries: Iterable[str | Iterable[str]], env: str) -> dict[str, Bounded | Choice]:
    """Return the axes that NAME and NAME=LOW,HIGH entries stand for.

    Args:
        entries: of the command line, in groups or not.
        env: name of the environment, whose arguments may be axes.

    Raises:
        ValueError: an axis is unknown or given twice, or its range cannot be.
    """
    axes: dict[str, Bounded | Choice] = {}
    for entry in (word for group in entries for word in ([group] if isinstance(group, str) else group)):
        name, equals, text = entry.partition("=")
        if name in axes:
            raise ValueError(f"`axes` must name {name} once; got it twice.")
        if equals and not text:
            raise ValueError(f"`axes` must read NAME or NAME=LOW,HIGH; got {entry!r}.")
        default = _of_environment(name, text, env) if name.startswith(ENV) else AXES.get(name)
        if default is None:
            raise ValueError(
                f"`axes` must name a setting, which `p3o sweep --help` lists; got {name}{nearest(name, AXES)}"
            )
        axes[name] = with_range(name, default, text) if text else default
    return axes


def with_range(name: str, axis: Bounded | Choice, text: str, argument: str = "axes") -> Bounded | Choice:
    """Return the axis with another range: LOW,HIGH, or options.

    Raises:
        ValueError: the range cannot be.
    """
    is_switch, known = axis == SWITCH, {str(o): o for o in axis.options} if isinstance(axis, Choice) else {}
    words = [known.get(word, literal(word)) for word in text.split(",")]
    try:
        if isinstance(axis, Choice) or len(words) > 2:
            axis = Choice(tuple(words))
        else:
            low, high = (float(word) for word in words)
            axis = dataclasses.replace(axis, low=low, high=high)
    except (TypeError, ValueError) as error:
        if isinstance(axis, Choice) or len(words) > 2 or "must" in str(error):
            raise ValueError(f"`{argument}` of {name}: {error}") from error
        what = "AXIS" if argument == "bounds" else "NAME"
        raise ValueError(f"`{argument}` must read {what}=LOW,HIGH; got '{name}={text}'.") from None
    for value in words:
        if is_switch and not isinstance(value, bool):
            raise ValueError(f"`{argument}` of {name} must be true and false; got '{name}={text}'.")
        if name in RANGES and value not in RANGES[name]:
            raise ValueError(f"`{argument}` of {name} must be {RANGES[name]}; got {value}.")
    return axis


def _of_environment(name: str, text: str, env: str) -> Bounded | Choice:
    """Return the axis of a constructor argument, by the type of its default."""
    maker = maker_of(env)
    parameters = dict(inspect.signature(maker).parameters) if maker else {}
    argument = name.removeprefix(ENV)
    if argument not in parameters:
        known = ", ".join(ENV + known for known in parameters) or "none"
        raise ValueError(f"`axes` must name an argument of {env} ({known}); got {name}.")
    default = parameters[argument].default
    if isinstance(default, bool):
        return SWITCH
    if not text:
        raise ValueError(f"`axes` must give {name} a range or options; got none.")
    if isinstance(default, int):
        return Integer(0, 1)
    return Linear(0.0, 1.0) if isinstance(default, float) else Choice(tuple(literal(word) for word in text.split(",")))


def without_effect(axes: Iterable[str], fixed: Mapping[str, Any]) -> list[str]:
    """Return the axes that the estimator in force, or the network, does not look at."""
    axes = list(axes)
    unseen = "network.kind" not in axes and fixed.get("network.kind") != "cnn"
    channels = [name for name in axes if name == "network.channels" and unseen]
    if "estimator" in axes:
        return channels
    estimator = fixed.get("estimator", "p3o")
    dead = [name for name in axes if name in _DEAD.get(estimator, ())]
    scales_returns = "reward_scale" in axes or fixed.get("reward_scale") == "return"
    return channels + dead + [name for name in axes if name == "gamma" and estimator != "gae" and not scales_returns]
