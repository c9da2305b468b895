"""Evaluation: first episodes, and nothing else."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import Environment, make
from envs.environment import Box, Discrete, EnvState
from p3o_jax import Config, Params, evaluate, init, make_train


def test_evaluation_takes_the_first_episode_of_each_environment(task, trained):
    score = jax.jit(lambda state, steps: evaluate(
        task.config, task.env(), state, jax.random.key(0), 32, deterministic=True, max_steps=steps
    ))  # fmt: skip
    result = score(trained[0], 100)
    assert result.num_episodes == 32
    assert result.score_mean == result.return_mean == 5.0
    assert result.length_mean == 5
    assert result.finished.all()


def test_an_episode_that_does_not_end_counts_with_what_it_has_reached(task, trained):
    """Neither NaN nor nothing: a policy that keeps an episode going may be the best one."""
    evaluation = jax.jit(lambda state, steps: evaluate(
        task.config, task.env(), state, jax.random.key(0), 32, deterministic=True, max_steps=steps
    ))  # fmt: skip
    cut = evaluation(trained[0], 3)
    assert cut.num_episodes == 0
    assert not cut.finished.any()
    assert cut.score_mean == cut.return_mean == cut.length_mean == 3.0  # a right answer, and a point, in every step
    np.testing.assert_array_equal(cut.scores, 3.0)
    assert cut.score_std == cut.return_std == 0.0


def test_episodes_that_end_and_those_that_do_not_count_alike():
    """In CartPole each step pays 1: under a limit of 20 steps the mean return is that of min(length, 20)."""
    pytest.importorskip("gymnax", exc_type=ImportError)
    with jax.numpy_dtype_promotion("standard"):  # gymnax multiplies integer actions by floats
        env, config = make("gymnax:CartPole-v1"), Config(num_envs=2, num_minibatches=1, estimator="gae")
        state = init(config, env, jax.random.key(0), Params())
        whole, cut = (
            jax.jit(lambda state, n=n: evaluate(config, env, state, jax.random.key(1), 64, max_steps=n))(state)
            for n in (500, 20)
        )
    assert whole.finished.all()
    np.testing.assert_array_equal(cut.finished, np.asarray(whole.scores) <= 20)
    assert 0 < cut.num_episodes < 64
    np.testing.assert_array_equal(cut.scores, np.minimum(whole.scores, 20))
    np.testing.assert_allclose(cut.score_mean, np.minimum(whole.scores, 20).mean(), rtol=1e-6)  # a float32 sum of 64


def test_impossible_evaluations_are_refused(task, trained):
    for settings, message in (
        ({"num_episodes": 0}, "`num_episodes` must be at least 1; got 0"),
        ({"num_episodes": 1, "max_steps": 0}, "`max_steps` must be at least 1; got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(task.config, task.env(), trained[0], jax.random.key(0), **settings)


class CoinState(EnvState):
    good: jax.Array


@dataclass(frozen=True)
class Coin(Environment):
    """A fair coin decides at the start: an episode of one step and a score of 1, or one of nine steps and 0."""

    metrics: ClassVar[tuple[str, ...]] = ("bad",)

    def action_space(self, params=None):
        return Discrete(2)

    def observation_space(self, params=None):
        return Box(0.0, 1.0, (1,))

    def reset_env(self, key, params):
        state = CoinState(jnp.zeros((), jnp.int32), jax.random.bernoulli(key))
        return self.get_obs(state, params), state

    def step_env(self, key, state, action, params):
        state = CoinState(state.time + 1, state.good)
        score = state.good.astype(jnp.float32)
        over = state.good | (state.time >= 9)
        return self.get_obs(state, params), state, score, over, {"score": score, "bad": 1 - score}

    def get_obs(self, state, params):
        return state.good[None].astype(jnp.float32)


COIN = Config(num_envs=64, segment_length=50, horizon=4, num_minibatches=1, pool_size=2000)


def test_all_episodes_favour_the_short_ones_and_first_episodes_do_not():
    """Half of the episodes have score 1. Of those that end within five steps, all have."""
    state = init(COIN, Coin(), jax.random.key(0), Params())
    first = evaluate(COIN, Coin(), state, jax.random.key(1), 2000)
    np.testing.assert_allclose(first.score_mean, 0.5, atol=0.05)  # four standard errors
    np.testing.assert_allclose(first.measures["bad"], 1 - first.score_mean, rtol=1e-6)
    np.testing.assert_allclose(first.length_mean, 9 - 8 * first.score_mean, rtol=1e-5)
    assert first.num_episodes == 2000
    everything = evaluate(COIN, Coin(), state, jax.random.key(1), 2000, which="all", max_steps=5)
    np.testing.assert_allclose(everything.score_mean, 1.0, rtol=1e-5)
    assert everything.measures["bad"] == 0.0
    expected = 2000 * (1 - 2.0**-5)  # another good one follows a good one with 1/2
    np.testing.assert_allclose(everything.num_episodes, expected, rtol=0.08)
    with pytest.raises(ValueError, match="`which` must be one of first, all; got 'some'"):
        evaluate(COIN, Coin(), state, jax.random.key(1), 2, which="some")


@pytest.mark.slow  # it compiles a training and two evaluations of drive
def test_training_and_evaluation_have_the_same_rates_on_the_same_scenes():
    """A policy that learns nothing: its training log and the evaluation of all episodes differ by chance alone."""
    env = make("drive", num_vehicles=16, num_scenes=8)
    env_params = env.default_params.replace(goal_radius=12.0)  # so that a policy of chance reaches some
    config = Config(num_envs=16, segment_length=100, horizon=4, num_minibatches=1, estimator="gae", num_buckets=1)
    params = Params(learning_rate=0.0, total_steps=16 * 16 * 1000, update_epochs=1)
    state, log = jax.jit(make_train(config, env, env_params))(jax.random.key(0), params)

    def rates(**options):
        options |= {"env_params": env_params}
        return jax.jit(lambda state: evaluate(config, env, state, jax.random.key(1), 16, **options))(state)

    everything, first = rates(which="all", max_steps=1000), rates(which="first")
    assert log.num_episodes[0] > 3000
    np.testing.assert_allclose(everything.num_episodes, log.num_episodes[0], rtol=0.15)
    for name, rate in log.measures.items():
        share = float(rate[0])
        assert 0.01 < share < 0.9
        # Episodes of a vehicle and of a scene resemble one another: as if there were a tenth as many, three errors.
        error = 3 * np.sqrt(2 * share * (1 - share) / (0.1 * float(log.num_episodes[0])))
        assert abs(everything.measures[name] - share) < error, name
    np.testing.assert_allclose(everything.score_mean, everything.measures["goal"], rtol=1e-6)
    assert (first.num_episodes, first.counted.all()) == (256, True)


@pytest.mark.slow  # it compiles drive
def test_agents_that_are_not_controlled_are_in_no_mean():
    env = make("drive", num_vehicles=8, num_scenes=2, controlled=0.5)
    state = init(COIN, env, jax.random.key(0), Params())
    result = jax.jit(lambda state: evaluate(COIN, env, state, jax.random.key(1), 3))(state)
    np.testing.assert_array_equal(result.counted, np.tile(np.arange(8) < 4, 3))
    np.testing.assert_array_equal(result.finished, result.counted)
    outcomes = sum(float(value) for value in result.measures.values())
    assert 0 < outcomes <= 1
