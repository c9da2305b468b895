"""The posterior against tinygp, leaving one out by leaving one out, calibration, and fantasies of pending points."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tinygp

from neocarbs_jax import gp
from neocarbs_jax.gp import MATERN_LINEAR, Hyperparameters
from neocarbs_jax.gp.fit import SCORE_NOISE, noise_variance

D, N, REAL, M = 3, 12, 8, 5


@pytest.fixture(scope="module")
def condition(jit):
    """Unit points, targets, observed and pending rows -> posterior, and its predictions at test points."""

    def conditioned(h, unit, target, observed, pending, at):
        posterior = gp.condition(MATERN_LINEAR, h, unit, target, observed, pending)
        return posterior, posterior.predict(at)

    return jit(conditioned)


def hyperparameters():
    kernel = {
        "log_lengthscale": jnp.log(jnp.array([0.3, 0.6, 2.0])),
        "log_amplitude": jnp.asarray(0.2),
        "log_linear": jnp.asarray(-1.0),
    }
    return Hyperparameters(kernel, jnp.asarray(-3.0))


def data():
    unit = jax.random.uniform(jax.random.key(0), (N, D), float)
    at = jax.random.uniform(jax.random.key(1), (M, D), float)
    return unit, jnp.sin(4 * unit[:, 0]) + unit[:, 1], jnp.arange(N) < REAL, jnp.zeros(N, bool), at


@pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-10), (False, 2e-3)])
def test_the_posterior_is_tinygp_on_the_real_rows(condition, x64, tolerance, jit):
    with jax.enable_x64(x64):
        h = hyperparameters()
        unit, target, observed, nothing, at = data()
        posterior, (mean, std) = condition(h, unit, target, observed, nothing, at)

        def by_tinygp(h):
            process = tinygp.GaussianProcess(MATERN_LINEAR.build(h.kernel), unit[:REAL], diag=noise_variance(h))
            conditioned = process.condition(target[:REAL], at, diag=jnp.zeros(M)).gp
            return conditioned.loc, conditioned.variance

        expected_mean, expected_variance = jit(by_tinygp)(h)
        # Single precision: two orders of operations.
        np.testing.assert_allclose(mean, expected_mean, atol=tolerance)
        np.testing.assert_allclose(std**2, expected_variance, atol=tolerance)
        assert float(posterior.noise) == pytest.approx(np.exp(-3), rel=1e-2)


def test_means_and_deviations_at_the_data_are_the_posteriors(condition):
    with jax.enable_x64(True):
        unit, target, observed, nothing, _ = data()
        posterior, (mean, std) = condition(hyperparameters(), unit, target, observed, nothing, unit)
        np.testing.assert_allclose(posterior.mean[:REAL], mean[:REAL], rtol=1e-9)
        # Variances are differences of numbers of order 1.
        np.testing.assert_allclose(posterior.std[:REAL], std[:REAL], rtol=1e-7)


def test_leave_one_out_equals_leaving_one_out(condition):
    with jax.enable_x64(True):
        h = hyperparameters()
        unit, target, observed, nothing, _ = data()
        whole, _ = condition(h, unit, target, observed, nothing, unit)
        for i in range(REAL):
            _, (mean, std) = condition(h, unit, target, observed.at[i].set(False), nothing, unit)
            assert float(whole.loo_mean[i]) == pytest.approx(float(mean[i]), rel=1e-7)
            assert float(whole.loo_std[i]) ** 2 == pytest.approx(float(std[i] ** 2 + noise_variance(h)), rel=1e-7)


def test_stretches_are_quantiles_of_residuals_left_out_and_of_those_given_earlier_rows(condition):
    with jax.enable_x64(True):
        h = hyperparameters()
        unit, _, _, nothing, _ = data()
        target = 3 * jax.random.normal(jax.random.key(4), (N,), float)
        whole, _ = condition(h, unit, target, ~nothing, nothing, unit)
        noise = float(noise_variance(h))

        def ratio(observed, i):
            _, (mean, std) = condition(h, unit, target, observed, nothing, unit)
            return abs(float(target[i] - mean[i])) / np.sqrt(float(std[i]) ** 2 + noise)

        rows = jnp.arange(N)
        for name, ratios in (
            ("stretch", [ratio(rows != i, i) for i in range(N)]),
            ("forward_stretch", [ratio(rows < i, i) for i in range(N)]),
        ):
            # The prior of ten imaginary residuals draws the logarithm of the quantile's ratio to 0.
            quantile = np.clip(np.sort(ratios)[int(0.9 * N)] / 1.645, 0.3, 3.0)
            assert float(getattr(whole, name)) == pytest.approx(quantile ** (N / (N + 10)), rel=1e-6), name


def test_without_observations_nothing_is_stretched(condition):
    with jax.enable_x64(True):
        unit, target, _, nothing, at = data()
        posterior, (mean, std) = condition(hyperparameters(), unit, target, nothing, nothing, at)
        assert float(posterior.stretch) == pytest.approx(1.0)
        assert float(posterior.forward_stretch) == pytest.approx(1.0)
        np.testing.assert_array_equal(mean, np.zeros(M))
        kernel = MATERN_LINEAR.build(hyperparameters().kernel)
        np.testing.assert_allclose(std**2, kernel(at), rtol=1e-9)


def test_a_pending_point_keeps_the_mean_and_shrinks_the_deviation(condition):
    with jax.enable_x64(True):
        unit, target, observed, nothing, _ = data()
        pending = jnp.arange(N) == REAL
        known, before = condition(hyperparameters(), unit, target, observed, nothing, unit)
        waiting, after = condition(hyperparameters(), unit, target.at[REAL:].set(jnp.nan), observed, pending, unit)
        np.testing.assert_allclose(after[0], before[0], rtol=1e-9)
        assert np.all(np.asarray(after[1]) <= np.asarray(before[1]) + 1e-9)
        assert float(after[1][REAL]) < 0.9 * float(before[1][REAL])
        # What was observed is as it was.
        for name in ("mean", "std", "loo_mean", "loo_std", "stretch", "forward_stretch"):
            a, b = (np.atleast_1d(getattr(posterior, name))[:REAL] for posterior in (known, waiting))
            np.testing.assert_allclose(a, b, rtol=1e-12, err_msg=name)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="LAPACK is a CPU's")
def test_a_batch_of_sweeps_never_makes_a_batched_lapack_call():
    """Batched calls run on the threads that wait for them: several at once hang jaxlib 0.10 on few cores."""
    unit, target, observed, nothing, _ = data()

    def both(target):
        posterior = gp.condition(MATERN_LINEAR, hyperparameters(), unit, target, observed, nothing)
        return posterior, gp.fit(MATERN_LINEAR, unit, target, observed, SCORE_NOISE, 2)

    lowered = jax.jit(jax.vmap(jax.vmap(both))).lower(jnp.stack(4 * [target]).reshape(2, 2, N))
    calls = re.findall(r"@lapack_\w+\(.*", lowered.as_text())
    assert calls
    batched = [call for call in calls if re.search(rf"tensor<\d+x(\d+x)*{N}x{N}xf", call)]
    assert not batched


def test_no_product_of_matrices_is_rounded_to_the_digits_that_a_gpu_chooses():
    unit, target, observed, nothing, _ = data()

    def both(target):
        posterior = gp.condition(MATERN_LINEAR, hyperparameters(), unit, target, observed, nothing)
        fitted = gp.fit(MATERN_LINEAR, unit, target, observed, SCORE_NOISE, 2)
        return posterior.process.predict(posterior.target, unit, return_var=True), fitted

    for platform in ("cuda", "cpu"):
        lowered = jax.jit(both).trace(target).lower(lowering_platforms=(platform,)).as_text()
        products = [line for line in lowered.splitlines() if "dot_general" in line]
        assert len(products) > 5
        assert [line for line in products if "HIGHEST" not in line] == []
