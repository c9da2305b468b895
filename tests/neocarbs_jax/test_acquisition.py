"""Acquisition values against SciPy and Monte Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from neocarbs_jax import acquisition


@pytest.fixture(scope="module")
def log_h(jit):
    return jit(acquisition.log_h)


def exact_log_h(z):
    """log E[max(N(z, 1), 0)] by the integral of the normal's upper tail, scaled to be finite far out."""
    value, _ = integrate.quad(lambda t: t * np.exp(-0.5 * t * t + t * z), 0, np.inf)
    return np.log(value) - 0.5 * z * z - 0.5 * np.log(2 * np.pi)


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("z", [3.0, 0.0, -0.99, -1.01, -3.0, -5.0, -8.0, -15.0, -40.0])
def test_log_expected_improvement_is_exact_far_into_the_tail(z, x64, log_h):
    with jax.enable_x64(x64):
        value = float(log_h(jnp.asarray(z, float)))
    # Single precision cancels at its worst around z = -5.
    assert value == pytest.approx(exact_log_h(z), rel=1e-6 if x64 else 2e-3)


def test_log_expected_improvement_rises_with_the_mean(log_h):
    with jax.enable_x64(True):
        values = np.asarray(log_h(jnp.linspace(-100.0, 5.0, 5000)))
    assert np.all(np.diff(values) > 0)


def test_hypervolume_improvement_agrees_with_monte_carlo():
    edges, front = jnp.array([0.0, 1.0, 2.5, 3.0]), jnp.array([-1.0, 0.2, 0.9])
    mean, std, log_cost = jnp.array([0.5, 1.0]), jnp.array([0.7, 0.1]), jnp.array([0.4, 2.7])
    value = jnp.exp(acquisition.log_expected_hypervolume_improvement(mean, std, log_cost, edges, front))
    draws = np.random.default_rng(0).normal(size=400_000)
    for i in range(2):
        score = float(mean[i]) + float(std[i]) * draws
        widths = np.maximum(np.asarray(edges[1:]) - np.maximum(np.asarray(edges[:-1]), float(log_cost[i])), 0)
        expected = sum(w * np.maximum(score - f, 0).mean() for w, f in zip(widths, np.asarray(front), strict=True))
        # Standard error of the mean of 400,000 draws.
        assert float(value[i]) == pytest.approx(expected, rel=5e-3)


def test_the_weight_around_the_target_is_a_normals_kernel():
    log_cost = jnp.array([0.0, 1.0, 4.0])
    weight = acquisition.target_weight(log_cost, jnp.float32(1.0), jnp.float32(2.0))
    expected = stats.norm.logpdf(log_cost, 1, 2) - stats.norm.logpdf(1, 1, 2)
    np.testing.assert_allclose(weight, expected, rtol=1e-5)
