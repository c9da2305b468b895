"""The vector environment takes any environment by its methods, and handles restarts of both kinds alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import make
from p3o_jax.vector import VectorEnvironment

NUM_ENVS = 6


def rollout(env, num_steps=20, **settings):
    """Every step's (obs, reward, terminated, truncated, info) of a fixed policy, with the first observations."""
    vector, params = VectorEnvironment(env, NUM_ENVS, final_observation=True, **settings), env.default_params
    obs, state = vector.reset(jax.random.key(0), params)

    def body(carry, key):
        obs, state = carry
        obs, state, *rest = vector.step(key, state, jnp.argmax(obs, axis=1), params)
        return (obs, state), (obs, *rest)

    _, steps = jax.lax.scan(body, (obs, state), jax.random.split(jax.random.key(1), num_steps))
    return obs, jax.tree.map(np.asarray, steps)


@pytest.mark.parametrize("truncates", [False, True])
def test_states_that_carry_observations_restart_as_states_that_give_them(task, truncates):
    given = rollout(task.env(truncates=truncates))
    carried = rollout(task.env(truncates=truncates, obs_from_state=False))
    jax.tree.map(np.testing.assert_array_equal, given, carried)


@pytest.mark.parametrize("truncates", [False, True])
def test_episodes_of_a_perfect_policy_are_counted_and_restart(task, truncates):
    _, (obs, reward, terminated, truncated, info) = rollout(task.env(truncates=truncates))
    ends = np.arange(1, 21) % 5 == 0
    np.testing.assert_array_equal(info["done"], np.broadcast_to(ends[:, None], (20, NUM_ENVS)))
    np.testing.assert_array_equal(truncated if truncates else terminated, info["done"])
    assert not (terminated if truncates else truncated).any()
    np.testing.assert_array_equal(reward, 1.0)
    expected = np.broadcast_to(((np.arange(20) % 5) + 1)[:, None], (20, NUM_ENVS))
    np.testing.assert_array_equal(info["episode_length"], expected)
    np.testing.assert_array_equal(info["score"], expected)  # no measure of its own: the return
    np.testing.assert_array_equal(info["final_observation"][~ends], obs[~ends])
    assert (info["final_observation"][ends] != obs[ends]).any()


def restarts(env, num_envs, **settings):
    """First observations of the episodes that begin where all end at once."""
    vector = VectorEnvironment(env, num_envs, **settings)
    params = env.default_params.replace(max_steps_in_episode=2)
    _, state = vector.reset(jax.random.key(0), params)
    action = jnp.zeros((vector.batch_size, *env.action_space().shape), env.action_space().dtype)
    for key in jax.random.split(jax.random.key(1), 2):
        obs, state, _, _, truncated, _ = vector.step(key, state, action, params)
    assert truncated.all()
    return np.asarray(obs).reshape(num_envs, -1)


def test_episodes_of_one_length_start_independently_where_resets_are_guarded_and_from_a_pool_elsewhere():
    guarded, plain = make("boids", num_boids=2), make("maze", size=31, num_maps=4096)
    assert len(np.unique(restarts(guarded, 96), axis=0)) == 96
    assert len(np.unique(restarts(guarded, 96, pool_size=32), axis=0)) == 32
    few, all_of_them = (len(np.unique(restarts(plain, 96, **s), axis=0)) for s in ({}, {"pool_size": 96}))
    assert few <= 32 < all_of_them  # different levels may look alike from their first corner


def test_a_pool_of_one_restarts_all_alike(task):
    _, (obs, *_) = rollout(task.env(), pool_size=1)
    for t in (4, 9, 14, 19):
        np.testing.assert_array_equal(obs[t], np.broadcast_to(obs[t, :1], obs[t].shape))
    assert any((obs[t] != obs[t, :1]).any() for t in range(20))
