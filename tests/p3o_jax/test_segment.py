"""Segments: checked and cast once, extents and windows, against loops over steps and lags."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from p3o_jax import segment as segments
from p3o_jax.ops.common import resolve_implementation
from p3o_jax.segment import episode_age, pad_rewards, step_window

SHAPES = [(12, 5, 7), (4, 3, 9), (1, 2, 1)]

extent = jax.jit(segments.extent, static_argnums=2)
make_segment = jax.jit(segments.make_segment)
reward_windows = jax.jit(segments.reward_windows, static_argnums=1)


@pytest.mark.parametrize("shape", SHAPES)
def test_windows_hold_the_known_rewards_and_nothing_else(make_example, known_rewards, shape):
    example, horizon = make_example(*shape), shape[2]
    window, known = reward_windows(make_segment(example.mean, *example.outcome), horizon)
    truth = known_rewards(*example.outcome, horizon)
    window = np.asarray(window)
    assert {tuple(index) for index in np.argwhere(known).tolist()} == set(truth)
    for index, reward in truth.items():
        assert window[index] == reward


@settings(max_examples=50, deadline=None)
@given(arrays(bool, (8, 3)), arrays(bool, (8, 3)))
def test_extent_agrees_with_walking_forward(known_rewards, terminated, truncated):
    reach = extent(jnp.asarray(terminated), jnp.asarray(truncated), 5)
    truth = known_rewards(np.ones((8, 3)), terminated, truncated, 5)
    for t, b in np.ndindex(8, 3):
        seen = [truth[t, b, j] for j in range(5) if (t, b, j) in truth]
        assert (int(reach.num_known[t, b]), int(reach.num_rewards[t, b])) == (len(seen), sum(seen))


def test_age_counts_from_the_start_of_the_episode():
    done = jnp.array([0, 0, 1, 0, 1, 1, 0], bool)[:, None]
    np.testing.assert_array_equal(episode_age(done, jnp.zeros_like(done))[:, 0], [0, 1, 2, 0, 1, 0, 0])


def test_one_steps_window_is_that_of_the_definition(make_example):
    example = make_example()
    segment = make_segment(example.mean, *example.outcome)
    padded = pad_rewards(segment, 7)
    steps = jax.vmap(lambda t: step_window(padded, segment, t, 7))(jnp.arange(12))
    for actual, expected in zip(steps, reward_windows(segment, 7), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_cut_of_a_segment_is_the_segment_of_the_cut(make_example):
    """Extents run along the steps alone: minibatches of environments need none of their own."""
    example = make_example()
    whole = make_segment(example.mean, *example.outcome)
    part = make_segment(example.mean[:, 1:3], *(x[:, 1:3] for x in example.outcome))
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda x: x[:, 1:3], whole), part)


def test_rewards_are_float32_and_ends_are_booleans(make_example):
    example = make_example()
    rewards = jnp.arange(60).reshape(12, 5)
    ends = [x.astype(jnp.int32) for x in (example.terminated, example.truncated)]
    segment = make_segment(example.mean, rewards, *ends)
    assert [x.dtype for x in segment] == [jnp.float32, bool, bool, jnp.int32, jnp.int32]
    expected = make_segment(example.mean, rewards.astype(jnp.float32), example.terminated, example.truncated)
    jax.tree.map(np.testing.assert_array_equal, segment, expected)


def test_wrong_shapes_are_named(make_example):
    mean, rewards, terminated, truncated = (example := make_example()).mean, *example.outcome
    with pytest.raises(ValueError, match=r"`truncated` must have shape \(12, 5\); got \(5,\)"):
        segments.make_segment(mean, rewards, terminated, truncated[0])
    with pytest.raises(ValueError, match=r"`mean` must have shape \[T, B, H\], each at least 1; got \(12, 5, 0\)"):
        segments.make_segment(mean[:, :, :0], rewards, terminated, truncated)


def test_unknown_implementation_is_named():
    with pytest.raises(ValueError, match=r"`implementation` must be None or one of .*; got 'cuda'"):
        resolve_implementation("cuda")
