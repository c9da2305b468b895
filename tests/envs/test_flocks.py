"""Boids and agar: rewards and meals worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import agar
from envs.agar import Agar, Draws
from envs.boids import Boids, EnvState, flocking_reward
from envs.players import scripted

CENTRE = (540.0, 360.0)


def reward_of(positions, velocities=None, **params):
    params = Boids().default_params.replace(margin_turn=0.0, **params)
    position = jnp.array(positions)
    velocity = jnp.zeros_like(position) if velocities is None else jnp.array(velocities)
    return np.asarray(jax.jit(flocking_reward)(position, velocity, params))


def test_boids_that_crowd_pay_by_their_number_up_to_five():
    x, y = CENTRE
    np.testing.assert_allclose(reward_of([(x, y), (x + 10, y)], avoid=2.0), [-0.2, -0.2])
    crowd = [(x + i, y) for i in range(8)]
    np.testing.assert_allclose(reward_of(crowd, avoid=2.0), [-1.0] * 8)


def test_boids_pay_for_differing_from_the_mean_of_those_in_sight():
    x, y = CENTRE
    far = [(x, y), (x + 100, y), (x + 500, y)]
    got = reward_of(far, [(1.0, 0.0), (3.0, 1.0), (5.0, 5.0)], matching=1.0, centring=0.0)
    np.testing.assert_allclose(got, [-(2 + 1) / 2, -(2 + 1) / 2, 0])
    np.testing.assert_allclose(reward_of(far, matching=0.0, centring=0.1), [-5, -5, 0], rtol=1e-5)


def test_boids_of_the_original_numbers_neither_match_nor_centre():
    x, y = CENTRE
    velocities = [(1.0, 0.0), (3.0, 1.0)]
    got = reward_of([(x, y), (x + 15, y)], velocities, visual_range=20.0, protected_range=100.0, avoid=0.0)
    np.testing.assert_allclose(got, 0)


def test_boids_are_paid_per_axis_for_keeping_off_the_edge():
    params = Boids().default_params.replace(margin_turn=1.0)
    position = jnp.array([CENTRE, (20.0, 360.0), (20.0, 700.0)])
    np.testing.assert_allclose(jax.jit(flocking_reward)(position, jnp.zeros((3, 2)), params), [1, 0, -1])


def test_boids_accelerate_by_twice_the_action_within_speed_and_field():
    env = Boids(num_boids=2)
    position, velocity = jnp.array([(100.0, 100.0), (1.0, 687.0)]), jnp.array([(4.0, 0.0), (-5.0, 5.0)])
    state = EnvState(jnp.int32(0), position, velocity, jnp.zeros(2))
    state, _ = jax.jit(env.transition)(state, jnp.array([(1.0, -0.5), (-1.0, 1.0)]), env.default_params)
    np.testing.assert_allclose(state.velocity, [(5, -1), (-5, 5)])
    np.testing.assert_allclose(state.position, [(105, 99), (0, 688)])
    obs = np.asarray(env.get_obs(state, env.default_params)).reshape(2, 2, 4)
    np.testing.assert_allclose(obs[0, 1], [-105 / 1080, 589 / 720, -10 / 5, 6 / 5], rtol=1e-5)
    assert not obs[0, 0].any()
    seeing = Boids(num_boids=2, see_self=True)
    whole = np.asarray(seeing.get_obs(state, seeing.default_params))
    assert whole.shape == (2, *seeing.observation_space().shape)
    np.testing.assert_allclose(whole[0, :4], [105 / 1080, 99 / 720, 5 / 5, -1 / 5], rtol=1e-5)
    np.testing.assert_array_equal(whole[:, 4:], obs.reshape(2, -1))


def test_boids_may_see_their_nearest_alone_nearest_first():
    env, every = Boids(num_boids=5, nearest=2, see_self=True), Boids(num_boids=5)
    state = env.reset(jax.random.key(0))[1]
    obs = np.asarray(env.get_obs(state, env.default_params))
    assert obs.shape == (5, *env.observation_space().shape)
    whole = np.asarray(every.get_obs(state, every.default_params)).reshape(5, 5, 4)
    distance = np.linalg.norm(np.asarray(state.position)[None] - np.asarray(state.position)[:, None], axis=-1)
    order = np.argsort(distance, axis=1)[:, 1:3]
    np.testing.assert_array_equal(obs[:, 4:], np.take_along_axis(whole, order[..., None], axis=1).reshape(5, -1))
    with pytest.raises(ValueError, match="`nearest` must be from 0 to `num_boids` - 1; got 5"):
        Boids(num_boids=5, nearest=5)


def test_the_episodes_of_a_training_of_boids_grow_as_asked():
    assert Boids(shortest=128).default_params.max_steps_in_episode == 1024  # an evaluation has whole ones
    with pytest.raises(ValueError, match="`shortest` must be at least 0; got -1"):
        Boids(shortest=-1)
    constant = Boids(shortest=128)
    assert int(constant.params_at(constant.default_params, jnp.int32(9), 400).max_steps_in_episode) == 128
    growing = Boids(shortest=300, longer_every=1000)
    lengths = [
        int(growing.params_at(growing.default_params, jnp.int32(updates), 400).max_steps_in_episode)
        for updates in (0, 2, 3, 5, 6, 1000)
    ]
    assert lengths == [300, 300, 600, 600, 1024, 1024]
    assert Boids().params_at(params := Boids().default_params, jnp.int32(9), 400) is params


def agar_step(positions, masses, food=((150.0, 150.0),), action=None, **params):
    env = Agar(num_players=len(masses), num_food=len(food), seen_food=1)
    params = env.default_params.replace(decay=0.0, **params)
    draws = Draws(jnp.full((len(masses), 2), 0.5), jnp.full((len(food), 2), 0.25))
    state = agar.EnvState(jnp.int32(0), jnp.array(positions), jnp.array(masses), jnp.array(food))
    still = jnp.tile(jnp.array([[0.0, -1.0]]), (len(masses), 1)) if action is None else jnp.array(action)
    return jax.jit(env.transition)(state, still, draws, params)


def test_food_under_a_blob_is_eaten_and_comes_back_elsewhere():
    state, reward, eaten = agar_step([(10.0, 10.0), (90.0, 90.0)], [9.0, 9.0], food=((12.0, 10.0), (14.0, 10.0)))
    np.testing.assert_allclose(state.mass, [10, 9])
    np.testing.assert_allclose(reward, [0.1, 0], rtol=1e-6)
    np.testing.assert_allclose(state.food, [(40, 40), (14, 10)])
    assert not eaten.any()


def test_heavier_player_eats_a_lighter_one_whose_centre_it_covers():
    state, reward, eaten = agar_step([(10.0, 10.0), (13.0, 10.0)], [20.0, 16.0])
    np.testing.assert_array_equal(eaten, [False, True])
    np.testing.assert_allclose(state.mass, [36, 9])
    np.testing.assert_allclose(reward, [16 / 20, -1])
    np.testing.assert_allclose(state.position[1], [80, 80])


@pytest.mark.parametrize(("distance", "mass"), [(3.0, 16.5), (5.0, 16.0)])
def test_too_heavy_or_too_far_is_not_eaten(distance, mass):
    assert not agar_step([(10.0, 10.0), (10.0 + distance, 10.0)], [20.0, mass])[2].any()


def test_who_is_eaten_eats_no_player_and_the_heaviest_eats_first():
    chain = [(10.0, 10.0), (13.0, 10.0), (16.0, 10.0)]
    state, _, eaten = agar_step(chain, [30.0, 20.0, 10.0])
    np.testing.assert_array_equal(eaten, [False, True, False])
    both = [(10.0, 10.0), (12.0, 10.0), (11.0, 10.0)]
    state, _, eaten = agar_step(both, [30.0, 29.0, 10.0])
    np.testing.assert_array_equal(eaten, [False, False, True])
    np.testing.assert_allclose(state.mass, [40, 29, 9])


def test_heavier_players_are_slower_and_actions_agree():
    spots, masses = [(20.0, 20.0), (90.0, 90.0)], [9.0, 36.0]
    state, _, _ = agar_step(spots, masses, action=[(0.0, 1.0), (0.5, 1.0)])
    np.testing.assert_allclose(state.position[0], (22, 20), atol=1e-4)
    np.testing.assert_allclose(state.position[1], (90, 90 + 2 * 4**-0.4), atol=1e-4)
    discrete, continuous = Agar(num_players=2, continuous=False), Agar(num_players=2)
    angles = jnp.array([(0.25, 1.0), (0.0, -1.0)])
    expected = continuous._direction(angles)
    np.testing.assert_allclose(discrete._direction(jnp.array([2, 0])), expected, atol=1e-6)


def test_a_single_player_has_no_axis_of_agents_and_eats_food_alone():
    env = Agar(num_players=1)
    params = env.default_params
    obs, state = env.reset(jax.random.key(0), params)
    assert env.num_agents == 1
    assert obs.shape == env.observation_space().shape == (3 + 2 * env.seen_food,)
    np.testing.assert_allclose(obs[:3], [*state.position[0] / params.field, 0.09], rtol=1e-6)
    state = state.replace(position=state.food[:1] + 2.5)  # 3.5 away from its centre, and its radius is 3
    towards = jnp.array([-0.75, 1.0])
    _, after, reward, terminated, info = env.step_env(jax.random.key(1), state, towards, params)
    np.testing.assert_allclose(reward, 0.1 * (after.mass[0] - 9), rtol=1e-4)
    assert reward >= 0.1 - 1e-6
    assert not terminated
    np.testing.assert_allclose(info["score"], after.mass[0])


@pytest.mark.parametrize("continuous", [True, False])
def test_the_scripted_single_player_grows_far_more_than_a_random_one(continuous):
    env = Agar(num_players=1, continuous=continuous)
    params, policy, sample = env.default_params, scripted(env), env.action_space().sample

    def final_mass(act):
        def body(state, key):
            return env.step_env(key, state, act(key, state), params)[1], None

        keys = jax.random.split(jax.random.key(0), 300)
        return jax.lax.scan(body, env.reset_env(jax.random.key(1), params)[1], keys)[0].mass[0]

    ruled = jax.jit(lambda: final_mass(lambda key, state: policy(key, state, params)))()
    random = jax.jit(lambda: final_mass(lambda key, state: sample(key)))()
    assert ruled > 9 + 2.5 * (random - 9) > 9
