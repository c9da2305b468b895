"""Agents that no action controls, or that are gone, have rows in every array but nothing is learnt from them."""

from dataclasses import dataclass
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax import learner
from p3o_jax.estimators.base import Outcome, Predictions
from p3o_jax.gradient import Batch, minibatch_loss
from p3o_jax.networks import Memories, NetworkConfig
from p3o_jax.rollout import apply, collect, make_actor
from p3o_jax.settings import Config, Params


@dataclass(frozen=True)
class Half:
    """Two agents see noise and are paid for action 1; the second one is controlled in every third step only."""

    says_who: bool = True
    num_agents: int = 2

    @property
    def default_params(self):
        return SimpleNamespace()

    def action_space(self, params=None):
        return SimpleNamespace(n=2)

    def observation_space(self, params=None):
        return SimpleNamespace(shape=(3,))

    def reset_env(self, key, params):
        return jax.random.normal(key, (2, 3), jnp.float32), jnp.int32(0)

    def step_env(self, key, state, action, params):
        info = {"controlled": jnp.stack([jnp.bool_(True), state % 3 == 0])} if self.says_who else {}
        obs = jax.random.normal(key, (2, 3), jnp.float32)
        return obs, state + 1, action.astype(jnp.float32), jnp.zeros(2, bool), info

    def is_truncated(self, state, params):
        return state >= 7


NETWORK = NetworkConfig(width=8, depth=1)
CONFIG = Config(num_envs=2, segment_length=12, horizon=4, num_minibatches=1, num_buckets=2, network=NETWORK)
PARAMS = Params(total_steps=1e3)


def rolled(config, env):
    """A state, what acts, and a rollout from it."""
    actor = make_actor(config, env, ())
    state = learner.init(config, env, jax.random.key(0), PARAMS, ())
    collected = collect(actor, state.trainable, (), state.position, jax.random.key(1), (), config.segment_length)
    return state, actor, collected[0], collected[1]


def made(config):
    """A batch of a rollout, and its loss as a function of parameters and batch."""
    state, actor, position, rollout = rolled(config, Half())
    memories = Memories(state.position.policy_memory, state.value_memory)
    values, memory = apply(actor, state.trainable, rollout.obs, rollout.first, memories.value, method="value")
    last, _ = apply(actor, state.trainable, position.obs[None], position.first[None], memory, method="value")
    outcome = Outcome(rollout.reward, rollout.terminated, rollout.truncated)
    estimator, predictions = config.estimator_object, Predictions(values, last[0], None)
    estimate = estimator.targets(PARAMS, state.spread, state.trainable, outcome, predictions)
    batch = Batch(*rollout[:4], estimate.advantages, estimate.targets, rollout.valid)

    def loss(trainable, batch):
        return minibatch_loss(config, PARAMS, actor, trainable, batch, memories, estimate.shared)[0]

    return state.trainable, batch, loss


def test_a_rollout_knows_the_steps_that_count_where_the_environment_tells():
    valid = rolled(CONFIG, Half())[3].valid
    assert valid.shape == (12, 4)
    assert valid[:, ::2].all()
    np.testing.assert_array_equal(valid[:, 1], np.arange(12) % 7 % 3 == 0)
    assert rolled(CONFIG, Half(says_who=False))[3].valid is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"estimator": "p3o"},
        {"estimator": "gae"},
        pytest.param({"estimator": "original"}, marks=pytest.mark.slow),
        pytest.param({"bands": 0}, marks=pytest.mark.slow),
    ],
)
def test_steps_that_are_masked_out_have_no_gradient(arguments):
    trainable, batch, loss = made(Config(**{**vars(CONFIG), **arguments}))
    valid = np.asarray(batch.valid)

    @jax.jit
    def of_obs(obs):
        return jax.grad(lambda obs: loss(trainable, batch._replace(obs=obs)))(obs)

    gradient = np.abs(np.asarray(of_obs(batch.obs))).sum(axis=-1)
    np.testing.assert_array_equal(gradient[~valid], 0.0)
    assert (gradient[valid] > 0).all()

    of_parameters = jax.jit(jax.grad(loss))
    lost = batch._replace(
        action=jnp.where(batch.valid, batch.action, 1 - batch.action),
        log_prob=jnp.where(batch.valid, batch.log_prob, -9.0),
        advantages=jnp.where(batch.valid, batch.advantages, 1e3),
    )
    same = zip(*(jax.tree.leaves(of_parameters(trainable, x)) for x in (batch, lost)), strict=True)
    assert all(np.array_equal(x, y) for x, y in same)


def test_a_mask_of_all_steps_changes_nothing_and_one_of_none_gives_no_gradient():
    trainable, batch, loss = made(CONFIG)
    gradient = jax.jit(jax.grad(loss))
    all_steps = jnp.ones_like(batch.valid)
    unmasked, masked = (
        gradient(trainable, batch._replace(valid=None)),
        gradient(trainable, batch._replace(valid=all_steps)),
    )
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), unmasked, masked)
    nothing = gradient(trainable, batch._replace(valid=~all_steps))
    assert all(np.array_equal(x, np.zeros_like(x)) for x in jax.tree.leaves(nothing))


@pytest.mark.slow  # trains
@pytest.mark.parametrize("minibatches_of", ["environments", "samples"])
def test_a_training_with_masked_rows_learns(minibatches_of):
    estimator = "gae" if minibatches_of == "samples" else "p3o"
    arguments = {"estimator": estimator, "minibatches_of": minibatches_of, "num_minibatches": 2, "num_envs": 8}
    config, env = Config(**{**vars(CONFIG), **arguments}), Half()
    params = Params(total_steps=1e4, learning_rate=1e-2)
    update = jax.jit(lambda state: learner.update(config, env, state, params, ()))
    state = learner.init(config, env, jax.random.key(0), params, ())
    for _ in range(20):
        state = update(state)
    assert not state.failure.failed
    actor = make_actor(config, env, ())
    rollout = collect(actor, state.trainable, (), state.position, jax.random.key(1), (), 12)[1]
    assert rollout.action.mean() > 0.7
