"""Running scales against NumPy over everything that was seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax.normalize import init_moments, init_reward_scaler, normalize, scale_rewards, update_moments

PARTS = [np.asarray(jax.random.normal(jax.random.key(i), (4, 3, 2)) * (i + 1) + 100.0 * i) for i in range(3)]


def test_moments_in_parts_are_those_of_the_whole():
    moments = init_moments((2,))
    for part in PARTS:
        moments = update_moments(moments, jnp.asarray(part))
    whole = np.concatenate(PARTS).reshape(-1, 2)
    np.testing.assert_allclose(moments.mean, whole.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, whole.var(axis=0), rtol=1e-5)
    seen = np.asarray(normalize(moments, jnp.asarray(np.concatenate(PARTS))))
    np.testing.assert_allclose(seen.reshape(-1, 2).std(axis=0), 1.0, rtol=1e-4)


def test_moments_are_those_of_what_counts_and_a_segment_without_any_changes_none():
    valid = np.arange(12).reshape(4, 3) % 5 < 2
    moments = init_moments((2,))
    for part in PARTS:
        moments = update_moments(moments, jnp.asarray(part), jnp.asarray(valid))
    counted = np.concatenate([part[valid] for part in PARTS])
    np.testing.assert_allclose(moments.mean, counted.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, counted.var(axis=0), rtol=1e-5)
    for before in (moments, init_moments((2,))):
        after = update_moments(before, jnp.asarray(PARTS[0]), jnp.zeros((4, 3), bool))
        jax.tree.map(np.testing.assert_array_equal, after, before)


@pytest.mark.parametrize("scale", ["rms", "return"])
def test_rewards_that_do_not_count_leave_their_scale_alone(scale):
    rewards, valid = jnp.asarray(PARTS[1][..., 0]), jnp.asarray([[True, False, True]] * 4)
    done = jnp.zeros((4, 3), bool)
    both, _ = scale_rewards(init_reward_scaler(3), rewards, done, scale, 0.9, valid)
    alone, _ = scale_rewards(init_reward_scaler(2), rewards[:, ::2], done[:, ::2], scale, 0.9)
    np.testing.assert_allclose(both[:, ::2], alone, rtol=1e-5)


def test_before_anything_was_seen_observations_pass_unchanged():
    x = jnp.array([[[1.0, -2.0]]])
    np.testing.assert_allclose(normalize(init_moments((2,)), x), x, rtol=1e-6)


def test_rms_divides_by_the_root_mean_square_of_all_rewards_so_far():
    scaler, seen = init_reward_scaler(3), []
    for i in range(2):
        rewards = PARTS[i][..., 0]
        seen.append(rewards)
        scaled, scaler = scale_rewards(scaler, jnp.asarray(rewards), jnp.zeros((4, 3), bool), "rms", 0.9)
        np.testing.assert_allclose(scaled, rewards / np.sqrt(np.mean(np.concatenate(seen) ** 2)), rtol=1e-4)


def test_return_divides_by_the_deviation_of_discounted_returns_within_episodes():
    rewards, done = PARTS[0][..., 0], np.zeros((4, 3), bool)
    done[1, 2] = True
    running, returns = np.zeros(3), []
    for r, d in zip(rewards, done, strict=True):
        running = 0.9 * running + r
        returns.append(running)
        running = np.where(d, 0.0, running)
    scaled, scaler = scale_rewards(init_reward_scaler(3), jnp.asarray(rewards), jnp.asarray(done), "return", 0.9)
    np.testing.assert_allclose(scaled, rewards / np.std(returns), rtol=1e-4)
    np.testing.assert_allclose(scaler.running_return, running, rtol=1e-5)


@pytest.mark.parametrize("scale", ["rms", "return", "clip", "none"])
def test_no_reward_at_all_stays_finite(scale):
    zeros = jnp.zeros((4, 3))
    scaled, _ = scale_rewards(init_reward_scaler(3), zeros, zeros > 0, scale, 0.9)
    np.testing.assert_array_equal(scaled, 0.0)


def test_clipping_bounds_rewards():
    rewards = jnp.array([[-3.0, 0.5, 7.0]])
    scaled, _ = scale_rewards(init_reward_scaler(3), rewards, rewards > 9, "clip", 0.9)
    np.testing.assert_array_equal(scaled, [[-1.0, 0.5, 1.0]])
