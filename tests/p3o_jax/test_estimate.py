"""The interface over estimators: what each hands to the update."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax.advantages import p3o_advantage
from p3o_jax.estimate import Lags, Outcome, Targets, estimate, init_estimate, init_log_std, value_loss
from p3o_jax.horizon import extent, reward_windows
from p3o_jax.settings import Config, Params
from p3o_jax.spread import lag_taus

T, B, H = 6, 2, 4
PARAMS = Params()
MEAN = jax.random.normal(jax.random.key(0), (T, B, H))
LAST = jax.random.normal(jax.random.key(1), (B, H))
REWARDS = jax.random.normal(jax.random.key(2), (T, B))
TERMINATED = jnp.zeros((T, B), bool).at[2, 0].set(True)
OUTCOME = Outcome(REWARDS, TERMINATED, jnp.zeros((T, B), bool))


def config_of(estimator):
    return Config(num_envs=B, segment_length=T, horizon=H, num_minibatches=1, estimator=estimator)


def estimate_by(estimator, mean=MEAN):
    config = config_of(estimator)
    values, last = (mean[..., :1], LAST[..., :1]) if estimator == "gae" else (mean, LAST)
    log_std = init_log_std(config)
    out = estimate(config, PARAMS, init_estimate(config), log_std, OUTCOME, values, last, None)
    loss = value_loss(config, PARAMS, out.lags, log_std, OUTCOME, out.targets, values)
    return out, float(loss)


@pytest.mark.parametrize("estimator", ["p3o", "original", "gae"])
def test_every_estimator_gives_finite_targets_of_its_shape(estimator):
    out, loss = estimate_by(estimator)
    assert out.targets.advantages.shape == (T, B)
    assert out.explained_variance.shape == ((1,) if estimator == "gae" else (H,))
    assert np.isfinite(out.targets.advantages).all()
    assert np.isfinite(loss)


@pytest.mark.parametrize(("estimator", "sees"), [("p3o", True), ("original", False), ("gae", True)])
def test_only_the_original_is_blind_to_what_a_terminal_ends(estimator, sees):
    """Reward predicted beyond a terminal is wrong, and lowers the advantage of the step that ended the episode."""
    before, _ = estimate_by(estimator)
    beyond = slice(0, 1) if estimator == "gae" else slice(1, None)
    after, _ = estimate_by(estimator, MEAN.at[2, 0, beyond].add(10.0))
    assert (float(after.targets.advantages[2, 0]) < float(before.targets.advantages[2, 0]) - 1) == sees


@pytest.mark.parametrize("rule", ["noise", "explained", "precision"])
def test_a_tau_rule_takes_tau_from_the_running_spread(rule):
    config = dataclasses.replace(config_of("p3o"), tau_rule=rule)
    params = Params(tau=0.8)
    window, _ = reward_windows(REWARDS, extent(OUTCOME.terminated, OUTCOME.truncated, H), H)
    mean = 0.5 * window  # so that a part of the rewards is predicted
    out = estimate(config, params, init_estimate(config), {}, OUTCOME, mean, LAST, None)
    tau = lag_taus(out.spread, 0.8, rule)
    expected = p3o_advantage(mean, out.lags.weights, *OUTCOME, LAST, tau=tau)
    np.testing.assert_array_equal(out.targets.advantages, expected.advantages)
    without = dataclasses.replace(config, tau_rule="fixed")
    fixed = estimate(without, params, init_estimate(config), {}, OUTCOME, mean, LAST, None)
    assert not np.allclose(out.targets.advantages, fixed.targets.advantages)


def test_the_value_loss_fits_the_sum_over_all_lags():
    """A spread so wide that the lags by themselves count for nothing leaves the sum's term, here in NumPy."""
    config, weights = config_of("p3o"), jnp.linspace(1.0, 0.4, H)
    returns = jax.random.normal(jax.random.key(3), (T, B))
    lags, targets = Lags(weights, jnp.full(H, 1e6)), Targets(returns, returns, ())
    loss = value_loss(config, PARAMS, lags, {}, OUTCOME, targets, MEAN)
    error = np.asarray(MEAN, np.float64) @ np.asarray(weights, np.float64) - np.asarray(returns, np.float64)
    expected = PARAMS.value * PARAMS.aggregate * np.mean(error**2) / (2 * np.var(np.asarray(returns, np.float64)))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)  # float32 means of 12 terms of order 1
