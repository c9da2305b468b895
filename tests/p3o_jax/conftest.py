"""Random rollout segments that the tests of estimators, losses and kernels share."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest


class Segment(NamedTuple):
    """One segment and everything a value head may be asked about it."""

    mean: jnp.ndarray
    weights: jnp.ndarray
    std: jnp.ndarray
    rewards: jnp.ndarray
    terminated: jnp.ndarray
    truncated: jnp.ndarray
    last_mean: jnp.ndarray
    truncated_mean: jnp.ndarray

    @property
    def outcome(self):
        """What every estimator and loss takes after the predictions."""
        return self.rewards, self.terminated, self.truncated


@pytest.fixture(scope="session")
def make_segment():
    """Returns a maker of segments; terminals and truncations fall anywhere, also together."""

    def make(num_steps=12, num_envs=5, horizon=7, seed=0, end_rate=0.12):
        rng = np.random.default_rng(seed)

        def normal(*shape):
            return jnp.asarray(rng.normal(size=shape), jnp.float32)

        return Segment(
            mean=normal(num_steps, num_envs, horizon),
            weights=jnp.asarray(rng.uniform(0.3, 1.0, horizon), jnp.float32),
            std=jnp.asarray(rng.uniform(0.5, 1.5, horizon), jnp.float32),
            rewards=normal(num_steps, num_envs) + 0.5,
            terminated=jnp.asarray(rng.random((num_steps, num_envs)) < end_rate),
            truncated=jnp.asarray(rng.random((num_steps, num_envs)) < end_rate),
            last_mean=normal(num_envs, horizon),
            truncated_mean=normal(num_steps, num_envs, horizon),
        )

    return make
