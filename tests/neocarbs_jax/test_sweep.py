"""The pure core: one compilation, jit = eager, vmap = loop, bookkeeping of pending, failed and forgotten trials."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import sweep
from neocarbs_jax.space import Integer, Linear, Log, Logit, SearchSpace
from neocarbs_jax.sweep import Status

SPACE = SearchSpace(learning_rate=Log(1e-5, 1e-1), steps=Log(1e7, 1e10), gamma=Logit(0.8, 0.9999), epochs=Integer(1, 8))
CONFIG = sweep.Config(SPACE, capacity=24, num_candidates=128, num_refined=32, fit_steps=5, warp="linear")


def objective(values, key):
    score = jnp.exp(-((jnp.log10(values["learning_rate"]) + 3) ** 2))
    cost = values["steps"] / 5e7
    return score * jnp.log10(cost) + 0.01 * jax.random.normal(key, dtype=cost.dtype), cost


@pytest.fixture(scope="module")
def suggest():
    # A function of its own: jit wrappers of one function share a cache, and other tests jit `sweep.suggest` too.
    return jax.jit(lambda config, state, key: sweep.suggest(config, state, key), static_argnums=0)


@pytest.fixture(scope="module")
def observe():
    return jax.jit(lambda *arguments: sweep.observe(*arguments), static_argnums=0)


@functools.cache
def finished_sweep():
    run = jax.jit(sweep.run, static_argnums=(0, 1, 3))
    return run(CONFIG, objective, jax.random.key(0), 20)


def test_twenty_observations_cause_no_second_compilation(suggest, observe):
    state = sweep.init(CONFIG)
    for i in range(20):
        state, suggestion = suggest(CONFIG, state, jax.random.key(i))
        score, cost = objective(suggestion.values, jax.random.key(100 + i))
        state = observe(CONFIG, state, suggestion, score, cost)
    assert suggest._cache_size() == 1
    assert observe._cache_size() == 1
    assert int(state.observations.success.sum()) == 20


def test_first_suggestion_is_the_search_centre(suggest):
    _, suggestion = suggest(CONFIG, sweep.init(CONFIG), jax.random.key(3))
    np.testing.assert_array_equal(suggestion.unit, SPACE.snap(jnp.asarray(SPACE.center, suggestion.unit.dtype)))


def test_a_vmapped_run_equals_runs_in_a_loop():
    keys = jax.random.split(jax.random.key(1), 2)
    run = functools.partial(sweep.run, CONFIG, objective, num_trials=6)
    together = jax.jit(jax.vmap(run))(keys)[1]
    for i, key in enumerate(keys):
        alone = jax.jit(run)(key)[1]
        # Batched linear algebra rounds differently.
        np.testing.assert_allclose(together.cost[i], alone.cost, rtol=1e-3)


def test_a_restored_sweep_suggests_what_it_would_have(suggest):
    state, trace = finished_sweep()
    restored = sweep.restore(CONFIG, trace.suggestion.unit, trace.score, trace.cost, jnp.full(20, int(Status.SUCCESS)))
    _, uninterrupted = suggest(CONFIG, state, jax.random.key(9))
    _, resumed = suggest(CONFIG, restored, jax.random.key(9))
    np.testing.assert_array_equal(resumed.unit, uninterrupted.unit)


def test_batched_suggestions_differ_and_are_pending():
    state, _ = finished_sweep()
    batch = jax.jit(sweep.suggest_batch, static_argnums=(0, 3))
    state, suggestions = batch(CONFIG, state, jax.random.key(2), 4)
    assert suggestions.unit.shape == (4, SPACE.size)
    assert len({tuple(u) for u in np.asarray(suggestions.unit).tolist()}) == 4
    assert int(state.observations.pending.sum()) == 4


def test_failures_and_forgotten_trials_leave_no_score(suggest):
    state = sweep.init(CONFIG)
    state, first = suggest(CONFIG, state, jax.random.key(0))
    state = sweep.observe(CONFIG, state, first, jnp.nan, 3.0)
    state, second = suggest(CONFIG, state, jax.random.key(1))
    state = sweep.observe(CONFIG, state, second, 5.0, 3.0, failed=True)
    state, third = suggest(CONFIG, state, jax.random.key(2))
    state = sweep.forget(CONFIG, state, third)
    assert state.observations.status[:3].tolist() == [Status.FAILED, Status.FAILED, Status.ABANDONED]
    assert not state.observations.success.any()
    _, fourth = suggest(CONFIG, state, jax.random.key(3))
    assert np.isfinite(fourth.unit).all()


def test_a_full_buffer_keeps_its_front_and_goes_on(suggest):
    config = sweep.Config(SearchSpace(x=Linear(0, 1), steps=Log(1, 100)), capacity=5, strategy="random")
    state = sweep.init(config)
    for i in range(12):
        state, suggestion = sweep.suggest(config, state, jax.random.key(i))
        state = sweep.observe(config, state, suggestion, 10.0 if i == 2 else -float(i), 1.0 + i)
    assert int(state.count) == 12
    assert bool((state.observations.score == 10.0).any())


def test_growing_keeps_every_row_and_the_next_suggestion_fits(suggest):
    state, _ = finished_sweep()
    config, grown = sweep.grow(CONFIG, state, 48)
    assert config.capacity == grown.observations.capacity == 48
    np.testing.assert_array_equal(grown.observations.unit[:24], state.observations.unit)
    with pytest.raises(ValueError, match="`capacity` must be at least 48"):
        sweep.grow(config, grown, 24)


def test_an_enqueued_point_is_pending_and_snapped():
    unit = jnp.full(SPACE.size, 0.31)
    state, suggestion = sweep.enqueue(CONFIG, sweep.init(CONFIG), unit)
    np.testing.assert_array_equal(suggestion.unit, SPACE.snap(unit))
    assert bool(state.observations.pending[0])
