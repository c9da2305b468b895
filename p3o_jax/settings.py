"""What a training is told: `Config`, all that shapes its program, and `Params`, every number that does not."""

from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Literal, get_args

import jax
from flax import struct

from p3o_jax.horizon import resolve_implementation
from p3o_jax.networks import NetworkConfig

Estimator = Literal["p3o", "original", "gae"]
Optimizer = Literal["adam", "muon"]
RewardScale = Literal["rms", "return", "clip", "none"]
Precision = Literal["float32", "bfloat16"]
MinibatchesOf = Literal["environments", "samples"]
TauRule = Literal["noise", "fixed", "explained", "precision"]

Scalar = float | jax.Array

MAX_PREDICTIONS = 2**31 - 1
"""Predictions of a segment; beyond this, indices overflow and the array alone takes 8 GiB."""

DEFAULT_REWARD_SCALES: dict[str, RewardScale] = {"p3o": "rms", "original": "clip", "gae": "none"}


@dataclass(frozen=True)
class Config:
    """Static settings: one compilation each. Hashable.

    Attributes:
      num_envs: environments stepped side by side.
      segment_length: steps T of each between two updates.
      horizon: lags H of the value head (not used by "gae").
      network: shape of the network.
      num_minibatches: parts of a segment that an epoch takes one gradient step each on.
      minibatches_of: whole "environments" in fixed groups, or "samples" of all environments and steps, drawn anew in
        each epoch; samples for "gae" without recurrence only, as the other losses look along the steps.
      estimator: "p3o", "original" (PufferLib 3.0's P3O) or "gae" (PPO).
      optimizer: "adam" or "muon".
      precision: of the network's arithmetic; parameters, losses and statistics are float32.
      reward_scale: "rms" (rewards over their running root mean square), "return" (over the running deviation of
        discounted returns), "clip" (into [-1, 1]), "none"; None is the estimator's own: rms, clip, none.
      tau_rule: what scales `Params.tau` of "p3o": the share of the rewards that predictions leave open ("noise"),
        nothing ("fixed"), or, at each lag, how well the prediction that it trusts has been doing: its explained
        variance, or its precision relative to the best lag's.
      normalize_observations: whiten observations by running statistics.
      bootstrap_truncations: predict what would have followed a truncation, at the price of a second pass of the values.
      squash: continuous actions by tanh instead of clipping.
      pool_size: initial states that resets draw from; None leaves it to the environments.
      num_buckets: intervals of a training that metrics are averaged over.
      implementation: of the P3O operations: "reference", "xla", "pallas", "interpret"; None is the platform's best.
    """

    num_envs: int = 64
    segment_length: int = 128
    horizon: int = 128
    network: NetworkConfig = field(default_factory=NetworkConfig)
    num_minibatches: int = 4
    minibatches_of: MinibatchesOf = "environments"
    estimator: Estimator = "p3o"
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
        for name in ("num_envs", "segment_length", "horizon", "num_minibatches", "num_buckets"):
            if not isinstance(getattr(self, name), Integral):
                raise ValueError(f"`{name}` must be an integer; got {getattr(self, name)!r}.")
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1; got {getattr(self, name)}.")
        for name in ("normalize_observations", "bootstrap_truncations", "squash"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"`{name}` must be True or False; got {getattr(self, name)!r}.")
        if not isinstance(self.network, NetworkConfig):
            raise ValueError(f"`network` must be a NetworkConfig; got {self.network!r}.")
        of_samples = self.minibatches_of == "samples"
        whole = self.num_envs * self.segment_length if of_samples else self.num_envs
        if whole % self.num_minibatches:
            name = "`num_envs` x `segment_length`" if of_samples else "`num_envs`"
            raise ValueError(f"`num_minibatches` must divide {name}; got {self.num_minibatches} and {whole}.")
        choices = {"estimator": Estimator, "optimizer": Optimizer, "precision": Precision}
        choices |= {"tau_rule": TauRule, "minibatches_of": MinibatchesOf}
        for name, choice in choices.items():
            _check_choice(name, getattr(self, name), get_args(choice))
        if self.reward_scale is not None:
            _check_choice("reward_scale", self.reward_scale, get_args(RewardScale))
        if of_samples and (self.estimator != "gae" or self.network.kind == "gru"):
            raise ValueError(
                "`minibatches_of` must be environments unless the estimator is gae and the network has no memory; "
                f"got samples with {self.estimator} and {self.network.kind}."
            )
        resolve_implementation(self.implementation)
        size = self.num_values * self.segment_length * self.num_envs
        if size > MAX_PREDICTIONS:
            raise ValueError(
                "`horizon` must leave `horizon` x `segment_length` x `num_envs` at most "
                f"{MAX_PREDICTIONS}, which arrays can index; got {size}."
            )

    @property
    def num_values(self) -> int:
        """Width of the value head."""
        return 1 if self.estimator == "gae" else self.horizon

    @property
    def scale(self) -> RewardScale:
        """The reward scale in force."""
        return self.reward_scale or DEFAULT_REWARD_SCALES[self.estimator]


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"`{name}` must be one of {', '.join(known)}; got {value!r}.")


@struct.dataclass
class Params:
    """Traced settings: a new value is no new compilation, and `vmap` may run along any of them.

    Floats or arrays of them: an int is another type to `jit`, which compiles anew and refuses those beyond 2^31.

    Attributes:
      total_steps: environment steps to train for, rounded up to whole updates.
      learning_rate: at the start.
      anneal: fraction of the learning rate alone that is lost, linearly, until the end.
      update_epochs: passes over each segment, rounded.
      clip: bound of the policy's probability ratio, away from 1.
      entropy: coefficient of the entropy bonus at the start; PPO is usually given .01.
      entropy_anneal: fraction of that coefficient that is lost, linearly, until the end.
      value: coefficient of the value loss; PPO is usually given .5.
      max_grad_norm: largest global norm of a gradient.
      adam_b1, adam_b2, adam_eps: of Adam; Muon takes `adam_b1` as its momentum.
      tau: share of the one-step prediction in P3O's errors; 0 is Monte Carlo with bootstrap, 1 is one-step;
        the largest that `Config.tau_rule` gives.
      floor: smallest weight of a lag.
      weight_prior: how much the prior of the lags' weights counts, in units of explained variance; see `lag_weights`.
      aggregate: weight of the sum over lags in P3O's value loss.
      spread_decay: how much of the older statistics of each lag an update keeps.
      puf: how much of the rewards' precision the original P3O subtracts.
      gamma: discount, of "gae" and of the reward scale "return".
      gae_lambda: of "gae".
      value_clip: bound of the change of a value in an update, of "gae"; infinity is none.
    """

    total_steps: Scalar = 1e6
    learning_rate: Scalar = 5e-3
    anneal: Scalar = 1.0
    update_epochs: Scalar = 4.0
    clip: Scalar = 0.2
    entropy: Scalar = 0.02
    entropy_anneal: Scalar = 0.0
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


PARAM_NAMES = tuple(field.name for field in fields(Params))
