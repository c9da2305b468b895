"""Action distributions against SciPy, and samples against their probabilities."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from p3o_jax.distributions import Categorical, Gaussian, MultiCategorical, from_space

LOGITS = jnp.array([0.3, -1.0, 2.0])


def test_categorical_equals_its_definition():
    categorical, p = Categorical(3), np.exp(LOGITS) / np.exp(LOGITS).sum()
    for action in range(3):
        log_prob = categorical.log_prob(LOGITS, jnp.asarray(action))
        np.testing.assert_allclose(log_prob, np.log(p[action]), rtol=1e-5)
    np.testing.assert_allclose(categorical.entropy(LOGITS), stats.entropy(p), rtol=1e-5)
    assert categorical.mode(LOGITS) == 2


def test_categorical_samples_follow_their_probabilities():
    actions = Categorical(3).sample(jax.random.key(0), jnp.broadcast_to(LOGITS, (20_000, 3)))
    counts = np.bincount(actions, minlength=3)
    p = np.exp(np.asarray(LOGITS, np.float64))
    expected = 20_000 * p / p.sum()
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_extreme_logits_stay_finite_and_in_range():
    logits = jnp.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])
    categorical = Categorical(3)
    actions = categorical.sample(jax.random.key(0), jnp.tile(logits, (500, 1)))
    assert actions.min() >= 0
    assert actions.max() <= 2
    assert np.isfinite(categorical.entropy(logits)).all()


def test_multi_categorical_is_the_sum_over_its_parts():
    multi, logits = MultiCategorical((2, 3)), jnp.array([[0.1, -0.4, 1.0, 0.0, -2.0]])
    action = jnp.array([[1, 2]])
    first, second = Categorical(2), Categorical(3)
    log_prob = first.log_prob(logits[:, :2], action[:, 0]) + second.log_prob(logits[:, 2:], action[:, 1])
    np.testing.assert_allclose(multi.log_prob(logits, action), log_prob, rtol=1e-6)
    entropy = first.entropy(logits[:, :2]) + second.entropy(logits[:, 2:])
    np.testing.assert_allclose(multi.entropy(logits), entropy, rtol=1e-6)
    np.testing.assert_array_equal(multi.mode(logits), [[0, 0]])
    assert multi.sample(jax.random.key(0), logits).shape == (1, 2)


def test_gaussian_equals_scipy():
    gaussian = Gaussian((-1.0, -1.0), (1.0, 1.0), (2,))
    outputs, action = jnp.array([[0.5, -0.2, 0.1, -0.7]]), jnp.array([[0.3, 0.9]])
    normals = [stats.norm(0.5, np.exp(0.1)), stats.norm(-0.2, np.exp(-0.7))]
    log_prob = normals[0].logpdf(0.3) + normals[1].logpdf(0.9)
    np.testing.assert_allclose(gaussian.log_prob(outputs, action), [log_prob], rtol=1e-5)
    entropy = sum(float(normal.entropy()) for normal in normals)
    np.testing.assert_allclose(gaussian.entropy(outputs), [entropy], rtol=1e-5)


@pytest.mark.parametrize("squash", [False, True])
def test_continuous_actions_stay_in_bounds(squash):
    gaussian = from_space(SimpleNamespace(low=-2.0, high=3.0, shape=(1, 2)), squash)
    taken = gaussian.to_env(jnp.array([[-100.0, 100.0], [0.0, 0.1]]))
    assert taken.shape == (2, 1, 2)
    np.testing.assert_allclose(taken[0], [[-2.0, 3.0]], rtol=1e-5)
    assert (taken >= -2.0).all()
    assert (taken <= 3.0).all()


@pytest.mark.parametrize("library", ["envs.spaces", "gymnax.environments.spaces", "gymnasium.spaces"])
def test_spaces_of_every_library_choose_their_distribution(library):
    spaces = pytest.importorskip(library, exc_type=ImportError)
    assert from_space(spaces.Discrete(4)) == Categorical(4)
    assert from_space(spaces.Box(-1.0, 2.0, (2,))) == Gaussian((-1.0, -1.0), (2.0, 2.0), (2,))
    if hasattr(spaces, "MultiDiscrete"):
        assert from_space(spaces.MultiDiscrete([2, 3])) == MultiCategorical((2, 3))


def test_actions_that_do_not_count_from_zero_are_shifted():
    spaces = pytest.importorskip("gymnasium.spaces")
    categorical = from_space(spaces.Discrete(3, start=-1))
    np.testing.assert_array_equal(categorical.to_env(jnp.arange(3)), [-1, 0, 1])
    multi = from_space(spaces.MultiDiscrete([2, 3], start=[5, 0]))
    np.testing.assert_array_equal(multi.to_env(jnp.array([[1, 2]])), [[6, 2]])
    with pytest.raises(ValueError, match="`space` must be discrete, multi-discrete or a box; got MultiBinary"):
        from_space(spaces.MultiBinary(4))


def test_spaces_that_are_none_of_these_are_refused():
    with pytest.raises(ValueError, match="`space` must be discrete, multi-discrete or a box; got object"):
        from_space(object())
    with pytest.raises(ValueError, match="`squash` must be used with finite bounds"):
        from_space(SimpleNamespace(low=-np.inf, high=np.inf, shape=(1,)), squash=True)
