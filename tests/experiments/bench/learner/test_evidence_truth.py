"""The truth that evidence is held against."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench.learner.evidence_truth import Args, true_ratio
from p3o_jax.ops.evidence import REFERENCE


def test_the_ratio_of_many_batches_is_that_of_their_signal_and_noise():
    num_batches, parts, size = 1600, 16, 6
    signal = jnp.outer(jnp.array([0.0, 0.3, 1.0]), jnp.ones(size)) / jnp.sqrt(float(size))
    noise = jax.random.normal(jax.random.key(0), (num_batches, parts, 3, size))
    expected = np.array([0.0, 0.09, 1.0]) * parts / size  # the noise of a part has a mean square of `size`
    for num_samples in (REFERENCE, REFERENCE // 4):
        ratio = true_ratio(signal[None, None] + noise, num_samples)
        np.testing.assert_allclose(ratio, expected * REFERENCE / num_samples, rtol=0.1, atol=0.02)


def test_tasks_that_nobody_knows_are_named():
    with pytest.raises(ValueError, match="`tasks` must be among bandit"):
        Args(tasks=("tetris",))
