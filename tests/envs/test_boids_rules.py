"""The scripted boids flock as one sees birds do: they align, keep apart, and stay in the field."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import make
from envs.boids import BOID, HEIGHT, WIDTH
from envs.boids_rules import CRUISE, flock
from envs.players import scripted

NUM_STEPS, SETTLED = 600, 200


def played(policy, num_envs=3):
    """Rewards, order parameters, smallest distances, positions and speeds, with axes [env, step, ...]."""
    env = make("boids")
    params = env.default_params

    def body(state, key):
        _, state, reward, _, _ = env.step_env(key, state, policy(key, state, params), params)
        speed = jnp.linalg.norm(state.velocity, axis=1)
        order = jnp.linalg.norm(jnp.mean(state.velocity / jnp.maximum(speed, 1e-6)[:, None], axis=0))
        distance = jnp.linalg.norm(state.position[None] - state.position[:, None], axis=-1)
        nearest = jnp.min(distance + jnp.where(jnp.eye(env.num_boids), jnp.inf, 0.0))
        return state, (jnp.mean(reward), order, nearest, state.position, speed)

    def episode(key):
        return jax.lax.scan(body, env.reset_env(key, params)[1], jax.random.split(key, NUM_STEPS))[1]

    keys = jax.random.split(jax.random.key(0), num_envs)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(episode))(keys))


@pytest.fixture(scope="module")
def flocks():
    return played(scripted(make("boids")))


def test_directions_become_one(flocks):
    """The order parameter, the length of the mean unit velocity, is about 1 / sqrt(64) of independent directions."""
    _, order, *_ = flocks
    assert np.all(order[:, :5].mean(axis=1) < 0.3)
    assert np.all(order[:, -100:].mean(axis=1) > 0.9)


def test_no_two_boids_overlap_once_the_flock_has_formed(flocks):
    nearest = flocks[2]
    assert nearest[:, 0].min() < BOID  # of places drawn at random some are too near
    assert nearest[:, SETTLED:].min() > BOID


def test_the_flock_moves_at_its_speed_and_stays_inside_the_field(flocks):
    *_, position, speed = flocks
    np.testing.assert_allclose(speed[:, SETTLED:].mean(), CRUISE, rtol=0.15)
    assert position[:, SETTLED:].min() > 0
    assert (position[:, SETTLED:] < np.array([WIDTH, HEIGHT]) - BOID).all()


@pytest.mark.slow  # compiles two more rollouts
def test_flocking_pays_more_than_standing_still_and_than_random_actions(flocks):
    still = played(lambda key, state, params: jnp.zeros((64, 2)))[0]
    random = played(lambda key, state, params: jax.random.uniform(key, (64, 2), minval=-1.0))[0]
    reward = flocks[0]
    assert np.all(reward.mean(axis=1) > still.mean(axis=1))
    assert np.all(still.mean(axis=1) > random.mean(axis=1))


def action_of(positions, velocities):
    key, params = jax.random.key(0), make("boids").default_params
    return np.asarray(flock(key, jnp.asarray(positions), jnp.asarray(velocities), params))


def test_each_rule_does_what_its_name_says():
    x, y = 540.0, 360.0
    still, cruising = [(0.0, 0.0)] * 2, [(CRUISE, 0.0), (-CRUISE, 0.0)]
    apart = action_of([(x, y), (x + 20, y)], still)
    assert apart[0, 0] < -0.5 < 0.5 < apart[1, 0]
    together = action_of([(x, y), (x + 190, y)], still)
    assert together[0, 0] > 0.3 > -0.3 > together[1, 0]
    alike = action_of([(x, y), (x, y + 61)], cruising)
    assert alike[0, 0] < -0.5 < 0.5 < alike[1, 0]
    inwards = action_of([(20.0, y), (1060.0, y)], still)
    assert inwards[0, 0] > 0.5 > -0.5 > inwards[1, 0]
