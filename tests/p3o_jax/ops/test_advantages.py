"""Estimators against double loops in float64, and the identities that define them; one suite over implementations."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax.ops import advantages

IMPLEMENTATIONS = ["reference", "xla", "interpret"]
FOR_IDENTITIES = ["reference", "xla", pytest.param("interpret", marks=pytest.mark.slow)]
"""An emulated kernel takes seconds to compile: without slow tests it is compared with the double loops only."""
SHAPES = [(12, 5, 7), (4, 3, 9), (1, 2, 1)]
TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}  # float32 sums of up to H T = 84 terms of order 1

p3o_advantage = jax.jit(advantages.p3o_advantage, static_argnames="implementation")
original_advantage = jax.jit(advantages.original_advantage)
gae = jax.jit(advantages.gae)


def true_p3o(segment, tau, with_final=False, weights=None):
    """Returns advantages and returns from the recursion over (t, j), one environment at a time, in float64."""
    mean, last, final, rewards = (
        np.asarray(x, np.float64) for x in (segment.mean, segment.last_mean, segment.truncated_mean, segment.rewards)
    )
    weights = np.asarray(segment.weights if weights is None else weights, np.float64)
    terminated, truncated = np.asarray(segment.terminated), np.asarray(segment.truncated)
    num_steps, num_envs, horizon = mean.shape
    tau = np.broadcast_to(tau, horizon)

    @cache
    def error(t, b, j):
        if j == 0:
            return rewards[t, b] - mean[t, b, 0]
        if terminated[t, b]:
            return -mean[t, b, j]
        if truncated[t, b]:
            return final[t, b, j - 1] - mean[t, b, j] if with_final else 0.0
        if t == num_steps - 1:
            return last[b, j - 1] - mean[t, b, j]
        return mean[t + 1, b, j - 1] - mean[t, b, j] + (1 - tau[j]) * error(t + 1, b, j - 1)

    advantage, returns = np.zeros((2, num_steps, num_envs))
    for t, b in np.ndindex(num_steps, num_envs):
        advantage[t, b] = sum(weights[j] * error(t, b, j) for j in range(horizon))
        returns[t, b] = advantage[t, b] + sum(weights[j] * mean[t, b, j] for j in range(horizon))
    return advantage, returns


def estimate(segment, implementation, tau=0.1, with_final=False, weights=None):
    final = segment.truncated_mean if with_final else None
    weights = segment.weights if weights is None else weights
    return p3o_advantage(
        segment.mean, weights, *segment.outcome, segment.last_mean, tau, final, implementation=implementation
    )


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_final", [False, True])
def test_p3o_is_the_double_loop(make_example, shape, implementation, with_final):
    segment = make_example(*shape)
    for tau in (0.0, 0.05, 1.0):
        out = estimate(segment, implementation, tau, with_final)
        for actual, truth in zip(out, true_p3o(segment, tau, with_final), strict=True):
            np.testing.assert_allclose(actual, truth, **TOLERANCE)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_tau_may_differ_by_lag(make_example, implementation):
    segment = make_example()
    tau = np.linspace(0, 1, 7, dtype=np.float32)
    out = estimate(segment, implementation, jnp.asarray(tau))
    for actual, truth in zip(out, true_p3o(segment, tau), strict=True):
        np.testing.assert_allclose(actual, truth, **TOLERANCE)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_tau_one_is_the_one_step_error(make_example, implementation):
    segment = make_example(end_rate=0.0)
    following = jnp.concatenate([segment.mean[1:], segment.last_mean[None]])
    target = jnp.concatenate([segment.rewards[..., None], following[..., :-1]], axis=2)
    advantage = (target - segment.mean) @ segment.weights
    np.testing.assert_allclose(estimate(segment, implementation, 1.0).advantages, advantage, **TOLERANCE)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_a_long_horizon_with_equal_weights_is_the_plain_return(make_example, implementation):
    """H >= T, no ends, nothing predicted beyond the segment: the advantage is return minus summed prediction."""
    segment = make_example(5, 4, 8, end_rate=0.0)._replace(last_mean=jnp.zeros((4, 8)))
    out = estimate(segment, implementation, 0.0, weights=jnp.ones(8))
    plain_return = jnp.cumsum(segment.rewards[::-1], axis=0)[::-1]
    np.testing.assert_allclose(out.advantages, plain_return - jnp.sum(segment.mean, axis=2), **TOLERANCE)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_monte_carlo_returns_are_the_rewards_and_the_bootstrap_whatever_was_predicted(make_example, implementation):
    """R_t = sum_j w_j y with y the reward at t + j, or the prediction after the segment: no mean within it."""
    segment = make_example(end_rate=0.0)
    num_steps, horizon = 12, 7
    future = jnp.concatenate([segment.rewards, segment.last_mean.T])
    expected = jnp.stack([segment.weights @ future[t : t + horizon] for t in range(num_steps)])
    for mean in (segment.mean, segment.mean + jnp.linspace(3.0, -3.0, horizon)[None, None, :]):
        out = estimate(segment._replace(mean=mean), implementation, 0.0)
        np.testing.assert_allclose(out.returns, expected, **TOLERANCE)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_nothing_after_a_terminal_matters(make_example, implementation):
    segment, other = make_example(end_rate=0.0), make_example(end_rate=0.0, seed=1)
    terminated = segment.terminated.at[6].set(True)
    changed = segment._replace(
        mean=segment.mean.at[7:].set(other.mean[7:]),
        rewards=segment.rewards.at[7:].set(other.rewards[7:]),
        last_mean=other.last_mean,
        terminated=terminated,
    )
    before = estimate(segment._replace(terminated=terminated), implementation)
    for actual, expected in zip(estimate(changed, implementation), before, strict=True):
        np.testing.assert_array_equal(actual[:7], expected[:7])


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_a_truncation_is_not_a_terminal(make_example, implementation):
    """Predictions stand for the rewards that a truncation hides, and zeros for those that a terminal denies."""
    segment = make_example(end_rate=0.0)
    cut = segment.terminated.at[6].set(True)
    terminal = estimate(segment._replace(terminated=cut), implementation, 0.0)
    truncation = estimate(segment._replace(truncated=cut), implementation, 0.0)
    unpredicted = segment.mean[6, :, 1:] @ segment.weights[1:]
    np.testing.assert_allclose(terminal.advantages[6] - truncation.advantages[6], -unpredicted, **TOLERANCE)
    both = estimate(segment._replace(truncated=cut, terminated=cut), implementation, 0.0)
    np.testing.assert_array_equal(both.advantages, terminal.advantages)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_results_do_not_depend_on_the_batchs_layout(make_example, implementation):
    segment = make_example()
    order = jnp.array([3, 0, 4, 1, 2])
    shuffled = segment._replace(
        **{name: getattr(segment, name)[:, order] for name in ("mean", "rewards", "terminated", "truncated")},
        last_mean=segment.last_mean[order],
    )
    whole = estimate(segment, implementation)
    for actual, expected in zip(estimate(shuffled, implementation), whole, strict=True):
        np.testing.assert_allclose(actual, expected[:, order], rtol=1e-6, atol=1e-6)

    def one(mean, rewards, terminated, truncated, last_mean):
        single = [x[:, None] for x in (mean, rewards, terminated, truncated)]
        out = p3o_advantage(
            single[0], segment.weights, *single[1:], last_mean[None], tau=0.1, implementation=implementation
        )
        return jax.tree.map(lambda x: x[:, 0], out)

    mapped = jax.vmap(one, in_axes=(1, 1, 1, 1, 0), out_axes=1)
    for actual, expected in zip(mapped(segment.mean, *segment.outcome, segment.last_mean), whole, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_bfloat16_inputs_are_summed_in_float32(make_example, implementation):
    segment = make_example()
    low = segment._replace(mean=segment.mean.astype(jnp.bfloat16), last_mean=segment.last_mean.astype(jnp.bfloat16))
    rounded = low._replace(mean=low.mean.astype(jnp.float32), last_mean=low.last_mean.astype(jnp.float32))
    for actual, expected in zip(estimate(low, implementation), estimate(rounded, implementation), strict=True):
        assert actual.dtype == jnp.float32
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_an_advantage_is_a_constant_to_gradients(make_example, implementation):
    segment = make_example()

    def total(mean):
        return jnp.sum(estimate(segment._replace(mean=mean), implementation).returns)

    np.testing.assert_array_equal(jax.grad(total)(segment.mean), 0.0)


def true_original(segment, r_std, puf):
    """Returns the original kernel's advantages, step by step in float64."""
    mean, std = np.asarray(segment.mean, np.float64), np.asarray(segment.std, np.float64)
    rewards, done = np.asarray(segment.rewards, np.float64), np.asarray(segment.terminated | segment.truncated)
    num_steps, num_envs, horizon = mean.shape
    advantages = np.zeros((num_steps, num_envs))
    for t, b in np.ndindex(num_steps, num_envs):
        valid = []
        for j in range(min(horizon, num_steps - t)):
            valid.append(j)
            if done[t + j, b]:
                break
        precision = [max(0.0, 1 / std[j] ** 2 - puf / r_std**2) for j in valid]
        for j in valid:
            if j >= 16 and std[j] > 0.95 * r_std:
                break
            weight = precision[j] / max(precision) if max(precision) > 0 else 0.0
            advantages[t, b] += weight * (rewards[t + j, b] - mean[t, b, j])
    return advantages


@pytest.mark.parametrize("puf", [0.0, 1.0])
def test_original_is_the_double_loop_with_its_early_stop(make_example, puf):
    segment = make_example(30, 2, 24, end_rate=0.02)
    segment = segment._replace(std=jnp.where(jnp.arange(24) < 19, jnp.minimum(segment.std, 1.1), 1.4))
    actual = original_advantage(segment.mean, jnp.log(segment.std), *segment.outcome, 1.3, puf)
    np.testing.assert_allclose(actual, true_original(segment, 1.3, puf), rtol=1e-4, atol=1e-4)


def test_original_is_zero_where_no_lag_beats_the_rewards_own_spread(make_example):
    segment = make_example()
    log_std = jnp.full(7, 0.1)
    np.testing.assert_array_equal(original_advantage(segment.mean, log_std, *segment.outcome, 1.0, 1.0), 0.0)


def true_gae(values, segment, last, final, gamma, lam):
    """Returns advantages from the sum of discounted errors, in float64."""
    values, rewards, last = (np.asarray(x, np.float64) for x in (values, segment.rewards, last))
    final = None if final is None else np.asarray(final, np.float64)
    terminated, truncated = np.asarray(segment.terminated), np.asarray(segment.truncated)
    advantages = np.zeros(values.shape)
    for t, b in np.ndindex(values.shape):
        for k in range(t, len(values)):
            following = values[k + 1, b] if k + 1 < len(values) else last[b]
            if truncated[k, b]:
                following = (values[k, b] - rewards[k, b]) / gamma if final is None else final[k, b]
            following = 0.0 if terminated[k, b] else following
            advantages[t, b] += (gamma * lam) ** (k - t) * (rewards[k, b] + gamma * following - values[k, b])
            if terminated[k, b] or truncated[k, b]:
                break
    return advantages


@pytest.mark.parametrize("with_final", [False, True])
def test_gae_is_the_double_loop(make_example, with_final):
    segment = make_example()
    values, last = segment.mean[..., 0], segment.last_mean[:, 0]
    final = segment.truncated_mean[..., 0] if with_final else None
    truth = true_gae(values, segment, last, final, 0.9, 0.8)
    out = gae(values, *segment.outcome, last, 0.9, 0.8, final)
    np.testing.assert_allclose(out.advantages, truth, **TOLERANCE)
    np.testing.assert_allclose(out.returns, truth + np.asarray(values), **TOLERANCE)


@pytest.mark.parametrize("num_steps", [1, 2, 7, 64])
def test_sums_by_doubling_are_those_step_by_step(num_steps):
    rng = np.random.default_rng(0)
    delta = jnp.asarray(rng.normal(size=(num_steps, 5)), jnp.float32)
    decay = jnp.asarray(np.where(rng.random((num_steps, 5)) < 0.1, 0.0, 0.95), jnp.float32)
    expected = np.zeros(5)
    for t in reversed(range(num_steps)):
        expected = np.asarray(delta[t], np.float64) + np.asarray(decay[t], np.float64) * expected
    for sums in (advantages._by_step, advantages._by_doubling):
        np.testing.assert_allclose(jax.jit(sums)(delta, decay)[0], expected, **TOLERANCE)


def test_one_lag_is_gae_without_a_future(make_example):
    segment = make_example(12, 5, 1)
    out = estimate(segment, "xla", weights=jnp.ones(1))
    values = segment.mean[..., 0]
    one_step = gae(values, *segment.outcome, segment.last_mean[:, 0], 0.0, 0.0, jnp.zeros_like(values))
    np.testing.assert_allclose(out.advantages, one_step.advantages, **TOLERANCE)


def test_wrong_shapes_and_names_are_refused(make_example):
    segment = make_example()
    with pytest.raises(ValueError, match=r"`weights` must have shape \(7,\); got \(6,\)"):
        estimate(segment._replace(weights=segment.weights[1:]), "xla")
    with pytest.raises(ValueError, match=r"`last_mean` must have shape \(5, 7\); got \(5, 6\)"):
        estimate(segment._replace(last_mean=segment.last_mean[:, 1:]), "xla")
    with pytest.raises(ValueError, match=r"`tau` must have shape \(7,\); got \(3,\)"):
        estimate(segment, "xla", jnp.zeros(3))
    with pytest.raises(ValueError, match="`implementation` must be None or one of"):
        estimate(segment, "triton")
    with pytest.raises(ValueError, match=r"`last_value` must have shape \(5,\)"):
        gae(segment.mean[..., 0], *segment.outcome, segment.last_mean, 0.9, 0.9)
    with pytest.raises(ValueError, match=r"`log_std` must have shape \(7,\)"):
        original_advantage(segment.mean, segment.mean, *segment.outcome, 1.0)


@pytest.mark.parametrize("implementation", ["reference", "xla"])
def test_with_64_bits_enabled_all_three_are_the_double_loops_in_float32(make_example, implementation):
    segment = make_example()
    truths = true_p3o(segment, 0.1, with_final=True)
    true_gaes = true_gae(segment.mean[..., 0], segment, segment.last_mean[:, 0], None, 0.9, 0.8)
    with jax.enable_x64(True):
        out = estimate(segment, implementation, 0.1, with_final=True)
        plain = original_advantage(segment.mean, jnp.log(segment.std), *segment.outcome, 1.3, 0.5)
        generalised = gae(segment.mean[..., 0], *segment.outcome, segment.last_mean[:, 0], 0.9, 0.8)
    assert {x.dtype for x in (*out, plain, *generalised)} == {jnp.dtype(jnp.float32)}
    for actual, truth in zip(out, truths, strict=True):
        np.testing.assert_allclose(actual, truth, **TOLERANCE)
    np.testing.assert_allclose(plain, true_original(segment, 1.3, 0.5), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(generalised.advantages, true_gaes, **TOLERANCE)
