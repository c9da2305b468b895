"""Which future rewards each step knows: extents, windows, and the checks that the estimators share.

Notation of the package: step t = 0 .. T-1 of a rollout segment, environment b, lag j = 0 .. H-1. The reward
at lag j of step t is `rewards[t + j]`; the reward *of the action at t* has lag 0.

A terminal is absorbing: after it the rewards are 0, and known. After a truncation, and beyond the segment's
end, rewards are unknown. To mask rewards after a terminal too, as the original P3O does, pass it as a
truncation.
"""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

Implementation = Literal["reference", "xla", "pallas", "interpret"]
IMPLEMENTATIONS: tuple[Implementation, ...] = get_args(Implementation)


class Extent(NamedTuple):
    """How far each step sees: lags below `num_rewards` hold a reward, lags below `num_known` are known.

    Attributes:
      num_rewards: steps up to the end of the episode or of the segment, this one included, at most H.
      num_known: H where a terminal comes first (the zeros after it are known), otherwise `num_rewards`.
    """

    num_rewards: Int[Array, "T B"]
    num_known: Int[Array, "T B"]


def resolve_implementation(implementation: str | None) -> Implementation:
    """Returns the implementation to use: the given one, or the platform's best for None.

    Raises:
      ValueError: if `implementation` is not one of them.
    """
    if implementation is None:
        return "pallas" if jax.default_backend() == "gpu" else "xla"
    for known in IMPLEMENTATIONS:
        if implementation == known:
            return known
    raise ValueError(f"`implementation` must be None or one of {', '.join(IMPLEMENTATIONS)}; got {implementation!r}.")


def check_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """Raises a ValueError unless `array` has `shape`."""
    if jnp.shape(array) != shape:
        raise ValueError(f"`{name}` must have shape {shape}; got {jnp.shape(array)}.")


def check_segment(mean: Array, **time_batch: Array) -> tuple[int, int, int]:
    """Returns (T, B, H) of `mean`; raises a ValueError unless it is [T, B, H] and the others are [T, B]."""
    if jnp.ndim(mean) != 3 or 0 in jnp.shape(mean):
        raise ValueError(f"`mean` must have shape [T, B, H], each at least 1; got {jnp.shape(mean)}.")
    num_steps, num_envs, horizon = jnp.shape(mean)
    for name, array in time_batch.items():
        check_shape(name, array, (num_steps, num_envs))
    return num_steps, num_envs, horizon


def extent(terminated: Bool[Array, "T B"], truncated: Bool[Array, "T B"], horizon: int) -> Extent:
    """Returns how many lags of each step hold a reward and how many are known.

    A step that is both terminated and truncated is a terminal.

    Args:
      terminated: whether the action at t ended the episode.
      truncated: whether the episode was cut after the action at t.
      horizon: number of lags H.
    """
    num_steps = terminated.shape[0]
    terminated, truncated = terminated.astype(bool), truncated.astype(bool)
    step = jnp.arange(num_steps, dtype=jnp.int32)[:, None]
    # The next end and its kind in one number, so that one running minimum carries both.
    code = jnp.where(terminated | truncated, 2 * step + jnp.where(terminated, 0, 1), 2 * num_steps - 1)
    code = lax.cummin(code, axis=0, reverse=True)
    num_rewards = jnp.minimum(code // 2 - step + 1, horizon)
    return Extent(num_rewards, jnp.where(code % 2 == 0, horizon, num_rewards))


def episode_age(terminated: Bool[Array, "T B"], truncated: Bool[Array, "T B"]) -> Int[Array, "T B"]:
    """Returns how many steps of the segment precede each one within its episode."""
    step = jnp.arange(terminated.shape[0], dtype=jnp.int32)[:, None]
    done = terminated.astype(bool) | truncated.astype(bool)
    begin = jnp.where(jnp.roll(done, 1, axis=0), step, 0)
    return step - lax.cummax(begin, axis=0)


def reward_windows(
    rewards: Float[Array, "T B"], reach: Extent, horizon: int
) -> tuple[Float[Array, "T B H"], Bool[Array, "T B H"]]:
    """Returns the reward at each lag, 0 where there is none, and whether it is known: the definition."""
    num_steps = rewards.shape[0]
    lag = jnp.arange(horizon)
    step = jnp.minimum(jnp.arange(num_steps)[:, None] + lag[None, :], num_steps - 1)
    window = jnp.swapaxes(rewards.astype(jnp.float32)[step], 1, 2)
    window = jnp.where(lag[None, None, :] < reach.num_rewards[:, :, None], window, 0.0)
    return window, lag[None, None, :] < reach.num_known[:, :, None]


def pad_rewards(rewards: Float[Array, "T B"], horizon: int) -> Float[Array, "B T+H"]:
    """Returns the rewards by environment, with room for the last step's window."""
    return jnp.pad(rewards.astype(jnp.float32).T, ((0, 0), (0, horizon)))


def step_window(
    padded: Float[Array, "B T+H"], reach: Extent, step: Int[Array, ""], horizon: int
) -> tuple[Float[Array, "B H"], Bool[Array, "B H"]]:
    """Returns `reward_windows` at one step: one slice for all environments, which costs no gather."""
    lag = jnp.arange(horizon)[None, :]
    window = lax.dynamic_slice_in_dim(padded, step, horizon, axis=1)
    window = jnp.where(lag < reach.num_rewards[step][:, None], window, 0.0)
    return window, lag < reach.num_known[step][:, None]


def sum_from(index: Int[Array, "T B"], values: Float[Array, "T B k"], horizon: int) -> Float[Array, "H k"]:
    """Returns for each lag j the sum of the values whose index is at least j."""
    num_values = values.shape[2]
    index = jnp.minimum(index, horizon - 1).reshape(-1)
    sums = jax.ops.segment_sum(values.reshape(-1, num_values), index, num_segments=horizon)
    return lax.cumsum(sums, axis=0, reverse=True)


def weighted_sum(x: Float[Array, "*batch H"], weights: Float[Array, " H"]) -> Float[Array, "*batch"]:
    """Returns the weighted sum over lags; as a matrix-vector product, which CPUs vectorise."""
    return jnp.dot(x, weights, precision=lax.Precision.HIGHEST)
