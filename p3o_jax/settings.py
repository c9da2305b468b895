"""Settings of a training: `Config` holds all that shapes its program, `Params` every number that does not."""

import math
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Literal, get_args

from p3o_jax.checks import check_booleans, check_choice, check_positive_integers
from p3o_jax.estimators import Estimator, make_estimator, num_judged
from p3o_jax.estimators.banded import TAU_RULES as BAND_TAU_RULES
from p3o_jax.networks import NetworkConfig
from p3o_jax.normalize import RewardScale
from p3o_jax.ops.bands import bands_over
from p3o_jax.ops.common import check_platform
from p3o_jax.ops.evidence import MAX_PARTS, MIN_PARTS, num_parts
from p3o_jax.ops.spread import TauRule
from p3o_jax.params import PARAM_NAMES, Params, Scalar

__all__ = ["PARAM_NAMES", "Config", "EstimatorName", "MinibatchesOf", "Params", "RewardScale", "Scalar", "TauRule"]

EstimatorName = Literal["p3o", "original", "gae"]
Optimizer = Literal["adam", "muon"]
Precision = Literal["float32", "bfloat16"]
MinibatchesOf = Literal["environments", "samples"]

MAX_PREDICTIONS = 2**31 - 1
"""Predictions of a segment; beyond this, indices overflow and the array alone takes 8 GiB."""


SEGMENT_SAMPLES, SHORTEST, LONGEST = 8192, 8, 64
"""Samples of a segment in all environments together, and bounds of its steps, where `segment_length` is not given."""

MINIBATCHES = 8
"""Of a segment, where `num_minibatches` is not given and 8 divides `num_envs`."""

FOLLOWS = {"segment_length": ("num_envs",), "num_minibatches": ("num_envs",), "bands": ("horizon", "estimator")}
"""Fields that follow from others where they are not given, and those others."""

OF_ESTIMATOR = ("horizon", "bands", "evidence", "tau_rule", "implementation")
"""Fields that an estimator made by its name takes, where it has them."""


class _OwnInt(int):
    """A number that a configuration has from its estimator object, and that goes with it."""


class _OwnStr(str):
    """The same for a word."""

    __slots__ = ()


class _FittedInt(int):
    """A number that a configuration has from other fields, and has anew where others take their place."""


class _Unknown(_FittedInt):
    """Such a number before it is known."""

    def __repr__(self) -> str:
        return "fitted"


_FITTED = _Unknown(0)
"""The default of such a field; the number itself takes its place when a configuration is made."""


@dataclass(frozen=True)
class Config:
    """Static settings: one compilation each. Hashable.

    Attributes:
        num_envs: Environments stepped side by side.
        segment_length: Steps T of each between two updates, by default 8192 / `num_envs`, from 8 to 64. Agents of one
            environment are not counted.
        horizon: Steps H that "p3o" and "original" look ahead. The weights of "p3o" fall over them; "original", and
            "p3o" with `bands` 0, predict the reward of each of them.
        bands: Sums of rewards that "p3o" predicts; by default as many as reach over `horizon` steps. They are 1, 1, 2,
            4, ... steps wide, so that 8 reach over 128. Bands that begin beyond `horizon` keep the weight
            `Params.floor`. 0 predicts the reward of each step by itself, a lag.
        evidence: Whether "p3o" leaves out the bands, or lags, beyond the last one that the actions are seen to change.
        network: Shape of the network.
        num_minibatches: Parts of a segment that an epoch takes one gradient step each on, by default the greatest
            common divisor of 8 and `num_envs`.
        minibatches_of: Whole "environments" in fixed groups, or "samples" of all environments and steps, drawn anew in
            each epoch. Samples are for "gae" and for "p3o" with bands, without recurrence: other losses look
            along the steps.
        estimator: "p3o", "original" (PufferLib 3.0's P3O), "gae" (PPO), or an object of the protocol `Estimator`. If an
            object has a horizon, bands, evidence, a tau rule or an implementation, the fields of these names take its
            values, and other values of them are refused.
        optimizer: "adam" or "muon".
        precision: Of the network's arithmetic; parameters, losses and statistics are float32.
        reward_scale: "rms" (rewards over their running root mean square), "return" (over the running deviation of
            discounted returns), "clip" (into [-1, 1]), "none"; None is the estimator's own: rms, clip, none.
        tau_rule: What scales `Params.tau` of "p3o": the share of the rewards that predictions leave open ("noise"),
            nothing ("fixed"), or, for lags alone, how good the prediction that it trusts has been: its explained
            variance ("explained"), or its precision relative to the best lag's ("precision").
        normalize_observations: Whether observations are whitened by running statistics.
        bootstrap_truncations: Whether to predict what would have followed a truncation, at the price of a second pass
            of the values.
        squash: Whether continuous actions are bounded by tanh instead of clipping.
        pool_size: Fresh episodes that ended ones are replaced by in a step; None is as `VectorEnvironment` has it, and
            `num_envs` makes all starts independent.
        num_buckets: Intervals of a training that metrics are averaged over.
        implementation: Of the P3O operations: "reference", "xla", "pallas", "interpret"; None is the platform's best.
    """

    num_envs: int = 64
    segment_length: int = _FITTED
    horizon: int = 128
    bands: int = _FITTED
    evidence: bool = False
    network: NetworkConfig = field(default_factory=NetworkConfig)
    num_minibatches: int = _FITTED
    minibatches_of: MinibatchesOf = "environments"
    estimator: EstimatorName | Estimator = "p3o"
    optimizer: Optimizer = "adam"
    precision: Precision = "float32"
    reward_scale: RewardScale | None = None
    tau_rule: TauRule = "noise"
    normalize_observations: bool = False
    bootstrap_truncations: bool = False
    squash: bool = False
    pool_size: int | None = None
    num_buckets: int = 32
    implementation: str | None = None

    def __post_init__(self) -> None:
        self._take_settings_of_estimator()
        check_positive_integers(self, ("num_envs", "horizon"))
        self._fit()
        check_positive_integers(self, ("segment_length", "num_minibatches", "num_buckets"))
        if self.bands or not isinstance(self.bands, Integral):
            check_positive_integers(self, ("bands",))
        check_booleans(self, ("evidence", "normalize_observations", "bootstrap_truncations", "squash"))
        if not isinstance(self.network, NetworkConfig):
            raise ValueError(f"`network` must be a NetworkConfig; got {self.network!r}.")
        check_choice("tau_rule", self.tau_rule, get_args(TauRule))
        if self.bands and self.estimator == "p3o" and self.tau_rule not in BAND_TAU_RULES:
            raise ValueError(f"`tau_rule` must be noise or fixed unless `bands` is 0; got {self.tau_rule!r}.")
        check_platform(self.implementation)
        check_choice("optimizer", self.optimizer, get_args(Optimizer))
        check_choice("precision", self.precision, get_args(Precision))
        check_choice("minibatches_of", self.minibatches_of, get_args(MinibatchesOf))
        if self.reward_scale is not None:
            check_choice("reward_scale", self.reward_scale, get_args(RewardScale))
        self._check_minibatches()
        if num_judged(self.estimator_object) and num_parts(self.num_envs) < MIN_PARTS:
            raise ValueError(
                f"`num_envs` must have a divisor from {MIN_PARTS} to {MAX_PARTS} with `evidence`; got {self.num_envs}."
            )
        size = self.num_values * self.segment_length * self.num_envs
        if size > MAX_PREDICTIONS:
            raise ValueError(
                f"`segment_length` must leave `segment_length` x `num_envs` x {self.num_values} predictions at most "
                f"{MAX_PREDICTIONS}, which arrays can index; got {size}."
            )

    def _take_settings_of_estimator(self) -> None:
        """Make the fields that an estimator object has, too, those of the object; forget those of an earlier one."""
        defaults = {f.name: f.default for f in fields(self) if f.name in OF_ESTIMATOR}
        without = {"bands": 0, "evidence": False}
        for name, default in defaults.items():
            if isinstance(getattr(self, name), _OwnInt | _OwnStr | _FittedInt):  # not given
                object.__setattr__(self, name, default)
            if isinstance(self.estimator, str):
                continue
            given = getattr(self, name)
            if not hasattr(self.estimator, name):
                if given and name in without:
                    rule = f"must be {without[name]} beside an estimator object that has none"
                    raise ValueError(f"`{name}` {rule}; got {given!r}.")
                continue
            own = getattr(self.estimator, name)
            is_free = isinstance(given, _FittedInt) if isinstance(default, _FittedInt) else given == default
            if given != own and not is_free:
                raise ValueError(f"`{name}` must be set on the estimator; got {given!r} beside {own!r}.")
            marked = {int: _OwnInt, str: _OwnStr}.get(type(own), lambda x: x)
            object.__setattr__(self, name, marked(own))

    def _fit(self) -> None:
        """Make the fields follow from others that were not given; see `FOLLOWS`."""
        steps = SEGMENT_SAMPLES // self.num_envs // SHORTEST * SHORTEST
        fitting = {
            "segment_length": min(max(steps, SHORTEST), LONGEST),
            "num_minibatches": math.gcd(MINIBATCHES, self.num_envs),
            "bands": bands_over(self.horizon) if self.estimator == "p3o" else 0,
        }
        for name, value in fitting.items():
            if isinstance(getattr(self, name), _FittedInt):
                object.__setattr__(self, name, _FittedInt(value))

    def _check_minibatches(self) -> None:
        of_samples = self.minibatches_of == "samples"
        if of_samples and (self.estimator_object.looks_ahead or self.network.kind == "gru"):
            raise ValueError(
                "`minibatches_of` must be environments unless the estimator is gae, or p3o with bands, and the network "
                f"has no memory; got samples with {self.estimator}, bands={self.bands} and {self.network.kind}."
            )
        whole = self.num_envs * self.segment_length if of_samples else self.num_envs
        if whole % self.num_minibatches:
            name = "`num_envs` x `segment_length`" if of_samples else "`num_envs`"
            raise ValueError(f"`num_minibatches` must divide {name}; got {self.num_minibatches} and {whole}.")

    @property
    def fitted(self) -> tuple[str, ...]:
        """Names of the fields that were not given and follow from others."""
        return tuple(name for name in FOLLOWS if isinstance(getattr(self, name), _FittedInt))

    @property
    def estimator_object(self) -> Estimator:
        """The estimator, also where `estimator` is a name."""
        if not isinstance(self.estimator, str):
            return self.estimator
        own = {name: getattr(self, name) for name in OF_ESTIMATOR}
        return make_estimator(self.estimator, **own)

    @property
    def num_values(self) -> int:
        """Width of the value head."""
        return self.estimator_object.num_values

    @property
    def scale(self) -> RewardScale:
        """The reward scale in force."""
        return self.reward_scale or self.estimator_object.default_reward_scale
