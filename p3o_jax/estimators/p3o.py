"""P3O without bands: one predicted reward per lag, weighed by how well rewards are predicted."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from p3o_jax.checks import check_booleans, check_choice, check_positive_integers
from p3o_jax.estimators.base import Estimate, Judged, Outcome, Predictions, Trainable
from p3o_jax.normalize import RewardScale
from p3o_jax.ops.advantages import Advantage, segment_advantage
from p3o_jax.ops.bands import band_widths, bands_over
from p3o_jax.ops.common import check_platform, weighted_sum
from p3o_jax.ops.evidence import Evidence, evidence_gate, init_evidence, update_evidence
from p3o_jax.ops.spread import Spread, TauRule, init_spread, lag_taus, lag_weights, segment_spread
from p3o_jax.ops.value_loss import segment_value_loss
from p3o_jax.params import Params
from p3o_jax.segment import Segment


class Targets(NamedTuple):
    """What the value loss reads of each step: the rewards that are known, and the return for the sum over lags."""

    segment: Segment
    returns: Float[Array, "t b"]


class Lags(NamedTuple):
    """Weight of every lag, and spread of its error, fixed for an update."""

    weights: Float[Array, " h"]
    std: Float[Array, " h"]


class State(NamedTuple):
    """The statistics of lags that are judged by `evidence`."""

    spread: Spread
    evidence: Evidence


@dataclass(frozen=True)
class P3O:
    """The estimator "p3o" with `bands=0`; see `p3o_advantage`, `lag_weights`, `lag_taus` and `p3o_value_loss`.

    Attributes:
        horizon: Lags H of the value head.
        tau_rule: What scales `Params.tau`; see `lag_taus`.
        implementation: Of the operations; None is the platform's best.
        evidence: Whether lags beyond the last one that the action is seen to change are cut; they are judged in groups
            of 1, 1, 2, 4, ... lags. See `evidence_gate`.
    """

    horizon: int = 128
    tau_rule: TauRule = "noise"
    implementation: str | None = None
    evidence: bool = False

    default_reward_scale: ClassVar[RewardScale] = "rms"
    looks_ahead: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive_integers(self, ["horizon"])
        check_choice("tau_rule", self.tau_rule, get_args(TauRule))
        check_booleans(self, ["evidence"])
        check_platform(self.implementation)

    @property
    def num_values(self) -> int:
        """Width of the value head."""
        return self.horizon

    @property
    def num_judged(self) -> int:
        """Groups of lags that are judged by `evidence`."""
        return len(self.groups) if self.evidence else 0

    @property
    def groups(self) -> Float[np.ndarray, "g h"]:
        """1 where a lag belongs to a group."""
        edges = np.cumsum(band_widths(bands_over(self.horizon)))
        index = np.searchsorted(edges, np.arange(self.horizon), side="right")
        return np.equal.outer(np.arange(index[-1] + 1), index).astype(np.float32)

    def init(self, judged: Judged | None = None) -> Spread | State:
        """Return the spread of every lag before any segment was seen; see `Estimator.init`."""
        spread = init_spread(self.horizon)
        return State(spread, init_evidence(len(self.groups), *judged)) if judged else spread

    def init_trained(self) -> Trainable:
        """Return no parameters: the spread has its optimum in closed form."""
        return {}

    def weights(self, params: Params, state: Spread | State) -> Float[Array, " h"]:
        """Return the weight that each lag has in the advantage."""
        spread = state.spread if isinstance(state, State) else state
        weights = lag_weights(spread.explained_variance, params.floor, params.weight_prior)
        if isinstance(state, State):
            weights *= weighted_sum(jnp.asarray(self.groups).T, evidence_gate(state.evidence))
        return weights

    def targets(
        self, params: Params, state: Spread | State, trained: Trainable, outcome: Outcome, predictions: Predictions
    ) -> Estimate:
        """Return advantages, returns, and the lags' weights; see `Estimator.targets`."""
        del trained
        values, last, final, score = predictions
        segment, before = outcome.segment(values), state.spread if isinstance(state, State) else state
        spread = segment_spread(before, values, segment, params.spread_decay, self.implementation, outcome.valid)
        weights = self.weights(params, spread)
        tau = lag_taus(spread, params.tau, self.tau_rule)

        def estimate(weights: Float[Array, " h"]) -> Advantage:
            return segment_advantage(values, weights, segment, last, tau, final, self.implementation)

        if isinstance(state, State) and score is not None:
            groups = jnp.asarray(self.groups)
            by_group = jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), jax.vmap(estimate)(groups * weights[None]))
            evidence = update_evidence(state.evidence, by_group.advantages, score)
            gate, after = evidence_gate(evidence), State(spread, evidence)
            out = Advantage(*(weighted_sum(x, gate) for x in by_group))
        else:
            out, after = estimate(weights), state._replace(spread=spread) if isinstance(state, State) else spread
        weights = self.weights(params, after)
        targets = Targets(segment, out.returns)
        ratio = after.evidence.ratio if isinstance(after, State) else None
        shared = Lags(weights, spread.std)
        return Estimate(out.advantages, targets, shared, after, spread.explained_variance, weights, ratio)

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
