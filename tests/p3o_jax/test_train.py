"""Whole trainings on a task that takes milliseconds: learning, one compilation, failures, minibatches, memory."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax import learner
from p3o_jax.estimators.gae import Targets
from p3o_jax.gradient import Batch, _shuffle
from p3o_jax.metrics import Metrics
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import Params
from p3o_jax.train import Callback, make_train


@pytest.fixture(scope="module")
def batch(task):
    """Four trainings in one: keys, learning rates (the last diverges), budgets; and what a callback heard of them."""
    heard: list[tuple[int, float]] = []

    def hear(member: int, metrics: Metrics) -> None:
        heard.append((member, float(metrics.steps[-1])))

    train = make_train(task.config, task.env(), callback=Callback(hear, interval=3))
    run = jax.jit(jax.vmap(lambda key, rate, steps, i: train(key, Params(total_steps=steps, learning_rate=rate), i)))
    keys = jax.random.split(jax.random.key(2), 4)
    rates = jnp.array([1e-2, 1e-3, 5e-3, jnp.nan])
    steps = jnp.array([512.0, 1024.0, 256.0, 1024.0])
    run(keys, rates / 2, steps / 2, jnp.arange(4))
    jax.effects_barrier()
    heard.clear()
    state, metrics = run(keys, rates, steps, jnp.arange(4))
    jax.effects_barrier()
    assert run._cache_size() == 1
    return keys, rates, steps, state, metrics, heard


def _finite(tree):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def test_p3o_learns_and_its_metrics_have_the_size_of_the_buckets(trained):
    _, metrics = trained
    assert metrics.episode_return[-1] > 4.8
    assert metrics.episode_return[-1] - metrics.episode_return[0] > 0.7  # the first quarter was worse
    assert metrics.explained_variance.shape == (4, 3)  # bands that reach over the horizon of 4 steps
    assert metrics.steps.tolist() == [1024.0, 2048.0, 3072.0, 4096.0]
    np.testing.assert_allclose(metrics.episode_length, 5)
    np.testing.assert_array_equal(metrics.score, metrics.episode_return)  # the task has no measure of its own
    assert metrics.failed_term is None


@pytest.mark.parametrize(
    ("actions", "settings"),
    [
        ("multi", {"estimator": "original"}),
        ("box", {"estimator": "gae", "reward_scale": "return", "squash": True, "num_minibatches": 1}),
    ],
)
def test_the_other_estimators_learn(task, actions, settings):
    """With states that carry their observations, as in gymnax's environments."""
    config = dataclasses.replace(task.config, **settings)
    env = task.env(actions, obs_from_state=False)
    _, metrics = jax.jit(make_train(config, env))(jax.random.key(0), task.params)
    assert metrics.episode_return[-1] > 4.0


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        pytest.param(
            {"actions": "box"},
            {"network": "gru", "optimizer": "muon", "normalize_observations": True},
            marks=pytest.mark.slow,
        ),
        ({"truncates": True}, {"precision": "bfloat16", "bootstrap_truncations": True}),
    ],
)
def test_other_networks_and_optimizers_take_finite_steps(task, env, settings):
    if "network" in settings:
        settings = settings | {"network": NetworkConfig(settings["network"], 8, 1)}
    config, env = dataclasses.replace(task.config, **settings), task.env(**env)

    def one_update(key):
        before = learner.init(config, env, key, task.params)
        return before, learner.update(config, env, before, task.params)

    before, after = jax.jit(one_update)(jax.random.key(0))
    assert not after.failure.failed
    assert _finite(after.trainable)
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), before.trainable, after.trainable)
    assert all(jax.tree.leaves(moved))
    assert after.spread.spread.count[0] == 128  # every reward of the segment is known in the first band


def test_no_new_value_compiles_again(task):
    start = task.init(jax.random.key(1))
    task.go_on(start, dataclasses.replace(task.params, total_steps=128.0), reward=0.5)  # compiles, unless it has
    compiled = task.num_compiled()
    changed = {field.name: getattr(task.params, field.name) * 0.5 for field in dataclasses.fields(Params)}
    changed |= {"total_steps": 300.0, "update_epochs": 1.0, "tau": 1.0}
    _, metrics = task.go_on(start, Params(**changed), reward=0.5)
    assert metrics.steps[-1] == 384.0  # 300 rounded up to whole updates of 128
    assert task.num_compiled() == compiled


def test_a_batch_of_seeds_and_hyperparameters_is_one_compilation_and_equals_a_loop(task, batch):
    keys, rates, steps, state, metrics, _ = batch
    for i in range(3):
        params = Params(total_steps=float(steps[i]), learning_rate=float(rates[i]))
        alone, alone_metrics = task.go_on(task.init(keys[i]), params)
        assert metrics.steps[i, -1] == alone_metrics.steps[-1] == steps[i]
        assert state.num_updates[i] == alone.num_updates
        # Batched products sum in another order; over some dozen gradient steps that grows to this.
        same = partial(np.testing.assert_allclose, rtol=1e-2, atol=1e-3)
        jax.tree.map(same, jax.tree.map(lambda x, i=i: x[i], state.trainable), alone.trainable)


def test_a_member_that_diverges_ends_as_failed_and_the_others_go_on(batch):
    *_, state, metrics, _ = batch
    assert metrics.failed.tolist() == [False, False, False, True]
    assert state.num_updates.tolist() == [4, 8, 2, 1]
    assert metrics.failed_step.tolist() == [0.0, 0.0, 0.0, 128.0]
    assert jax.tree.map(lambda x: x[3], metrics).failed_term == "parameters"
    assert _finite(state.trainable)


def test_a_callback_hears_of_every_member_of_a_batch(batch):
    heard = batch[-1]
    assert sorted(heard) == [(0, 384.0), (0, 512.0), (1, 384.0), (1, 768.0), (1, 1024.0), (2, 256.0), (3, 128.0)]


def test_a_reward_that_is_not_finite_is_named(task):
    before = task.init(jax.random.key(0))
    state, metrics = task.go_on(before, reward=np.inf)
    assert metrics.failed_term == "rewards"
    for name in ("trainable", "opt_state", "spread", "reward_scaler"):
        jax.tree.map(np.testing.assert_array_equal, getattr(state, name), getattr(before, name))
    assert _finite(state.trainable)
    after = jax.jit(lambda state: learner.update(task.config, task.env(), state, task.params))(state)
    assert after.failure == state.failure  # a good update does not hide it


@pytest.mark.slow
def test_memory_is_one_segment_and_one_array_of_predictions(task):
    def temporary_bytes(horizon, num_envs=64, segment_length=32):
        shape = {"num_envs": num_envs, "segment_length": segment_length, "horizon": horizon, "bands": 0}
        config = dataclasses.replace(task.config, num_minibatches=8, **shape)
        state = jax.eval_shape(lambda key: learner.init(config, task.env(), key, task.params), jax.random.key(0))
        update = jax.jit(lambda state: learner.update(config, task.env(), state, task.params))
        return update.lower(state).compile().memory_analysis().temp_size_in_bytes

    num_steps, small = 64 * 32, temporary_bytes(64)
    # A minibatch holds its predictions and their gradient besides: at most 4 / 8 more.
    assert temporary_bytes(256) - small < 1.5 * num_steps * 4 * (256 - 64)
    for twice in ({"num_envs": 128}, {"segment_length": 64}):
        assert temporary_bytes(64, **twice) - small < num_steps * (1.5 * 4 * 64 + 64)


def test_annealed_settings_are_those_of_the_moment(task, trained):
    params = dataclasses.replace(task.params, learning_rate=1e-2, anneal=0.5, entropy=0.5, entropy_anneal=1.0)
    total = int(learner.num_total_updates(task.config, task.env(), params))
    state = dataclasses.replace(trained[0], num_updates=jnp.int32(total // 2))
    left = 1 - total // 2 / total
    halfway = {"learning_rate": 1e-2 * (1 + left) / 2, "entropy": 0.5 * left}
    constant = dataclasses.replace(params, anneal=0.0, entropy_anneal=0.0, **halfway)

    def update(params):
        return task.go_on(state, params, 1)[0].trainable

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), update(params), update(constant))
    for name in halfway:
        other = update(dataclasses.replace(constant, **{name: getattr(params, name)}))
        moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), update(constant), other)
        assert max(jax.tree.leaves(moved)) > 1e-3


def test_beyond_the_budget_nothing_is_annealed_further():
    """A loop of one's own may go on: a negative coefficient would punish entropy."""
    params = learner._annealed(Params(anneal=0.5, entropy_anneal=1.0), jnp.int32(20), jnp.int32(10))
    assert params.learning_rate == pytest.approx(2.5e-3)
    assert params.entropy == 0


@pytest.mark.slow
def test_one_minibatch_of_samples_is_the_whole_segment(task):
    config = dataclasses.replace(task.config, estimator="gae", num_minibatches=1)
    samples = dataclasses.replace(config, minibatches_of="samples")
    env = task.env()
    state = jax.jit(lambda key: learner.init(config, env, key, task.params))(jax.random.key(0))
    blocks, drawn = (jax.jit(lambda s, c=c: learner.update(c, env, s, task.params))(state) for c in (config, samples))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), blocks.trainable, drawn.trainable)


def test_samples_are_drawn_anew_and_stay_together():
    count = jnp.arange(12).reshape(3, 4)
    batch = Batch(count[..., None], count, count, count, count, Targets(count, count))
    orders = []
    for seed in range(2):
        shuffled = _shuffle(jax.random.key(seed), batch)
        leaves = [np.asarray(leaf).reshape(-1) for leaf in jax.tree.leaves(shuffled)]
        assert all((leaf == leaves[0]).all() for leaf in leaves)
        assert shuffled.obs.shape == (1, 12, 1)
        orders.append(leaves[0])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(12))
    assert (orders[0] != orders[1]).any()


@pytest.mark.parametrize("num_minibatches", [2, 16], ids=["few", "more than environments"])
def test_minibatches_of_samples_learn(task, num_minibatches):
    settings = {"minibatches_of": "samples", "num_minibatches": num_minibatches}
    config = dataclasses.replace(task.config, estimator="gae", **settings)
    _, metrics = jax.jit(make_train(config, task.env()))(jax.random.key(0), task.params)
    assert metrics.score[-1] > 4.5  # chance is 2.5, the best 5; the first quarter already ends near 4


def test_predictions_larger_than_the_memory_are_refused(task, monkeypatch):
    monkeypatch.setattr("p3o_jax.train.memory_bytes", lambda: 1024)
    with pytest.raises(ValueError, match=r"must fit the memory; got 0.0 GiB of predictions for 0.0 GiB"):
        make_train(task.config, task.env())


def test_networks_that_do_not_fit_the_observations_are_refused(task):
    config = dataclasses.replace(task.config, network=NetworkConfig("cnn"))
    with pytest.raises(ValueError, match=r"`network.kind` must not be 'cnn' unless observations are images"):
        make_train(config, task.env())


def test_lags_learn(task):
    config = dataclasses.replace(task.config, bands=0)
    _, metrics = jax.jit(make_train(config, task.env()))(jax.random.key(0), task.params)
    assert metrics.explained_variance.shape == (config.num_buckets, config.horizon)
    assert not metrics.failed
    assert float(metrics.episode_return[-1]) > 4.5  # chance is 2.5, the best is 5
