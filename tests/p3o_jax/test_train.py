"""Whole trainings on a task that takes milliseconds: learning, one compilation, exact resume, failures, evaluation."""

import dataclasses
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from p3o_jax.estimate import Outcome, Targets

from envs.environment import Environment, EnvParams, EnvState
from envs.spaces import Box, Discrete, MultiDiscrete
from p3o_jax import checkpoint, learner
from p3o_jax.evaluate import evaluate
from p3o_jax.gradient import Batch, _shuffle
from p3o_jax.learner import Config, Params
from p3o_jax.metrics import Metrics
from p3o_jax.networks import NetworkConfig
from p3o_jax.train import Callback, advance, make_train

EPISODE = 5


@struct.dataclass
class RecallState(EnvState):
    cue: jax.Array


@struct.dataclass
class RecallParams(EnvParams):
    reward: float = 1.0


@dataclass(frozen=True)
class Recall(Environment):
    """Five times in an episode: name the cue that is shown. The best return is 5, chance is 2.5."""

    actions: str = "discrete"
    truncates: bool = False

    @property
    def default_params(self):
        return RecallParams(max_steps_in_episode=EPISODE if self.truncates else 1000)

    def action_space(self, params=None):
        return {"discrete": Discrete(2), "multi": MultiDiscrete((2, 3)), "box": Box(-1.0, 1.0, (1,))}[self.actions]

    def observation_space(self, params=None):
        return Box(0.0, 1.0, (2,))

    def get_obs(self, state, params):
        return jax.nn.one_hot(state.cue, 2)

    def reset_env(self, key, params):
        state = RecallState(jnp.zeros((), jnp.int32), jax.random.bernoulli(key).astype(jnp.int32))
        return self.get_obs(state, params), state

    def step_env(self, key, state, action, params):
        named = {"discrete": lambda a: a, "multi": lambda a: a[0], "box": lambda a: (a[0] > 0).astype(jnp.int32)}
        reward = (named[self.actions](action) == state.cue).astype(jnp.float32) * params.reward
        cue = jax.random.bernoulli(key).astype(jnp.int32)
        state = RecallState(state.time + 1, cue)
        terminated = jnp.asarray(not self.truncates) & (state.time >= EPISODE)
        return self.get_obs(state, params), state, reward, terminated, {}


CONFIG = Config(
    num_envs=8,
    segment_length=16,
    horizon=4,
    num_minibatches=2,
    num_buckets=4,
    network=NetworkConfig(width=16, depth=1),
)
PARAMS = Params(total_steps=4096.0, learning_rate=1e-2)


@pytest.fixture(scope="module")
def init():
    return jax.jit(lambda key: learner.init(CONFIG, Recall(), key, PARAMS))


@pytest.fixture(scope="module")
def go_on():
    """`advance` with everything traced that may be: one compilation for most of this file."""

    @jax.jit
    def run(state, params, num_updates, reward):
        env_params = RecallParams(max_steps_in_episode=1000, reward=reward)
        return advance(CONFIG, Recall(), state, params, num_updates, env_params)

    def go_on(state, params=PARAMS, num_updates=10**6, reward=1.0):
        return run(state, params, num_updates, reward)

    go_on.num_compiled = run._cache_size
    return go_on


@pytest.fixture(scope="module")
def trained(init, go_on):
    return go_on(init(jax.random.key(0)))


@pytest.fixture(scope="module")
def batch():
    """Four trainings in one: keys, learning rates (the last diverges), budgets; and what a callback heard of them."""
    heard: list[tuple[int, float]] = []

    def hear(member: int, metrics: Metrics) -> None:
        heard.append((member, float(metrics.steps[-1])))

    train = make_train(CONFIG, Recall(), callback=Callback(hear, interval=3))
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


def _plain(tree):
    """The tree with random keys as numbers."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x, tree)


def test_p3o_learns_and_its_metrics_have_the_size_of_the_buckets(trained):
    _, metrics = trained
    assert metrics.episode_return[-1] > 4.8
    assert metrics.episode_return[-1] - metrics.episode_return[0] > 0.7  # the first quarter was worse
    assert metrics.explained_variance.shape == (4, 4)
    assert metrics.steps.tolist() == [1024.0, 2048.0, 3072.0, 4096.0]
    np.testing.assert_allclose(metrics.episode_length, EPISODE)
    assert metrics.failed_term is None


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        (Recall("multi"), {"estimator": "original"}),
        (Recall("box"), {"estimator": "gae", "reward_scale": "return", "squash": True, "num_minibatches": 1}),
    ],
)
def test_the_other_estimators_learn(env, settings):
    config = dataclasses.replace(CONFIG, **settings)
    _, metrics = jax.jit(make_train(config, env))(jax.random.key(0), PARAMS)
    assert metrics.episode_return[-1] > 4.0


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        (Recall("box"), {"network": NetworkConfig("gru", 8, 1), "optimizer": "muon", "normalize_observations": True}),
        (Recall(truncates=True), {"precision": "bfloat16", "bootstrap_truncations": True}),
    ],
)
def test_other_networks_and_optimizers_take_finite_steps(env, settings):
    config = dataclasses.replace(CONFIG, **settings)

    def one_update(key):
        return learner.update(config, env, learner.init(config, env, key, PARAMS), PARAMS)

    state = jax.jit(one_update)(jax.random.key(0))
    assert not state.failure.failed
    assert _finite(state.trainable)


def test_no_new_value_compiles_again(init, go_on, trained):
    del trained
    _, metrics = go_on(init(jax.random.key(1)), Params(total_steps=300.0, update_epochs=1.0, tau=1.0))
    assert metrics.steps[-1] == 384.0  # 300 rounded up to whole updates of 128
    assert go_on.num_compiled() == 1


def test_a_batch_of_seeds_and_hyperparameters_is_one_compilation_and_equals_a_loop(batch, init, go_on):
    keys, rates, steps, state, metrics, _ = batch
    for i in range(3):
        alone, alone_metrics = go_on(init(keys[i]), Params(total_steps=float(steps[i]), learning_rate=float(rates[i])))
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


def test_a_reward_that_is_not_finite_is_named(init, go_on):
    state, metrics = go_on(init(jax.random.key(0)), reward=np.inf)
    assert metrics.failed_term == "rewards"
    assert _finite((state.trainable, state.spread, state.reward_scaler))
    after = jax.jit(lambda state: learner.update(CONFIG, Recall(), state, PARAMS))(state)
    assert after.failure == state.failure  # a good update does not hide it


def test_a_restored_checkpoint_goes_on_bit_for_bit(init, go_on, trained, tmp_path):
    half, _ = go_on(init(jax.random.key(0)), num_updates=13)
    checkpoint.save(tmp_path / "half", half)
    restored = checkpoint.restore(tmp_path / "half", jax.eval_shape(init, jax.random.key(0)))
    jax.tree.map(np.testing.assert_array_equal, _plain(restored), _plain(half))
    jax.tree.map(np.testing.assert_array_equal, _plain(go_on(restored)), _plain(trained))


def test_checkpoints_refuse_to_overwrite_and_to_guess(tmp_path):
    checkpoint.save(tmp_path / "one", {"x": jnp.zeros(2)})
    with pytest.raises(ValueError, match="`path` must not exist yet"):
        checkpoint.save(tmp_path / "one", {"x": jnp.zeros(2)})
    with pytest.raises(ValueError, match="`path` must be a checkpoint"):
        checkpoint.restore(tmp_path / "two", {"x": jnp.zeros(2)})
    for template, got in (
        ({"x": jnp.zeros(2, jnp.int32)}, r"got int32\[2\] for x, which is float32\[2\] there"),
        ({"x": jnp.zeros(3)}, r"got float32\[3\] for x, which is float32\[2\] there"),
        ({"y": jnp.zeros(2)}, r"got nothing for x, which is float32\[2\] there"),
    ):
        with pytest.raises(ValueError, match="`template` must be of the shapes and types .*" + got):
            checkpoint.restore(tmp_path / "one", template)


def test_memory_is_one_segment_and_one_array_of_predictions():
    def temporary_bytes(horizon, num_envs=64, segment_length=32):
        shape = {"num_envs": num_envs, "segment_length": segment_length, "horizon": horizon}
        config = dataclasses.replace(CONFIG, num_minibatches=8, **shape)
        state = jax.eval_shape(lambda key: learner.init(config, Recall(), key, PARAMS), jax.random.key(0))
        update = jax.jit(lambda state: learner.update(config, Recall(), state, PARAMS))
        return update.lower(state).compile().memory_analysis().temp_size_in_bytes

    num_steps, small = 64 * 32, temporary_bytes(64)
    # A minibatch holds its predictions and their gradient besides: at most 4 / 8 more.
    assert temporary_bytes(256) - small < 1.5 * num_steps * 4 * (256 - 64)
    for twice in ({"num_envs": 128}, {"segment_length": 64}):
        assert temporary_bytes(64, **twice) - small < num_steps * (1.5 * 4 * 64 + 64)


def test_annealed_settings_are_those_of_the_moment(trained, go_on):
    params = dataclasses.replace(PARAMS, learning_rate=1e-2, anneal=0.5, entropy=0.5, entropy_anneal=1.0)
    total = int(learner.num_total_updates(CONFIG, Recall(), params))
    state = dataclasses.replace(trained[0], num_updates=jnp.int32(total // 2))
    left = 1 - total // 2 / total
    halfway = {"learning_rate": 1e-2 * (1 + left) / 2, "entropy": 0.5 * left}
    constant = dataclasses.replace(params, anneal=0.0, entropy_anneal=0.0, **halfway)

    def update(params):
        return go_on(state, params, 1)[0].trainable

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), update(params), update(constant))
    for name in halfway:
        other = update(dataclasses.replace(constant, **{name: getattr(params, name)}))
        moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), update(constant), other)
        assert max(jax.tree.leaves(moved)) > 1e-3


def test_beyond_the_budget_nothing_is_annealed_further():
    """A loop of one's own may go on: a negative coefficient would punish entropy."""
    params = learner._annealed(Params(anneal=0.5, entropy_anneal=1.0), jnp.float32(2.0))
    assert params.learning_rate == pytest.approx(2.5e-3)
    assert params.entropy == 0


def test_one_minibatch_of_samples_is_the_whole_segment():
    config = dataclasses.replace(CONFIG, estimator="gae", num_minibatches=1)
    samples = dataclasses.replace(config, minibatches_of="samples")
    state = jax.jit(lambda key: learner.init(config, Recall(), key, PARAMS))(jax.random.key(0))
    blocks, drawn = (jax.jit(lambda s, c=c: learner.update(c, Recall(), s, PARAMS))(state) for c in (config, samples))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), blocks.trainable, drawn.trainable)


def test_samples_are_drawn_anew_and_stay_together():
    count = jnp.arange(12).reshape(3, 4)
    outcome = Outcome(count, count, count)
    batch = Batch(count[..., None], count, count, count, outcome, Targets(count, count, ()))
    orders = []
    for seed in range(2):
        shuffled = _shuffle(jax.random.key(seed), batch)
        leaves = [np.asarray(leaf).reshape(-1) for leaf in jax.tree.leaves(shuffled)]
        assert all((leaf == leaves[0]).all() for leaf in leaves)
        assert shuffled.obs.shape == (1, 12, 1)
        orders.append(leaves[0])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(12))
    assert (orders[0] != orders[1]).any()


def test_minibatches_of_samples_learn():
    config = dataclasses.replace(CONFIG, estimator="gae", minibatches_of="samples")
    _, metrics = jax.jit(make_train(config, Recall()))(jax.random.key(0), PARAMS)
    assert metrics.score[-1] > 4.5  # chance is 2.5, the best 5; the first quarter already ends near 4


def test_evaluation_takes_the_first_episode_of_each_environment(trained):
    score = jax.jit(lambda state, steps: evaluate(
        CONFIG, Recall(), state, jax.random.key(0), 32, deterministic=True, max_steps=steps
    ))  # fmt: skip
    result = score(trained[0], 100)
    assert result.num_episodes == 32
    assert result.score_mean == result.return_mean == 5.0
    assert result.length_mean == EPISODE
    cut = score(trained[0], EPISODE - 1)
    assert cut.num_episodes == 0
    assert np.isnan(cut.score_mean)
    with pytest.raises(ValueError, match="`num_episodes` must be at least 1; got 0"):
        evaluate(CONFIG, Recall(), trained[0], jax.random.key(0), 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_envs": 6, "num_minibatches": 4}, "`num_minibatches` must divide `num_envs`; got 4 and 6"),
        (
            {"num_minibatches": 3, "minibatches_of": "samples", "estimator": "gae"},
            "`num_minibatches` must divide `num_envs` x `segment_length`; got 3 and 8192",
        ),
        ({"horizon": 0}, "`horizon` must be at least 1; got 0"),
        ({"estimator": "td"}, "`estimator` must be one of p3o, original, gae; got 'td'"),
        ({"implementation": "cuda"}, "`implementation` must be None or one of"),
        ({"tau_rule": "learnt"}, "`tau_rule` must be one of noise, fixed, explained, precision; got 'learnt'"),
        ({"reward_scale": "std"}, "`reward_scale` must be one of rms, return, clip, none; got 'std'"),
        ({"minibatches_of": "samples"}, "`minibatches_of` must be environments unless .* got samples with p3o and mlp"),
        ({"segment_length": 2**14, "horizon": 2**14, "num_envs": 2**14}, "`horizon` must leave"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)


def test_predictions_larger_than_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr("p3o_jax.train.memory_bytes", lambda: 1024)
    with pytest.raises(ValueError, match=r"must fit the memory; got 0.0 GiB of predictions for 0.0 GiB"):
        make_train(CONFIG, Recall())


def test_networks_that_do_not_fit_the_observations_are_refused():
    config = dataclasses.replace(CONFIG, network=NetworkConfig("cnn"))
    with pytest.raises(ValueError, match=r"`network.kind` must not be 'cnn' unless observations are images"):
        make_train(config, Recall())
