"""Insight from a sweep whose truth is known: score = log cost x exp(-(10 (x - 0.3))^2), y matters not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import fitting, insight, sweep
from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.sweep import Status

SPACE = SearchSpace(x=Linear(0, 1), steps=Log(1, 100), y=Linear(0, 1))
CONFIG = sweep.Config(SPACE, capacity=48, warp="linear")


@pytest.fixture(scope="module")
def learnt(jit):
    rng = np.random.default_rng(0)
    unit = rng.random((48, 3))
    unit[16:, 0] = np.clip(0.3 + 0.1 * rng.normal(size=32), 0, 1)
    cost = 100 ** unit[:, 1]
    score = (1 + np.log(cost)) * np.exp(-((4 * (unit[:, 0] - 0.3)) ** 2))
    with jax.enable_x64(True):
        state = sweep.restore(CONFIG, unit, score, cost, np.full(48, int(Status.SUCCESS), np.int32))
        front = jit(insight.predicted_front, static_argnums=0)(CONFIG, state, jax.random.key(0))
    return state, front


def test_the_predicted_front_rises_within_its_band(learnt):
    _, front = learnt
    truth = 1 + np.log(np.asarray(front.cost))
    # The surrogate of 48 points, half of a standard deviation cautious.
    np.testing.assert_allclose(front.score, truth, atol=0.5)
    assert np.all(np.asarray(front.low) <= np.asarray(front.score))
    assert np.all(np.asarray(front.score) <= np.asarray(front.high))


def test_importances_know_which_axes_matter(learnt, jit):
    state, front = learnt
    with jax.enable_x64(True):
        importance = np.asarray(jit(insight.importances, static_argnums=0)(CONFIG, state, front))
    np.testing.assert_allclose(importance.sum(1), 1, rtol=1e-6)
    # Score and cost know nothing of y; x and steps both matter all along the front.
    assert importance[:, 2].max() < 0.02
    assert importance[:, :2].min() > 0.1


def test_signed_importances_are_the_same_with_the_direction_of_the_score(learnt, jit):
    state, front = learnt
    with jax.enable_x64(True):
        plain = np.asarray(jit(insight.importances, static_argnums=0)(CONFIG, state, front))
        fit = fitting.refit(CONFIG.form, state.observations, state.fit)
        fitted = state._replace(fit=fit)
        signed = np.asarray(jit(insight.signed_importances, static_argnums=0)(CONFIG, fitted, front.unit))
    np.testing.assert_allclose(np.abs(signed), plain, atol=1e-6)
    assert (signed[:, 1] > 0).all(), "the score rises with the steps"
    assert (signed[-8:, 0] < 0).all(), "it falls from 0.3 to 1"


def test_scaling_laws_recover_the_cost_axis_and_a_constant_optimum(learnt):
    _, front = learnt
    with jax.enable_x64(True):
        laws = insight.scaling_laws(CONFIG, front)
        assert float(laws["steps"].slope) == pytest.approx(1.0, abs=0.1)
        assert abs(float(laws["x"].slope)) < 0.1
        near, far = (laws["score"].predict(jnp.asarray(cost))[1] for cost in (10.0, 1e4))
    assert float(far) > float(near)


def test_a_line_is_fitted_as_numpy_fits_it():
    x, y = np.linspace(0, 3, 9), np.random.default_rng(0).normal(size=9)
    law = insight.fit_line(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), jnp.ones(9, bool))
    coefficients, covariance = np.polyfit(x, y, 1, cov=True)
    np.testing.assert_allclose([law.slope, law.intercept], coefficients, rtol=1e-3)
    np.testing.assert_allclose(law.slope_std, np.sqrt(covariance[0, 0]), rtol=1e-3)
