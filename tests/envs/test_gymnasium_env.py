"""Agents in gymnasium's environments, real ones, by callbacks to the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.adapters.gymnasium_env import HostEnvironment
from p3o_jax.evaluate import evaluate
from p3o_jax.learner import init
from p3o_jax.settings import Config, Params

gymnasium = pytest.importorskip("gymnasium")
COUNT = 4


class Countdown(gymnasium.Env):
    """An episode of copy i, counted over all resets, lasts i + 3 steps; each gives a reward of 2."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    made = 0

    def __init__(self, shown="box"):
        if shown == "dict":
            self.observation_space = gymnasium.spaces.Dict({"a": self.observation_space})
        self.length, self.time = 3 + Countdown.made, 0
        Countdown.made += 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(3), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.time += 1
        return np.full(3, self.time, float), 2.0, self.time == self.length, False, {}


@pytest.fixture(scope="module", autouse=True)
def countdown():
    gymnasium.register("Countdown-v0", entry_point=Countdown)
    yield
    gymnasium.registry.pop("Countdown-v0")


def test_a_compiled_loop_sees_what_a_loop_of_gymnasium_sees():
    vector = HostEnvironment("CartPole-v1").vectorized(COUNT)
    actions = jnp.asarray(np.random.default_rng(0).integers(0, 2, (60, COUNT)))

    @jax.jit
    def roll(key):
        obs, state = vector.reset(key, ())

        def body(state, action):
            obs, state, reward, terminated, _, info = vector.step(key, state, action, ())
            return state, (obs, reward, terminated, info["episode_return"], info["done"])

        return obs, jax.lax.scan(body, state, actions)[1]

    key = jax.random.key(3)
    first, (obs, reward, terminated, returns, done) = jax.tree.map(np.asarray, roll(key))
    seed = int(jax.random.randint(key, (), 0, jnp.iinfo(jnp.int32).max))
    same = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}
    twin = gymnasium.make_vec("CartPole-v1", COUNT, vectorization_mode="sync", vector_kwargs=same)
    np.testing.assert_array_equal(first, twin.reset(seed=seed)[0])
    total = np.zeros(COUNT)
    for t, action in enumerate(np.asarray(actions)):
        seen, gained, ended, _, _ = twin.step(action)
        np.testing.assert_array_equal(obs[t], seen)
        np.testing.assert_array_equal(reward[t], gained)
        np.testing.assert_array_equal(terminated[t], ended)
        total += gained
        np.testing.assert_array_equal(returns[t], total)
        total[ended] = 0
    assert done.sum() >= COUNT


@pytest.mark.slow
def test_an_evaluation_counts_the_first_episode_of_each_copy():
    Countdown.made = 0
    env = HostEnvironment("Countdown-v0")
    config = Config(num_envs=COUNT, segment_length=4, horizon=2, num_minibatches=1)
    state = init(config, env, jax.random.key(0), Params())
    Countdown.made = -1  # one is made for its spaces
    result = evaluate(config, env, state, jax.random.key(1), COUNT)
    lengths = np.asarray(result.scores) / 2
    assert len(set(lengths.tolist())) == COUNT
    np.testing.assert_array_equal(np.diff(lengths), 1)
    assert bool(result.finished.all())
    assert float(result.score_mean) == pytest.approx(2 * lengths.mean())
    assert float(result.length_mean) == pytest.approx(lengths.mean())


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("None-v1", (), "`env` must name an environment of gymnasium; got 'None-v1'"),
        ("CartPole-v1", (("width", 3),), "`arguments` must be some that CartPole-v1 takes; got {'width': 3}"),
        ("Countdown-v0", (("shown", "dict"),), "`env` must show arrays of numbers; gymnasium:Countdown-v0 shows Dict"),
    ],
)
def test_what_cannot_be_is_one_sentence(task, arguments, message):
    with pytest.raises(ValueError, match=message):
        HostEnvironment(task, arguments)
