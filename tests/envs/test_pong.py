"""Pong's rules, line by line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.pong import Pong

STILL, UP, DOWN = jnp.int32(0), jnp.int32(1), jnp.int32(2)


@pytest.fixture(scope="module")
def env():
    return Pong(frameskip=1)


@pytest.fixture(scope="module")
def params(env):
    return env.default_params


@pytest.fixture(scope="module")
def transition(env, params):
    jitted = jax.jit(lambda state, action, serve: env.transition(state, action, serve, params))
    return lambda state, action, serve=True: jitted(state, action, jnp.bool(serve))


@pytest.fixture
def start(env, params):
    return env.start(jnp.bool(True), params)


def place(state, **values):
    return state.replace(**{k: jnp.asarray(v, getattr(state, k).dtype) for k, v in values.items()})


def test_round_starts_centred_and_serves_to_the_agent(env, params, start):
    assert (start.paddle_left, start.paddle_right) == (285, 285)
    assert (start.ball_x, start.ball_y, start.ball_vx, start.ball_vy) == (100, 304, 10, 0)
    assert env.start(jnp.bool(False), params).ball_vy == -1
    np.testing.assert_allclose(env.get_obs(start, params), [0.5, 0.5, 0.2, 0.475, 1, 0.5, 0, 0])


def test_both_serves_are_drawn_about_equally_often(env):
    draws = jax.vmap(env.draw)(jax.random.split(jax.random.key(0), 1000))
    assert 430 < draws.sum() < 570


def test_paddle_moves_8_a_frame_and_stays_on_the_field(transition, start):
    assert transition(start, UP)[0].paddle_right == 293
    assert transition(start, DOWN)[0].paddle_right == 277
    assert transition(start, STILL)[0].paddle_right == 285
    assert transition(place(start, paddle_right=603), UP)[0].paddle_right == 605
    assert transition(place(start, paddle_right=-33), DOWN)[0].paddle_right == -35


def test_opponent_follows_the_ball_at_most_8_a_frame(transition, start):
    assert transition(place(start, ball_y=323), STILL)[0].paddle_left == 288
    assert transition(place(start, ball_y=400), STILL)[0].paddle_left == 293
    assert transition(place(start, ball_y=100), STILL)[0].paddle_left == 277


@pytest.mark.parametrize(("y", "vy"), [(5, -13), (600, 13)])
def test_top_and_bottom_mirror_without_moving_the_ball(transition, start, y, vy):
    state = transition(place(start, ball_y=y, ball_vy=vy), STILL)[0]
    assert (state.ball_y, state.ball_vy) == (y + vy, -vy)


def test_left_paddle_returns_the_ball_without_reward(transition, start):
    state, reward, _ = transition(place(start, ball_x=5, ball_vx=-10), STILL)
    assert (state.ball_x, state.ball_vx, reward) == (-5, 10, 0)


@pytest.mark.parametrize(
    ("action", "vy", "expected"),
    [(STILL, 2, 2), (UP, 2, 5), (DOWN, 2, -1), (UP, 12, 13), (DOWN, -12, -13), (STILL, 0, 3), (DOWN, 3, 3)],
)
def test_right_paddle_returns_the_ball_spins_it_and_pays(transition, start, action, vy, expected):
    state, reward, _ = transition(place(start, ball_x=465, ball_vy=vy), action)
    assert (state.ball_x, state.ball_vx, state.ball_vy) == (468, -10, expected)
    np.testing.assert_allclose(reward, 0.1)


def test_ball_is_clipped_to_the_field_at_the_right_wall(transition, start):
    state = transition(place(start, ball_x=465, ball_y=605, ball_vy=10, paddle_right=580), STILL)[0]
    assert (state.ball_y, state.ball_vy) == (608, -10)


def test_points_count_and_start_a_new_round(transition, start):
    far = place(start, ball_x=5, ball_vx=-10, ball_y=20, time=7)
    state, reward, terminated = transition(far, STILL, serve=False)
    assert (state.score_left, state.score_right, reward, terminated) == (0, 1, 1, False)
    assert (state.ball_x, state.ball_vx, state.ball_vy) == (100, 10, -1)
    assert (state.paddle_left, state.time) == (285, 8)
    state, reward, _ = transition(place(start, ball_x=465, ball_y=20), STILL)
    assert (state.score_left, state.score_right, reward) == (1, 0, -1)


def test_a_point_drops_the_rest_of_the_frameskip(params, start):
    state, reward, _ = Pong().transition(place(start, ball_x=465, ball_y=20), UP, jnp.bool(True), params)
    assert (state.ball_x, state.paddle_right, reward) == (100, 285, -1)


def test_first_to_21_ends_the_episode(transition, start):
    assert transition(place(start, ball_x=465, ball_y=20, score_left=20), STILL)[2]
    assert not transition(place(start, ball_x=465, ball_y=20, score_left=19), STILL)[2]
    assert transition(place(start, ball_x=5, ball_vx=-10, ball_y=20, score_right=20), STILL)[2]


def test_score_observation_is_an_integer_division_unless_asked(params, start):
    state = place(start, score_left=7, score_right=14)
    np.testing.assert_array_equal(Pong().get_obs(state, params)[6:], [0, 0])
    np.testing.assert_allclose(Pong(score_fractions=True).get_obs(state, params)[6:], [1 / 3, 2 / 3])


def test_continuous_action_is_a_paddle_speed(params, start):
    env = Pong(frameskip=8, continuous=True)
    state = env.transition(start, jnp.array([0.5]), jnp.bool(True), params)[0]
    assert state.paddle_right == 285 + 8 * 4
    state = env.transition(start, jnp.array([-7.0]), jnp.bool(True), params)[0]
    assert state.paddle_right == 285 - 8 * 8
