"""The stable schedule: until its final decay, a training is the beginning of every longer one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.pong import Pong
from experiments.settings import assignments
from p3o_jax import learner
from p3o_jax.params import STABLE
from p3o_jax.settings import Config, Params
from p3o_jax.train import advance

CONFIG = Config(num_envs=4, segment_length=8, horizon=4, num_minibatches=2)
ENV = Pong()
SHORT = Params(total_steps=640.0, anneal="stable")
LONG = dataclasses.replace(SHORT, total_steps=1280.0)


@pytest.fixture(scope="module")
def go_on():
    return jax.jit(lambda state, params, limit: advance(CONFIG, ENV, state, params, num_updates=limit)[0])


@pytest.fixture(scope="module")
def begin():
    return jax.jit(lambda params: learner.init(CONFIG, ENV, jax.random.key(0), params))


def learnt(state):
    """All that a training carries but its log, whose intervals are those of its budget."""
    return jax.tree.leaves(dataclasses.replace(state, log=None, key=jax.random.key_data(state.key)))


def assert_same(a, b):
    for left, right in zip(learnt(a), learnt(b), strict=True):
        np.testing.assert_array_equal(left, right)


def constant(params):
    return learner.num_constant_updates(CONFIG, ENV, params)


def test_before_its_decay_a_training_is_the_beginning_of_a_longer_one(begin, go_on):
    assert int(constant(SHORT)) == 17
    assert_same(go_on(begin(SHORT), SHORT, constant(SHORT)), go_on(begin(LONG), LONG, constant(SHORT)))


def test_the_decay_on_a_copy_ends_where_the_whole_training_does(begin, go_on):
    trunk = go_on(begin(SHORT), SHORT, constant(SHORT))
    assert_same(go_on(trunk, SHORT, 1000), go_on(begin(SHORT), SHORT, 1000))


def test_a_continued_trunk_is_the_longer_training(begin, go_on):
    trunk = go_on(begin(SHORT), SHORT, constant(SHORT))
    assert_same(go_on(trunk, LONG, 1000), go_on(begin(LONG), LONG, 1000))


def test_the_rate_rises_stays_and_falls():
    total = jnp.int32(100)
    rates = [float(learner._annealed(Params(learning_rate=1.0, anneal="stable"), jnp.int32(n), total).learning_rate)
             for n in range(101)]  # fmt: skip
    np.testing.assert_allclose(rates[:8], np.arange(1, 9) / 8)
    assert rates[8:86] == [1.0] * 78
    assert np.all(np.diff(rates[85:]) < 0)
    assert rates[100] == pytest.approx(0.0, abs=1e-6)


def test_the_default_falls_from_the_beginning():
    rates = [
        float(learner._annealed(Params(learning_rate=1.0), jnp.int32(n), jnp.int32(4)).learning_rate) for n in range(5)
    ]
    assert rates == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_stable_is_short_for_its_settings():
    params = Params(anneal="stable")
    assert {name: pytest.approx(float(getattr(params, name))) for name in STABLE} == STABLE
    assert assignments(["anneal=stable", "decay=.3"]) == {**STABLE, "decay": 0.3}


@pytest.mark.parametrize("settings", [{"anneal": "linear"}, {"decay": 0.0}, {"decay": 1.5}, {"warmup": -1.0}])
def test_a_schedule_that_cannot_be_is_refused(settings):
    [name] = settings
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        Params(**settings)
