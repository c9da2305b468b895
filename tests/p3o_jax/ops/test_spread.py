"""The running spread, the weights and the taus, against loops over steps and lags in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax.ops import spread as spreads
from p3o_jax.ops.spread import Spread, init_spread, lag_taus, lag_weights

SHAPES = [(12, 5, 7), (4, 3, 9), (1, 2, 1)]

update_spread = jax.jit(spreads.update_spread, static_argnames="implementation")


def true_spread(mean, known, horizon):
    """Returns count, mean, variance and residual of each lag's known rewards."""
    rows, mean = [], np.asarray(mean, np.float64)
    for lag in range(horizon):
        keys = [key for key in known if key[2] == lag]
        rewards = np.array([known[key] for key in keys])
        error = np.array([known[key] - float(mean[key]) for key in keys])
        rows.append([len(keys), rewards.mean(), rewards.var(), (error**2).mean()] if keys else [0, 0, 1, 1])
    return np.array(rows).T


@pytest.mark.parametrize("implementation", ["reference", "xla", "pallas"])
@pytest.mark.parametrize("shape", SHAPES)
def test_first_spread_is_the_segments_own(make_example, known_rewards, shape, implementation):
    segment = make_example(*shape)
    spread = update_spread(init_spread(shape[2]), segment.mean, *segment.outcome, implementation=implementation)
    truth = true_spread(segment.mean, known_rewards(*segment.outcome, shape[2]), shape[2])
    np.testing.assert_allclose(jnp.stack(spread), truth, rtol=2e-5, atol=2e-5)  # float32 sums of <= 60 terms
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = np.where(truth[2] > 1e-10, 1 - truth[3] / truth[2], 0)
    np.testing.assert_allclose(spread.explained_variance, explained, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("implementation", ["reference", "xla"])
def test_spread_over_updates_is_that_of_the_weighted_pool(make_example, known_rewards, implementation):
    spread, pool = init_spread(7), []
    for seed in range(3):
        segment = make_example(seed=seed)
        spread = update_spread(spread, segment.mean, *segment.outcome, decay=0.5, implementation=implementation)
        known, mean = known_rewards(*segment.outcome, 7), np.asarray(segment.mean)
        pool += [(key[2], 0.5 ** (2 - seed), y, y - mean[key]) for key, y in known.items()]
    for lag in range(7):
        _, weight, reward, error = np.array([row for row in pool if row[0] == lag]).T
        average = np.average(reward, weights=weight)
        moments = [np.average(x**2, weights=weight) for x in (reward - average, error)]
        truth = weight.sum(), average, *moments
        np.testing.assert_allclose([x[lag] for x in spread], truth, rtol=2e-5, atol=2e-5)


def test_a_lag_that_is_never_known_keeps_its_spread(make_example):
    segment = make_example(4, 3, 9, end_rate=0.0)
    before = init_spread(9)._replace(count=jnp.full(9, 3.0))
    after = update_spread(before, segment.mean, *segment.outcome, implementation="xla")
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new[4:], old[4:])


def test_rewards_that_never_vary_explain_nothing(make_example):
    segment = make_example(end_rate=0.0)
    rewards = jnp.full_like(segment.rewards, 1e3)
    spread = update_spread(init_spread(7), segment.mean, rewards, *segment.outcome[1:], implementation="xla")
    np.testing.assert_array_equal(spread.explained_variance, 0.0)


def test_weights_are_relative_to_the_best_lag_and_floored():
    weights = lag_weights(jnp.array([0.4, 0.2, -3.0]), floor=0.3, prior=0.0)
    np.testing.assert_allclose(weights, [1.0, 0.5, 0.3], rtol=1e-6)
    np.testing.assert_array_equal(lag_weights(jnp.array([-0.2, 0.0]), prior=0.0), 1.0)


def test_a_lag_weighs_as_much_as_the_best_predicted_one_from_there_on():
    explained = np.random.default_rng(0).normal(0.1, 0.2, 20).astype(np.float32)
    envelope = np.maximum([explained[j:].max() for j in range(20)], 0.0)
    mean_of_horizons = np.mean([np.arange(20) < length for length in range(1, 21)], axis=0)
    expected = np.maximum((envelope + 0.1 * mean_of_horizons) / (explained.max() + 0.1), 0.3)
    np.testing.assert_allclose(lag_weights(jnp.asarray(explained), floor=0.3, prior=0.1), expected, rtol=1e-6)


@pytest.mark.parametrize("prior", [0.0, 0.05, 5.0, 1e6])
def test_the_first_lag_weighs_one_and_none_more_than_an_earlier_one(prior):
    explained = jnp.asarray(np.random.default_rng(1).normal(-0.1, 0.5, (50, 16)), jnp.float32)
    weights = np.asarray(jax.vmap(lambda ev: lag_weights(ev, 0.2, prior))(explained))
    np.testing.assert_allclose(weights[:, 0], 1.0, rtol=1e-6)
    assert (np.diff(weights, axis=1) <= 0).all()
    assert (weights >= np.float32(0.2)).all()


def test_weights_of_nothing_explained_are_those_of_the_prior():
    np.testing.assert_allclose(lag_weights(jnp.full(4, -0.3), floor=0.3), [1.0, 0.75, 0.5, 0.3], rtol=1e-6)


def test_tau_trusts_the_prediction_one_lag_earlier():
    residual, variance = np.array([0.5, 0.25, 2.0, 1.0]), np.array([1.0, 1.0, 1.0, 2.0])
    spread = Spread(*(jnp.asarray(x, jnp.float32) for x in (np.full(4, 9.0), np.zeros(4), variance, residual)))
    explained = lag_taus(spread, 0.4, "explained")
    np.testing.assert_allclose(explained[1:], [0.4 * 0.5, 0.4 * 0.75, 0.0], rtol=1e-6)  # a harmful lag has none
    np.testing.assert_allclose(lag_taus(spread, 0.4, "precision")[1:], [0.2, 0.4, 0.05], rtol=1e-6)


def test_tau_falls_with_the_noise_that_predictions_leave():
    """Constant rewards, predicted but for a tenth of their mean square; then rewards that no prediction explains."""
    rewards, residual = jnp.array([2.0, 1.0]), jnp.array([0.3, 0.2])
    certain = Spread(count=jnp.full(2, 9.0), reward=rewards, variance=jnp.zeros(2), residual=residual)
    np.testing.assert_allclose(lag_taus(certain, 0.4, "noise"), 0.4 * 0.1, rtol=1e-6)
    chance = certain._replace(reward=jnp.zeros(2), variance=jnp.ones(2), residual=jnp.array([1.0, 1.5]))
    np.testing.assert_allclose(lag_taus(chance, 0.4, "noise"), 0.4)
    np.testing.assert_allclose(lag_taus(certain._replace(reward=jnp.zeros(2)), 0.4, "noise"), 0.4)


def test_tau_is_bounded_before_anything_is_known():
    np.testing.assert_array_equal(lag_taus(init_spread(5), 0.4, "explained"), 0.0)
    np.testing.assert_allclose(lag_taus(init_spread(5), 0.4, "precision"), 0.4)
    perfect = init_spread(5)._replace(residual=jnp.zeros(5))
    np.testing.assert_allclose(lag_taus(perfect, 0.4, "precision"), 0.4)


def test_spread_is_the_same_under_vmap_and_jit(make_example):
    segments = [make_example(seed=seed) for seed in (0, 1)]

    def update(mean, rewards, terminated, truncated):
        return update_spread(init_spread(7), mean, rewards, terminated, truncated, implementation="xla")

    stacked = [jnp.stack(x) for x in zip(*[(s.mean, *s.outcome) for s in segments], strict=True)]
    together = jax.jit(jax.vmap(update))(*stacked)
    for i, segment in enumerate(segments):
        for batched, single in zip(together, update(segment.mean, *segment.outcome), strict=True):
            np.testing.assert_allclose(batched[i], single, rtol=1e-5, atol=1e-6)


def test_wrong_shapes_are_named(make_example):
    segment = make_example()
    with pytest.raises(ValueError, match=r"`rewards` must have shape \(12, 5\); got \(11, 5\)"):
        update_spread(init_spread(7), segment.mean, segment.rewards[1:], segment.terminated, segment.truncated)
    with pytest.raises(ValueError, match=r"`spread.count` must have shape \(7,\); got \(8,\)"):
        update_spread(init_spread(8), segment.mean, *segment.outcome)
    with pytest.raises(ValueError, match=r"`mean` must have shape \[T, B, H\]"):
        update_spread(init_spread(7), segment.mean[0], *segment.outcome)


def test_a_fixed_tau_is_itself():
    assert lag_taus(init_spread(5), 0.4, "fixed") == np.float32(0.4)
