"""Random segments, and the truth about them, that the tests of estimators, losses and kernels share."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest


class Example(NamedTuple):
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
def make_example():
    """Returns a maker of segments; terminals and truncations fall anywhere, also together."""

    def make(num_steps=12, num_envs=5, horizon=7, seed=0, end_rate=0.12):
        rng = np.random.default_rng(seed)

        def normal(*shape):
            return jnp.asarray(rng.normal(size=shape), jnp.float32)

        return Example(
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


@pytest.fixture(scope="session")
def known_rewards():
    """Returns a function: {(t, b, j): reward at lag j of step t} of all that are known, step by step."""

    def walk(rewards, terminated, truncated, horizon):
        """Returns {(t, b, j): reward at lag j of step t} of all that are known, step by step."""
        known = {}
        rewards, terminated, truncated = np.asarray(rewards), np.asarray(terminated), np.asarray(truncated)
        num_steps, num_envs = rewards.shape
        for t, b in np.ndindex(num_steps, num_envs):
            step, dead = t, False
            for lag in range(horizon):
                if not dead and step == num_steps:
                    break
                known[t, b, lag] = 0.0 if dead else float(rewards[step, b])
                dead = dead or bool(terminated[step, b])
                if not dead and truncated[step, b]:
                    break
                step += 1
        return known

    return walk
