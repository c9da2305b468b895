"""The maximum a posteriori fit: it rises, it finds what matters, it repeats itself; priors against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tinygp
from scipy import stats

from neocarbs_jax import gp
from neocarbs_jax.gp import KernelBuilder, Normal
from neocarbs_jax.gp.fit import COST_NOISE, LABEL_NOISE, SCORE_NOISE, log_prior, noise_variance, surrogate

D, N = 3, 40


def data():
    """Only the second axis matters; the last rows are masked."""
    unit = jax.random.uniform(jax.random.key(0), (N + 4, D), float)
    target = jnp.sin(6 * unit[:, 1])
    mask = jnp.arange(N + 4) < N
    return unit, jnp.where(mask, (target - target[:N].mean()) / target[:N].std(), jnp.nan), mask


def log_posterior(builder, h, unit, target, mask, noise):
    return surrogate(builder, h, unit, mask).log_probability(target) + log_prior(builder, h, D, noise)


def matern32(parameters):
    scale = jnp.exp(-parameters["log_scale"])
    return tinygp.transforms.Linear(scale, jnp.exp(parameters["log_variance"]) * tinygp.kernels.Matern32())


LITTLE_NOISE = Normal(-3.0, 1.3)  # the data have hardly any, and this kernel's prior is not firm enough to see that
USERS = KernelBuilder(
    matern32, lambda num_axes: {"log_scale": Normal(jnp.zeros(num_axes)), "log_variance": Normal(0.0)}
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("builder", "scales", "noise"),
    [(gp.MATERN_LINEAR, "log_lengthscale", SCORE_NOISE), (USERS, "log_scale", LITTLE_NOISE)],
    ids=["default", "user's"],
)
def test_the_fit_finds_the_axis_that_matters(builder, scales, noise, jit):
    with jax.enable_x64(True):
        unit, target, mask = data()

        def fit(unit, target):
            value_fn = lambda h: log_posterior(builder, h, unit, target, mask, noise)  # noqa: E731
            start = gp.prior_mode(builder, D, noise, unit.dtype)
            h = gp.fit(builder, unit, target, mask, noise)
            longer = gp.fit(builder, unit, target, mask, noise, 300)
            return h, value_fn(h), value_fn(start), value_fn(longer)

        h, reached, start, top = jit(fit)(unit, target)
        assert int(jnp.argmin(h.kernel[scales])) == 1
        # The other two do not matter: their lengthscales are several times as long.
        assert np.delete(h.kernel[scales], 1).min() > float(h.kernel[scales][1]) + 1
        assert float(reached) > float(start)
        # A move of one parameter by a standard deviation of its posterior costs half a nat.
        assert float(reached) > float(top) - 0.5


def test_a_fit_never_reads_masked_rows(jit):
    with jax.enable_x64(True):
        unit, target, mask = data()
        fit = jit(lambda unit, target: gp.fit(gp.MATERN_LINEAR, unit, target, mask, SCORE_NOISE, 4))
        expected = fit(unit, target)
        got = fit(unit.at[N:].set(0.9), target.at[N:].set(1e30))
        jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_without_rows_the_fit_stays_at_the_prior(jit):
    with jax.enable_x64(True):
        unit, target, mask = data()
        fit = jit(lambda unit, target, mask: gp.fit(gp.MATERN_LINEAR, unit, target, mask, LABEL_NOISE))
        h = fit(unit, target, jnp.zeros_like(mask))
        mode = gp.prior_mode(gp.MATERN_LINEAR, D, LABEL_NOISE, unit.dtype)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), h, mode)


@pytest.mark.parametrize("noise", [SCORE_NOISE, COST_NOISE, LABEL_NOISE])
def test_the_prior_is_that_of_scipys_normals_up_to_a_constant(noise):
    with jax.enable_x64(True):
        mode = gp.prior_mode(gp.MATERN_LINEAR, D, noise, jnp.zeros(()).dtype)
        moved = jax.tree.map(lambda a: a + 0.3, mode)
        difference = log_prior(gp.MATERN_LINEAR, moved, D, noise) - log_prior(gp.MATERN_LINEAR, mode, D, noise)
        priors = [*gp.MATERN_LINEAR.prior(D).values(), noise]
        expected = 0.0
        for prior in priors:
            mean, std = np.broadcast_arrays(*(np.asarray(a, float) for a in prior))
            expected += np.sum(stats.norm.logpdf(mean + 0.3, mean, std) - stats.norm.logpdf(mean, mean, std))
        assert float(difference) == pytest.approx(float(expected), rel=1e-9)
        assert float(log_prior(gp.MATERN_LINEAR, mode, D, noise)) == 0


@pytest.mark.parametrize(("x64", "floor"), [(True, 1e-6), (False, 1e-4)])
def test_noise_has_a_floor_for_the_precision_at_hand(x64, floor):
    with jax.enable_x64(x64):
        h = gp.prior_mode(gp.MATERN_LINEAR, D, Normal(-40.0), jnp.zeros(()).dtype)
        assert float(noise_variance(h)) == pytest.approx(floor, rel=1e-3)
        h = gp.prior_mode(gp.MATERN_LINEAR, D, Normal(1.0), jnp.zeros(()).dtype)
        assert float(noise_variance(h)) == pytest.approx(np.e + floor, rel=1e-6)
