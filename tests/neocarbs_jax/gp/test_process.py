"""The surrogate against a plain `tinygp.GaussianProcess` of the unmasked rows: likelihood, gradients, predictions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tinygp

from neocarbs_jax.gp import MaternLinear, Surrogate

D, N, M = 3, 12, 5
REAL = np.array([0, 1, 3, 4, 6, 7, 8, 11])
# tinygp adds the root of the machine epsilon to the variances that it predicts.
TINYGPS_JITTER = {True: np.sqrt(np.finfo(np.float64).eps), False: np.sqrt(np.finfo(np.float32).eps)}
# Sums of a dozen terms after a Cholesky factorisation of condition number 1e3.
TOLERANCE = {True: 1e-10, False: 2e-3}
PRECISIONS = pytest.mark.parametrize("x64", [True, False])


def parameters():
    return {
        "lengthscale": jnp.array([0.3, 0.6, 2.0]),
        "amplitude": jnp.asarray(1.2),
        "linear": jnp.asarray(0.4),
        "noise": jnp.asarray(0.05),
    }


def data():
    unit = jax.random.uniform(jax.random.key(0), (N, D), float)
    y = jnp.sin(4 * unit[:, 0]) + unit[:, 1]
    return unit, y, jnp.zeros(N, bool).at[REAL].set(True), jax.random.uniform(jax.random.key(1), (M, D), float)


def build(lengthscale, amplitude, linear, noise):
    del noise
    return MaternLinear(lengthscale, amplitude, linear)


def masked(p, unit, mask):
    return Surrogate(build(**p), unit, p["noise"], mask)


def plain(p, unit):
    """tinygp with its own solver, and its own kernels: pair by pair, so that its derivatives are its own too."""
    scaled = tinygp.transforms.Linear(
        1 / p["lengthscale"],
        p["amplitude"] * tinygp.kernels.Matern52(distance=tinygp.kernels.distance.L2Distance()),
    )
    kernel = scaled + p["linear"] * tinygp.kernels.DotProduct() + tinygp.kernels.Constant(jnp.ones(()))
    return tinygp.GaussianProcess(kernel, unit - 0.5, diag=jnp.broadcast_to(p["noise"], unit.shape[:1]))


@PRECISIONS
def test_the_likelihood_is_that_of_tinygp_over_the_rows_that_count(x64, jit):
    with jax.enable_x64(x64):
        unit, y, mask, _ = data()
        p = parameters()
        got = jit(lambda p, y: masked(p, unit, mask).log_probability(y))(p, jnp.where(mask, y, jnp.nan))
        expected = jit(lambda p, y: plain(p, unit[REAL]).log_probability(y))(p, y[REAL])
        np.testing.assert_allclose(got, expected, rtol=TOLERANCE[x64])
        # And that of tinygp's own method over our solver, which replaces nothing but the derivative.
        inherited = jit(lambda p, y: tinygp.GaussianProcess.log_probability(masked(p, unit, mask), y))(p, y)
        np.testing.assert_allclose(got, inherited, rtol=TOLERANCE[x64])


@PRECISIONS
def test_its_gradient_in_parameters_noise_and_targets_is_tinygps(x64, jit):
    with jax.enable_x64(x64):
        unit, y, mask, _ = data()
        ours = jit(jax.grad(lambda p, y: masked(p, unit, mask).log_probability(y), (0, 1)))(parameters(), y)
        theirs = jit(jax.grad(lambda p, y: plain(p, unit[REAL]).log_probability(y[REAL]), (0, 1)))(parameters(), y)
        # Distances on the diagonal are roots of rounding errors, and so is the error of the slopes there.
        close = {"rtol": 1e-7, "atol": 1e-7} if x64 else {"rtol": 5e-3, "atol": 5e-3}
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **close), ours, theirs)
        np.testing.assert_array_equal(ours[1][~mask], 0)


def test_its_gradient_is_that_of_differences(jit):
    with jax.enable_x64(True):
        unit, y, mask, _ = data()

        def log_probability(p):
            return masked(p, unit, mask).log_probability(y)

        objective, gradient = jit(log_probability), jit(jax.grad(log_probability))(parameters())
        for name in ("amplitude", "linear", "noise"):
            step = 1e-5
            up, down = (objective({**parameters(), name: parameters()[name] + s}) for s in (step, -step))
            # Central differences: error of order step^2.
            assert float(gradient[name]) == pytest.approx(float(up - down) / (2 * step), rel=1e-5, abs=1e-7)


@PRECISIONS
def test_means_and_variances_are_tinygps(x64, jit):
    with jax.enable_x64(x64):
        unit, y, mask, at = data()
        p = parameters()
        y = jnp.where(mask, y, jnp.nan)
        mean, variance = jit(lambda p, y: masked(p, unit, mask).predict(y, at, return_var=True))(p, y)
        predict = tinygp.GaussianProcess.predict
        others = {
            "another process": lambda p, y: predict(plain(p, unit[REAL]), y[REAL], at - 0.5, return_var=True),
            "tinygp's own method": lambda p, y: predict(masked(p, unit, mask), y, at, return_var=True),
        }
        for name, other in others.items():
            expected_mean, expected_variance = jit(other)(p, jnp.nan_to_num(y))
            np.testing.assert_allclose(mean, expected_mean, atol=TOLERANCE[x64], err_msg=name)
            expected = expected_variance - TINYGPS_JITTER[x64]
            np.testing.assert_allclose(variance, expected, atol=TOLERANCE[x64], err_msg=name)


def test_what_predict_does_not_replace_is_tinygps_own(jit):
    with jax.enable_x64(True):
        unit, y, mask, at = data()

        def answers(process, y, at):
            conditioned = process.condition(y, at)
            covariance = process.predict(y, at, return_cov=True)[1]
            return process.predict(y, at), covariance, conditioned.log_probability, conditioned.gp.loc

        ours = jit(lambda p, y: answers(masked(p, unit, mask), y, at))(parameters(), jnp.where(mask, y, 0))
        theirs = jit(lambda p, y: answers(plain(p, unit[REAL]), y, at - 0.5))(parameters(), y[REAL])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10), ours, theirs)
        here = jit(lambda p, y: masked(p, unit, mask).predict(y))(parameters(), jnp.where(mask, y, 0))
        expected = jit(lambda p, y: plain(p, unit[REAL]).predict(y))(parameters(), y[REAL])
        np.testing.assert_allclose(here[REAL], expected, rtol=1e-9)


def test_predictions_have_the_slopes_of_tinygp(jit):
    with jax.enable_x64(True):
        unit, y, mask, at = data()

        def ours(at):
            mean, variance = masked(parameters(), unit, mask).predict(y, at, return_var=True)
            return jnp.sum(jnp.sin(mean)) + jnp.sum(jnp.log(variance))

        def theirs(at):
            mean, variance = plain(parameters(), unit[REAL]).predict(y[REAL], at - 0.5, return_var=True)
            return jnp.sum(jnp.sin(mean)) + jnp.sum(jnp.log(variance - TINYGPS_JITTER[True]))

        np.testing.assert_allclose(jit(jax.grad(ours))(at), jit(jax.grad(theirs))(at), rtol=1e-6, atol=1e-8)


def test_jit_equals_eager_and_vmap_a_loop(jit):
    with jax.enable_x64(True):
        unit, y, mask, at = data()

        def both(p, y):
            process = masked(p, unit, mask)
            return process.log_probability(y), process.predict(y, at, return_var=True)

        def both_and_slopes(p, y):
            return both(p, y), jax.grad(lambda *at: both(*at)[0])(p, y)

        def close(a, b):
            np.testing.assert_allclose(a, b, rtol=1e-7)  # roots of rounding errors, as above

        compiled = jit(both_and_slopes)
        jax.tree.map(close, compiled(parameters(), y)[0], both(parameters(), y))
        stacked = jax.tree.map(lambda a: jnp.stack([a, 1.5 * a]), parameters())
        ys = jnp.stack([y, -y])
        together = jit(jax.vmap(both_and_slopes))(stacked, ys)
        for i in range(2):
            one = compiled(jax.tree.map(lambda a, i=i: a[i], stacked), ys[i])
            jax.tree.map(close, jax.tree.map(lambda a, i=i: a[i], together), one)


def test_without_any_row_it_is_the_prior():
    with jax.enable_x64(True):
        unit, y, mask, at = data()
        process = masked(parameters(), unit, jnp.zeros_like(mask))
        assert float(process.log_probability(y)) == 0
        mean, variance = process.predict(y, at, return_var=True)
        np.testing.assert_array_equal(mean, np.zeros(M))
        np.testing.assert_allclose(variance, build(**parameters())(at), rtol=1e-12)
