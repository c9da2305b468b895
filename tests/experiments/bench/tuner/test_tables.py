"""Tables as tasks, on made-up curves and grids: the real ones are not shipped."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench.tuner import tables
from experiments.bench.tuner.front_search import front_of_points, search_front
from experiments.bench.tuner.measures import Record, coverage, measure
from neocarbs_jax import synthetic
from neocarbs_jax.synthetic import hypervolume_fraction

needs_forest = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="needs the extra `bench`")


@pytest.fixture(scope="module")
def curve_dir(tmp_path_factory):
    """A table of 64 configurations whose return is 100 * learning-rate quality * budget; the worst rates diverge."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    learning_rate, minibatch = 10 ** rng.uniform(-5, -1, 64), rng.choice([32.0, 64.0, 128.0], 64)
    quality = np.exp(-((np.log10(learning_rate) + 3) ** 2))
    budget = np.arange(1, 11) / 10
    returns = 100 * quality[:, None, None] * budget[None, :, None] + rng.normal(size=(64, 10, 10))
    returns[learning_rate > 10**-1.5] = np.nan
    np.savez(
        folder / "made_up.npz",
        names=np.array(["learning_rate", "minibatch_size", "constant"]),
        hp=np.stack([learning_rate, minibatch, np.ones(64)], axis=1),
        returns=returns,
        seen=np.ones_like(returns, bool),
        total_steps=1e5,
    )
    return folder


@pytest.fixture(scope="module")
def task(curve_dir):
    return tables.load("rl:made_up", curve_dir)


def test_available_lists_the_tables_of_a_folder(curve_dir, tmp_path):
    assert "rl:made_up" in tables.available(curve_dir)
    assert not any(name.startswith("rl:") for name in tables.available(tmp_path))
    with pytest.raises(ValueError, match=r"`name` must be one of .*got 'rl:absent'"):
        tables.load("rl:absent", tmp_path)


@needs_forest
def test_curves_become_a_task_without_constant_axes(task):
    assert task.space.names == ("learning_rate", "minibatch_size", "budget")
    best = {"learning_rate": jnp.asarray(0.5), "minibatch_size": jnp.asarray(1.0), "budget": jnp.asarray(1.0)}
    score, cost = task.noiseless(best)
    assert float(score) > 80
    assert float(cost) == pytest.approx(1e5)
    small = best | {"minibatch_size": jnp.asarray(0.0), "budget": jnp.asarray(0.0)}
    assert float(task.noiseless(small)[1]) == pytest.approx(2.5e4)  # a tenth of the steps, 2.5 times slower


@needs_forest
def test_divergence_is_drawn_and_noise_comes_from_the_seeds(task):
    evaluate = jax.vmap(lambda values, key: task(values, key)[0], (None, 0))
    keys = jax.random.split(jax.random.key(0), 200)
    good = {"learning_rate": jnp.asarray(0.5), "minibatch_size": jnp.asarray(0.5), "budget": jnp.asarray(1.0)}
    scores = np.asarray(evaluate(good, keys))
    assert np.isfinite(scores).mean() > 0.9
    assert 0.5 < np.nanstd(scores) < 2.0  # the residuals have a standard deviation of one
    assert np.isnan(evaluate(good | {"learning_rate": jnp.asarray(0.98)}, keys)).mean() > 0.8


@needs_forest
def test_forest_equals_scikit_learn():
    from sklearn.ensemble import ExtraTreesRegressor

    from experiments.bench.tuner.forest import NUM_TREES, Forest

    rng = np.random.default_rng(0)
    inputs, targets = rng.uniform(size=(200, 4)), rng.normal(size=200)
    points = rng.uniform(size=(50, 4))
    expected = ExtraTreesRegressor(NUM_TREES, random_state=0).fit(inputs, targets).predict(points)
    got = jax.vmap(Forest.fit(inputs, targets))(jnp.asarray(points))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_front_search_finds_the_closed_form_front():
    task = synthetic.make("ridge")
    found = search_front(task.noiseless, task.space, task.floor)
    fraction = hypervolume_fraction(found.score, found.cost, task.front())[-1]
    assert 0.97 < fraction < 1.001  # 128 bins of cost: the staircase loses half a bin


def test_front_of_points_is_their_staircase():
    front = front_of_points(jnp.asarray([3.0, 1.0, 2.0, 0.5]), jnp.asarray([100.0, 1.0, 10.0, 50.0]), floor=0.0)
    at = np.interp([2.0, 20.0, 99.0, 100.0], front.cost, front.score)
    np.testing.assert_allclose(at, [1.0, 2.0, 2.0, 3.0], atol=1e-5)
    assert (float(front.cost[0]), float(front.cost[-1])) == pytest.approx((1.0, 100.0))


def test_coverage_of_a_calibrated_prediction():
    measured = np.random.default_rng(0).normal(3.0, 2.0, 4000)
    half, most = coverage(measured, np.full(4000, 3.0), np.full(4000, 2.0))
    assert half == pytest.approx(0.5, abs=0.03)
    assert most == pytest.approx(0.9, abs=0.02)


def test_measures_of_a_sweep_by_hand():
    """30 cheap good trials, then 10 at the top cost of which half have a hopeless learning rate."""
    task = synthetic.make("linear")

    def point(learning_rate: float, steps: float) -> np.ndarray:
        middle = task.space.from_unit(np.full(task.space.size, 0.5))
        return np.asarray(task.space.to_unit(middle | {"learning_rate": learning_rate, "total_steps": steps}))

    good, bad = point(1e-3, 1e10), point(1e-5, 1e10)
    unit = np.stack([point(1e-3, 1e7)] * 30 + [good, bad] * 5)
    cost = np.array([0.2] * 30 + [200.0] * 10)
    nothing = np.full(40, np.nan)
    record = Record(unit, np.ones(40), cost, nothing, nothing, nothing, nothing, seconds=0.1)
    measures = measure(task, task.front(), record)
    assert measures.waste == pytest.approx(0.5, abs=0.01)
    assert measures.spend[-1] == pytest.approx(2000 / 2006, abs=1e-3)
    assert measures.cumulative_cost[-1] == pytest.approx(2006)
    assert measures.fraction[29] == pytest.approx(0.001 * np.log(1000), rel=0.02)  # .001 over the whole range
    assert np.isnan(measures.coverage_score).all()
