"""The pure core: one compilation, jit = eager, vmap = loop, bookkeeping of pending, failed and forgotten trials."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tinygp

from neocarbs_jax import beliefs, fitting, gp, sweep
from neocarbs_jax.space import Integer, Linear, Log, Logit, SearchSpace
from neocarbs_jax.strategies import NeoCARBS
from neocarbs_jax.sweep import Status

SPACE = SearchSpace(learning_rate=Log(1e-5, 1e-1), steps=Log(1e7, 1e10), gamma=Logit(0.8, 0.9999), epochs=Integer(1, 8))
CONFIG = sweep.Config(SPACE, capacity=24, strategy=NeoCARBS(num_candidates=128, num_refined=32), warp="linear")


def objective(values, key):
    score = jnp.exp(-((jnp.log10(values["learning_rate"]) + 3) ** 2))
    cost = values["steps"] / 5e7
    return score * jnp.log10(cost) + 0.01 * jax.random.normal(key, dtype=cost.dtype), cost


@pytest.fixture(scope="module")
def observe(jit):
    return jit(sweep.observe, static_argnums=0)


@pytest.fixture(scope="module")
def finished_sweep(run):
    return run(CONFIG, objective, jax.random.key(0), 20)


def test_twenty_observations_cause_no_second_compilation(suggest, observe):
    state = sweep.init(CONFIG)
    before = suggest._cache_size()  # shared with other tests, of other configurations
    for i in range(20):
        state, suggestion = suggest(CONFIG, state, jax.random.key(i))
        score, cost = objective(suggestion.values, jax.random.key(100 + i))
        state = observe(CONFIG, state, suggestion, score, cost)
    assert suggest._cache_size() <= before + 1
    assert observe._cache_size() == 1
    assert int(state.observations.success.sum()) == 20


def test_first_suggestion_is_the_search_centre(suggest):
    _, suggestion = suggest(CONFIG, sweep.init(CONFIG), jax.random.key(3))
    np.testing.assert_array_equal(suggestion.unit, SPACE.snap(jnp.asarray(SPACE.center, suggestion.unit.dtype)))


@pytest.mark.slow
def test_a_vmapped_run_equals_runs_in_a_loop(run, jit):
    keys = jax.random.split(jax.random.key(1), 2)
    together = jit(jax.vmap(functools.partial(sweep.run, CONFIG, objective, num_trials=20)))(keys)[1]
    for i, key in enumerate(keys):
        alone = run(CONFIG, objective, key, 20)[1]
        # The initial design is the same to the bit; then single precision, whose batched products round differently,
        # moves points by less than the surrogates' own error.
        np.testing.assert_array_equal(together.suggestion.unit[i, :4], alone.suggestion.unit[:4])
        np.testing.assert_allclose(together.cost[i, :8], alone.cost[:8], rtol=1e-3)


def test_a_restored_sweep_suggests_what_it_would_have(suggest, finished_sweep):
    state, trace = finished_sweep
    restored = sweep.restore(CONFIG, trace.suggestion.unit, trace.score, trace.cost, jnp.full(20, int(Status.SUCCESS)))
    _, uninterrupted = suggest(CONFIG, state, jax.random.key(9))
    _, resumed = suggest(CONFIG, restored, jax.random.key(9))
    np.testing.assert_array_equal(resumed.unit, uninterrupted.unit)


def test_batched_suggestions_differ_and_are_pending(finished_sweep, jit):
    state, _ = finished_sweep
    batch = jit(sweep.suggest_batch, static_argnums=(0, 3))
    state, suggestions = batch(CONFIG, state, jax.random.key(2), 4)
    assert suggestions.unit.shape == (4, SPACE.size)
    assert len({tuple(u) for u in np.asarray(suggestions.unit).tolist()}) == 4
    assert int(state.observations.pending.sum()) == 4
    np.testing.assert_array_equal(suggestions.index, [20, 21, 22, 23])


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
        state, suggestion = suggest(config, state, jax.random.key(i))
        state = sweep.observe(config, state, suggestion, 10.0 if i == 2 else -float(i), 1.0 + i)
    assert int(state.count) == 12
    # The first trial was the cheapest and the third the best; of the others the latest are left, in their order.
    assert state.observations.score.tolist() == [0.0, 10.0, -9.0, -10.0, -11.0]
    assert state.observations.turn.tolist() == [0, 2, 9, 10, 11]


def test_a_full_buffer_keeps_what_runs_and_takes_its_result(suggest):
    config = sweep.Config(SearchSpace(x=Linear(0, 1)), capacity=4, strategy="random")
    state, running = suggest(config, sweep.init(config), jax.random.key(0))
    for i in range(1, 10):
        state, suggestion = suggest(config, state, jax.random.key(i))
        state = sweep.observe(config, state, suggestion, -float(i), float(i))
    assert state.observations.turn.tolist() == [0, 1, 8, 9]
    state = sweep.observe(config, state, running, 3.0, 0.5)
    assert state.observations.score.tolist() == [3.0, -1.0, -8.0, -9.0]
    gone = suggestion._replace(index=jnp.int32(4))
    unchanged = sweep.observe(config, state, gone, 99.0, 1.0)
    jax.tree.map(np.testing.assert_array_equal, unchanged, state)


def test_a_buffer_of_running_trials_forgets_the_oldest(suggest):
    config = sweep.Config(SearchSpace(x=Linear(0, 1)), capacity=2, strategy="random")
    state = sweep.init(config)
    for i in range(3):
        state, _ = suggest(config, state, jax.random.key(i))
    assert state.observations.turn.tolist() == [1, 2]


@pytest.mark.slow
def test_surrogates_are_fitted_again_while_a_full_buffer_goes_on(jit):
    config = sweep.Config(SearchSpace(x=Linear(0, 1)), capacity=8)

    def objective(values, key):
        return -((values["x"] - 0.3) ** 2), 1.0 + values["x"]

    state, _ = jit(lambda key: sweep.run(config, objective, key, 12))(jax.random.key(0))
    assert int(state.fit.count) == 11
    assert state.observations.num_rows == 8


@pytest.mark.parametrize("cost", [0.0, -1.0, np.nan, np.inf])
def test_a_cost_that_cannot_be_is_a_failure_observed_or_restored(cost):
    config = sweep.Config(SearchSpace(x=Linear(0, 1)), capacity=4)
    state, suggestion = sweep.enqueue(config, sweep.init(config), jnp.full(1, 0.5))
    observed = sweep.observe(config, state, suggestion, 3.0, cost).observations
    restored = sweep.restore(config, [[0.5]], [3.0], [cost], [int(Status.SUCCESS)]).observations
    jax.tree.map(np.testing.assert_array_equal, observed, restored)
    assert observed.status.tolist() == [Status.FAILED, 0, 0, 0]
    assert (observed.score[0], observed.cost[0]) == (0, 1)


def test_before_the_first_success_the_whole_front_is_to_come(suggest):
    state = sweep.init(CONFIG)
    for i in range(2):
        state, suggestion = suggest(CONFIG, state, jax.random.key(i))
        assert float(suggestion.rating) == 1
        state = sweep.observe(CONFIG, state, suggestion, np.nan, 1.0)
    state = sweep.observe(CONFIG, state, suggestion, 1.0, 1.0)
    assert np.isfinite(suggest(CONFIG, state, jax.random.key(3))[1].rating)


def test_growing_keeps_every_row_and_the_next_suggestion_fits(suggest, finished_sweep):
    state, _ = finished_sweep
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


def test_a_suggestion_predicts_what_the_surrogates_believe(suggest, finished_sweep, jit):
    def ask(state, unit):
        known = beliefs.condition(CONFIG.form, state.observations, state.fit)
        return known.in_units(known.at(unit[None]))

    def double(x):
        return x.astype(float) if jnp.issubdtype(x.dtype, jnp.floating) else x

    with jax.enable_x64(True):  # a small variance is a difference of numbers near 1
        state = jax.tree.map(double, finished_sweep[0])
        state, suggestion = suggest(CONFIG, state, jax.random.key(9))
        # Before it was entered: a pending point knows of itself.
        status = state.observations.status.at[20].set(0)
        expected = jit(ask)(state._replace(observations=state.observations._replace(status=status)), suggestion.unit)
    for name, value in zip(("score", "score_std", "cost", "cost_std"), expected, strict=True):
        np.testing.assert_allclose(getattr(suggestion, f"predicted_{name}"), value[0], rtol=1e-6, err_msg=name)
    assert float(suggestion.rating) >= 0


def test_an_enqueued_or_initial_point_predicts_nothing():
    _, suggestion = sweep.enqueue(CONFIG, sweep.init(CONFIG), jnp.full(SPACE.size, 0.31))
    assert np.isnan([suggestion.predicted_score, suggestion.predicted_cost, suggestion.rating]).all()


def test_refit_leaves_the_fit_alone_between_checkpoints(finished_sweep, jit):
    state, _ = finished_sweep
    refit = jit(sweep.refit, static_argnums=0)
    fresh = refit(CONFIG, state)
    assert int(fresh.fit.count) == 20
    marked = state._replace(fit=fresh.fit._replace(warp=jnp.int32(7)))
    assert int(refit(CONFIG, marked).fit.warp) == 7
    assert sweep.refit(dataclasses.replace(CONFIG, strategy="random"), marked) is marked


def test_restored_rows_are_cleaned():
    config = sweep.Config(SearchSpace(x=Linear(0, 1)), capacity=8)
    status = np.array([Status.SUCCESS] * 4 + [Status.FAILED, Status.PENDING], np.int32)
    score = [1.0, np.nan, 2.0, 3.0, 9.0, 9.0]
    cost = [1.0, 1.0, np.inf, 0.0, np.nan, np.nan]
    state = sweep.restore(config, np.full((6, 1), 0.5), score, cost, status)
    data = state.observations
    assert data.status.tolist() == [2, 3, 3, 3, 3, 1, 0, 0]
    assert data.score.tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert data.turn.tolist() == [0, 1, 2, 3, 4, 5, -1, -1]
    np.testing.assert_array_equal(data.cost, [1, 1, 1, 1, 1, 1, 1, 1])
    assert int(state.count) == 6
    assert int(state.fit.count) == 0
    with pytest.raises(ValueError, match="`capacity` must hold all 9 rows; got 8"):
        sweep.restore(config, np.full((9, 1), 0.5), np.ones(9), np.ones(9), np.full(9, 2, np.int32))


def matern32(parameters):
    return tinygp.transforms.Linear(
        jnp.exp(-parameters["log_scale"]), jnp.exp(parameters["log_variance"]) * tinygp.kernels.Matern32()
    )


@pytest.mark.slow
def test_a_sweep_runs_on_a_users_own_kernel_and_the_fit_finds_the_axis_that_matters(run):
    builder = gp.KernelBuilder(
        matern32, lambda num_axes: {"log_scale": gp.Normal(jnp.zeros(num_axes)), "log_variance": gp.Normal(0.0)}
    )
    space = SearchSpace(idle=Linear(0, 1), x=Linear(0, 1), steps=Log(1, 100))
    config = sweep.Config(space, 24, NeoCARBS(num_candidates=64, num_refined=8), warp="linear", kernel_fn=builder)

    def wave(values, key):
        del key
        return jnp.sin(6 * values["x"]), values["steps"]

    with jax.enable_x64(True):
        state, trace = run(config, wave, jax.random.key(0), 24)
        scales = np.asarray(state.fit.hyperparameters.kernel["log_scale"])
        assert set(state.fit.hyperparameters.kernel) == {"log_scale", "log_variance"}
        assert scales.shape == (3, space.size)
        assert scales[fitting.Target.SCORE].argmin() == 1
        assert scales[fitting.Target.COST].argmin() == 2
        # And it tunes: the maximum lies at x = pi / 12.
        assert float(trace.score.max()) > 0.99
        assert np.isfinite(np.asarray(trace.suggestion.predicted_score)[1:]).all()


CURVE_SPACE = SearchSpace(learning_rate=Log(1e-5, 1e-1), width=Linear(0.0, 1.0), steps=Log(1.0, 1e3))
CURVES = sweep.Config(CURVE_SPACE, 16)


def test_a_curve_gives_an_observation_at_every_budget_inside_the_axis():
    config = dataclasses.replace(CURVES, budget="steps")
    state, suggestion = sweep.enqueue(config, sweep.init(config), jnp.full(CURVE_SPACE.size, 0.5))
    budgets = jnp.array([0.5, 10.0, 100.0, 300.0, 900.0])
    scores = jnp.array([0.0, 0.1, jnp.nan, 0.3, 0.4])
    state = sweep.observe_curve(config, state, suggestion, budgets, scores, 1.2 * budgets)
    rows = state.observations.success
    entered = [CURVE_SPACE.from_unit(np.asarray(unit))["steps"] for unit in state.observations.unit[rows]]
    # Row 0 is the trial itself, with the last point of its curve; 0.5 lies below the axis, and NaN is no score.
    np.testing.assert_allclose(entered[1:], [10.0, 300.0], rtol=1e-5)
    np.testing.assert_allclose(state.observations.score[rows], [0.4, 0.1, 0.3], rtol=1e-6)
    np.testing.assert_allclose(state.observations.cost[rows], [1080.0, 12.0, 360.0], rtol=1e-6)
    others = np.asarray(state.observations.unit[rows])[:, :2]
    np.testing.assert_array_equal(others, np.broadcast_to(others[0], others.shape))


def test_a_curve_is_one_suggestion_of_the_initial_design():
    config = sweep.Config(SearchSpace(steps=Log(1, 100), x=Linear(0, 1)), capacity=16, budget="steps")
    state, suggestion = sweep.enqueue(config, sweep.init(config), jnp.full(2, 0.9))
    budgets = jnp.asarray([2.0, 4.0, 8.0, 16.0, 60.0])
    state = sweep.observe_curve(config, state, suggestion, budgets, budgets, budgets)
    assert (int(state.count), int(state.observations.num_rows)) == (1, 5)
    assert config.strategy.starting(int(state.count), 5)  # three more of it are to come


def test_a_curve_that_ends_in_nan_is_a_failed_trial():
    config = dataclasses.replace(CURVES, budget="steps")
    state, suggestion = sweep.enqueue(config, sweep.init(config), jnp.full(CURVE_SPACE.size, 0.5))
    budgets = jnp.array([10.0, 100.0])
    state = sweep.observe_curve(config, state, suggestion, budgets, jnp.array([0.1, jnp.nan]), budgets)
    assert state.observations.failed.sum() == 1
    assert state.observations.success.sum() == 1


def test_a_curve_without_a_budget_axis_is_an_error():
    config = CURVES
    state, suggestion = sweep.enqueue(config, sweep.init(config), jnp.full(CURVE_SPACE.size, 0.5))
    with pytest.raises(ValueError, match="`budget` must name an axis for `observe_curve`; got None"):
        sweep.observe_curve(config, state, suggestion, *jnp.ones((3, 1)))
