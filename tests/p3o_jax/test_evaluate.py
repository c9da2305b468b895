"""Evaluation: first episodes, and nothing else."""

import jax
import numpy as np
import pytest

from envs import make
from p3o_jax import Config, Params, evaluate, init


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
