"""The vectorised auto-reset against a plain loop over single environments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.environment import Box, Discrete, MultiDiscrete
from envs.registry import make
from p3o_jax.vector import VectorEnvironment

NUM_ENVS = 6


@pytest.fixture(scope="module")
def short_pong():
    """A pong whose episodes end at the first point."""
    env = make("pong")
    return env, env.default_params.replace(max_score=1)


def test_vector_step_equals_single_steps_until_an_episode_ends(short_pong):
    env, params = short_pong
    vector = VectorEnvironment(env, NUM_ENVS)
    obs, state = vector.reset(jax.random.key(0), params)
    action = jnp.ones(NUM_ENVS, jnp.int32)
    step_key, _ = jax.random.split(jax.random.key(1))
    keys = jax.random.split(step_key, NUM_ENVS)
    obs, after, reward, terminated, truncated, _ = vector.step(jax.random.key(1), state, action, params)
    step_env = jax.jit(env.step_env)
    for i in range(NUM_ENVS):
        alone = jax.tree.map(lambda x, i=i: x[i], state.env)
        one_obs, _, one_reward, one_terminated, _ = step_env(keys[i], alone, action[i], params)
        np.testing.assert_allclose(obs[i], one_obs, rtol=1e-6)
        assert reward[i] == one_reward
        assert terminated[i] == one_terminated
    assert not truncated.any()
    np.testing.assert_array_equal(after.episode_length, 1)


def test_episode_statistics_match_sums_over_the_rollout(short_pong):
    env, params = short_pong
    params = params.replace(max_steps_in_episode=40)
    vector = VectorEnvironment(env, NUM_ENVS, final_observation=True)

    def body(carry, key):
        action_key, step_key = jax.random.split(key)
        action = jax.random.randint(action_key, (NUM_ENVS,), 0, 3)
        obs, state, reward, terminated, truncated, info = vector.step(step_key, carry, action, params)
        return state, (obs, reward, terminated, truncated, info)

    _, state = vector.reset(jax.random.key(0), params)
    _, trace = jax.jit(lambda s, k: jax.lax.scan(body, s, k))(state, jax.random.split(jax.random.key(1), 300))
    obs, reward, terminated, truncated, info = jax.tree.map(np.asarray, trace)
    assert info["done"].any(axis=0).all()
    np.testing.assert_array_equal(info["done"], terminated | truncated)
    totals, lengths = np.zeros(reward.shape), np.zeros(reward.shape)
    for i in range(NUM_ENVS):
        total, length = 0.0, 0
        for t in range(300):
            totals[t, i], lengths[t, i] = total, length = total + reward[t, i], length + 1
            if info["done"][t, i]:
                total, length = 0.0, 0
    np.testing.assert_allclose(info["episode_return"], totals, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(info["episode_length"], lengths)
    ended = terminated | truncated
    np.testing.assert_array_equal(np.abs(info["score"][ended]) == 1, terminated[ended])
    np.testing.assert_allclose(obs[ended, 2], 0.2)
    np.testing.assert_array_equal(info["final_observation"][~ended], obs[~ended])


@jax.numpy_dtype_promotion("standard")  # gymnax multiplies integer actions by floats
def test_gymnax_environments_run_under_the_same_vector():
    pytest.importorskip("gymnax", exc_type=ImportError)
    env = make("gymnax:CartPole-v1")
    params = env.default_params
    vector = VectorEnvironment(env, NUM_ENVS)
    obs, state = vector.reset(jax.random.key(0), params)
    num_ended = 0
    for t in range(30):
        action = jnp.ones(NUM_ENVS, jnp.int32)
        obs, state, *_, info = vector.step(jax.random.key(t), state, action, params)
        assert obs.shape == (NUM_ENVS, 4)
        ended = np.asarray(info["done"])
        num_ended += ended.sum()
        assert (np.abs(np.asarray(obs)[ended]) <= 0.05).all()
    assert num_ended >= 2 * NUM_ENVS  # a pole that is always pushed the same way falls after about ten steps


def test_vector_is_hashable_and_checks_its_arguments():
    env = make("pong")
    assert hash(VectorEnvironment(env, 4)) == hash(VectorEnvironment(make("pong"), 4))
    with pytest.raises(ValueError, match="`num_envs` must be at least 1; got 0"):
        VectorEnvironment(env, 0)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"`name` must be one of .*pong.*; got 'pung'"):
        make("pung")


@pytest.mark.parametrize(
    "space",
    [
        Discrete(5),
        MultiDiscrete((3, 2)),
        Box(-1.0, 1.0, (4,)),
        Box(0, 255, (3, 3), jnp.uint8),
        Box(np.array([-1.0, 5.0]), np.array([1.0, 50.0]), (2,)),
        Box(np.array([-1.0, -np.inf, 2.0]), np.array([0.0, 1.0, np.inf]), (3,)),
        Box(np.array([0, 7]), np.array([3, 200]), (2,), jnp.uint8),
        Box(0.0, np.array([1.0, 2.0]), (3, 2), jnp.bfloat16),
    ],
    ids=repr,
)
def test_samples_of_a_space_are_inside_it(space):
    samples = jax.jit(jax.vmap(space.sample))(jax.random.split(jax.random.key(0), 200))
    assert samples.shape == (200, *space.shape)
    assert samples.dtype == space.dtype
    assert jax.jit(jax.vmap(space.contains))(samples).all()
    assert len(np.unique(np.asarray(samples).reshape(200, -1), axis=0)) > 1


def test_a_box_is_what_its_bounds_are_whether_one_for_all_or_one_each():
    box = Box(np.array([-1.0, 0.0]), jnp.array([1.0, 5.0]), (2,))
    twin = Box([-1.0, 0.0], (1.0, 5.0), (2,))
    assert box == twin
    assert hash(box) == hash(twin)
    assert box != Box(np.array([-1.0, 0.0]), np.array([1.0, 6.0]), (2,))
    assert Box(-1.0, 1.0, (2,)) == Box(np.full(2, -1.0), 1.0, (2,)) != Box(-1.0, 1.0, (2,), jnp.bfloat16)
    assert box.contains(jnp.array([1.0, 5.0]))
    assert not box.contains(jnp.array([1.5, 5.0]))
    for low, high, message in (
        (np.zeros(3), 1.0, r"`low` must broadcast to `shape`; got \(3,\) and \(2,\)"),
        (np.array([0.0, 2.0]), np.array([1.0, 1.0]), "`low` must not exceed `high`"),
    ):
        with pytest.raises(ValueError, match=message):
            Box(low, high, (2,))
