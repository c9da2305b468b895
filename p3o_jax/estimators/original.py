"""The P3O of PufferLib 3.0, reproduced as a baseline."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from p3o_jax.checks import check_positive_integers
from p3o_jax.estimators.base import Estimate, Outcome, Predictions, Trainable
from p3o_jax.normalize import RewardScale
from p3o_jax.ops.advantages import segment_original_advantage
from p3o_jax.ops.common import check_platform, variance_of_valid
from p3o_jax.ops.spread import Spread, init_spread, segment_spread
from p3o_jax.ops.value_loss import segment_nll
from p3o_jax.params import Params
from p3o_jax.segment import Segment, make_segment

LOG_STD_RANGE = (-10.0, 10.0)
"""Range that training keeps the logarithm of each lag's spread in, for rewards near unit scale."""


@dataclass(frozen=True)
class Original:
    """The estimator "original"; its formulas stand at `original_advantage` and `gaussian_nll`.

    It masks what follows a terminal, as if the episode had been cut there. The spread of each lag is trained by
    gradient steps on "log_std", within `LOG_STD_RANGE`; its running statistics are only kept for the explained variance
    in the metrics.

    Attributes:
        horizon: Lags H of the value head.
        implementation: Of the operations; None is the platform's best.
    """

    horizon: int = 128
    implementation: str | None = None

    default_reward_scale: ClassVar[RewardScale] = "clip"
    looks_ahead: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive_integers(self, ["horizon"])
        check_platform(self.implementation)

    @property
    def num_values(self) -> int:
        """Width of the value head."""
        return self.horizon

    def init(self) -> Spread:
        """Return the spread of every lag before any segment was seen."""
        return init_spread(self.horizon)

    def init_trained(self) -> Trainable:
        """Return the logarithm of each lag's spread, 0."""
        return {"log_std": jnp.zeros(self.horizon, jnp.float32)}

    def targets(
        self, params: Params, state: Spread, trained: Trainable, outcome: Outcome, predictions: Predictions
    ) -> Estimate:
        """Return advantages and the segment without what follows terminals; see `Estimator.targets`."""
        values, log_std = predictions.values, trained["log_std"]
        done = outcome.terminated | outcome.truncated
        segment = make_segment(values, outcome.rewards, jnp.zeros_like(done), done)
        spread = segment_spread(state, values, segment, params.spread_decay, self.implementation, outcome.valid)
        # Equal rewards have no precision to subtract.
        reward_std = jnp.maximum(jnp.sqrt(variance_of_valid(outcome.rewards, outcome.valid)), 1e-4)
        advantages = segment_original_advantage(values, log_std, segment, reward_std, params.puf)
        return Estimate(advantages, segment, (), spread, spread.explained_variance)

    def value_loss(
        self, params: Params, trained: Trainable, values: Float[Array, "t b v"], targets: Segment, shared: tuple[()]
    ) -> Float[Array, ""]:
        """Return the Gaussian negative log-likelihood; see `Estimator.value_loss`."""
        del shared
        log_std: Array = jnp.clip(trained["log_std"], *LOG_STD_RANGE)
        return segment_nll(values, log_std, targets, params.value, self.implementation)
