"""P3O: one predicted reward per lag, weighed by how well rewards are predicted."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, get_args

from jaxtyping import Array, Float

from p3o_jax.checks import check_choice, check_positive_integers
from p3o_jax.estimators.base import Estimate, Outcome, Predictions, Trainable
from p3o_jax.normalize import RewardScale
from p3o_jax.ops.advantages import segment_advantage
from p3o_jax.ops.common import check_platform
from p3o_jax.ops.spread import Spread, TauRule, init_spread, lag_taus, lag_weights, segment_spread
from p3o_jax.ops.value_loss import segment_value_loss
from p3o_jax.params import Params
from p3o_jax.segment import Segment, make_segment


class Targets(NamedTuple):
    """What the value loss reads of each step: the rewards that are known, and the return for the sum over lags."""

    segment: Segment
    returns: Float[Array, "t b"]


class Lags(NamedTuple):
    """Weight of every lag, and spread of its error, fixed for an update."""

    weights: Float[Array, " h"]
    std: Float[Array, " h"]


@dataclass(frozen=True)
class P3O:
    """The estimator "p3o"; its formulas stand at `p3o_advantage`, `lag_weights`, `lag_taus` and `p3o_value_loss`.

    Attributes:
        horizon: Lags H of the value head.
        tau_rule: What scales `Params.tau`; see `lag_taus`.
        implementation: Of the operations; None is the platform's best.
    """

    horizon: int = 128
    tau_rule: TauRule = "noise"
    implementation: str | None = None

    default_reward_scale: ClassVar[RewardScale] = "rms"
    looks_ahead: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive_integers(self, ["horizon"])
        check_choice("tau_rule", self.tau_rule, get_args(TauRule))
        check_platform(self.implementation)

    @property
    def num_values(self) -> int:
        """Width of the value head."""
        return self.horizon

    def init(self) -> Spread:
        """Return the spread of every lag before any segment was seen."""
        return init_spread(self.horizon)

    def init_trained(self) -> Trainable:
        """Return no parameters: the spread has its optimum in closed form."""
        return {}

    def targets(
        self, params: Params, state: Spread, trained: Trainable, outcome: Outcome, predictions: Predictions
    ) -> Estimate:
        """Return advantages, returns, and the lags' weights; see `Estimator.targets`."""
        del trained
        values, last, final = predictions
        segment = make_segment(values, *outcome)
        spread = segment_spread(state, values, segment, params.spread_decay, self.implementation)
        weights = lag_weights(spread.explained_variance, params.floor, params.weight_prior)
        tau = lag_taus(spread, params.tau, self.tau_rule)
        out = segment_advantage(values, weights, segment, last, tau, final, self.implementation)
        targets = Targets(segment, out.returns)
        return Estimate(out.advantages, targets, Lags(weights, spread.std), spread, spread.explained_variance)

    def value_loss(
        self, params: Params, trained: Trainable, values: Float[Array, "t b v"], targets: Targets, shared: Lags
    ) -> Float[Array, ""]:
        """Return the loss of every lag by itself and of their sum; see `Estimator.value_loss`."""
        del trained
        return segment_value_loss(
            values,
            shared.weights,
            shared.std,
            targets.returns,
            targets.segment,
            aggregate=params.aggregate,
            coefficient=params.value,
            implementation=self.implementation,
        )
