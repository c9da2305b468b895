"""Likelihood and posterior against scikit-learn's, which shares no line with ours or tinygp's."""

import jax
import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

from neocarbs_jax.gp import MaternLinear, Surrogate

# Single precision: sums of twenty terms after a factorisation of condition number 1e3.
TOLERANCE = {True: 1e-9, False: 5e-3}


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # it looks at the logarithm of sigma_0
@pytest.mark.parametrize("x64", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_likelihood_mean_and_variance_are_scikit_learns(x64, seed):
    rng = np.random.default_rng(seed)
    num_axes = 1 + seed
    unit, at = rng.random((20, num_axes)), rng.random((7, num_axes))
    y = np.sin(4 * unit[:, 0]) + 0.1 * rng.normal(size=20)
    lengthscale, amplitude, linear, noise = rng.uniform(0.2, 2, num_axes), 1.3, 0.4, 0.05
    kernel = (
        ConstantKernel(amplitude) * Matern(lengthscale, nu=2.5)
        + ConstantKernel(linear) * DotProduct(sigma_0=0)
        + ConstantKernel(1)
    )
    theirs = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(unit - 0.5, y)
    mean, std = theirs.predict(at - 0.5, return_std=True)
    with jax.enable_x64(x64):
        dtype = np.float64 if x64 else np.float32
        arrays = (np.asarray(a, dtype) for a in (lengthscale, amplitude, linear, noise, unit, y, at))

        def ours(lengthscale, amplitude, linear, noise, unit, y, at):
            process = Surrogate(MaternLinear(lengthscale, amplitude, linear), unit, noise, np.ones(20, bool))
            return process.log_probability(y), *process.predict(y, at, return_var=True)

        likelihood, got_mean, got_variance = jax.jit(ours)(*arrays)
    np.testing.assert_allclose(likelihood, theirs.log_marginal_likelihood_value_, rtol=TOLERANCE[x64])
    np.testing.assert_allclose(got_mean, mean, atol=TOLERANCE[x64])
    np.testing.assert_allclose(got_variance, std**2, atol=TOLERANCE[x64])
