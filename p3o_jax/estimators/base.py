"""What an estimator is: the rule that turns a segment into advantages and into what the values aim at.

The learner knows estimators by the protocol `Estimator` only. An object of another class that has its members can be
given as `Config(estimator=...)`. Estimators hold what is static; numbers are read from the traced `Params`.
"""

from typing import Any, ClassVar, NamedTuple, Protocol

from jaxtyping import Array, Bool, Float

from p3o_jax.normalize import RewardScale
from p3o_jax.ops.evidence import Score
from p3o_jax.params import Params
from p3o_jax.segment import Segment, make_segment

Trainable = dict[str, Any]
"""What gradient steps train: "params" of the network, and parameters of the estimator itself by their names."""


class Outcome(NamedTuple):
    """What happened in a segment.

    Attributes:
        rewards: Scaled.
        terminated: Whether the action ended the episode.
        truncated: Whether the episode was cut after it.
        valid: Steps that are learnt from, and that statistics are of; None is all.
    """

    rewards: Float[Array, "t b"]
    terminated: Bool[Array, "t b"]
    truncated: Bool[Array, "t b"]
    valid: Bool[Array, "t b"] | None = None

    def segment(self, values: Float[Array, "t b v"]) -> Segment:
        """Return it as the segment that `values` are about."""
        return make_segment(values, self.rewards, self.terminated, self.truncated)


class Judged(NamedTuple):
    """Sizes of what `evidence` is gathered from: parts of a batch, numbers of the policy head's kernel, samples."""

    parts: int
    size: int
    num_samples: int


class Predictions(NamedTuple):
    """What the value head said before the update.

    Attributes:
        values: Along the segment.
        last: At the observation that follows it.
        final: At the final observations of truncated episodes, or None where these are not looked at.
        score: Gradient of the log probability of the actions, for estimators with `num_judged`; None for others.
    """

    values: Float[Array, "t b v"]
    last: Float[Array, "b v"]
    final: Float[Array, "t b v"] | None
    score: Score | None = None


class Estimate(NamedTuple):
    """What an update aims at.

    Attributes:
        advantages: Of the actions.
        targets: What the value loss reads of each step: a pytree of arrays with leading axes [t, b], which is cut into
            minibatches with the rest of the segment.
        shared: What the value loss reads besides, the same for all minibatches.
        state: The estimator's running statistics, this segment included.
        explained_variance: Share of the variance of what each value predicts that it explains.
        weights: Weight of each value in the advantage, or None where there is none.
        signal_to_noise: Of the part of the policy gradient that each of the judged bands or groups of lags has, or None
            without `evidence`.
    """

    advantages: Float[Array, "t b"]
    targets: Any
    shared: Any
    state: Any
    explained_variance: Float[Array, " v"]
    weights: Float[Array, " v"] | None = None
    signal_to_noise: Float[Array, " g"] | None = None


class Estimator(Protocol):
    """The protocol; implementations are hashable and compare by their settings.

    Attributes:
        default_reward_scale: What rewards are divided by unless `Config.reward_scale` says otherwise.
        looks_ahead: Whether the value loss looks along the steps of a segment, so that minibatches must hold whole
            environments.

    An estimator may also have `num_judged`, the length of `Estimate.signal_to_noise`. If that is not 0, it is given
    `Predictions.score`, and its `init` the sizes of the score.
    """

    default_reward_scale: ClassVar[RewardScale]
    looks_ahead: ClassVar[bool]

    @property
    def num_values(self) -> int:
        """Width of the value head."""
        ...

    def init(self) -> Any:
        """Return the running statistics before any segment was seen: a pytree, () for none."""
        ...

    def init_trained(self) -> Trainable:
        """Return the parameters of the estimator itself that gradient steps train beside the network's, by name."""
        ...

    def targets(
        self, params: Params, state: Any, trained: Trainable, outcome: Outcome, predictions: Predictions
    ) -> Estimate:
        """Return what an update aims at.

        Args:
            params: Traced settings.
            state: From `init` or an earlier call.
            trained: Parameters as trained so far, those of `init_trained` among them.
            outcome: What happened.
            predictions: What the value head said of it.
        """
        ...

    def value_loss(
        self, params: Params, trained: Trainable, values: Float[Array, "t b v"], targets: Any, shared: Any
    ) -> Float[Array, ""]:
        """Return the value loss of a minibatch, its coefficient included.

        Args:
            params: Traced settings.
            trained: As for `targets`; a gradient is taken with respect to it.
            values: Predictions of the minibatch; a gradient is taken with respect to them.
            targets: The minibatch's part of `Estimate.targets`.
            shared: `Estimate.shared`.
        """
        ...


def num_judged(estimator: Any) -> int:
    """Return how many bands or groups of lags an estimator judges by evidence, 0 for most."""
    return getattr(estimator, "num_judged", 0)
