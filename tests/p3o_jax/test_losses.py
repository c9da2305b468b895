"""The clipped losses against hand-computed values."""

import jax
import jax.numpy as jnp
import numpy as np

from p3o_jax.losses import clipped_surrogate, clipped_value_loss, standardize


def test_surrogate_takes_the_worse_of_ratio_and_bound():
    ratio = jnp.array([[1.5, 0.5], [1.5, 0.9]])
    advantages = jnp.array([[1.0, 1.0], [-1.0, 2.0]])
    out = clipped_surrogate(jnp.log(ratio), jnp.zeros((2, 2)), advantages, 0.2)
    np.testing.assert_allclose(out.loss, -np.mean([1.2, 0.5, -1.5, 1.8]), rtol=1e-6)
    np.testing.assert_allclose(out.clip_fraction, 0.75)
    np.testing.assert_allclose(out.approx_kl, np.mean(ratio - 1 - np.log(ratio)), rtol=1e-5)


def test_beyond_the_bound_nothing_pulls():
    def loss(log_prob):
        return clipped_surrogate(log_prob, jnp.zeros((1, 2)), jnp.array([[1.0, -1.0]]), 0.2).loss

    gradient = jax.grad(loss)(jnp.log(jnp.array([[1.5, 0.5]])))
    np.testing.assert_array_equal(gradient, 0.0)


def test_the_divergence_pulls_back_what_left_the_bounds():
    def divergence(log_prob):
        return clipped_surrogate(log_prob, jnp.zeros((1, 2)), jnp.array([[1.0, -1.0]]), 0.2).approx_kl

    gradient = jax.grad(divergence)(jnp.log(jnp.array([[1.5, 0.5]])))
    np.testing.assert_allclose(gradient, [[0.25, -0.25]], rtol=1e-6)  # (ratio - 1) / 2: down for 1.5, up for .5


def test_value_clipping_takes_the_larger_error_and_infinity_is_none():
    values, old, returns = jnp.array([[2.0]]), jnp.array([[0.0]]), jnp.array([[3.0]])
    np.testing.assert_allclose(clipped_value_loss(values, old, returns, 0.5), 0.5 * 2.5**2)
    np.testing.assert_allclose(clipped_value_loss(values, old, returns, jnp.inf), 0.5)


def test_standardized_advantages_have_no_mean_and_unit_spread():
    x = standardize(jnp.array([[1.0, 2.0], [3.0, 10.0]]))
    np.testing.assert_allclose([jnp.mean(x), jnp.std(x)], [0.0, 1.0], atol=1e-6)
    np.testing.assert_array_equal(standardize(jnp.full((2, 2), 3.0)), 0.0)
