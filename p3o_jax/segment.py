"""One segment of a rollout, checked and cast once, and which future rewards each of its steps knows.

Notation of the package: step t = 0 .. T-1 of a segment, environment b, lag j = 0 .. H-1. The reward at lag j of step t
is `rewards[t + j]`; the reward of the action at t itself has lag 0.

A terminal is absorbing: after it the rewards are 0, and known. After a truncation, and beyond the segment's end,
rewards are unknown. To mask rewards after a terminal too, as the original P3O does, pass the terminal as a truncation.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int


class Segment(NamedTuple):
    """Rewards and ends of a segment; made by `make_segment`, and cut into minibatches along the environments.

    Attributes:
        rewards: Reward of the action at t.
        terminated: Whether that action ended the episode.
        truncated: Whether the episode was cut after it.
        num_rewards: Steps up to the end of the episode or of the segment, this one included, at most H. The lags below
            it hold a reward.
        num_known: H where a terminal comes first, as the zeros after it are known, and `num_rewards` otherwise. The
            lags below it are known.
    """

    rewards: Float[Array, "T B"]
    terminated: Bool[Array, "T B"]
    truncated: Bool[Array, "T B"]
    num_rewards: Int[Array, "T B"]
    num_known: Int[Array, "T B"]


class Extent(NamedTuple):
    """`Segment.num_rewards` and `Segment.num_known`."""

    num_rewards: Int[Array, "T B"]
    num_known: Int[Array, "T B"]


def check_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """Raise a ValueError unless `array` has `shape`."""
    if jnp.shape(array) != shape:
        raise ValueError(f"`{name}` must have shape {shape}; got {jnp.shape(array)}.")


def make_segment(
    mean: Float[Array, "T B H"],
    rewards: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
) -> Segment:
    """Return the segment that the predictions `mean` are about.

    Args:
        mean: Reward predicted at each lag; only its shape is read.
        rewards: Reward of the action at t.
        terminated: Whether that action ended the episode.
        truncated: Whether the episode was cut after it.

    Raises:
        ValueError: The shapes do not fit together.
    """
    if jnp.ndim(mean) != 3 or 0 in jnp.shape(mean):
        raise ValueError(f"`mean` must have shape [T, B, H], each at least 1; got {jnp.shape(mean)}.")
    for name, array in {"rewards": rewards, "terminated": terminated, "truncated": truncated}.items():
        check_shape(name, array, jnp.shape(mean)[:2])
    rewards, terminated, truncated = rewards.astype(jnp.float32), terminated.astype(bool), truncated.astype(bool)
    return Segment(rewards, terminated, truncated, *extent(terminated, truncated, jnp.shape(mean)[2]))


def extent(terminated: Bool[Array, "T B"], truncated: Bool[Array, "T B"], horizon: int) -> Extent:
    """Return how many lags of each step hold a reward and how many are known.

    A step that is both terminated and truncated is a terminal.

    Args:
        terminated: Whether the action at t ended the episode.
        truncated: Whether the episode was cut after the action at t.
        horizon: Number of lags H.
    """
    num_steps = terminated.shape[0]
    step = jnp.arange(num_steps, dtype=jnp.int32)[:, None]
    # The next end and its kind in one number, so that one running minimum carries both.
    code = jnp.where(terminated | truncated, 2 * step + jnp.where(terminated, 0, 1), 2 * num_steps - 1)
    code = lax.cummin(code, axis=0, reverse=True)
    num_rewards = jnp.minimum(code // 2 - step + 1, horizon)
    return Extent(num_rewards, jnp.where(code % 2 == 0, horizon, num_rewards))


def episode_age(terminated: Bool[Array, "T B"], truncated: Bool[Array, "T B"]) -> Int[Array, "T B"]:
    """Return how many steps of the segment precede each one within its episode."""
    step = jnp.arange(terminated.shape[0], dtype=jnp.int32)[:, None]
    done = terminated | truncated
    begin = jnp.where(jnp.roll(done, 1, axis=0), step, 0)
    return step - lax.cummax(begin, axis=0)


def reward_windows(segment: Segment, horizon: int) -> tuple[Float[Array, "T B H"], Bool[Array, "T B H"]]:
    """Return the reward at each lag, 0 where there is none, and whether it is known: the definition."""
    num_steps = segment.rewards.shape[0]
    lag = jnp.arange(horizon, dtype=jnp.int32)
    step = jnp.minimum(jnp.arange(num_steps, dtype=jnp.int32)[:, None] + lag[None, :], num_steps - 1)
    window = jnp.swapaxes(segment.rewards[step], 1, 2)
    window = jnp.where(lag[None, None, :] < segment.num_rewards[:, :, None], window, 0.0)
    return window, lag[None, None, :] < segment.num_known[:, :, None]


def pad_rewards(segment: Segment, horizon: int) -> Float[Array, "B T+H"]:
    """Return the rewards by environment, with room for the last step's window."""
    return jnp.pad(segment.rewards.T, ((0, 0), (0, horizon)))


def step_window(
    padded: Float[Array, "B T+H"], segment: Segment, step: Int[Array, ""], horizon: int
) -> tuple[Float[Array, "B H"], Bool[Array, "B H"]]:
    """Return `reward_windows` at one step: one slice for all environments, which costs no gather."""
    lag = jnp.arange(horizon, dtype=jnp.int32)[None, :]
    window = lax.dynamic_slice_in_dim(padded, step, horizon, axis=1)
    window = jnp.where(lag < segment.num_rewards[step][:, None], window, 0.0)
    return window, lag < segment.num_known[step][:, None]
