"""Wrappers and views: statistics, stacks, normalisation, and other people's interfaces."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import connect4_duel as duel
from envs.interop import GymnaxView, gymnasium_vector, register_with_gymnax
from envs.registry import make
from envs.wrappers import EpisodeStatistics, FrameStack, LegacyView, NormalizedVector, RunningMoments
from p3o_jax.vector import VectorEnvironment

SNAKE = {"width": 16, "height": 14, "num_snakes": 3, "num_food": 8, "vision": 2}


def test_episode_statistics_restart_with_the_episode():
    env = EpisodeStatistics(make("foraging"))
    params = env.default_params.replace(max_steps_in_episode=3, noise=1.0)
    state = env.reset(jax.random.key(0), params)[1]
    total = 0.0
    for t in range(6):
        _, state, reward, _, truncated, info = env.step(jax.random.key(t), state, jnp.int32(3), params)
        total = reward if t % 3 == 0 else total + reward
        np.testing.assert_allclose(info["episode_return"], total, rtol=1e-5)
        assert info["episode_length"] == t % 3 + 1
        assert truncated == (t % 3 == 2)


@pytest.mark.parametrize(("name", "arguments"), [("pong", {}), pytest.param("snake", SNAKE, marks=pytest.mark.slow)])
def test_frames_are_stacked_oldest_first_and_fresh_after_a_reset(name, arguments):
    plain = make(name, **arguments)
    env = FrameStack(plain, num_frames=3)
    params = env.default_params
    obs, state = env.reset(jax.random.key(0), params)
    first = plain.get_obs(state.env, params)
    np.testing.assert_array_equal(obs, np.repeat(np.asarray(first)[..., None], 3, axis=-1))
    assert obs.shape[-1:] == env.observation_space(params).shape[-1:] == (3,)
    action = jnp.zeros(env.num_agents, jnp.int32) if env.num_agents > 1 else jnp.int32(0)
    obs, state, _, terminated, _, _ = env.step(jax.random.key(1), state, action, params)
    second = np.asarray(plain.get_obs(state.env, params))
    alive = ~np.asarray(terminated)
    np.testing.assert_array_equal(np.asarray(obs)[alive][..., 2], second[alive])
    np.testing.assert_array_equal(np.asarray(obs)[alive][..., 1], np.asarray(first)[alive])
    vector = VectorEnvironment(env, 2)
    first, state = jax.eval_shape(vector.reset, jax.random.key(2), params)
    action = jax.ShapeDtypeStruct((vector.batch_size,), jnp.int32)
    assert jax.eval_shape(vector.step, jax.random.key(3), state, action, params)[0] == first
    assert first.shape == (vector.batch_size, *env.observation_space(params).shape)


def test_running_moments_equal_those_of_all_batches_together():
    rng = np.random.default_rng(0)
    data = rng.normal(3.0, 2.0, (5, 64, 4)).astype(np.float32)
    moments = RunningMoments.create((4,))
    for batch in data:
        moments = moments.update(jnp.asarray(batch))
    flat = data.reshape(-1, 4)
    np.testing.assert_allclose(moments.mean, flat.mean(0), rtol=1e-4)
    np.testing.assert_allclose(moments.variance, flat.var(0), rtol=1e-4)


def moments_of(values):
    """Mean and variance of all values, and of a first one of mean 0, variance 1 and weight 1e-4."""
    values, prior = np.concatenate(values).astype(np.float64), 1e-4
    mean = values.sum(0) / (len(values) + prior)
    squares = ((values - mean) ** 2).sum(0) + prior * (1 + mean**2)
    return mean, squares / (len(values) + prior)


def test_normalised_vector_scales_observations_and_rewards_and_leaves_statistics_alone():
    plain = VectorEnvironment(make("pong"), 16)
    vector = NormalizedVector(plain, gamma=0.9)
    params = plain.env.default_params
    _, state = vector.reset(jax.random.key(0), params)
    plain_obs, plain_state = plain.reset(jax.random.key(0), params)
    seen, returns, discounted = [np.asarray(plain_obs)], [], np.zeros(16)
    for t in range(60):
        action = jnp.ones(16, jnp.int32)
        obs, state, reward, *_, info = vector.step(jax.random.key(t), state, action, params)
        plain_obs, plain_state, plain_reward, *_, plain_info = plain.step(
            jax.random.key(t), plain_state, action, params
        )
        jax.tree.map(np.testing.assert_array_equal, info, plain_info)
        seen.append(np.asarray(plain_obs))
        discounted = 0.9 * discounted + np.asarray(plain_reward)
        returns.append(discounted)
        expected = np.clip(np.asarray(plain_reward) / np.sqrt(moments_of(returns)[1] + 1e-8), -10, 10)
        np.testing.assert_allclose(reward, expected, rtol=1e-4)
        discounted = np.where(plain_info["done"], 0, discounted)
    assert np.any(returns)
    mean, variance = moments_of(seen)
    expected = np.clip((np.asarray(plain_obs) - mean) / np.sqrt(variance + 1e-8), -10, 10)
    np.testing.assert_allclose(obs, expected, rtol=1e-3, atol=1e-3)  # sixty merges in single precision
    assert hash(vector) == hash(NormalizedVector(plain, gamma=0.9))


def test_legacy_view_has_five_values_and_can_be_hashed_and_copied():
    env = LegacyView(make("pong"))
    params = env.default_params.replace(max_steps_in_episode=2)
    _, state = env.reset(jax.random.key(0), params)
    dones = []
    for t in range(4):
        obs, state, _, done, info = env.step(jax.random.key(t), state, jnp.int32(0), params)
        dones.append(bool(done))
        assert info["discount"] == 1  # cut off, not lost
    assert dones == [False, True, False, True]
    assert obs.shape == env.observation_space(params).shape
    assert hash(copy.deepcopy(env)) == hash(env)
    assert copy.deepcopy(FrameStack(make("pong"))) == FrameStack(make("pong"))


def test_gymnasium_view_follows_its_vector_interface():
    pytest.importorskip("gymnasium")
    view = gymnasium_vector("pong", 3, seed=1)
    view.params = view.params.replace(max_steps_in_episode=3)  # before any point
    first, _ = view.reset(seed=0)
    assert view.observation_space.contains(first)
    for t in range(1, 81):
        obs, reward, terminated, truncated, info = view.step(view.action_space.sample())
        assert view.observation_space.contains(obs)
        assert reward.shape == terminated.shape == truncated.shape == (3,)
        assert (info["_final_obs"] == truncated).all()
        assert (truncated == (t % 3 == 0)).all()
        assert not terminated.any()
        started = (obs[:, :4] == first[:, :4]).all(axis=1)  # but for the serve, all rounds start alike
        np.testing.assert_array_equal(started, truncated)
        assert (info["final_obs"] != first).any(axis=1).all()
    again, _ = view.reset(seed=0)
    np.testing.assert_array_equal(again, gymnasium_vector("pong", 3).reset(seed=0)[0])


def test_gymnax_makes_ours_once_registered():
    gymnax = pytest.importorskip("gymnax", exc_type=ImportError)
    assert register_with_gymnax() == register_with_gymnax()
    env, params = gymnax.make("neocarbs/pong", frameskip=4)
    assert env == GymnaxView(make("pong", frameskip=4))
    assert params == env.default_params
    assert isinstance(env.action_space(params), gymnax.environments.spaces.Discrete)
    assert isinstance(env.observation_space(params), gymnax.environments.spaces.Box)


def play_duel(state, moves):
    step = jax.jit(duel.step)
    for move in moves:
        state = step(state, jnp.int32(move))
    return state


def test_duel_alternates_players_and_shows_the_board_from_both_sides():
    state = duel.init(jax.random.key(0))
    first = int(state.current_player)
    after = play_duel(state, [3])
    assert after.current_player == 1 - first
    assert np.asarray(after.observation)[18] == -1
    assert np.asarray(play_duel(after, [3]).observation)[18:20].tolist() == [1, -1]
    assert {int(duel.init(jax.random.key(i)).current_player) for i in range(10)} == {0, 1}


def test_duel_pays_the_winner_punishes_illegal_moves_and_then_stands_still():
    state = duel.init(jax.random.key(0))
    first = int(state.current_player)
    won = play_duel(state, [0, 1, 0, 1, 0, 1, 0])
    assert won.terminated
    assert (won.rewards[first], won.rewards[1 - first]) == (1, -1)
    still = play_duel(won, [5])
    assert still.terminated
    assert not still.rewards.any()
    full = play_duel(state, [0] * 6)
    np.testing.assert_array_equal(full.legal_action_mask, [False] + [True] * 6)
    lost = play_duel(full, [0])
    assert lost.terminated
    assert lost.rewards[first] == -1
