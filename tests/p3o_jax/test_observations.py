"""Observations of every kind are learnt from: trees, bytes, half precision; actions in boxes of any bounds."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax import NetworkConfig, evaluate, init, make_train, update
from p3o_jax.observations import flat_observations

KINDS = {
    "dict": lambda cue: {"b": cue[None].astype(jnp.uint8), "a": jnp.ones(()), "c": (cue > 0, cue.astype(jnp.bfloat16))},
    "uint8": lambda cue: cue.astype(jnp.uint8),
    "bfloat16": lambda cue: cue.astype(jnp.bfloat16),
    "bool": lambda cue: cue > 0,
    "int32": lambda cue: cue.astype(jnp.int32),
    "scalar": lambda cue: cue[0],
    "tuple": lambda cue: (jnp.zeros(()), cue),
}


@dataclass(frozen=True)
class Shown:
    """The task of conftest.py with another view of its observation, or another box of actions."""

    env: Any
    kind: str = "dict"
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def default_params(self):
        return self.env.default_params

    def action_space(self, params=None):
        low, high = np.array(self.low), np.array(self.high)
        return SimpleNamespace(low=low, high=high, shape=low.shape) if self.low else self.env.action_space(params)

    def observation_space(self, params=None):
        shapes = {"dict": None, "tuple": None, "scalar": ()}
        return SimpleNamespace(shape=shapes.get(self.kind, (2,)))

    def is_truncated(self, state, params):
        return self.env.is_truncated(state, params)

    def reset_env(self, key, params):
        obs, state = self.env.reset_env(key, params)
        return KINDS[self.kind](obs), state

    def step_env(self, key, state, action, params):
        """The right answer is the upper half of the last dimension; one out of bounds pays nothing."""
        inside = jnp.array(True)
        if self.low:
            low, high = jnp.array(self.low, jnp.float32), jnp.array(self.high, jnp.float32)
            inside = jnp.all((action >= low) & (action <= high))
            action = (action - (low + high) / 2)[-1:]
        obs, state, reward, terminated, info = self.env.step_env(key, state, action, params)
        return KINDS[self.kind](obs), state, jnp.where(inside, reward, -100.0), terminated, info


@pytest.mark.parametrize("kind", ["dict", "uint8", *(pytest.param(k, marks=pytest.mark.slow) for k in [*KINDS][2:])])
def test_a_task_is_learnt_from_observations_of_every_kind(task, kind):
    _, metrics = jax.jit(make_train(task.config, Shown(task.env(), kind)))(jax.random.key(0), task.params)
    assert metrics.failed_term is None
    assert metrics.episode_return[-1] > 4.5  # chance is 2.5, the best 5


def test_every_kind_can_be_normalised_bootstrapped_remembered_and_evaluated(task):
    """Types and shapes alone: what is in the state before is in it after, for all kinds."""
    settings = {"normalize_observations": True, "bootstrap_truncations": True}
    config = replace(task.config, network=NetworkConfig("gru", 4, 1), **settings)
    for kind in KINDS:
        env = Shown(task.env(truncates=True), kind)
        state = jax.eval_shape(lambda key, e=env: init(config, e, key, task.params), jax.random.key(0))
        after = jax.eval_shape(lambda state, e=env: update(config, e, state, task.params), state)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(lambda x: (x.shape, x.dtype), after)
        jax.eval_shape(lambda state, key, e=env: evaluate(config, e, state, key, 3), state, jax.random.key(0))


def test_the_arrays_of_a_tree_are_joined_in_the_order_of_its_keys():
    obs = {"z": jnp.full((2, 1, 2), 3, jnp.uint8), "a": jnp.array([True, False]), "m": (jnp.full((2, 2), 0.5),)}
    np.testing.assert_array_equal(flat_observations(obs, 2), [[1, 0.5, 0.5, 3, 3], [0, 0.5, 0.5, 3, 3]])
    image = jnp.zeros((2, 3, 3, 1), jnp.uint8)
    assert flat_observations({"only": image}, 2) is image  # one array stays an image, in its type


def test_observations_that_cannot_be_are_named(task):
    with pytest.raises(ValueError, match=r"`env` must give 2 .*; got arrays of float32\[2, 1\], float32\[3\]"):
        flat_observations({"a": jnp.zeros((2, 1)), "b": jnp.zeros(3)}, 2)
    with pytest.raises(ValueError, match="`env` must give 2 observations; got arrays of nothing"):
        flat_observations((), 2)
    with pytest.raises(ValueError, match=r"`env` must give observations made of numbers; got arrays of key<fry>\[2\]"):
        flat_observations(jax.random.split(jax.random.key(0), 2), 2)
    config = replace(task.config, network=NetworkConfig("cnn"))
    with pytest.raises(ValueError, match=r"`network.kind` must not be 'cnn' unless .* images; got namespace"):
        make_train(config, Shown(task.env(), "dict"))


@pytest.mark.parametrize("squash", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_box_with_bounds_of_its_own_for_each_dimension_is_learnt_inside_them(task, squash):
    env = Shown(task.env("box"), "uint8", low=(-0.1, 2.0, -3.0), high=(0.1, 20.0, 1.0))
    config = replace(task.config, squash=squash)
    _, metrics = jax.jit(make_train(config, env))(jax.random.key(0), task.params)
    assert (metrics.episode_return > 0).all()  # an action out of bounds costs 100
    assert metrics.episode_return[-1] > 3.5  # chance is 2.5; policies start above the middle
