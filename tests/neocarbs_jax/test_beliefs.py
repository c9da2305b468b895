"""When surrogates are fitted and to which rows, what they say in whose units, and what failures teach."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from neocarbs_jax import beliefs, fitting, gp, sweep
from neocarbs_jax.beliefs import Beliefs
from neocarbs_jax.fitting import Target
from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.sweep import Status

SPACE = SearchSpace(x=Linear(0, 1), steps=Log(1, 100))
CONFIG = sweep.Config(SPACE, capacity=24, warp=("linear", "log"))


@pytest.fixture(scope="module")
def fit(jit):
    return jit(lambda rows, count: fitting.fit(CONFIG.form, rows, count))


@pytest.fixture(scope="module")
def learn(jit):
    """State and test points -> surrogates, beliefs at the points and at the data."""

    def conditioned(state, unit):
        known = beliefs.condition(CONFIG.form, state.observations, state.fit)
        return known, known.at(unit), known.at_observed()

    return jit(conditioned)


def history(num_failed=0, num_pending=0, num=20):
    rng = np.random.default_rng(0)
    unit = rng.random((num, 2))
    cost = 100 ** unit[:, 1] * np.exp(0.05 * rng.normal(size=num))
    score = 50 + 10 * np.sin(5 * unit[:, 0]) + rng.normal(size=num)
    status = np.full(num, int(Status.SUCCESS), np.int32)
    status[:num_failed] = Status.FAILED
    status[num - num_pending :] = Status.PENDING
    return sweep.restore(CONFIG, unit, score, cost, status)


def test_checkpoints_grow_apart_and_depend_on_the_count_alone():
    counts = np.arange(200, dtype=np.int32)
    checkpoints = np.array([int(fitting.last_checkpoint(count)) for count in counts])
    assert checkpoints[:32].tolist() == list(range(32))
    assert sorted({*checkpoints[32:64]}) == list(range(32, 64, 4))
    assert sorted({*checkpoints[64:128]}) == list(range(64, 128, 8))
    assert sorted({*checkpoints[128:]}) == list(range(128, 200, 16))
    assert np.all(checkpoints <= counts)
    assert isinstance(fitting.last_checkpoint(np.asarray(7, np.int32)), np.ndarray | np.integer)
    np.testing.assert_array_equal(jax.vmap(fitting.last_checkpoint)(jnp.asarray(counts)), checkpoints)


@pytest.mark.parametrize(
    ("capacity", "sizes"),
    [(1, [1]), (24, [24]), (64, [64]), (65, [64, 65]), (128, [64, 128]), (129, [64, 128]), (1024, [64, 128])],
)
def test_buckets_hold_a_young_sweep_or_a_spread_of_an_old_one(capacity, sizes):
    assert list(fitting.bucket_sizes(capacity)) == sizes


@pytest.mark.parametrize("xp", [np, jnp])
def test_rows_to_fit_are_the_first_ones_or_evenly_spread(xp):
    observations = sweep.buffers.empty(24, 2)._replace(score=jnp.arange(24.0), status=jnp.full(24, 2, jnp.int32))
    observations = jax.tree.map(xp.asarray, observations)
    few = fitting.rows_to_fit(observations, xp.asarray(5, xp.int32), 8)
    assert isinstance(few.score, np.ndarray if xp is np else jax.Array)
    assert few.score[:5].tolist() == [0, 1, 2, 3, 4]
    assert few.status.tolist() == [2] * 5 + [0] * 3
    # 20 rows on 8 places: 0, 2.5, 5, ... rounded down.
    many = fitting.rows_to_fit(observations, xp.asarray(20, xp.int32), 8)
    assert many.score.tolist() == [0, 2, 5, 7, 10, 12, 15, 17]
    assert many.status.tolist() == [2] * 8
    exactly = fitting.rows_to_fit(observations, xp.asarray(8, xp.int32), 8)
    assert exactly.score.tolist() == list(range(8))


def test_a_refit_is_a_fit_to_the_rows_of_the_last_checkpoint(fit, jit):
    with jax.enable_x64(True):
        state = history()
        refit = jit(lambda state: fitting.refit(CONFIG.form, state.observations, state.fit))
        rows = fitting.rows_to_fit(state.observations, np.asarray(20, np.int32), 24)
        # Two programs.
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), refit(state), fit(rows, np.int32(20)))
        done = state._replace(fit=fitting.unfitted(CONFIG.form, 2)._replace(count=jnp.int32(20)))
        jax.tree.map(np.testing.assert_array_equal, refit(done), done.fit)


def test_an_unfitted_sweep_believes_in_the_prior():
    unfitted = fitting.unfitted(CONFIG.form, 2)
    assert (int(unfitted.count), int(unfitted.warp)) == (0, 0)
    assert unfitted.hyperparameters.kernel["log_lengthscale"].shape == (3, 2)
    np.testing.assert_array_equal(unfitted.hyperparameters.log_noise, [-2.0, -6.0, -2.0])


def test_the_warp_that_makes_scores_normal_is_chosen(fit):
    """Linear scores take the first warp, and exponentials of them the second."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        unit = rng.random((24, 2))
        plain = 4 * unit[:, 0] + 0.02 * rng.normal(size=24)
        status = np.full(24, int(Status.SUCCESS), np.int32)
        for score, warp in ((plain, 0), (np.exp(2 * plain), 1)):
            state = sweep.restore(CONFIG, unit, score, np.ones(24), status)
            assert int(fit(state.observations, np.int32(24)).warp) == warp


def test_beliefs_are_of_standardised_scores_and_log_costs_in_nats(fit, learn):
    with jax.enable_x64(True):
        state = history()
        state = state._replace(fit=fit(state.observations, state.count))
        known, at, at_data = learn(state, state.observations.unit)
        log_cost = np.log(state.observations.cost[:20])
        assert np.corrcoef(at.log_cost[:20], log_cost)[0, 1] > 0.99
        np.testing.assert_allclose(at.log_cost[:20], log_cost, atol=0.3)
        # What was observed, both ways.
        for name in ("score", "score_std", "log_cost", "log_cost_std", "log_success"):
            np.testing.assert_allclose(getattr(at, name)[:20], getattr(at_data, name)[:20], rtol=1e-5, err_msg=name)
        score, score_std, cost, cost_std = known.in_units(at)
        assert np.corrcoef(score[:20], state.observations.score[:20])[0, 1] > 0.95
        assert np.all(np.abs(score[:20] - state.observations.score[:20]) < 4 * np.asarray(score_std[:20]))
        np.testing.assert_allclose(cost, np.exp(at.log_cost), rtol=1e-12)
        # Half the width of the central 68% of a log-normal.
        s = np.asarray(at.log_cost_std)
        np.testing.assert_allclose(cost_std, cost * (np.exp(s) - np.exp(-s)) / 2, rtol=1e-9)
        np.testing.assert_allclose(known.warp.before.inverse(known.plain(at.score)), score, rtol=1e-9)
        assert np.all(np.asarray(at.measured_std) > np.asarray(at.score_std))


def test_the_surrogate_of_scores_is_the_process_of_warped_scores(fit, learn, jit):
    """A second route: the parts, put together by hand."""
    with jax.enable_x64(True):
        state = history(num_pending=2)
        state = state._replace(fit=fit(state.observations, state.count))
        at = jax.random.uniform(jax.random.key(3), (5, 2), float)
        known, believed, _ = learn(state, at)
        data = state.observations
        one = jax.tree.map(lambda a: a[Target.SCORE], state.fit.hyperparameters)

        def by_hand(h, at):
            target = known.warp.forward(jnp.asarray(data.score))
            posterior = gp.condition(CONFIG.kernel_fn, h, data.unit, target, data.success, data.pending)
            return posterior.predict(at), posterior.noise

        (mean, std), noise = jit(by_hand)(one, at)
        np.testing.assert_allclose(believed.score, mean, rtol=1e-8)
        np.testing.assert_allclose(believed.score_std, std, rtol=1e-6)
        stretch = max(float(known.posteriors.forward_stretch[Target.SCORE]), 1.0)
        np.testing.assert_allclose(believed.measured_std, np.sqrt(std**2 + noise) * stretch, rtol=1e-6)


def test_success_is_certain_until_something_fails(fit, learn):
    with jax.enable_x64(True):
        at = jax.random.uniform(jax.random.key(3), (5, 2), float)
        state = history()
        _, believed, _ = learn(state._replace(fit=fit(state.observations, state.count)), at)
        np.testing.assert_array_equal(believed.log_success, 0)
        # All failed where x is large.
        failing = np.where(state.observations.unit[:20, 0] > 0.6, int(Status.FAILED), int(Status.SUCCESS))
        status = np.concatenate([failing, np.zeros(4)]).astype(np.int32)
        state = state._replace(observations=state.observations._replace(status=status))
        probe = jnp.array([[0.1, 0.5], [0.3, 0.5], [0.9, 0.5], [0.95, 0.2], [0.97, 0.8]])
        _, believed, _ = learn(state._replace(fit=fit(state.observations, state.count)), probe)
        probability = np.exp(np.asarray(believed.log_success))
        assert probability[:2].min() > 0.8
        assert probability[2:].max() < 0.2


def test_the_cost_bound_is_a_quantile():
    zeros = jnp.zeros(2)
    at = Beliefs(zeros, zeros, zeros, jnp.array([1.0, 2.0]), jnp.array([0.5, 0.1]), zeros)
    for delta in (0.05, 0.3):
        expected = stats.norm.ppf(1 - delta, loc=[1.0, 2.0], scale=[0.5, 0.1])
        np.testing.assert_allclose(beliefs.cost_bound(at, delta), expected, rtol=1e-6)


def test_forms_are_static():
    form = CONFIG.form
    assert hash(form) == hash(dataclasses.replace(form))
    assert jax.jit(lambda f, x: x * len(f.warps), static_argnums=0)(form, 2.0) == 4.0
