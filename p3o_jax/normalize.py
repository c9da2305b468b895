"""Running scales of rewards and observations, part of the checkpointed state."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from p3o_jax.params import Scalar

RewardScale = Literal["rms", "return", "clip", "none"]


class Moments(NamedTuple):
    """Count, mean and sum of squared deviations of all that was seen, per feature."""

    count: Float[Array, ""]
    mean: Float[Array, "..."]
    squares: Float[Array, "..."]

    @property
    def variance(self) -> Float[Array, "..."]:
        """Population variance; 1 before anything was seen."""
        return jnp.where(self.count > 0, self.squares / jnp.maximum(self.count, 1.0), 1.0)


def init_moments(shape: tuple[int, ...] = ()) -> Moments:
    """Return the moments of nothing."""
    return Moments(*(jnp.zeros(s, jnp.float32) for s in ((), shape, shape)))


def update_moments(moments: Moments, x: Float[Array, "t b *f"], valid: Bool[Array, "t b"] | None = None) -> Moments:
    """Return the moments of what was seen before and of `x` together (Chan et al. 1979).

    Args:
        moments: Of what was seen before.
        x: What is new.
        valid: Which of it counts; None is all.
    """
    if valid is None:
        added = jnp.asarray(x.shape[0] * x.shape[1], jnp.float32)
        mean = jnp.mean(x, axis=(0, 1))
        squares = jnp.sum((x - mean[None, None]) ** 2, axis=(0, 1))
    else:
        weight = valid.astype(jnp.float32).reshape(*valid.shape, *(1,) * (x.ndim - 2))
        added = jnp.sum(valid, dtype=jnp.float32)
        mean = jnp.sum(weight * x, axis=(0, 1)) / jnp.maximum(added, 1.0)
        squares = jnp.sum(weight * (x - mean[None, None]) ** 2, axis=(0, 1))
    count = moments.count + added
    total = jnp.maximum(count, 1.0)  # nothing counts where everything is masked
    shift = mean - moments.mean
    squares += moments.squares
    return Moments(count, moments.mean + shift * added / total, squares + shift**2 * moments.count * added / total)


def normalize(moments: Moments, x: Float[Array, "t b *f"], limit: float = 10.0) -> Float[Array, "t b *f"]:
    """Return `x` with mean 0 and variance 1, clipped at `limit`."""
    scaled = (x - moments.mean[None, None]) / jnp.sqrt(moments.variance + 1e-8)[None, None]
    return jnp.clip(scaled, -limit, limit)


class RewardScaler(NamedTuple):
    """Statistics that rewards are divided by.

    Attributes:
        moments: Of the squared rewards or of the discounted returns.
        running_return: Discounted sum of rewards so far in each environment.
    """

    moments: Moments
    running_return: Float[Array, " b"]


def init_reward_scaler(batch_size: int) -> RewardScaler:
    """Return the scaler before any reward was seen."""
    return RewardScaler(init_moments(), jnp.zeros(batch_size, jnp.float32))


def discounted_sums(
    rewards: Float[Array, "t b"], done: Bool[Array, "t b"], running: Float[Array, " b"], gamma: Scalar
) -> tuple[Float[Array, "t b"], Float[Array, " b"]]:
    """Return each episode's discounted sum of rewards so far, at every step, and the sums to go on from."""

    def step(before: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, ends = now
        total = gamma * before + reward
        return jnp.where(ends, 0.0, total), total

    running, sums = lax.scan(step, running, (rewards, done))
    return sums, running


def scale_rewards(
    scaler: RewardScaler,
    rewards: Float[Array, "t b"],
    done: Bool[Array, "t b"],
    scale: RewardScale,
    gamma: Scalar,
    valid: Bool[Array, "t b"] | None = None,
) -> tuple[Float[Array, "t b"], RewardScaler]:
    """Return the rewards over their scale, this segment's included in it, and the new scaler.

    Args:
        scaler: Statistics so far.
        rewards: As the environment gave them.
        done: Whether the episode ended there.
        scale: "rms", "return", "clip" or "none".
        gamma: Discount of the returns that "return" looks at.
        valid: Which rewards or returns the scale is of; None is all.
    """
    if scale == "none":
        return rewards, scaler
    if scale == "clip":
        return jnp.clip(rewards, -1.0, 1.0), scaler
    if scale == "rms":
        moments = update_moments(scaler.moments, rewards**2, valid)
        mean_square, scaler = moments.mean, scaler._replace(moments=moments)
    else:
        returns, running = discounted_sums(rewards, done, scaler.running_return, gamma)
        moments = update_moments(scaler.moments, returns, valid)
        mean_square, scaler = moments.variance, RewardScaler(moments, running)
    # Before the first reward other than zero there is nothing to scale.
    return rewards * jnp.where(mean_square > 0, 1 / jnp.sqrt(jnp.maximum(mean_square, 1e-12)), 1.0), scaler
