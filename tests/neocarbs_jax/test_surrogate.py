"""The masked Gaussian process against tinygp's own, finite differences and itself without the masked rows."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tinygp

from neocarbs_jax import linalg, surrogate

D, N, REAL = 3, 12, 8


@pytest.fixture
def data():
    unit = jax.random.uniform(jax.random.key(0), (N, D))
    target = jnp.sin(4 * unit[:, 0]) + unit[:, 1]
    return unit, target, jnp.arange(N) < REAL


def hyperparameters():
    return surrogate.Hyperparameters(
        jnp.log(jnp.array([0.3, 0.6, 2.0])), jnp.asarray(0.2), jnp.asarray(-1.0), jnp.asarray(-3.0)
    )


@pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-12), (False, 1e-4)])
def test_the_covariance_by_matrix_products_is_tinygps(x64, tolerance):
    with jax.enable_x64(x64):
        h = jax.tree.map(lambda a: jnp.asarray(np.asarray(a), float), hyperparameters())
        left = jax.random.uniform(jax.random.key(0), (N, D))
        right = jnp.concatenate([left[:2] + 1e-9, jax.random.uniform(jax.random.key(1), (5, D))])
        expected = surrogate.kernel(h)(left - 0.5, right - 0.5)
        np.testing.assert_allclose(surrogate.covariance(h, left, right), expected, atol=tolerance)
        slope_fn = jax.grad(lambda unit: jnp.sum(surrogate.covariance(h, left, unit)))
        assert bool(jnp.all(jnp.isfinite(slope_fn(left))))


def test_means_and_deviations_at_the_data_are_the_posteriors(data):
    with jax.enable_x64(True):
        unit, target = (jnp.asarray(np.asarray(a), float) for a in data[:2])
        posterior = surrogate.condition(hyperparameters(), unit, target, data[2], jnp.zeros(N, bool))
        mean, std = surrogate.predict(posterior, unit)
        np.testing.assert_allclose(posterior.mean[:REAL], mean[:REAL], rtol=1e-4)
        np.testing.assert_allclose(posterior.std[:REAL], std[:REAL], rtol=1e-4)


def test_the_masked_posterior_is_tinygp_on_the_real_rows(data):
    unit, target, mask = data
    h = hyperparameters()
    at = jax.random.uniform(jax.random.key(1), (5, D))
    mean, std = surrogate.predict(surrogate.condition(h, unit, target, mask, jnp.zeros(N, bool)), at)
    diag = jnp.full(REAL, surrogate.noise_variance(h))
    process = tinygp.GaussianProcess(surrogate.kernel(h), unit[:REAL] - 0.5, diag=diag)
    expected = process.condition(target[:REAL], at - 0.5, diag=jnp.zeros(5)).gp
    # Single precision, two orders of operations.
    np.testing.assert_allclose(mean, expected.loc, atol=2e-3)
    np.testing.assert_allclose(std**2, expected.variance, atol=2e-3)


def test_the_marginal_likelihood_is_tinygps_up_to_a_constant(data):
    unit, target, mask = data
    h = hyperparameters()
    prior = surrogate.log_prior(h, surrogate.SCORE_NOISE)
    ours = surrogate.log_posterior(h, unit, target, mask, surrogate.SCORE_NOISE) - prior
    diag = jnp.full(REAL, surrogate.noise_variance(h))
    process = tinygp.GaussianProcess(surrogate.kernel(h), unit[:REAL] - 0.5, diag=diag)
    constant = 0.5 * REAL * np.log(2 * np.pi)
    assert float(ours) - constant == pytest.approx(float(process.log_probability(target[:REAL])), rel=1e-3)


def test_the_written_gradient_is_that_of_differences(data):
    unit, target, mask = data
    with jax.enable_x64(True):
        unit, target = unit.astype(float), target.astype(float)
        h = jax.tree.map(lambda a: a.astype(float), hyperparameters())
        objective = lambda h: surrogate.log_posterior(h, unit, target, mask, surrogate.SCORE_NOISE)  # noqa: E731
        gradient = jax.grad(objective)(h)
        for field in ("amplitude", "linear", "noise"):
            step = 1e-5
            up, down = (objective(h._replace(**{field: getattr(h, field) + s})) for s in (step, -step))
            # Central differences: error of order step^2.
            assert float(getattr(gradient, field)) == pytest.approx(float(up - down) / (2 * step), rel=1e-5, abs=1e-7)


def test_leave_one_out_equals_leaving_one_out(data):
    unit, target, mask = data
    h = hyperparameters()
    nothing = jnp.zeros(N, bool)
    whole = surrogate.condition(h, unit, target, mask, nothing)
    for i in (0, 5):
        rest = surrogate.condition(h, unit, target, mask.at[i].set(False), nothing)
        mean, std = surrogate.predict(rest, unit[i][None])
        # Single precision.
        assert float(whole.loo_mean[i]) == pytest.approx(float(mean[0]), abs=5e-3)
        assert float(whole.loo_std[i] ** 2) == pytest.approx(float(std[0] ** 2 + surrogate.noise_variance(h)), rel=5e-2)


def test_the_forward_stretch_is_that_of_residuals_given_earlier_rows():
    with jax.enable_x64(True):
        unit = jax.random.uniform(jax.random.key(3), (N, D))
        target = 3 * jax.random.normal(jax.random.key(4), (N,))
        h, nothing = hyperparameters(), jnp.zeros(N, bool)
        whole = surrogate.condition(h, unit, target, ~nothing, nothing)
        ratios = []
        for i in range(N):
            past = surrogate.condition(h, unit, target, jnp.arange(N) < i, nothing)
            mean, std = surrogate.predict(past, unit[i][None])
            noise = float(surrogate.noise_variance(h))
            ratios.append(abs(float(target[i] - mean[0])) / np.sqrt(float(std[0]) ** 2 + noise))
        # The prior of ten imaginary residuals draws the logarithm of the quantile's ratio to 0.
        quantile = np.clip(np.sort(ratios)[int(0.9 * N)] / 1.645, 0.3, 3.0)
        assert float(whole.forward_stretch) == pytest.approx(quantile ** (N / (N + 10)), rel=1e-6)


def test_a_pending_point_keeps_the_mean_and_shrinks_the_deviation(data):
    unit, target, mask = data
    pending = jnp.arange(N) == REAL
    h = hyperparameters()
    before = surrogate.predict(surrogate.condition(h, unit, target, mask, jnp.zeros(N, bool)), unit[REAL:])
    after = surrogate.predict(surrogate.condition(h, unit, target, mask, pending), unit[REAL:])
    np.testing.assert_allclose(after[0], before[0], atol=1e-5)
    assert bool(jnp.all(after[1] <= before[1] + 1e-4))
    assert float(after[1][0]) < 0.9 * float(before[1][0])


@pytest.mark.parametrize("x64", [False, True])
def test_a_singular_matrix_gets_the_jitter_that_it_needs(x64):
    with jax.enable_x64(x64):
        factor = linalg.safe_cholesky(jnp.ones((6, 6)))
        assert bool(jnp.all(jnp.isfinite(factor)))
        # Jitter of at most a thousandth was needed.
        np.testing.assert_allclose(factor @ factor.T, np.ones((6, 6)), atol=1e-3)


def test_the_fit_finds_the_axis_that_matters():
    with jax.enable_x64(True):
        unit = jax.random.uniform(jax.random.key(0), (40, D))
        target = jnp.sin(6 * unit[:, 1])
        target = (target - target.mean()) / target.std()
        fitted = surrogate.fit(unit, target, jnp.ones(40, bool), surrogate.SCORE_NOISE, 12)
        assert int(jnp.argmin(fitted.lengthscale)) == 1
        start = surrogate.prior_mode(D, surrogate.SCORE_NOISE, unit.dtype)
        arguments = unit, target, jnp.ones(40, bool), surrogate.SCORE_NOISE
        assert surrogate.log_posterior(fitted, *arguments) > surrogate.log_posterior(start, *arguments)


def test_a_batch_of_sweeps_never_makes_a_batched_lapack_call(data):
    """Batched calls run on the threads that wait for them: several at once hang jaxlib 0.10 on few cores."""
    unit, target, mask = data
    h = hyperparameters()

    def both(target):
        posterior = surrogate.condition(h, unit, target, mask, jnp.zeros(N, bool))
        fitted = surrogate.fit(unit, target, mask, surrogate.SCORE_NOISE, 2)
        return posterior, fitted

    lowered = jax.jit(jax.vmap(jax.vmap(both))).lower(jnp.stack(4 * [target]).reshape(2, 2, N))
    calls = re.findall(r"@lapack_\w+\(.*", lowered.as_text())
    assert calls
    batched = [call for call in calls if re.search(rf"tensor<\d+x(\d+x)*{N}x{N}xf", call)]
    assert not batched
