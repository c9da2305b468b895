"""Generalised advantage estimation: one discounted return, as in PPO."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from p3o_jax.estimators.base import Estimate, Outcome, Predictions, Trainable
from p3o_jax.losses import clipped_value_loss
from p3o_jax.normalize import RewardScale
from p3o_jax.ops.advantages import gae
from p3o_jax.ops.common import variance_of_valid
from p3o_jax.params import Params


class Targets(NamedTuple):
    """What the value loss reads of each step.

    Attributes:
        returns: The return that the value is to predict.
        old_values: The value before the update.
    """

    returns: Float[Array, "t b"]
    old_values: Float[Array, "t b"]


@dataclass(frozen=True)
class GAE:
    """The estimator "gae"; its formulas stand at `ops.advantages.gae` and `clipped_value_loss`."""

    default_reward_scale: ClassVar[RewardScale] = "none"
    looks_ahead: ClassVar[bool] = False

    @property
    def num_values(self) -> int:
        """Width of the value head."""
        return 1

    def init(self) -> tuple[()]:
        """Return no statistics."""
        return ()

    def init_trained(self) -> Trainable:
        """Return no parameters."""
        return {}

    def targets(
        self, params: Params, state: tuple[()], trained: Trainable, outcome: Outcome, predictions: Predictions
    ) -> Estimate:
        """Return advantages and lambda-returns; see `Estimator.targets`."""
        del trained
        old_values = predictions.values[..., 0].astype(jnp.float32)
        final = None if predictions.final is None else predictions.final[..., 0]
        out = gae(old_values, *outcome[:3], predictions.last[..., 0], params.gamma, params.gae_lambda, final)
        variance, left = (variance_of_valid(x, outcome.valid) for x in (out.returns, out.advantages))
        explained = 1.0 - left / jnp.where(variance > 0, variance, 1.0)
        explained = jnp.where(variance > 0, explained, 0.0)
        return Estimate(out.advantages, Targets(out.returns, old_values), (), state, explained[None])

    def value_loss(
        self, params: Params, trained: Trainable, values: Float[Array, "t b v"], targets: Targets, shared: tuple[()]
    ) -> Float[Array, ""]:
        """Return the clipped squared error; see `Estimator.value_loss`."""
        del trained, shared
        predicted: Array = values[..., 0].astype(jnp.float32)
        return params.value * clipped_value_loss(predicted, targets.old_values, targets.returns, params.value_clip)
