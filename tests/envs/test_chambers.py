"""Chambers: walls stop and doors let through, the goal pays once, and each chamber makes it rarer by chance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import make
from envs.chambers import GOAL_X, MARGIN, EnvState
from envs.players import scripted
from p3o_jax.vector import VectorEnvironment


def moved(position, velocity, action=(0.0, 0.0), gaps=(0.5, 0.5, 0.5), **params):
    env = make("chambers", num_chambers=len(gaps))
    state = EnvState(jnp.int32(0), jnp.array(position), jnp.array(velocity), jnp.array(gaps), jnp.int32(0))
    return jax.jit(env.transition)(state, jnp.array(action), env.default_params.replace(**params))


def test_a_push_adds_to_what_friction_leaves_of_the_velocity():
    state, reached = moved((0.5, 0.5), (0.02, 0.0), (1.0, -0.5), push=0.01, damping=0.5)
    np.testing.assert_allclose(state.velocity, (0.02, -0.005), rtol=1e-5)
    np.testing.assert_allclose(state.position, (0.52, 0.495), rtol=1e-5)
    assert not reached


def test_actions_beyond_one_push_no_harder_and_the_largest_speed_is_a_twentieth():
    beyond, within = moved((0.5, 0.5), (0.0, 0.0), (9.0, -9.0))[0], moved((0.5, 0.5), (0.0, 0.0), (1.0, -1.0))[0]
    np.testing.assert_array_equal(beyond.velocity, within.velocity)
    np.testing.assert_allclose(moved((0.5, 0.5), (0.05, 0.0), (1.0, 0.0))[0].velocity[0], 0.05, rtol=1e-5)


def test_an_action_is_kept_for_as_many_steps_as_asked_or_to_the_goal():
    once, thrice = make("chambers", num_chambers=1), make("chambers", num_chambers=1, repeat=3)
    params, key, push = once.default_params, jax.random.key(0), jnp.array([1.0, 0.5])
    start = EnvState(jnp.int32(0), jnp.array([0.3, 0.5]), jnp.zeros(2), jnp.array([0.5]), jnp.int32(0))
    expected = start
    for _ in range(3):
        expected = once.step_env(key, expected, push, params)[1]
    jax.tree.map(np.testing.assert_array_equal, thrice.step_env(key, start, push, params)[1], expected)
    near = start.replace(position=jnp.array([GOAL_X - 0.1, 0.5]), velocity=jnp.array([0.04, 0.0]))
    _, state, reward, terminated, info = thrice.step_env(key, near, push, params)
    assert (state.time, reward, terminated, info["score"]) == (1, 1, True, 1)
    late = start.replace(time=jnp.int32(params.max_steps_in_episode - 1))
    assert thrice.step_env(key, late, push, params)[1].time == params.max_steps_in_episode
    with pytest.raises(ValueError, match="`repeat` must be at least 1; got 0"):
        make("chambers", repeat=0)


@pytest.mark.parametrize(("height", "passes"), [(0.5, True), (0.62, True), (0.63, False), (0.37, False), (0.1, False)])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_wall_stops_except_at_its_door(height, passes, direction):
    state, _ = moved((1 - 0.01 * direction, height), (0.05 * direction, 0.0))
    if passes:
        np.testing.assert_allclose(state.position[0], 1 + 0.035 * direction, rtol=1e-5)
        assert state.furthest == 1 - (direction < 0)
    else:
        np.testing.assert_allclose(state.position[0], 1 - MARGIN * direction, rtol=1e-6)
        assert state.velocity[0] == 0
        assert state.position[1] == jnp.float32(height)


@pytest.mark.parametrize("position", [(0.01, 0.5), (2.99, 0.5), (0.5, 0.01), (0.5, 0.99)])
def test_the_outer_walls_have_no_doors(position):
    position = np.array(position)
    outwards = np.sign(np.where((position < 0.02) | (position > 0.98), position - 0.5, 0.0))
    state, _ = moved(position, 0.05 * outwards)
    assert np.all((state.position >= MARGIN * 0.99) & (state.position <= np.array([3.0, 1.0]) - MARGIN * 0.99))


def test_the_goal_pays_and_ends_the_episode_in_the_last_chamber_only():
    env = make("chambers", num_chambers=3)
    params = env.default_params.replace(reward_goal=5.0)
    at = jax.jit(env.step_env)
    for x, reached in ((2 + GOAL_X, True), (1 + GOAL_X, False), (GOAL_X, False)):
        state = env.reset(jax.random.key(0), params)[1]
        state = state.replace(position=jnp.stack([jnp.float32(x), state.gaps[-1]]))
        _, _, reward, terminated, info = at(jax.random.key(0), state, jnp.zeros(2), params)
        assert (float(reward), bool(terminated), float(info["score"])) == (5.0 * reached, reached, reached)
        np.testing.assert_allclose(info["furthest"], (int(x) + 1) / 3, rtol=1e-6)


def test_the_observation_points_at_the_next_door_and_in_the_end_at_the_goal():
    env = make("chambers", num_chambers=2)
    state = env.reset(jax.random.key(3))[1].replace(position=jnp.array([0.25, 0.5]), velocity=jnp.array([0.05, 0.0]))
    obs = env.get_obs(state, env.default_params)
    np.testing.assert_allclose(obs, [0.125, 0.5, 1, 0, 0.75, state.gaps[0] - 0.5], rtol=1e-5)
    obs = env.get_obs(state.replace(position=jnp.array([1.2, 0.5])), env.default_params)
    np.testing.assert_allclose(obs[4:], [GOAL_X - 0.2, state.gaps[1] - 0.5], rtol=1e-5)


def success(num_chambers, policy, num_envs=256):
    """Share of the first episodes that reach the goal."""
    env = make("chambers", num_chambers=num_chambers)
    params, vector = env.default_params, VectorEnvironment(env, num_envs)

    def body(state, key):
        action_key, step_key = jax.random.split(key)
        keys = jax.random.split(action_key, num_envs)
        action = jax.vmap(policy(env), in_axes=(0, 0, None))(keys, state.env, params)
        _, state, _, _, _, info = vector.step(step_key, state, action, params)
        return state, (info["done"], info["score"])

    keys = jax.random.split(jax.random.key(1), params.max_steps_in_episode)
    start = vector.reset(jax.random.key(0), params)[1]
    done, score = jax.jit(lambda s, k: jax.lax.scan(body, s, k)[1])(start, keys)
    first = np.argmax(np.asarray(done), axis=0)
    assert np.asarray(done).any(axis=0).all()
    return np.asarray(score)[first, np.arange(num_envs)].mean()


def at_random(env):
    return lambda key, state, params: env.action_space().sample(key)


@pytest.mark.slow  # plays hundreds of episodes of three sizes
def test_random_actions_find_the_goal_ever_more_rarely_and_the_script_always_does():
    one, two = success(1, at_random), success(2, at_random)
    assert 0.3 < one < 0.6
    assert two < 0.06
    assert success(5, scripted) == 1


@pytest.mark.parametrize("number", [0, 9])
def test_a_number_of_chambers_out_of_range_is_refused(number):
    with pytest.raises(ValueError, match=f"`num_chambers` must be from 1 to 8; got {number}"):
        make("chambers", num_chambers=number)
