"""The kernel by matrix products, by pairs and out of tinygp's own parts; what a user may put in its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tinygp

from neocarbs_jax import gp
from neocarbs_jax.gp import KernelBuilder, MaternLinear, Normal

D = 3
TOLERANCES = pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-12), (False, 1e-4)])  # of squares that cancel


def kernel_and_points():
    left = jax.random.uniform(jax.random.key(0), (12, D), float)
    # Two points all but coincide, two coincide.
    right = jnp.concatenate([left[:2] + 1e-9, left[2:4], jax.random.uniform(jax.random.key(1), (5, D), float)])
    return MaternLinear(jnp.array([0.3, 0.6, 2.0]), jnp.asarray(1.2), jnp.asarray(0.4)), left, right


def from_tinygps_parts(kernel):
    """The same function as a sum of tinygp's kernels, of points less 1/2."""
    matern = kernel.amplitude * tinygp.kernels.Matern52(distance=tinygp.kernels.distance.L2Distance())
    scaled = tinygp.transforms.Linear(1 / kernel.lengthscale, matern)
    return scaled + kernel.linear * tinygp.kernels.DotProduct() + tinygp.kernels.Constant(jnp.ones(()))


def by_pairs(kernel, left, right):
    return jax.vmap(lambda a: jax.vmap(lambda b: kernel.evaluate(a, b))(right))(left)


WAYS = {
    "products": lambda kernel, left, right: kernel(left, right),
    "pairs": by_pairs,
    "tinygp": lambda kernel, left, right: from_tinygps_parts(kernel)(left - 0.5, right - 0.5),
}


@TOLERANCES
def test_the_matrix_by_products_is_that_by_pairs_and_tinygps(x64, tolerance, jit):
    with jax.enable_x64(x64):
        kernel, left, right = kernel_and_points()
        matrix, pairs, parts = (jit(function)(kernel, left, right) for function in WAYS.values())
        np.testing.assert_allclose(matrix, pairs, atol=tolerance)
        np.testing.assert_allclose(matrix, parts, atol=tolerance)
        assert matrix.dtype == left.dtype


@TOLERANCES
def test_the_diagonal_is_that_of_the_matrix(x64, tolerance, jit):
    with jax.enable_x64(x64):
        kernel, left, _ = kernel_and_points()
        diagonal, matrix = jit(lambda kernel, at: (kernel(at), kernel(at, at)))(kernel, left)
        np.testing.assert_allclose(diagonal, jnp.diagonal(matrix), atol=tolerance)
        np.testing.assert_allclose(diagonal, jax.vmap(kernel.evaluate)(left, left), atol=tolerance)


@pytest.mark.parametrize("x64", [True, False])
def test_gradients_are_finite_where_points_coincide_and_those_of_tinygp_elsewhere(x64, jit):
    with jax.enable_x64(x64):
        kernel, left, right = kernel_and_points()

        def slopes(way, right):
            weights = jnp.cos(jnp.arange(left.shape[0] * right.shape[0], dtype=left.dtype)).reshape(left.shape[0], -1)
            return jit(jax.grad(lambda *at: jnp.sum(weights * WAYS[way](*at)), (0, 1, 2)))(kernel, left, right)

        for way in ("products", "pairs"):
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes(way, right))), way
        apart = {way: slopes(way, right[4:]) for way in WAYS}
        for way in ("products", "pairs"):
            # Single precision: distances by differences of squares.
            tolerance = 1e-9 if x64 else 2e-3
            for a, b in zip(*map(jax.tree.leaves, (apart[way], apart["tinygp"])), strict=True):
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_jit_and_vmap_give_what_eager_and_a_loop_give(jit):
    with jax.enable_x64(True):
        kernel, left, right = kernel_and_points()
        np.testing.assert_allclose(jit(lambda k, a, b: k(a, b))(kernel, left, right), kernel(left, right), rtol=1e-12)
        kernels = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), kernel)
        together = jit(jax.vmap(lambda k: k(left, right)))(kernels)
        alone = [jax.tree.map(lambda a, i=i: a[i], kernels)(left, right) for i in range(2)]
        np.testing.assert_allclose(together, jnp.stack(alone), rtol=1e-12)


def test_the_prior_grows_with_the_number_of_axes_and_its_mode_builds_the_kernel():
    for num_axes in (1, 10):
        prior = gp.MATERN_LINEAR.prior(num_axes)
        mode = gp.prior_mode(gp.MATERN_LINEAR, num_axes, Normal(-3.0), jnp.float32)
        assert set(prior) == {"log_lengthscale", "log_amplitude", "log_linear"}
        kernel = gp.MATERN_LINEAR.build(mode.kernel)
        # ln l ~ N(ln(d)/2 - 1.25, 1), ln a ~ N(0, 1), ln b ~ N(-3, 1).
        np.testing.assert_allclose(kernel.lengthscale, np.full(num_axes, np.sqrt(num_axes) * np.exp(-1.25)), rtol=1e-6)
        np.testing.assert_allclose([kernel.amplitude, kernel.linear], [1.0, np.exp(-3.0)], rtol=1e-6)
        assert float(mode.log_noise) == -3.0


def test_builders_compare_by_what_they_hold_and_can_be_static():
    same = KernelBuilder(gp.MATERN_LINEAR.build, gp.MATERN_LINEAR.prior)
    assert same == gp.MATERN_LINEAR
    assert hash(same) == hash(gp.MATERN_LINEAR)
