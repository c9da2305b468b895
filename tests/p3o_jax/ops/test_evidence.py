"""Evidence: gradients against autodiff, an unbiased ratio, and a test that holds whatever the size of the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax.ops import evidence as module
from p3o_jax.ops.evidence import (
    BOUND,
    FLOOR,
    RATIO,
    Evidence,
    Score,
    evidence_gate,
    init_evidence,
    num_parts,
    part_gradients,
    signal_to_noise,
    update_evidence,
)

T, PARTS, ROWS, ACTIONS, WIDTH, K = 5, 4, 3, 3, 6, 2


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def with_evidence(*log_odds):
    odds = jnp.asarray(log_odds, jnp.float32)
    return Evidence(odds, jnp.zeros_like(odds), ())


def test_gradients_of_parts_are_those_of_autodiff_on_the_kernel():
    features, kernel = normal(0, T, PARTS, ROWS, WIDTH), normal(1, WIDTH, ACTIONS)
    errors = normal(2, T, PARTS * ROWS, K)
    action = jax.random.randint(jax.random.key(3), (T, PARTS, ROWS), 0, ACTIONS)

    def log_probs(outputs):
        return jnp.take_along_axis(jax.nn.log_softmax(outputs), action[..., None], -1)[..., 0]

    outputs = jax.grad(lambda x: jnp.sum(log_probs(x)))(features @ kernel)
    found = part_gradients(errors, Score(outputs, features)).reshape(PARTS, K, ACTIONS, WIDTH)
    centred = (errors - jnp.mean(errors, axis=(0, 1))[None, None]).reshape(T, PARTS, ROWS, K)
    for part in range(PARTS):
        for k in range(K):
            whole = jax.grad(lambda w: jnp.sum(centred[:, part, :, k] * log_probs(features @ w)[:, part]))(kernel)  # noqa: B023
            np.testing.assert_allclose(found[part, k], whole.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [0.0, 0.5])
def test_the_ratio_has_no_bias_and_the_error_that_it_says(size):
    """Parts with mean m and unit variance in d dimensions have the ratio G |m|^2 / d."""
    parts, dimensions, repeats = 16, 20, 1000
    mean = size * normal(0, dimensions) / dimensions**0.5
    gradients = mean[None, None, None] + normal(1, repeats, parts, 1, dimensions)
    ratio, error = jax.vmap(signal_to_noise)(gradients)
    truth = parts * float(jnp.sum(mean**2)) / dimensions
    np.testing.assert_allclose(np.mean(ratio), truth, atol=4 * np.std(ratio) / repeats**0.5)
    if not size:
        np.testing.assert_allclose(np.std(ratio), np.sqrt(np.mean(np.square(error))), rtol=0.1)  # of 1000 repeats


def test_nothing_to_measure_is_neither_signal_nor_noise():
    ratio, error = signal_to_noise(jnp.zeros((4, K, 3)))
    assert not ratio.any()
    assert not error.any()
    after = update_evidence(
        init_evidence(K, 4, 3, 10**6), jnp.zeros((1, 4, K)), Score(*[jnp.ones((1, 4, 1, n)) for n in (1, 3)])
    )
    assert not after.log_odds.any()


def after_batches(num_envs, strength, num_batches=24):
    """Evidence of two bands, the first without a signal, after batches that count as 12 of 64 environments."""
    steps, parts = 4, num_parts(num_envs)

    def body(evidence, key):
        noise, score, feature = jax.random.split(key, 3)
        outputs = jax.random.normal(score, (steps, parts, num_envs // parts, ACTIONS))
        features = jax.random.normal(feature, (steps, parts, num_envs // parts, 2))
        errors = jax.random.normal(noise, (steps, num_envs, 2))
        signal = jnp.sum(outputs, axis=-1).reshape(steps, num_envs) * features[..., 0].reshape(steps, num_envs)
        errors = errors.at[..., 1].add(strength * signal)
        return update_evidence(evidence, errors, Score(outputs, features)), None

    start = init_evidence(2, parts, 2 * ACTIONS, steps * num_envs)
    return jax.lax.scan(body, start, jax.random.split(jax.random.key(0), num_batches))[0]


@pytest.mark.parametrize("num_envs", [16, 64, 512])
def test_noise_is_known_as_such_and_a_signal_is_found_in_batches_of_any_size(num_envs, monkeypatch):
    monkeypatch.setattr(module, "REFERENCE", 4 * 64)  # a sixteenth of a batch's cost
    count = 24 * max(1, 64 // num_envs)
    evidence = after_batches(num_envs, 0.25, count)
    assert float(evidence.log_odds[0]) < -1
    assert float(evidence.log_odds[1]) > 3


def test_pools_of_small_batches_have_the_ratio_of_one_large_batch():
    """Signals add up, noise adds up in squares: the sum over kept^i is as clear as 1 / share batches."""
    for share in (1 / 16, 1 / 4, 1 / 2, 1.0):
        kept = ((1 - share) / (1 + share)) ** np.arange(1000)
        np.testing.assert_allclose(kept.sum() ** 2 / (kept**2).sum(), 1 / share, rtol=1e-6)
    assert init_evidence(K, 16, 8, module.REFERENCE).pool == ()
    assert init_evidence(K, 16, 8, module.REFERENCE - 1).pool.shape == (16, K, 8)


def test_the_gate_cuts_what_lies_beyond_the_last_band_that_counts():
    np.testing.assert_array_equal(evidence_gate(with_evidence(0, 0, 0)), 1.0)
    np.testing.assert_array_equal(evidence_gate(with_evidence(-BOUND, -BOUND, BOUND)), 1.0)
    gate = evidence_gate(with_evidence(-BOUND, BOUND, -BOUND, -BOUND))
    np.testing.assert_array_equal(gate[:2], 1.0)
    assert (gate[2:] < 2 * FLOOR).all()


def test_log_odds_stay_within_their_bounds():
    errors, score = normal(0, 4, 16, 1), Score(normal(1, 4, 16, 1, 2), normal(2, 4, 16, 1, 2))
    evidence = with_evidence(-BOUND)
    for _ in range(3):
        evidence = update_evidence(evidence, errors, score)
        assert abs(float(evidence.log_odds[0])) <= BOUND


def test_rows_that_are_not_learnt_from_change_nothing():
    errors, score = normal(0, 4, 16, K), Score(normal(1, 4, 16, 1, 2), normal(2, 4, 16, 1, 3))
    valid = normal(3, 4, 16, 1) > 0
    masked = score._replace(outputs=jnp.where(valid[..., None], score.outputs, 0.0), valid=valid)
    other = jnp.where(valid, errors, 1e3)
    np.testing.assert_allclose(part_gradients(other, masked), part_gradients(errors, masked), rtol=1e-5, atol=1e-5)
    everywhere = score._replace(valid=jnp.ones_like(valid))
    np.testing.assert_allclose(part_gradients(errors, everywhere), part_gradients(errors, score), rtol=1e-5, atol=1e-6)
    nobody = score._replace(outputs=jnp.zeros_like(score.outputs), valid=jnp.zeros_like(valid))
    np.testing.assert_array_equal(part_gradients(errors, nobody), 0.0)


def test_a_clearer_signal_counts_for_more():
    noise = normal(0, 16, 1, 48)
    steps = []
    for strength in (0.3, 1.0, 3.0, 10.0):
        ratio, error = signal_to_noise(noise + strength)
        steps.append(float(((ratio - RATIO / 2) / error**2)[0]))
    assert steps == sorted(steps)


@pytest.mark.parametrize(("num_envs", "parts"), [(1, 1), (6, 6), (16, 16), (17, 1), (64, 16), (96, 16), (100, 10)])
def test_a_batch_is_divided_into_at_most_sixteen_equal_parts(num_envs, parts):
    assert num_parts(num_envs) == parts
