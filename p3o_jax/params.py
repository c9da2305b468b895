"""`Params`: every number of a training that shapes nothing, traced."""

import dataclasses
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

import jax
import numpy as np

Scalar = float | jax.Array

STABLE = {"anneal": 1.0, "decay": 0.15, "warmup": 8.0}
"""What `anneal="stable"` stands for: warm-up, constant, and a final decay over a fixed share."""

POSITIVE = ("total_steps", "update_epochs", "kl_limit", "max_grad_norm", "decay")
FRACTIONS = (
    "anneal", "entropy_anneal", "decay", "adam_b1", "adam_b2", "tau", "floor", "spread_decay", "gamma", "gae_lambda"
)  # fmt: skip
NOT_NEGATIVE = (
    "learning_rate",
    "warmup",
    "clip",
    "value",
    "adam_eps",
    "weight_prior",
    "aggregate",
    "puf",
    "value_clip",
)


@dataclass(frozen=True)
class Params:
    """Traced settings: a new value is no new compilation, and `vmap` may run along any of them.

    Numbers and arrays, of whatever type, become float32 when they are given, so that `jit` sees one type. Numbers, and
    arrays of NumPy, are checked too; what is traced passes.

    Attributes:
        total_steps: Environment steps to train for, rounded up to whole updates.
        learning_rate: At the start.
        anneal: Fraction of the learning rate that is lost, linearly, until the end. "stable" is short for the settings
            of `STABLE`: until its final decay, such a training is the beginning of every longer one.
        update_epochs: Passes over each segment, rounded.
        clip: Bound of the policy's probability ratio, away from 1.
        kl_limit: Divergence from the policy that acted, in nats on the mean of a minibatch, beyond which the policy is
            pulled back; infinity is none, as in plain PPO.
        entropy: Coefficient of the entropy bonus at the start; PPO is usually given .01.
        entropy_anneal: Fraction of that coefficient that is lost, linearly, until the end.
        decay: Share of the training, at its end, over which both are lost; 1 is from the beginning.
        warmup: Updates over which the learning rate rises to its value.
        value: Coefficient of the value loss; PPO is usually given .5.
        max_grad_norm: Largest global norm of a gradient.
        adam_b1: Decay of Adam's mean; Muon takes it as its momentum.
        adam_b2: Decay of Adam's mean square.
        adam_eps: What Adam and Muon add to a divisor.
        tau: Share of the one-step prediction in P3O's errors; 0 is Monte Carlo with bootstrap, 1 is one-step. It is the
            largest value that `Config.tau_rule` gives.
        floor: Smallest weight of a band, or of a lag with `bands=0`.
        weight_prior: How much the prior of the weights counts, in units of explained variance; the prior is a line that
            falls to 0 at `Config.horizon`. See `lag_weights`.
        aggregate: Factor of the error of the weighted sum of all predictions in P3O's value loss.
        spread_decay: How much of the older statistics of each band or lag an update keeps.
        puf: How much of the rewards' precision the original P3O subtracts.
        gamma: Discount, of "gae" and of the reward scale "return".
        gae_lambda: Weight of longer returns, of "gae".
        value_clip: Bound of the change of a value in an update, of "gae"; infinity is none.

    Raises:
        ValueError: A number is out of its range.
    """

    total_steps: Scalar = 1e6
    learning_rate: Scalar = 5e-3
    anneal: Any = 1.0
    update_epochs: Scalar = 4.0
    clip: Scalar = 0.2
    kl_limit: Scalar = 0.1
    entropy: Scalar = 0.02
    entropy_anneal: Scalar = 0.0
    decay: Scalar = 1.0
    warmup: Scalar = 0.0
    value: Scalar = 0.1
    max_grad_norm: Scalar = 0.5
    adam_b1: Scalar = 0.9
    adam_b2: Scalar = 0.999
    adam_eps: Scalar = 1e-5
    tau: Scalar = 0.2
    floor: Scalar = 0.3
    weight_prior: Scalar = 5.0
    aggregate: Scalar = 3.0
    spread_decay: Scalar = 0.95
    puf: Scalar = 0.0
    gamma: Scalar = 0.99
    gae_lambda: Scalar = 0.95
    value_clip: Scalar = float("inf")

    def __post_init__(self) -> None:
        if isinstance(self.anneal, str):
            if self.anneal != "stable":
                raise ValueError(f"`anneal` must be a number or stable; got {self.anneal!r}.")
            for name, value in STABLE.items():
                object.__setattr__(self, name, value)
        for name in PARAM_NAMES:
            value = _as_float32(getattr(self, name))
            object.__setattr__(self, name, value)
            if not isinstance(value, (np.ndarray, np.floating)):  # traced, on a device, or nothing
                continue
            for names, is_right, rule in _RULES:
                if name in names and not np.all(is_right(value)):
                    raise ValueError(f"`{name}` must be {rule}; got {value}.")

    def replace(self, **changes: Any) -> "Params":
        """Return the settings with some of them changed."""
        return dataclasses.replace(self, **changes)


PARAM_NAMES = tuple(field.name for field in fields(Params))

_RULES = (
    (PARAM_NAMES, lambda x: ~np.isnan(x), "a number"),
    (POSITIVE, lambda x: x > 0, "positive"),
    (FRACTIONS, lambda x: (x >= 0) & (x <= 1), "from 0 to 1"),
    (NOT_NEGATIVE, lambda x: x >= 0, "at least 0"),
)


def _as_float32(value: Any) -> Any:
    """Return numbers and arrays as float32; what else trees are made of, such as None, passes."""
    if isinstance(value, Real):
        return np.float32(value)
    if isinstance(value, np.ndarray):
        return value.astype(np.float32)
    if isinstance(value, jax.Array) and (value.dtype != np.float32 or value.weak_type):
        return value.astype(np.float32)
    return value


def _flatten(params: Params) -> tuple[tuple[Any, ...], None]:
    return tuple(getattr(params, name) for name in PARAM_NAMES), None


def _flatten_with_keys(params: Params) -> tuple[tuple[Any, ...], None]:
    return tuple((jax.tree_util.GetAttrKey(name), getattr(params, name)) for name in PARAM_NAMES), None


def _unflatten(_: None, leaves: Any) -> Params:
    """Return a tree of whatever leaves: gradients of settings, or axes of `vmap`, are no settings to be checked."""
    params = object.__new__(Params)
    for name, leaf in zip(PARAM_NAMES, leaves, strict=True):
        object.__setattr__(params, name, leaf)
    return params


jax.tree_util.register_pytree_with_keys(Params, _flatten_with_keys, _unflatten, _flatten)
