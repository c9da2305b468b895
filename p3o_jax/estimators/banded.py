"""P3O in bands: a few sums of the rewards to come, of growing width, in place of one prediction for every lag."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from p3o_jax.checks import check_booleans, check_choice, check_positive_integers
from p3o_jax.estimators.base import Estimate, Judged, Outcome, Predictions, Trainable
from p3o_jax.normalize import RewardScale
from p3o_jax.ops.band_errors import band_statistics
from p3o_jax.ops.bands import BandAdvantage, band_means, band_value_loss, band_widths, segment_bands
from p3o_jax.ops.common import check_platform, variance_of_valid, weighted_sum
from p3o_jax.ops.evidence import Evidence, evidence_gate, init_evidence, update_evidence
from p3o_jax.ops.spread import Spread, TauRule, init_spread, lag_weights, merge_spread
from p3o_jax.ops.value_loss import MIN_VARIANCE
from p3o_jax.params import Params, Scalar

TAU_RULES = ("noise", "fixed")


class Bands(NamedTuple):
    """What is the same for a whole update.

    Attributes:
        weights: Weight of each band in the advantage.
        precision: Factor of each band's squared error in the value loss.
        aggregate: Factor of the squared error of the weighted sum.
    """

    weights: Float[Array, " k"]
    precision: Float[Array, " k"]
    aggregate: Float[Array, ""]


class State(NamedTuple):
    """Running statistics of each band.

    Attributes:
        spread: Of the targets, and of the errors of their prediction.
        news: Mean squared one-step error.
        evidence: That the action changes a band, or () where it is not asked for.
    """

    spread: Spread
    news: Float[Array, " k"]
    evidence: Evidence | tuple[()] = ()

    def merge(self, spread: Spread, news: Float[Array, " k"], decay: Scalar) -> "State":
        """Return the statistics with another segment's, the weight of all earlier ones multiplied by `decay`."""
        fraction = spread.count / jnp.maximum(decay * self.spread.count + spread.count, 1.0)
        return State(merge_spread(self.spread, spread, decay), self.news + fraction * (news - self.news), self.evidence)


@dataclass(frozen=True)
class Banded:
    """The estimator "p3o", unless `bands` is 0; its formulas are `band_advantage`, `lag_weights` and `band_value_loss`.

    * The head's outputs are multiplied by sqrt(w_k), so that all bands start with errors of a like size.
    * The prior of the weights is each band's mean of 1 - j/H, 0 beyond lag H.
    * The value loss has the precision 1 / (K sigma_k^2), with sigma_k^2 the running mean of the squared error E_k, and
      the factor `Params.aggregate` over the variance of the returns.
    * By the rule "noise", tau is `Params.tau` times min(1, news / E[G_0^2]). The news of a step is sum_k e_k^2 / w_k,
      with e the one-step errors; both are running means. The first update has tau itself.

    Weights and tau come from the statistics of earlier segments, so that one pass over the predictions is enough; what
    `evidence` says of the weights includes this segment. All that the value loss reads are the targets G, sample by
    sample: minibatches may be of samples.

    Attributes:
        horizon: Lags H over which the prior of the weights falls to 0.
        bands: Number of bands K of the value head; see `band_widths`. They reach over 2^(K-1) lags, and H should
            be no less: bands that begin at lag H or later keep the smallest weight.
        tau_rule: What scales `Params.tau`: "noise", or nothing ("fixed").
        implementation: Of the operations; None is the platform's best.
        evidence: Whether bands beyond the last one that the action is seen to change are cut; see `evidence_gate`.
    """

    horizon: int = 128
    bands: int = 8
    tau_rule: TauRule = "noise"
    implementation: str | None = None
    evidence: bool = False

    default_reward_scale: ClassVar[RewardScale] = "rms"
    looks_ahead: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive_integers(self, ["horizon", "bands"])
        check_choice("tau_rule", self.tau_rule, TAU_RULES)
        check_booleans(self, ["evidence"])
        check_platform(self.implementation)

    @property
    def num_values(self) -> int:
        """Width of the value head."""
        return self.bands

    @property
    def num_judged(self) -> int:
        """Bands that are judged by `evidence`."""
        return self.bands if self.evidence else 0

    @property
    def widths(self) -> Float[np.ndarray, " k"]:
        """Width of each band, in steps."""
        return band_widths(self.bands)

    def init(self, judged: Judged | None = None) -> State:
        """Return the statistics of every band before any segment was seen; see `Estimator.init`."""
        evidence = init_evidence(self.bands, *judged) if judged else ()
        return State(init_spread(self.bands), jnp.ones(self.bands, jnp.float32), evidence)

    def init_trained(self) -> Trainable:
        """Return no parameters: the spread has its optimum in closed form."""
        return {}

    def weights(self, params: Params, state: State) -> Float[Array, " k"]:
        """Return the weight that each band has in the advantage."""
        shape = jnp.asarray(band_means(self.widths, 1.0 - np.arange(self.horizon) / self.horizon), jnp.float32)
        weights = lag_weights(state.spread.explained_variance, params.floor, params.weight_prior, shape)
        return weights * evidence_gate(state.evidence) if state.evidence else weights

    def targets(
        self, params: Params, state: State, trained: Trainable, outcome: Outcome, predictions: Predictions
    ) -> Estimate:
        """Return advantages, each band's targets, and the bands' weights; see `Estimator.targets`."""
        del trained
        values, last = self._in_rewards(predictions.values), self._in_rewards(predictions.last)
        final = None if predictions.final is None else self._in_rewards(predictions.final)
        segment, widths = outcome.segment(values), jnp.asarray(self.widths, jnp.float32)
        weights, tau = self.weights(params, state), self._tau(params, state)
        out = segment_bands(values, widths, weights, segment, last, tau, final, self.implementation)
        if predictions.score is not None and state.evidence:
            errors = out.targets - values
            state = state._replace(evidence=update_evidence(state.evidence, errors, predictions.score))
            weights = self.weights(params, state)
            out = BandAdvantage(weighted_sum(errors, weights), weighted_sum(out.targets, weights), out.targets)
        measured = band_statistics(values, out.targets, widths, segment, last, final, outcome.valid)
        state = state.merge(*measured, params.spread_decay)
        precision = 1.0 / (self.bands * jnp.maximum(state.spread.residual, MIN_VARIANCE))
        aggregate = params.aggregate / jnp.maximum(variance_of_valid(out.returns, outcome.valid), MIN_VARIANCE)
        shared = Bands(weights, precision, aggregate)
        ratio, explained = state.evidence.ratio if state.evidence else None, state.spread.explained_variance
        return Estimate(out.advantages, out.targets, shared, state, explained, weights, ratio)

    def value_loss(
        self,
        params: Params,
        trained: Trainable,
        values: Float[Array, "t b k"],
        targets: Float[Array, "t b k"],
        shared: Bands,
    ) -> Float[Array, ""]:
        """Return the loss of every band by itself and of their sum; see `Estimator.value_loss`."""
        del trained
        return params.value * band_value_loss(self._in_rewards(values), targets, *shared)

    def _tau(self, params: Params, state: State) -> Scalar:
        """Return tau by the rule."""
        if self.tau_rule == "fixed":
            return params.tau
        square = state.spread.variance[0] + state.spread.reward[0] ** 2
        left = jnp.sum(state.news / jnp.asarray(self.widths, jnp.float32)) / jnp.where(square > 0, square, 1.0)
        return params.tau * jnp.where(square > 0, jnp.minimum(left, 1.0), 1.0)

    def _in_rewards(self, values: Float[Array, "*batch k"]) -> Float[Array, "*batch k"]:
        """Return outputs of the head in units of reward."""
        scale = jnp.asarray(np.sqrt(self.widths), jnp.float32)
        return values.astype(jnp.float32) * jnp.expand_dims(scale, tuple(range(values.ndim - 1)))
