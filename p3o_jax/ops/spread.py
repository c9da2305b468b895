"""How well the reward at each lag is predicted, over training, and the weights and taus that follow from it."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from p3o_jax.ops.common import resolve_implementation, sum_from
from p3o_jax.segment import (
    Segment,
    check_shape,
    episode_age,
    make_segment,
    pad_rewards,
    reward_windows,
    step_window,
)

TauRule = Literal["noise", "fixed", "explained", "precision"]


class Spread(NamedTuple):
    """Running statistics of each lag's known rewards and of the errors of their prediction.

    Attributes:
        count: Decayed number of known rewards.
        reward: Their mean.
        variance: Their population variance.
        residual: Mean squared difference between them and their predictions.
    """

    count: Float[Array, " H"]
    reward: Float[Array, " H"]
    variance: Float[Array, " H"]
    residual: Float[Array, " H"]

    @property
    def std(self) -> Float[Array, " H"]:
        """Standard deviation of the prediction's error: in closed form what minimises the Gaussian NLL."""
        return jnp.sqrt(self.residual)

    @property
    def explained_variance(self) -> Float[Array, " H"]:
        """1 - residual / variance; 0 where rewards do not vary, negative where the prediction harms."""
        varies = self.variance > 1e-10 + 1e-9 * self.reward**2  # below it is rounding
        return jnp.where(varies, 1.0 - self.residual / jnp.where(varies, self.variance, 1.0), 0.0)


def init_spread(horizon: int) -> Spread:
    """Return the spread before any reward was seen: unit standard deviation, nothing explained."""
    zeros, ones = jnp.zeros(horizon, jnp.float32), jnp.ones(horizon, jnp.float32)
    return Spread(count=zeros, reward=zeros, variance=ones, residual=ones)


def lag_weights(
    explained_variance: Float[Array, " H"],
    floor: Float[Array, ""] | float = 0.3,
    prior: Float[Array, ""] | float = 5.0,
    shape: Float[Array, " H"] | None = None,
) -> Float[Array, " H"]:
    """Return the weight of each lag in the advantage; the first is 1, and none is larger than an earlier one.

    w_j = max((E_j + prior u_j) / (E_0 + prior), floor) with E_j = max(max_{i >= j} EV_i, 0) and u_j = 1 - j / H.

    u holds before anything was explained: it is the mean, over all horizons 1 .. H, of the weights of a plain sum of
    that many rewards. E is what has been learnt. A lag counts as much as the best-predicted one from there on, because
    of two equal rewards the later one must not count more. What is learnt has the share E_0 / (E_0 + prior), at most a
    sixth by default, because a reward that can be predicted well is often one that the action no longer changes.

    Args:
        explained_variance: Explained variance EV_j of each lag's reward.
        floor: Smallest weight.
        prior: How much u counts, in units of explained variance. A large number gives u alone; infinity is not allowed.
            With 0 all weights are 1 while nothing is explained.
        shape: Values to take in the place of u, the first of them 1; bands have their own.
    """
    horizon = explained_variance.shape[0]
    learnt = jnp.maximum(lax.cummax(explained_variance, reverse=True), 0.0)
    if shape is None:
        shape = 1.0 - jnp.arange(horizon, dtype=jnp.float32) / horizon
    total = learnt[0] + prior
    relative = (learnt + prior * shape) / jnp.where(total > 0, total, 1.0)
    return jnp.where(total > 0, jnp.maximum(relative, floor), 1.0)


def lag_taus(spread: Spread, tau: Float[Array, ""] | float, rule: TauRule) -> Float[Array, ""] | Float[Array, " H"]:
    """Return tau, or tau_j of each lag, from how well rewards have been predicted.

    "fixed" is tau itself.

    "noise" is one tau for all lags, tau min(sum_j sigma_j^2 / sum_j E[r_j^2], 1): the share of the rewards' mean square
    that predictions leave. A sampled reward is worth as much as it is free of noise. Where little is left (CartPole,
    which pays 1 until the end), bootstrapping removes nothing and only delays. Where rewards come by chance
    (SpaceInvaders), it averages them. The result is tau itself before anything was rewarded.

    The other two rules trust the next step's prediction more where it has been better. The error at lag j trusts the
    prediction at lag i = j - 1, so with EV and sigma of that lag, tau_j = tau max(EV_i, 0) ("explained") or
    tau_j = tau min_k sigma_k^2 / sigma_i^2 ("precision"); tau_0 has no use. While nothing is explained, "explained" is
    Monte Carlo.

    Args:
        spread: Running statistics of each lag.
        tau: The largest value that a rule gives.
        rule: Which of the four.
    """
    if rule == "fixed":
        return jnp.asarray(tau, jnp.float32)
    if rule == "noise":
        square = jnp.mean(spread.variance + spread.reward**2)
        left = jnp.mean(spread.residual) / jnp.where(square > 0, square, 1.0)
        return tau * jnp.where(square > 0, jnp.minimum(left, 1.0), 1.0)
    if rule == "explained":
        trust = jnp.maximum(spread.explained_variance, 0.0)
    else:
        residual = jnp.maximum(spread.residual, 1e-10)  # a perfect lag next to another one is still a ratio
        trust = jnp.min(residual) / residual
    return tau * jnp.roll(trust, 1)


def update_spread(
    spread: Spread,
    mean: Float[Array, "T B H"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    decay: Float[Array, ""] | float = 0.95,
    implementation: str | None = None,
) -> Spread:
    """Return the spread after another segment.

    Args:
        spread: Statistics so far, from `init_spread` or an earlier call.
        mean: Reward predicted at each lag, before training on this segment.
        rewards: Reward of the action at t.
        terminated: Whether that action ended the episode.
        truncated: Whether the episode was cut after it.
        decay: Share that remains of the weight of all earlier segments.
        implementation: "reference", "xla", "pallas", "interpret", or None for the platform's best.

    Raises:
        ValueError: The shapes do not fit together, or the implementation is unknown.
    """
    segment = make_segment(mean, rewards, terminated, truncated)
    check_shape("spread.count", spread.count, (mean.shape[2],))
    return segment_spread(spread, mean, segment, decay, implementation)


def segment_spread(
    spread: Spread,
    mean: Float[Array, "T B H"],
    segment: Segment,
    decay: Float[Array, ""] | float,
    implementation: str | None,
    valid: Bool[Array, "T B"] | None = None,
) -> Spread:
    """Return what `update_spread` does, for a segment that was checked; the arguments are described there.

    With `valid`, only the steps that it marks count, and "xla" too holds all windows at once, as the definition does.
    """
    # On a GPU the windows of the definition fuse into its sums, so there it needs no other form.
    by_step = resolve_implementation(implementation) == "xla" and valid is None
    measured = _measure_by_step(mean, segment) if by_step else _measure(mean, segment, valid)
    return merge_spread(spread, measured, decay)


def merge_spread(spread: Spread, segment: Spread, decay: Float[Array, ""] | float) -> Spread:
    """Return the statistics of both samples together, the count of the older one multiplied by `decay`.

    A lag without a known reward in `segment` keeps its statistics.
    """
    old_count = jnp.where(segment.count > 0, decay, 1.0) * spread.count
    count = old_count + segment.count
    fraction = segment.count / jnp.maximum(count, 1.0)
    shift = segment.reward - spread.reward
    variance = spread.variance + fraction * (segment.variance - spread.variance + (1.0 - fraction) * shift**2)
    return Spread(
        count=count,
        reward=spread.reward + fraction * shift,
        variance=variance,
        residual=spread.residual + fraction * (segment.residual - spread.residual),
    )


def _measure(mean: Array, segment: Segment, valid: Array | None) -> Spread:
    """Return the statistics of one segment, by their definition."""
    horizon = mean.shape[2]
    window, known = reward_windows(segment, horizon)
    known = known if valid is None else known & valid[..., None]
    count = jnp.sum(known, axis=(0, 1), dtype=jnp.float32)

    def average(x: Array) -> Array:
        return jnp.sum(jnp.where(known, x, 0.0), axis=(0, 1)) / jnp.maximum(count, 1.0)

    reward = average(window)
    variance = average((window - reward[None, None, :]) ** 2)
    return Spread(count, reward, variance, average((window - mean.astype(jnp.float32)) ** 2))


def _measure_by_step(mean: Array, segment: Segment) -> Spread:
    """Return the same with one step's windows at a time, and without windows for the rewards' own moments.

    The rewards that are seen at lag j are those at least j steps into their episode, so that their sums are
    cumulative sums over age of T B numbers; the other known rewards are zeros after a terminal.
    """
    num_steps, _, horizon = mean.shape
    centre = jnp.mean(segment.rewards)  # moments about it lose no digits to a large mean
    offset = segment.rewards - centre
    age = episode_age(segment.terminated, segment.truncated)
    seen = sum_from(age, jnp.stack([jnp.ones_like(offset), offset, offset**2], axis=-1), horizon)
    count = sum_from(segment.num_known - 1, jnp.ones_like(offset)[..., None], horizon)[:, 0]
    num_zeros = count - seen[:, 0]
    total = jnp.maximum(count, 1.0)
    shift = (seen[:, 1] - num_zeros * centre) / total
    square = (seen[:, 2] + num_zeros * centre**2) / total
    variance = jnp.where(square - shift**2 > 1e-6 * square, square - shift**2, 0.0)  # below it is rounding
    padded = pad_rewards(segment, horizon)

    def add_step(squares: Array, step: Array) -> tuple[Array, None]:
        window, known = step_window(padded, segment, step, horizon)
        error = jnp.where(known, window - mean[step].astype(jnp.float32), 0.0)
        return squares + jnp.sum(error**2, axis=0), None

    squares, _ = lax.scan(add_step, jnp.zeros(horizon, jnp.float32), jnp.arange(num_steps, dtype=jnp.int32))
    reward = jnp.where(count > 0, centre + shift, 0.0)
    return Spread(count, reward, jnp.where(count > 0, variance, 0.0), squares / total)
