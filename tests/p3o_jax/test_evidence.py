"""Trainings whose estimator judges its horizon by evidence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import make
from experiments.bench.learner.probe_tasks import Bandit
from p3o_jax import Config, Params, learner, make_train
from p3o_jax.estimators import GAE, P3O, Banded
from p3o_jax.networks import NetworkConfig

SMALL = {"num_envs": 8, "segment_length": 8, "horizon": 8, "num_minibatches": 2, "num_buckets": 2, "evidence": True}
NETWORK = NetworkConfig(width=8, depth=1)


@pytest.mark.parametrize(
    ("arguments", "estimator"),
    [
        ({"bands": 0}, P3O),
        ({"bands": 4}, Banded),
        ({"bands": 4, "network": NetworkConfig("gru", width=8, depth=1)}, Banded),
    ],
    ids=["lags", "bands", "memory"],
)
def test_trainings_report_weights_and_ratios(arguments, estimator):
    config = Config(**{"network": NETWORK, **SMALL, **arguments})
    assert isinstance(config.estimator_object, estimator)
    state, metrics = jax.jit(make_train(config, Bandit()))(jax.random.key(0), Params(total_steps=256))
    assert not bool(metrics.failed)
    assert metrics.weights.shape == (2, config.num_values)
    assert metrics.signal_to_noise.shape == (2, 4)
    np.testing.assert_allclose(metrics.weights[:, 0], 1.0, rtol=1e-6)
    assert np.isfinite(metrics.signal_to_noise).all()
    assert state.spread.evidence.pool.shape == (8, 4, 6 * 8)


def test_continuous_actions_have_evidence_too():
    config = Config(network=NETWORK, bands=3, **SMALL)
    env = make("pong", continuous=True)
    metrics = jax.jit(make_train(config, env))(jax.random.key(0), Params(total_steps=128))[1]
    assert np.isfinite(metrics.signal_to_noise).all()


def test_an_object_brings_its_evidence():
    assert Config(estimator=Banded(bands=3, evidence=True)).evidence
    assert Config(estimator="p3o", evidence=True).estimator_object == Banded(evidence=True)
    assert Config(estimator="p3o", bands=0, evidence=True).estimator_object == P3O(evidence=True)
    with pytest.raises(ValueError, match="`evidence` must be set on the estimator"):
        Config(estimator=P3O(), evidence=True)
    with pytest.raises(ValueError, match="`evidence` must be False beside an estimator object that has none; got True"):
        Config(estimator=GAE(), evidence=True)
    with pytest.raises(ValueError, match="`evidence` must be True or False; got 'no'"):
        P3O(evidence="no")
    assert Config(num_envs=17, num_minibatches=1, estimator="gae", evidence=True)
    with pytest.raises(ValueError, match="`num_envs` must have a divisor from 4 to 16 with `evidence`; got 17"):
        Config(num_envs=17, num_minibatches=1, evidence=True)


@pytest.mark.slow
def test_the_weights_of_what_actions_do_not_change_fall():
    config = Config(num_envs=64, segment_length=128, bands=9, evidence=True, num_minibatches=8)
    metrics = jax.jit(make_train(config, Bandit()))(jax.random.key(0), Params(total_steps=1.5e5))[1]
    weights = np.asarray(metrics.weights)
    last = weights[np.isfinite(weights).all(axis=1)][-1]
    assert last[0] == 1.0
    assert (last[1:] < 0.1).all()


def test_what_is_not_asked_for_is_not_kept():
    params = Params()
    state = jax.eval_shape(lambda: learner.init(Config(bands=3, num_envs=8), Bandit(), jax.random.key(0), params))
    assert state.spread.evidence == ()
    assert state.log.signal_to_noise == ()
    assert jnp.shape(state.log.weights) == (32, 3)
