"""Foraging: enemies near, resources far, both counted apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.foraging import Draws, Foraging

STAY, UP, DOWN, ALONG, BACK = (jnp.int32(a) for a in range(5))


@pytest.fixture(scope="module")
def env():
    return Foraging()


@pytest.fixture(scope="module")
def params(env):
    return env.default_params


@pytest.fixture(scope="module")
def transition(env):
    return jax.jit(env.transition)


def draws(appears=False, enemy=(2, 0), resource=80, noise=0.0):
    return Draws(jnp.int32(resource), jnp.array(enemy, jnp.int32), jnp.bool(appears), jnp.float32(noise))


def begin(env, params, **values):
    state = env.reset(jax.random.key(0), params)[1]
    state = state.replace(resource=jnp.int32(80))
    return state.replace(**{k: jnp.asarray(v, jnp.int32) for k, v in values.items()})


def test_walking_brings_the_resource_nearer_and_reaching_it_pays_once(transition, env, params):
    state, reward = transition(begin(env, params, resource=2), ALONG, draws(), params)
    assert (state.resource, reward) == (1, 0)
    state, reward = transition(state, ALONG, draws(resource=-70), params)
    assert (state.resource, reward, state.num_resources) == (-70, 1, 1)
    state, _ = transition(state, BACK, draws(), params)
    assert state.resource == -69


def test_enemy_is_caught_on_its_cell_and_pays(transition, env, params):
    state = begin(env, params, enemy=(1, 1), enemy_time=5)
    state, reward = transition(state, ALONG, draws(), params)
    assert (state.enemy.tolist(), reward, state.enemy_time) == ([0, 1], 0, 4)
    state, reward = transition(state, UP, draws(), params)
    np.testing.assert_allclose(reward, 0.1)
    assert (state.num_enemies, state.enemy_time) == (1, 0)


def test_enemy_leaves_in_time_and_a_new_one_appears_by_chance(transition, env, params):
    state = begin(env, params, enemy=(3, 0), enemy_time=1)
    state, _ = transition(state, STAY, draws(appears=True), params)
    assert state.enemy_time == 0
    state, _ = transition(state, STAY, draws(appears=True, enemy=(-2, 4)), params)
    assert (state.enemy.tolist(), state.enemy_time) == ([-2, 2], 10)


def test_strip_has_edges_across(transition, env, params):
    state = begin(env, params, row=0, enemy=(0, 2), enemy_time=5)
    state, _ = transition(state, DOWN, draws(), params)
    assert (state.row, state.enemy.tolist()) == (0, [0, 2])


def test_noise_changes_the_reward_alone(transition, env, params):
    state, reward = transition(begin(env, params), STAY, draws(noise=2.0), params.replace(noise=0.5))
    assert reward == 1.0
    assert state.num_resources == 0


def test_draws_cover_their_ranges(env, params):
    drawn = jax.jit(jax.vmap(lambda k: env.draw(k, params)))(jax.random.split(jax.random.key(0), 2000))
    distance = np.abs(drawn.resource)
    assert (distance.min(), distance.max()) == (60, 120)
    assert 0.4 < (np.asarray(drawn.resource) > 0).mean() < 0.6
    assert sorted(set(np.asarray(drawn.enemy[:, 0]).tolist())) == [-3, -2, -1, 1, 2, 3]
    assert sorted(set(np.asarray(drawn.enemy[:, 1]).tolist())) == [0, 1, 2, 3, 4]


def test_both_rates_are_reported(env, params):
    state = begin(env, params, num_enemies=9, num_resources=1, resource=1, time=99)
    info = jax.jit(env.step_env)(jax.random.key(0), state, ALONG, params)[4]
    np.testing.assert_allclose([info["near_rate"], info["far_rate"], info["score"]], [0.09, 0.02, 2.9], rtol=1e-6)
