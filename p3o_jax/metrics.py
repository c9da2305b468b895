"""What a training reports: averages over a fixed number of intervals, whatever its length."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from p3o_jax.estimators import Estimate
from p3o_jax.rollout import Episodes

TERMS = ("observations", "rewards", "advantages", "policy loss", "value loss", "entropy", "gradient", "parameters")
"""What may cease to be finite, in the order in which it is checked."""


class UpdateMetrics(NamedTuple):
    """Averages over the gradient steps of one update.

    Attributes:
        policy_loss: Clipped surrogate.
        value_loss: Value loss, its coefficient included.
        entropy: Entropy of the policy, in nats.
        approx_kl: Divergence from the policy that acted.
        clip_fraction: Share of steps whose probability ratio is out of bounds.
        grad_norm: Norm of the gradient before clipping.
    """

    policy_loss: Float[Array, "*k"]
    value_loss: Float[Array, "*k"]
    entropy: Float[Array, "*k"]
    approx_kl: Float[Array, "*k"]
    clip_fraction: Float[Array, "*k"]
    grad_norm: Float[Array, "*k"]


@struct.dataclass
class Failure:
    """Whether and where a training ceased to be finite.

    Attributes:
        step: Environment steps at that time.
        term: Index into `TERMS` of what it was, -1 while all is finite.
    """

    step: Float[Array, ""]
    term: Int[Array, ""]

    @property
    def failed(self) -> Bool[Array, ""]:
        """Whether it did."""
        return self.term >= 0


@struct.dataclass
class Log:
    """Sums over the updates of each of k intervals, carried in the state.

    Attributes:
        num_updates: Updates that fell into the interval.
        updates: Sums of their metrics.
        episodes: Sums over the episodes that ended.
        explained_variance: Sum, per band or lag.
        weights: Sum, per band or lag; 0 where the estimator has none.
        signal_to_noise: Sum, per band or group of lags that is judged, or () where none is.
    """

    num_updates: Float[Array, " k"]
    updates: UpdateMetrics
    episodes: Episodes
    explained_variance: Float[Array, "k h"]
    weights: Float[Array, "k h"]
    signal_to_noise: Float[Array, "k g"] | tuple[()]


@struct.dataclass
class Metrics:
    """The course of a training over k intervals of equal length; NaN where nothing was measured.

    Under `jax_debug_nans`, which takes every NaN for an error, what was not measured is 0 instead: see `num_episodes`.

    Attributes:
        steps: Environment steps at the interval's end.
        num_episodes: Episodes that ended in it.
        episode_return: Their mean sum of rewards, unscaled.
        episode_length: Their mean number of steps.
        score: Mean of the environment's own measure, or of the return where it has none.
        updates: Means over gradient steps.
        explained_variance: Per band or lag, the learnt horizon; with "gae" one number, of the return.
        weights: Of every band or lag in the advantage; 0 where the estimator has none.
        signal_to_noise: Of the part of the policy gradient of every band, or group of 1, 1, 2, 4, ... lags, measured by
            `Config.evidence`; no columns without it.
        measures: Means of the environment's own `metrics` by name, as rates of goals and collisions apart.
        failed: Whether the training ended because something was not finite.
        failed_step: Environment steps at that time.
        failed_term_index: Index into `TERMS`, or -1.
    """

    steps: Float[Array, " k"]
    num_episodes: Float[Array, " k"]
    episode_return: Float[Array, " k"]
    episode_length: Float[Array, " k"]
    score: Float[Array, " k"]
    updates: UpdateMetrics
    explained_variance: Float[Array, "k h"]
    weights: Float[Array, "k h"]
    signal_to_noise: Float[Array, "k g"]
    measures: dict[str, Float[Array, " k"]]
    failed: Bool[Array, ""]
    failed_step: Float[Array, ""]
    failed_term_index: Int[Array, ""]

    @property
    def failed_term(self) -> str | None:
        """Name of what was first not finite; on the host, of one training."""
        index = int(self.failed_term_index)
        return TERMS[index] if index >= 0 else None


def no_update_metrics() -> UpdateMetrics:
    """Return the sums over no gradient step."""
    return UpdateMetrics(*(jnp.zeros((), jnp.float32) for _ in UpdateMetrics._fields))


def init_log(num_buckets: int, num_values: int, measures: tuple[str, ...] = (), num_judged: int = 0) -> Log:
    """Return the log of nothing."""
    zeros = jnp.zeros(num_buckets, jnp.float32)
    return Log(
        zeros,
        UpdateMetrics(*(zeros for _ in UpdateMetrics._fields)),
        Episodes(zeros, zeros, zeros, zeros, dict.fromkeys(measures, zeros)),
        jnp.zeros((num_buckets, num_values), jnp.float32),
        jnp.zeros((num_buckets, num_values), jnp.float32),
        jnp.zeros((num_buckets, num_judged), jnp.float32) if num_judged else (),
    )


def add_to_log(log: Log, bucket: Int[Array, ""], update: UpdateMetrics, episodes: Episodes, estimate: Estimate) -> Log:
    """Return the log with one update more in the interval `bucket`; episodes are per environment."""

    def add(total: Any, value: Array | None) -> Any:
        return total if value is None else total.at[bucket].add(value)

    return Log(
        log.num_updates.at[bucket].add(1.0),
        UpdateMetrics(*(s.at[bucket].add(x) for s, x in zip(log.updates, update, strict=True))),
        jax.tree.map(lambda s, x: s.at[bucket].add(jnp.sum(x)), log.episodes, episodes),
        add(log.explained_variance, estimate.explained_variance),
        add(log.weights, estimate.weights),
        add(log.signal_to_noise, estimate.signal_to_noise),
    )


def summarize(log: Log, failure: Failure, steps_per_update: int) -> Metrics:
    """Return the averages of a log."""

    missing = 0.0 if jax.config.values["jax_debug_nans"] else jnp.nan

    def mean(total: Array, count: Array) -> Array:
        return jnp.where(count > 0, total / jnp.maximum(count, 1.0), missing)

    ratios = jnp.zeros((len(log.num_updates), 0), jnp.float32)  # checkpoints hold no arrays without numbers
    ratios = ratios if isinstance(log.signal_to_noise, tuple) else log.signal_to_noise
    num_episodes = log.episodes.num_episodes
    episodes = jax.tree.map(lambda total: mean(total, num_episodes), log.episodes)
    return Metrics(
        steps=jnp.cumsum(log.num_updates) * steps_per_update,
        num_episodes=num_episodes,
        episode_return=episodes.episode_return,
        episode_length=episodes.episode_length,
        score=episodes.score,
        updates=UpdateMetrics(*(mean(total, log.num_updates) for total in log.updates)),
        explained_variance=mean(log.explained_variance, log.num_updates[:, None]),
        weights=mean(log.weights, log.num_updates[:, None]),
        signal_to_noise=mean(ratios, log.num_updates[:, None]),
        measures=episodes.measures,
        failed=failure.failed,
        failed_step=failure.step,
        failed_term_index=failure.term,
    )
