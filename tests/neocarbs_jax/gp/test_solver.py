"""The masked solver against tinygp's own on the rows that count; Cholesky factors of singular matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tinygp

from neocarbs_jax.gp import MaskedCholesky, MaternLinear
from neocarbs_jax.gp.solver import inverse_triangular, safe_cholesky

D, N, M = 3, 12, 5
REAL = np.array([0, 1, 3, 4, 6, 7, 8, 11])  # some in the middle are masked, the last one is not


@pytest.fixture
def solvers():
    """Ours over the buffer, tinygp's over the rows of the mask."""
    with jax.enable_x64(True):
        unit = jax.random.uniform(jax.random.key(0), (N, D), float)
        kernel = MaternLinear(jnp.array([0.3, 0.6, 2.0]), jnp.asarray(1.2), jnp.asarray(0.4))
        noise = jnp.linspace(0.01, 0.1, N)
        mask = jnp.zeros(N, bool).at[REAL].set(True)
        ours = MaskedCholesky(kernel, unit, tinygp.noise.Diagonal(noise), mask=mask)
        plain = tinygp.solvers.DirectSolver(kernel, unit[REAL], tinygp.noise.Diagonal(noise[REAL]))
        yield ours, plain


def test_variance_covariance_and_normalization_are_tinygps(solvers):
    ours, plain = solvers
    np.testing.assert_allclose(ours.variance()[REAL], plain.variance(), rtol=1e-12)
    np.testing.assert_allclose(ours.covariance()[np.ix_(REAL, REAL)], plain.covariance(), rtol=1e-12)
    np.testing.assert_allclose(ours.normalization(), plain.normalization(), rtol=1e-12)


def test_masked_rows_are_rows_of_the_identity(solvers):
    ours, _ = solvers
    rest = np.setdiff1d(np.arange(N), REAL)
    np.testing.assert_array_equal(ours.covariance()[rest], np.eye(N)[rest])
    np.testing.assert_array_equal(ours.covariance()[:, rest], np.eye(N)[:, rest])
    np.testing.assert_array_equal(ours.inverse_factor[rest], np.eye(N)[rest])


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("shape", [(N,), (N, M)])
def test_triangular_solves_are_tinygps_and_never_read_masked_rows(solvers, transpose, shape):
    ours, plain = solvers
    y = jax.random.normal(jax.random.key(1), shape, float)
    poisoned = jnp.full_like(y, jnp.nan).at[REAL].set(y[REAL])
    solved = ours.solve_triangular(poisoned, transpose=transpose)
    np.testing.assert_allclose(solved[REAL], plain.solve_triangular(y[REAL], transpose=transpose), rtol=1e-9)


@pytest.mark.parametrize("shape", [(N,), (N, M)])
def test_products_with_the_factor_are_tinygps_and_undo_the_solve(solvers, shape):
    ours, plain = solvers
    y = jax.random.normal(jax.random.key(2), shape, float)
    np.testing.assert_allclose(ours.dot_triangular(y)[REAL], plain.dot_triangular(y[REAL]), rtol=1e-9)
    np.testing.assert_allclose(ours.solve_triangular(ours.dot_triangular(y))[REAL], y[REAL], rtol=1e-9)


def test_the_conditional_covariance_of_test_points_is_tinygps(solvers):
    ours, plain = solvers
    at = jax.random.uniform(jax.random.key(3), (M, D), float)
    noise = tinygp.noise.Diagonal(jnp.full(M, 0.05))
    kernel = MaternLinear(jnp.array([0.3, 0.6, 2.0]), jnp.asarray(1.2), jnp.asarray(0.4))
    np.testing.assert_allclose(ours.condition(kernel, at, noise), plain.condition(kernel, at, noise), rtol=1e-9)
    here = ours.condition(kernel, None, tinygp.noise.Diagonal(jnp.full(N, 0.05)))
    expected = plain.condition(kernel, None, tinygp.noise.Diagonal(jnp.full(len(REAL), 0.05)))
    # Differences of numbers of order 1.
    np.testing.assert_allclose(here[np.ix_(REAL, REAL)], expected, atol=1e-12)


def test_a_covariance_known_already_is_not_computed_again(solvers):
    ours, _ = solvers
    noise = tinygp.noise.Diagonal(jnp.linspace(0.01, 0.1, N))
    kernel = MaternLinear(jnp.array([0.3, 0.6, 2.0]), jnp.asarray(1.2), jnp.asarray(0.4))
    covariance = kernel(ours.X, ours.X) + noise
    given = MaskedCholesky(kernel, ours.X, noise, covariance=covariance, mask=ours.mask)
    np.testing.assert_array_equal(given.inverse_factor, ours.inverse_factor)
    np.testing.assert_array_equal(
        MaskedCholesky(kernel, ours.X, noise, covariance=4 * covariance, mask=jnp.ones(N, bool)).covariance(),
        4 * covariance,
    )


@pytest.mark.parametrize("x64", [False, True])
def test_a_singular_matrix_gets_the_jitter_that_it_needs(x64):
    with jax.enable_x64(x64):
        factor = safe_cholesky(jnp.ones((6, 6)))
        assert bool(jnp.all(jnp.isfinite(factor)))
        # Jitter of at most a thousandth was needed.
        np.testing.assert_allclose(factor @ factor.T, np.ones((6, 6)), atol=1e-3)


def test_a_regular_matrix_gets_no_jitter():
    with jax.enable_x64(True):
        root = jax.random.normal(jax.random.key(0), (6, 6), float)
        matrix = root @ root.T + jnp.eye(6)
        np.testing.assert_allclose(safe_cholesky(matrix), np.linalg.cholesky(matrix), rtol=1e-12, atol=1e-12)


def test_one_singular_matrix_of_a_batch_changes_no_other():
    with jax.enable_x64(True):
        root = jax.random.normal(jax.random.key(0), (6, 6), float)
        matrices = jnp.stack([root @ root.T + jnp.eye(6), jnp.ones((6, 6))])
        together = jax.vmap(safe_cholesky)(matrices)
        for matrix, factor in zip(matrices, together, strict=True):
            np.testing.assert_array_equal(factor, safe_cholesky(matrix))


def test_the_inverse_of_a_factor_is_numpys():
    with jax.enable_x64(True):
        factor = jnp.tril(jax.random.normal(jax.random.key(0), (6, 6), float)) + 3 * jnp.eye(6)
        np.testing.assert_allclose(inverse_triangular(factor), np.linalg.inv(factor), atol=1e-12)
        np.testing.assert_allclose(
            jax.vmap(inverse_triangular)(jnp.stack([factor, 2 * factor]))[1], np.linalg.inv(2 * factor), atol=1e-12
        )
