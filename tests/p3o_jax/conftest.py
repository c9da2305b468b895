"""What the tests share: random segments and the truth about them, and a task that is learnt in milliseconds."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from p3o_jax import learner
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import Config, Params
from p3o_jax.train import advance


@pytest.fixture(autouse=True)
def _optimise_what_trains_for_long(request):
    if request.node.get_closest_marker("slow"):
        request.getfixturevalue("as_shipped")


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


class RecallState(struct.PyTreeNode):
    """Steps taken, and the cue that is shown."""

    time: jax.Array
    cue: jax.Array


class RecallParams(struct.PyTreeNode):
    """The time limit, and the reward of a right answer."""

    max_steps_in_episode: int = 1000
    reward: float = 1.0


@dataclass(frozen=True)
class Recall:
    """Five times in an episode: name the cue that is shown. The best return is 5, chance is 2.5.

    It derives from no class of anybody's and its spaces are bare attributes: the learner must do with methods.
    """

    actions: str = "discrete"
    truncates: bool = False
    obs_from_state: bool = True

    @property
    def default_params(self):
        return RecallParams(max_steps_in_episode=5 if self.truncates else 1000)

    def action_space(self, params=None):
        spaces = {
            "discrete": SimpleNamespace(n=2),
            "multi": SimpleNamespace(nvec=np.array([2, 3])),
            "box": SimpleNamespace(low=np.full(1, -1.0), high=np.full(1, 1.0), shape=(1,)),
        }
        return spaces[self.actions]

    def observation_space(self, params=None):
        return SimpleNamespace(shape=(2,))

    def get_obs(self, state, params):
        return jax.nn.one_hot(state.cue, 2, dtype=jnp.float32)

    def reset_env(self, key, params):
        state = RecallState(jnp.zeros((), jnp.int32), jax.random.bernoulli(key).astype(jnp.int32))
        return self.get_obs(state, params), state

    def step_env(self, key, state, action, params):
        named = {"discrete": lambda a: a, "multi": lambda a: a[0], "box": lambda a: (a[0] > 0).astype(jnp.int32)}
        reward = (named[self.actions](action) == state.cue).astype(jnp.float32) * params.reward
        cue = jax.random.bernoulli(key).astype(jnp.int32)
        state = RecallState(state.time + 1, cue)
        terminated = jnp.asarray(not self.truncates) & (state.time >= 5)
        return self.get_obs(state, params), state, reward, terminated, {}

    def is_truncated(self, state, params):
        return state.time >= params.max_steps_in_episode


class Task(NamedTuple):
    """The task, settings that learn it, and compiled functions of these: one compilation each for all files.

    Attributes:
        env: Class of environments; `env()` is the task itself.
        config: Static settings.
        params: Traced settings.
        init: `learner.init` of a key.
        go_on: `advance` of (state, params, num_updates, reward) with everything traced that may be.
        num_compiled: How often `go_on` was compiled.
    """

    env: type[Recall]
    config: Config
    params: Params
    init: object
    go_on: object
    num_compiled: object


@pytest.fixture(scope="session")
def task():
    """The task of whole trainings."""
    network = NetworkConfig(width=16, depth=1)
    config = Config(num_envs=8, segment_length=16, horizon=4, num_minibatches=2, num_buckets=4, network=network)
    default = Params(total_steps=4096.0, learning_rate=1e-2)
    env = Recall()

    @jax.jit
    def run(state, params, num_updates, reward):
        return advance(config, env, state, params, num_updates, RecallParams(reward=reward))

    def go_on(state, params=default, num_updates=10**6, reward=1.0):
        return run(state, params, num_updates, reward)

    init = jax.jit(lambda key: learner.init(config, env, key, default))
    return Task(Recall, config, default, init, go_on, run._cache_size)


@pytest.fixture(scope="session")
def trained(task):
    """(state, metrics) of a whole training."""
    return task.go_on(task.init(jax.random.key(0)))
