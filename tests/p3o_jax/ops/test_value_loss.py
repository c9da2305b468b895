"""Value losses against double loops in float64, their gradients against finite differences of those loops."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from p3o_jax.ops import value_loss
from p3o_jax.ops.spread import init_spread, update_spread

IMPLEMENTATIONS = ["reference", "xla", "interpret"]
FOR_IDENTITIES = ["reference", "xla", pytest.param("interpret", marks=pytest.mark.slow)]
"""An emulated kernel takes seconds to compile: without slow tests it is compared with the double loops only."""
SHAPES = [(12, 5, 7), (4, 3, 9), (1, 2, 1)]
TOLERANCE = {"rtol": 2e-5, "atol": 2e-6}  # float32 means of at most 420 terms of order 1

static = partial(jax.jit, static_argnames="implementation")
p3o_value_loss = static(value_loss.p3o_value_loss)
p3o_gradient = static(jax.value_and_grad(value_loss.p3o_value_loss))
gaussian_nll = static(value_loss.gaussian_nll)
nll_gradients = static(jax.value_and_grad(value_loss.gaussian_nll, argnums=(0, 1)))


def known_lags(segment):
    """Yields (t, b, [reward at each known lag]), walking forward from each step."""
    rewards, terminated, truncated = (np.asarray(x) for x in segment.outcome)
    horizon = segment.mean.shape[2]
    for t, b in np.ndindex(rewards.shape):
        window = []
        for k in range(t, len(rewards)):
            window.append(float(rewards[k, b]))
            if terminated[k, b]:
                window += [0.0] * horizon
            if terminated[k, b] or truncated[k, b]:
                break
        yield t, b, window[:horizon]


def true_p3o_loss(mean, segment, returns, aggregate=3.0):
    mean, weights = np.asarray(mean, np.float64), np.asarray(segment.weights, np.float64)
    returns = np.asarray(returns, np.float64)
    squares, count, sums = 0.0, 0, 0.0
    for t, b, window in known_lags(segment):
        count += len(window)
        squares += sum((mean[t, b, j] - y) ** 2 for j, y in enumerate(window))
        sums += (sum(w * mu for w, mu in zip(weights, mean[t, b], strict=True)) - returns[t, b]) ** 2
    variance = np.mean(np.asarray(segment.std, np.float64) ** 2)
    return squares / (2 * variance * count) + aggregate * sums / (2 * np.var(returns) * returns.size)


def true_nll(mean, log_std, segment):
    mean, std = np.asarray(mean, np.float64), np.exp(np.asarray(log_std, np.float64))
    terms = [
        -norm.logpdf(y, mean[t, b, j], std[j]) for t, b, window in known_lags(segment) for j, y in enumerate(window)
    ]
    return np.mean(terms)


def make_returns(segment):
    """Returns of the size that sums of rewards have."""
    return jnp.sum(segment.truncated_mean, axis=2) if segment.mean.shape[0] > 1 else jnp.array([[0.5, -2.0]])


def finite_difference(function, x, index, step=1e-5):
    """Returns the central difference of `function` along one entry of `x`."""
    forward, backward = np.array(x, np.float64), np.array(x, np.float64)
    forward[index] += step
    backward[index] -= step
    return (function(forward) - function(backward)) / (2 * step)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_p3o_loss_and_gradient_are_the_double_loops(make_example, shape, implementation):
    segment = make_example(*shape)
    returns = make_returns(segment)
    arguments = segment.mean, segment.weights, segment.std, returns, *segment.outcome
    loss, gradient = p3o_gradient(*arguments, implementation=implementation)
    np.testing.assert_allclose(loss, true_p3o_loss(segment.mean, segment, returns), **TOLERANCE)
    np.testing.assert_allclose(p3o_value_loss(*arguments, implementation=implementation), loss, rtol=1e-6)
    for seed in range(8):
        index = tuple(np.random.default_rng(seed).integers(segment.mean.shape))
        slope = finite_difference(lambda mean: true_p3o_loss(mean, segment, returns), segment.mean, index)
        np.testing.assert_allclose(gradient[index], slope, **TOLERANCE)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_nll_and_gradients_are_the_double_loops(make_example, shape, implementation):
    segment = make_example(*shape)
    log_std = jnp.log(segment.std)
    arguments = segment.mean, log_std, *segment.outcome
    loss, (mean_gradient, std_gradient) = nll_gradients(*arguments, implementation=implementation)
    np.testing.assert_allclose(loss, true_nll(segment.mean, log_std, segment), **TOLERANCE)
    np.testing.assert_allclose(gaussian_nll(*arguments, implementation=implementation), loss, rtol=1e-6)
    for seed in range(3):
        index = tuple(np.random.default_rng(seed).integers(segment.mean.shape))
        slope = finite_difference(lambda mean: true_nll(mean, log_std, segment), segment.mean, index)
        np.testing.assert_allclose(mean_gradient[index], slope, **TOLERANCE)
        slope = finite_difference(lambda x: true_nll(segment.mean, x, segment), log_std, index[2])
        np.testing.assert_allclose(std_gradient[index[2]], slope, **TOLERANCE)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_the_spread_of_the_residuals_is_the_nlls_optimum(make_example, implementation):
    segment = make_example()
    spread = update_spread(init_spread(7), segment.mean, *segment.outcome, implementation="xla")
    _, (_, gradient) = nll_gradients(segment.mean, jnp.log(spread.std), *segment.outcome, implementation=implementation)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_a_coefficient_inside_is_a_factor_outside(make_example, implementation):
    segment = make_example()
    returns = make_returns(segment)
    arguments = segment.weights, segment.std, returns, *segment.outcome

    def outside(mean):
        return 0.5 * p3o_value_loss(mean, *arguments, implementation=implementation)

    def inside(mean):
        return p3o_value_loss(mean, *arguments, coefficient=0.5, implementation=implementation)

    for actual, expected in zip(
        jax.value_and_grad(inside)(segment.mean), jax.value_and_grad(outside)(segment.mean), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


UNKNOWN = np.arange(7)[None, :] >= 12 - np.arange(12)[:, None]
"""Lags beyond the end of a segment of 12 steps, [T, H]."""


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_lag_by_lag_the_unknown_ones_have_no_gradient_and_are_not_read(make_example, implementation):
    segment = make_example(end_rate=0.0)
    arguments = segment.weights, segment.std, make_returns(segment), *segment.outcome
    _, by_lag = p3o_gradient(segment.mean, *arguments, aggregate=0.0, implementation=implementation)
    unread = jnp.where(UNKNOWN[:, None, :], jnp.nan, segment.mean)
    _, (of_nll, _) = nll_gradients(unread, jnp.log(segment.std), *segment.outcome, implementation=implementation)
    for gradient in (by_lag, of_nll):
        by_env = np.asarray(gradient).swapaxes(0, 1)
        np.testing.assert_array_equal(by_env[:, UNKNOWN], 0.0)
        assert np.all(by_env[:, ~UNKNOWN] != 0.0)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_the_sum_pulls_at_all_lags_by_their_weights(make_example, implementation):
    segment = make_example(end_rate=0.0)
    arguments = segment.mean, segment.weights, segment.std, make_returns(segment), *segment.outcome
    _, gradient = p3o_gradient(*arguments, implementation=implementation)
    pull = np.asarray(gradient / segment.weights[None, None, :]).swapaxes(0, 1)
    last_lag = np.broadcast_to(pull[:, :, -1:], pull.shape)
    np.testing.assert_allclose(pull[:, UNKNOWN], last_lag[:, UNKNOWN], rtol=1e-5)  # float32, a product and a quotient
    assert np.all(pull[:, UNKNOWN] != 0.0)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_a_tilt_along_the_lags_is_no_error_of_the_sum(make_example, implementation):
    """A tilt of weighted sum zero changes no sum over all lags, but every sum over some: it must not feed on itself."""
    segment = make_example()
    tilt = jnp.linspace(3.0, -3.0, 7)
    tilt -= segment.weights * (segment.weights @ tilt) / (segment.weights @ segment.weights)
    arguments = segment.weights, segment.std, make_returns(segment), *segment.outcome

    def of_sum(mean):
        with_sum, without = (
            p3o_value_loss(mean, *arguments, aggregate=a, implementation=implementation) for a in (3.0, 0.0)
        )
        return with_sum - without

    # float32 sums of 7 terms whose squares are of order 1, the losses themselves of order 10
    np.testing.assert_allclose(of_sum(segment.mean + tilt[None, None, :]), of_sum(segment.mean), rtol=2e-5)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_masking_after_terminals_is_passing_them_as_truncations(make_example, implementation):
    segment = make_example()
    done = segment.terminated | segment.truncated
    masked = segment._replace(terminated=jnp.zeros_like(done), truncated=done)
    log_std = jnp.log(segment.std)
    loss = gaussian_nll(masked.mean, log_std, *masked.outcome, implementation=implementation)
    np.testing.assert_allclose(loss, true_nll(segment.mean, log_std, masked), **TOLERANCE)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_bfloat16_predictions_have_bfloat16_gradients_of_float32_sums(make_example, implementation):
    segment = make_example()
    low = segment.mean.astype(jnp.bfloat16)
    arguments = segment.weights, segment.std, make_returns(segment), *segment.outcome
    loss, gradient = p3o_gradient(low, *arguments, implementation=implementation)
    expected = p3o_gradient(low.astype(jnp.float32), *arguments, implementation=implementation)
    assert (loss.dtype, gradient.dtype) == (jnp.float32, jnp.bfloat16)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-6)
    np.testing.assert_array_equal(gradient, expected[1].astype(jnp.bfloat16))


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_losses_are_the_same_under_vmap(make_example, implementation):
    segments = [make_example(seed=seed) for seed in (0, 1)]

    def gradients(segment):
        arguments = segment.weights, segment.std, make_returns(segment), *segment.outcome
        return p3o_gradient(segment.mean, *arguments, implementation=implementation), nll_gradients(
            segment.mean, jnp.log(segment.std), *segment.outcome, implementation=implementation
        )

    together = jax.vmap(gradients)(jax.tree.map(lambda *x: jnp.stack(x), *segments))
    for i, segment in enumerate(segments):
        for batched, single in zip(jax.tree.leaves(together), jax.tree.leaves(gradients(segment)), strict=True):
            np.testing.assert_allclose(batched[i], single, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_constant_returns_and_certain_rewards_stay_finite(make_example, implementation):
    segment = make_example()
    arguments = segment.weights, jnp.zeros(7), jnp.ones((12, 5)), *segment.outcome
    loss, gradient = p3o_gradient(segment.mean, *arguments, implementation=implementation)
    assert np.isfinite(loss)
    assert np.all(np.isfinite(gradient))


def test_windows_are_never_stored(make_example):
    """Beside the gradient itself the loss takes a fraction of the predictions' memory, the definition a multiple."""
    segment = make_example(32, 16, 64)
    arguments = segment.mean, segment.weights, segment.std, make_returns(segment), *segment.outcome

    def scratch(implementation):
        compiled = p3o_gradient.lower(*arguments, implementation=implementation).compile()
        return compiled.memory_analysis().temp_size_in_bytes / segment.mean.nbytes

    assert scratch("xla") < 0.5
    assert scratch("reference") > 1.0


def test_wrong_shapes_and_names_are_refused(make_example):
    segment = make_example()
    returns = make_returns(segment)
    with pytest.raises(ValueError, match=r"`std` must have shape \(7,\); got \(6,\)"):
        p3o_value_loss(segment.mean, segment.weights, segment.std[1:], returns, *segment.outcome)
    with pytest.raises(ValueError, match=r"`returns` must have shape \(12, 5\); got \(5,\)"):
        p3o_value_loss(segment.mean, segment.weights, segment.std, returns[0], *segment.outcome)
    with pytest.raises(ValueError, match=r"`log_std` must have shape \(7,\)"):
        gaussian_nll(segment.mean, segment.mean, *segment.outcome)
    with pytest.raises(ValueError, match="`implementation` must be None or one of"):
        gaussian_nll(segment.mean, segment.std, *segment.outcome, implementation="torch")


@pytest.mark.parametrize("implementation", ["reference", "xla"])
def test_with_64_bits_enabled_both_losses_are_the_double_loops_in_float32(make_example, implementation):
    segment = make_example()
    returns, log_std = make_returns(segment), jnp.log(segment.std)
    with jax.enable_x64(True):
        arguments = segment.mean, segment.weights, segment.std, returns, *segment.outcome
        loss = p3o_value_loss(*arguments, implementation=implementation)
        nll = gaussian_nll(segment.mean, log_std, *segment.outcome, implementation=implementation)
    assert loss.dtype == nll.dtype == jnp.float32
    np.testing.assert_allclose(loss, true_p3o_loss(segment.mean, segment, returns), **TOLERANCE)
    np.testing.assert_allclose(nll, true_nll(segment.mean, log_std, segment), **TOLERANCE)
