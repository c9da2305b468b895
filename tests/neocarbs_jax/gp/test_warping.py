"""Warps: increasing, invertible, safe at every scale of score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax.gp import warping


@pytest.fixture(scope="module")
def fit_warp(jit):
    def fit(kind, score, mask, aggression):
        return jax.tree.map(lambda a: a[0], warping.fit_warps((kind,), score, mask, aggression))

    return jit(fit, static_argnums=(0, 3))


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("kind", warping.WARPS)
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_every_warp_inverts_and_keeps_the_order(kind, scale, x64, fit_warp):
    with jax.enable_x64(x64):
        score = jnp.asarray(np.random.default_rng(0).standard_t(2, 40) * scale, float)
        mask = jnp.arange(40) < 35
        warp = fit_warp(kind, score, mask, 0.1)
        z = warp.forward(score)
        assert bool(jnp.all(jnp.isfinite(z)))
        np.testing.assert_array_equal(jnp.argsort(z), jnp.argsort(score))
        # Piecewise linear maps invert to rounding, which steep pieces magnify.
        np.testing.assert_allclose(warp.inverse(z) / scale, score / scale, rtol=1e-3, atol=1e-4)
        assert float(jnp.mean(z[:35])) == pytest.approx(0, abs=1e-4)
        assert float(jnp.std(z[:35])) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", warping.WARPS)
@pytest.mark.parametrize("num", [0, 1, 20])
def test_constant_scores_and_few_of_them_stay_finite(kind, num, fit_warp):
    score = jnp.full(20, 3.0)
    warp = fit_warp(kind, score, jnp.arange(20) < num, 0.1)
    assert bool(jnp.all(jnp.isfinite(warp.forward(score))))
    assert bool(jnp.all(jnp.isfinite(warp.inverse(jnp.linspace(-3, 3, 7)))))


def test_aggression_is_minus_log_of_the_distance_to_the_top(fit_warp):
    score = jnp.linspace(0, 1, 64)
    warp = fit_warp("aggression", score, jnp.ones(64, bool), 0.1)
    expected = -np.log(1 - np.linspace(0, 1, 64) + 0.1)
    expected = (expected - expected.mean()) / expected.std()
    # 33 knots approximate the curve.
    np.testing.assert_allclose(warp.forward(score), expected, atol=0.02)


def test_moments_of_the_linear_warp_are_the_users_units(fit_warp):
    score = jnp.array([10.0, 20.0, 30.0])
    warp = fit_warp("linear", score, jnp.ones(3, bool), 0.1)
    mean, std = warp.moments(jnp.zeros(1), jnp.ones(1))
    assert float(mean[0]) == pytest.approx(20.0, rel=1e-5)
    assert float(std[0]) == pytest.approx(float(jnp.std(score)), rel=1e-5)


def test_a_few_wrecked_runs_leave_the_others_apart(fit_warp):
    """Returns of -1e13 beside a bulk between 0 and 8000: runs that diverged without a NaN."""
    with jax.enable_x64(True):
        score = jnp.asarray([-1e13, -1e13, 0, 100, 2000, 2500, 3000, 3500, 4000, 8000], float)
        warp = fit_warp("winsor", score, jnp.ones(10, bool), 0.1)
        z = warp.forward(score)
        assert float(z[-1] - z[2]) > 0.5  # standard deviations; a linear map leaves 1e-9 of one
        np.testing.assert_allclose(warp.inverse(z)[2:], score[2:], atol=1.0)


def test_knots_that_coincide_make_a_step_and_no_nan():
    """In single precision a steep warp's knots may round to one number."""
    x, z = jnp.array([0.0, 1.0, 1.0, 2.0]), jnp.array([0.0, 1.0, 2.0, 3.0])
    at = jnp.array([-1.0, 0.5, 1.5, 3.0])
    np.testing.assert_allclose(warping._interpolate(at, x, z), [-1.0, 0.5, 2.5, 4.0])
    assert bool(jnp.isfinite(warping._interpolate(at, z, jnp.zeros(4))).all())
