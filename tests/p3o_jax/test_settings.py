"""Settings that cannot be are refused when they are made."""

import inspect
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax.estimators import P3O, Banded, Original
from p3o_jax.settings import Config, Params


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_envs": 6, "num_minibatches": 4}, "`num_minibatches` must divide `num_envs`; got 4 and 6"),
        (
            {"num_minibatches": 3, "minibatches_of": "samples", "estimator": "gae"},
            "`num_minibatches` must divide `num_envs` x `segment_length`; got 3 and 4096",
        ),
        ({"horizon": 0}, "`horizon` must be at least 1; got 0"),
        ({"bands": -1}, "`bands` must be at least 1; got -1"),
        ({"bands": 0.0}, "`bands` must be an integer; got 0.0"),
        ({"bands": 0, "estimator": Banded(64, 3)}, "`bands` must be set on the estimator; got 0 beside 3"),
        ({"tau_rule": "explained"}, "`tau_rule` must be noise or fixed unless `bands` is 0; got 'explained'"),
        ({"estimator": "td"}, "`estimator` must be one of p3o, original, gae; got 'td'"),
        ({"implementation": "cuda"}, "`implementation` must be None or one of"),
        ({"tau_rule": "learnt"}, "`tau_rule` must be one of noise, fixed, explained, precision; got 'learnt'"),
        ({"reward_scale": "std"}, "`reward_scale` must be one of rms, return, clip, none; got 'std'"),
        (
            {"minibatches_of": "samples", "bands": 0},
            "`minibatches_of` must be environments unless .* got samples with p3o, bands=0 and mlp",
        ),
        ({"segment_length": 2**14, "num_envs": 2**14, "bands": 9}, "`segment_length` must leave .* x 9 predictions"),
        ({"segment_length": 2**14, "num_envs": 2**10, "bands": 0}, "`segment_length` must leave .* x 128 predictions"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": -1}, r"`learning_rate` must be at least 0; got -1\.0"),
        ({"total_steps": -1}, r"`total_steps` must be positive; got -1\.0"),
        ({"total_steps": 0}, "`total_steps` must be positive"),
        ({"gamma": 1.5}, r"`gamma` must be from 0 to 1; got 1\.5"),
        ({"entropy": float("nan")}, "`entropy` must be a number; got nan"),
        ({"clip": np.array([0.1, -0.1])}, "`clip` must be at least 0"),
        ({"update_epochs": np.int64(0)}, "`update_epochs` must be positive"),
    ],
)
def test_numbers_out_of_range_are_refused_when_they_are_given(settings, message):
    with pytest.raises(ValueError, match=message):
        Params(**settings)
    with pytest.raises(ValueError, match=message):
        replace(Params(), **settings)


def test_numbers_of_every_type_are_one_type_to_jit():
    compute = jax.jit(lambda params: params.total_steps * params.learning_rate)
    for steps in (1e6, 10**6, np.int64(10**6), np.float64(1e6), jnp.asarray(1e6), jnp.int32(10**6), 2**33):
        assert compute(Params(total_steps=steps, learning_rate=1)).dtype == jnp.float32
    lowered = {
        str(jax.tree.map(jax.typeof, Params(total_steps=steps)))
        for steps in (1e6, 10**6, np.int64(10**6), jnp.asarray(1e6), jnp.int32(10**6))
    }
    assert len(lowered) == 1
    assert compute._cache_size() <= 2  # scalars of NumPy, and arrays, which tell where they are


def test_traced_numbers_pass_and_trees_of_other_leaves_are_not_settings():
    assert np.isnan(jax.jit(lambda x: Params(learning_rate=x).learning_rate)(jnp.float32(np.nan)))
    assert jax.jit(lambda x: Params(total_steps=x).total_steps)(jnp.int32(-3)) == -3
    axes = jax.tree.map(lambda _: None, Params()).replace(tau=None)
    assert axes.tau is None
    gradient = jax.grad(lambda params: -params.learning_rate * 2)(Params())
    assert gradient.learning_rate == -2
    mapped = jax.vmap(lambda params: params.tau + params.clip, in_axes=(jax.tree.map(lambda _: 0, Params()),))
    assert mapped(jax.tree.map(lambda x: jnp.stack([x, x]), Params())).shape == (2,)


def test_a_configuration_takes_another_estimator_in_place_of_its_own():
    config = Config(estimator=P3O(32, tau_rule="fixed"))
    other = replace(config, estimator=P3O(64))
    assert (other.horizon, other.tau_rule, other.num_values) == (64, "noise", 64)
    assert other == Config(estimator=P3O(64))
    assert replace(config, estimator=Original(8)).horizon == 8
    assert replace(config, num_envs=8).horizon == 32
    for settings in ({"horizon": 5}, {"estimator": P3O(64), "horizon": 5}):
        with pytest.raises(ValueError, match="`horizon` must be set on the estimator; got 5 beside"):
            replace(config, **settings)


def test_kernels_of_another_platform_are_refused_at_once():
    if jax.default_backend() == "gpu":
        pytest.skip("the kernels are made for this platform")
    for make in (Config, P3O, Original):
        with pytest.raises(ValueError, match="`implementation` must not be 'pallas' on the platform 'cpu'"):
            make(implementation="pallas")


def test_bands_are_a_setting_of_p3o_whose_minibatches_may_be_of_samples():
    config = Config(bands=9, minibatches_of="samples")
    assert (config.estimator_object, config.num_values) == (Banded(bands=9), 9)
    assert Config(estimator="gae", bands=9).num_values == 1
    config = Config(estimator=Banded(bands=7))
    assert (config.bands, config.num_values) == (7, 7)
    assert (replace(config, estimator=P3O(32)).bands, replace(config, estimator=P3O(32)).num_values) == (0, 32)


@pytest.mark.parametrize(
    ("horizon", "bands"), [(1, 1), (2, 2), (3, 3), (32, 6), (33, 7), (100, 8), (128, 8), (129, 9), (1024, 11)]
)
def test_bands_reach_over_the_horizon_where_their_number_is_not_given(horizon, bands):
    fitted = Config(horizon=horizon)
    assert fitted == Config(horizon=np.int64(horizon), bands=bands) == Config(horizon=np.int64(horizon))
    assert ("bands" in fitted.fitted, "bands" in Config(bands=bands).fitted) == (True, False)
    assert 2 ** (bands - 1) >= horizon > 2 ** (bands - 2) * (bands > 1)
    assert replace(fitted, horizon=64).bands == 7
    assert replace(Config(horizon=horizon, bands=bands), horizon=64).bands == bands


def test_bands_are_of_p3o_alone_and_other_estimators_take_and_give_them():
    for start in (Config(), Config(estimator=Banded(64, 3)), Config(estimator=P3O(16, "explained"))):
        for other in ("gae", "original", P3O(16)):
            config = replace(start, estimator=other)
            assert config.bands == 0
            assert replace(config, estimator="p3o") == replace(start, estimator="p3o") == Config()
    assert replace(Config(estimator=Banded(64, 3)), num_envs=8).bands == 3
    assert replace(Config(), estimator=Banded(64, 3)).bands == 3
    with pytest.raises(ValueError, match="`bands` must be 0 beside an estimator object that has none; got 8"):
        Config(estimator=P3O(16), bands=8)
    lags = Config(bands=0)
    assert (lags.estimator_object, replace(lags, horizon=32).num_values) == (P3O(128), 32)


@pytest.mark.parametrize(
    ("num_envs", "segment_length", "num_minibatches"),
    [(1, 64, 1), (12, 64, 4), (64, 64, 8), (100, 64, 4), (200, 40, 8), (512, 16, 8), (1024, 8, 8), (8192, 8, 8)],
)
def test_segments_and_minibatches_fit_the_number_of_environments(num_envs, segment_length, num_minibatches):
    config = Config(num_envs=num_envs)
    assert (config.segment_length, config.num_minibatches) == (segment_length, num_minibatches)
    explicit = Config(num_envs=num_envs, segment_length=segment_length, num_minibatches=num_minibatches)
    assert config == explicit
    assert hash(config) == hash(explicit)


def test_what_fits_the_number_of_environments_follows_it_and_what_was_given_stays():
    fitted, given = Config(num_envs=64), Config(num_envs=64, segment_length=128, num_minibatches=8)
    assert (replace(fitted, num_envs=1024).segment_length, replace(fitted, num_envs=4).num_minibatches) == (8, 4)
    assert replace(given, num_envs=1024).segment_length == 128


def test_the_signature_says_what_is_fitted():
    assert "bands: int = fitted" in str(inspect.signature(Config))
    assert "bands=8" in repr(Config())
    assert "bands=0" in repr(Config(bands=0))


def test_a_number_of_environments_that_cannot_be_is_refused_before_anything_is_fitted_to_it():
    with pytest.raises(ValueError, match="`num_envs` must be at least 1; got 0"):
        Config(num_envs=0)
