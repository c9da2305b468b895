"""Evaluation: first episodes, and nothing else."""

import jax
import numpy as np
import pytest

from p3o_jax import evaluate


def test_evaluation_takes_the_first_episode_of_each_environment(task, trained):
    score = jax.jit(lambda state, steps: evaluate(
        task.config, task.env(), state, jax.random.key(0), 32, deterministic=True, max_steps=steps
    ))  # fmt: skip
    result = score(trained[0], 100)
    assert result.num_episodes == 32
    assert result.score_mean == result.return_mean == 5.0
    assert result.length_mean == 5
    cut = score(trained[0], 5 - 1)
    assert cut.num_episodes == 0
    assert np.isnan(cut.score_mean)
    with pytest.raises(ValueError, match="`num_episodes` must be at least 1; got 0"):
        evaluate(task.config, task.env(), trained[0], jax.random.key(0), 0)
