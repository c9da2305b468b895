"""The protocol of estimators: what each hands to the update, by name and as an object."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax.estimators import ESTIMATORS, GAE, P3O, Banded, Original, Outcome, Predictions, make_estimator
from p3o_jax.estimators.p3o import Lags, Targets
from p3o_jax.ops.advantages import gae, original_advantage, p3o_advantage
from p3o_jax.ops.bands import band_advantage, band_means, band_value_loss, band_widths
from p3o_jax.ops.spread import init_spread, lag_taus, lag_weights, update_spread
from p3o_jax.ops.value_loss import gaussian_nll, p3o_value_loss
from p3o_jax.segment import make_segment, reward_windows
from p3o_jax.settings import Config, Params

T, B, H = 6, 2, 4
PARAMS = Params(value=0.7, aggregate=2.0, floor=0.2, weight_prior=1.0, spread_decay=0.9, puf=0.3)
MEAN = jax.random.normal(jax.random.key(0), (T, B, H))
LAST = jax.random.normal(jax.random.key(1), (B, H))
REWARDS = jax.random.normal(jax.random.key(2), (T, B))
TERMINATED = jnp.zeros((T, B), bool).at[2, 0].set(True)
OUTCOME = Outcome(REWARDS, TERMINATED, jnp.zeros((T, B), bool).at[3, 1].set(True))
ALL = [P3O(H), Original(H), GAE()]


def estimate_by(estimator, mean=MEAN, params=PARAMS):
    """The estimate of a first segment, and the value loss of the predictions it was made from."""
    values, last = mean[..., : estimator.num_values], LAST[..., : estimator.num_values]
    trained = estimator.init_trained()
    out = estimator.targets(params, estimator.init(), trained, OUTCOME, Predictions(values, last, None))
    return out, estimator.value_loss(params, trained, values, out.targets, out.shared)


@pytest.mark.parametrize("estimator", [*ALL, Banded(bands=H)], ids=[*ESTIMATORS, "bands"])
def test_every_estimator_gives_finite_targets_of_its_shape(estimator):
    out, loss = estimate_by(estimator)
    assert out.advantages.shape == (T, B)
    assert out.explained_variance.shape == (estimator.num_values,)
    assert {x.shape[:2] for x in jax.tree.leaves(out.targets)} == {(T, B)}  # all that is cut into minibatches
    assert jax.tree.structure(out.state) == jax.tree.structure(estimator.init())
    assert np.isfinite(out.advantages).all()
    assert np.isfinite(loss)


def test_p3o_is_its_operations_one_after_the_other():
    out, loss = estimate_by(P3O(H))
    spread = update_spread(init_spread(H), MEAN, *OUTCOME[:3], decay=0.9)
    weights = lag_weights(spread.explained_variance, 0.2, 1.0)
    expected = p3o_advantage(MEAN, weights, *OUTCOME[:3], LAST, tau=lag_taus(spread, PARAMS.tau, "noise"))
    np.testing.assert_array_equal(out.advantages, expected.advantages)
    arguments = weights, spread.std, expected.returns, *OUTCOME[:3]
    np.testing.assert_array_equal(loss, p3o_value_loss(MEAN, *arguments, aggregate=2.0, coefficient=0.7))


def test_bands_are_their_operations_one_after_the_other():
    """Nothing was seen before the first segment: weights are the prior, by each band's mean of 1 - j/H; tau is tau."""
    out, loss = estimate_by(Banded(horizon=5, bands=H))
    widths = band_widths(H)
    scale = jnp.asarray(np.sqrt(widths), jnp.float32)
    mean, last = MEAN * scale[None, None, :], LAST * scale[None, :]
    weights = jnp.maximum(jnp.asarray(band_means(widths, 1 - np.arange(5) / 5), jnp.float32), 0.2)
    expected = band_advantage(mean, jnp.asarray(widths, jnp.float32), weights, *OUTCOME[:3], last, tau=PARAMS.tau)
    np.testing.assert_allclose(out.advantages, expected.advantages, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(out.targets, expected.targets, rtol=1e-5, atol=1e-5)
    residual = np.mean(np.square(expected.targets - mean), axis=(0, 1))
    np.testing.assert_allclose(out.state.spread.residual, residual, rtol=1e-5)
    variance = np.var(expected.targets, axis=(0, 1))
    np.testing.assert_allclose(out.explained_variance, 1 - residual / variance, rtol=1e-4)
    aggregate = PARAMS.aggregate / np.var(expected.returns)
    by_hand = band_value_loss(mean, expected.targets, weights, jnp.asarray(1 / (H * residual), jnp.float32), aggregate)
    np.testing.assert_allclose(loss, 0.7 * by_hand, rtol=1e-4)


def test_predicted_bands_lower_tau():
    """Predictions that leave no one-step error make the second segment's errors those of Monte Carlo."""
    estimator = Banded(bands=H)
    state = estimator.init()
    half = estimator._tau(PARAMS, state._replace(news=jnp.asarray(band_widths(H) / (2 * H), jnp.float32)))
    np.testing.assert_allclose(estimator._tau(PARAMS, state), PARAMS.tau)
    np.testing.assert_allclose(half, PARAMS.tau / 2, rtol=1e-6)
    np.testing.assert_allclose(estimator._tau(PARAMS, state._replace(news=jnp.zeros(H))), 0.0)


def test_the_original_is_its_operations_one_after_the_other():
    out, loss = estimate_by(Original(H))
    log_std = jnp.zeros(H)
    expected = original_advantage(MEAN, log_std, *OUTCOME[:3], r_std=jnp.std(REWARDS), puf=0.3)
    np.testing.assert_array_equal(out.advantages, expected)
    done = OUTCOME.terminated | OUTCOME.truncated
    np.testing.assert_array_equal(loss, gaussian_nll(MEAN, log_std, REWARDS, jnp.zeros_like(done), done, 0.7))


def test_gae_is_its_operation_and_half_the_squared_error():
    out, loss = estimate_by(GAE())
    expected = gae(MEAN[..., 0], *OUTCOME[:3], LAST[:, 0], PARAMS.gamma, PARAMS.gae_lambda)
    np.testing.assert_array_equal(out.advantages, expected.advantages)
    np.testing.assert_allclose(loss, 0.7 * 0.5 * jnp.mean(expected.advantages**2), rtol=1e-5)  # float32 mean of 12
    explained = 1 - np.var(expected.advantages) / np.var(expected.returns)
    np.testing.assert_allclose(out.explained_variance, [explained], rtol=1e-5)


@pytest.mark.parametrize(("estimator", "sees"), [(P3O(H), True), (Original(H), False), (GAE(), True)])
def test_only_the_original_is_blind_to_what_a_terminal_ends(estimator, sees):
    """Reward predicted beyond a terminal is wrong, and lowers the advantage of the step that ended the episode."""
    before, _ = estimate_by(estimator)
    beyond = slice(0, 1) if estimator == GAE() else slice(1, None)
    after, _ = estimate_by(estimator, MEAN.at[2, 0, beyond].add(10.0))
    assert (float(after.advantages[2, 0]) < float(before.advantages[2, 0]) - 1) == sees


@pytest.mark.parametrize("rule", ["noise", "explained", "precision"])
def test_a_tau_rule_takes_tau_from_the_running_spread(rule):
    params = Params(tau=0.8)
    window, _ = reward_windows(make_segment(MEAN, *OUTCOME[:3]), H)
    mean = 0.5 * window  # so that a part of the rewards is predicted
    out, _ = estimate_by(P3O(H, rule), mean, params)
    tau = lag_taus(out.state, 0.8, rule)
    expected = p3o_advantage(mean, out.shared.weights, *OUTCOME[:3], LAST, tau=tau)
    np.testing.assert_array_equal(out.advantages, expected.advantages)
    fixed, _ = estimate_by(P3O(H, "fixed"), mean, params)
    assert not np.allclose(out.advantages, fixed.advantages)


def test_the_value_loss_fits_the_sum_over_all_lags():
    """A spread so wide that the lags by themselves count for nothing leaves the sum's term, here in NumPy."""
    params, weights = Params(), jnp.linspace(1.0, 0.4, H)
    returns = jax.random.normal(jax.random.key(3), (T, B))
    targets = Targets(make_segment(MEAN, *OUTCOME[:3]), returns)
    loss = P3O(H).value_loss(params, {}, MEAN, targets, Lags(weights, jnp.full(H, 1e6)))
    error = np.asarray(MEAN, np.float64) @ np.asarray(weights, np.float64) - np.asarray(returns, np.float64)
    expected = params.value * params.aggregate * np.mean(error**2) / (2 * np.var(np.asarray(returns, np.float64)))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)  # float32 means of 12 terms of order 1


def test_a_name_is_the_estimator_with_the_settings_that_it_has():
    settings = {"horizon": 3, "tau_rule": "fixed", "implementation": "xla"}
    assert make_estimator("p3o", **settings) == Banded(3, 3, "fixed", "xla")
    assert make_estimator("p3o") == Banded(128, 8) == Config().estimator_object
    for horizon in (2.5, "8", 0):
        with pytest.raises(ValueError, match="`horizon` must be"):
            make_estimator("p3o", horizon=horizon)
    assert make_estimator("original", **settings) == Original(3, "xla")
    assert make_estimator("gae", **settings) == GAE()
    assert make_estimator("p3o", bands=9, **settings) == Banded(3, 9, "fixed", "xla")
    assert make_estimator("p3o", bands=0, **settings) == P3O(3, "fixed", "xla")
    for name, estimator in zip(ESTIMATORS, ALL, strict=True):
        config = Config(estimator=name, horizon=H, bands=0)
        assert config.estimator_object == estimator
        assert config.num_values == estimator.num_values
        assert config.scale == {"p3o": "rms", "original": "clip", "gae": "none"}[name]


def test_an_object_brings_its_own_settings():
    config = Config(estimator=P3O(horizon=3, tau_rule="fixed"))
    assert (config.horizon, config.tau_rule, config.num_values) == (3, "fixed", 3)
    assert hash(config) == hash(Config(estimator=P3O(horizon=3, tau_rule="fixed")))
    with pytest.raises(ValueError, match="`horizon` must be set on the estimator; got 5 beside 3"):
        Config(estimator=P3O(horizon=3), horizon=5)


def test_impossible_estimators_are_refused():
    with pytest.raises(ValueError, match="`horizon` must be at least 1; got 0"):
        P3O(0)
    with pytest.raises(ValueError, match=r"`horizon` must be an integer; got 2\.5"):
        Original(2.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="`bands` must be at least 1; got 0"):
        Banded(bands=0)
    with pytest.raises(ValueError, match="`tau_rule` must be one of noise, fixed; got 'explained'"):
        Banded(tau_rule="explained")
    with pytest.raises(ValueError, match="`tau_rule` must be one of noise, fixed, explained, precision; got 'no'"):
        P3O(tau_rule="no")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="`implementation` must be None or one of"):
        Original(implementation="cuda")


@pytest.mark.parametrize("implementation", ["reference", "xla"])
@pytest.mark.parametrize("make", [P3O, Original, partial(Banded, 128), GAE], ids=["p3o", "original", "bands", "gae"])
def test_statistics_are_of_valid_steps_alone(make, implementation):
    """A masked environment might as well not be there."""
    estimator = make() if make is GAE else make(H, implementation=implementation)
    width, trained = estimator.num_values, estimator.init_trained()

    def estimate(outcome, num_envs):
        values, last = MEAN[:, :num_envs, :width], LAST[:num_envs, :width]
        return estimator.targets(PARAMS, estimator.init(), trained, outcome, Predictions(values, last, None))

    alone = estimate(jax.tree.map(lambda x: x[:, :1], OUTCOME), 1)
    masked = estimate(OUTCOME._replace(valid=jnp.zeros((T, B), bool).at[:, 0].set(True)), B)
    both = (jax.tree.leaves((e.state, e.shared, e.explained_variance)) for e in (masked, alone))
    for x, y in zip(*both, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(masked.advantages[:, :1], alone.advantages, rtol=1e-5, atol=1e-6)

    nothing = estimate(OUTCOME._replace(valid=jnp.zeros((T, B), bool)), B)
    for x, y in zip(jax.tree.leaves(nothing.state), jax.tree.leaves(estimator.init()), strict=True):
        np.testing.assert_array_equal(x, y)
