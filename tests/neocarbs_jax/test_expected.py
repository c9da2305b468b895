"""What fresh runs are expected to score: less than the best draws, as close as the intervals say."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import pareto, sweep
from neocarbs_jax.expected import expect, expected_scores
from neocarbs_jax.space import Linear, Log, SearchSpace

SPACE = SearchSpace(steps=Log(1, 1000), x=Linear(0, 1))
CONFIG = sweep.Config(SPACE, capacity=64, strategy="random")
NUM_SWEEPS, NOISE = 12, 0.5


def truth(values):
    return jnp.log10(values["steps"]) * (1 - (values["x"] - 0.3) ** 2)


def objective(values, key):
    return truth(values) + NOISE * jax.random.normal(key), values["steps"]


@pytest.fixture(scope="module")
def sweeps():
    """Sweeps of the noisy objective, and what is expected of their trials."""
    keys = jax.random.split(jax.random.key(0), NUM_SWEEPS)
    state, _ = jax.vmap(functools.partial(sweep.run, CONFIG, objective, num_trials=60))(keys)
    return state.observations, jax.lax.map(jax.jit(functools.partial(expected_scores, CONFIG)), state)


def bias(score, observations, on_front):
    errors = score - jax.vmap(jax.vmap(lambda unit: truth(SPACE.from_unit(unit))))(observations.unit)
    return float(jnp.mean(errors, where=on_front))


def test_the_measured_front_flatters_and_the_expected_one_does_not(sweeps):
    observations, expected = sweeps
    measured = jax.vmap(pareto.non_dominated)(observations.score, jnp.log(observations.cost), observations.success)
    assert bias(observations.score, observations, measured) > 0.4
    assert abs(bias(expected.score, observations, expected.on_front)) < 0.15


def test_intervals_hold_what_they_say(sweeps):
    observations, expected = sweeps
    true = jax.vmap(jax.vmap(lambda unit: truth(SPACE.from_unit(unit))))(observations.unit)
    held = (expected.low <= true) & (true <= expected.high)
    assert 0.8 < float(jnp.mean(held, where=expected.on_front)) <= 1


def test_the_expected_front_ascends(sweeps):
    _, expected = sweeps
    for cost, score, on_front in zip(expected.cost, expected.score, expected.on_front, strict=True):
        order = np.argsort(cost[on_front])
        assert np.all(np.diff(score[on_front][order]) > 0)


def test_no_expectation_lies_beyond_what_was_measured(sweeps):
    observations, expected = sweeps
    best = jnp.max(jnp.where(observations.success, observations.score, -jnp.inf), axis=1)
    assert bool(jnp.all(jnp.where(observations.success, expected.score, -jnp.inf) <= best[:, None]))


@pytest.mark.slow
def test_replicates_narrow_the_interval(sweeps):
    observations, _ = sweeps
    state = sweep.restore(CONFIG, *(column[0, :30] for column in observations[:4]))
    state = sweep.refit(CONFIG, state)
    before = expect(CONFIG, state)
    row = int(jnp.argmax(before.on_front))
    for index in range(6):
        state, again = sweep.enqueue(CONFIG, state, observations.unit[0, row])
        state = sweep.observe(CONFIG, state, again, observations.score[0, row] + 0.1 * (-1) ** index, 1.0)
    after = expect(CONFIG, state)
    assert after.high[row] - after.low[row] < 0.8 * (before.high[row] - before.low[row])
