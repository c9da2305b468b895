"""Other libraries' environments: each keeps the contract, does what its library does, and trains.

They are tested where they are installed: pip install brax craftax jumanji navix playground.
"""

import importlib.util
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.adapters import ADAPTERS
from envs.adapters.base import joined, space_of
from envs.registry import make
from envs.spaces import Box, Discrete, MultiDiscrete
from experiments.environments import make_env
from p3o_jax.settings import Config, Params
from p3o_jax.train import make_train
from p3o_jax.vector import VectorEnvironment

MODULES = {"playground": "mujoco_playground"}
NAMES = {
    "brax:inverted_pendulum": {"backend": "generalized"},
    "craftax:Craftax-Classic-Symbolic-v1": {},
    "jumanji:Snake-v1": {},
    "jumanji:Tetris-v0": {},
    "jumanji:SearchAndRescue-v0": {},
    "navix:Navix-Empty-5x5-v0": {},
    "playground:CartpoleBalance": {},
}
NUM_ENVS, NUM_STEPS = 3, 120

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # theirs are not ours to mend
]


@pytest.fixture(autouse=True)
def _their_numerics():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def is_installed(name):
    library = name.partition(":")[0]
    return importlib.util.find_spec(MODULES.get(library, library)) is not None


def installed(names):
    return [
        pytest.param(name, marks=pytest.mark.skipif(not is_installed(name), reason="its library is not installed"))
        for name in names
    ]


@pytest.mark.parametrize("name", installed(NAMES))
def test_random_actions_keep_the_contract(name):
    env = make(name, **NAMES[name])
    vector, params = VectorEnvironment(env, NUM_ENVS), env.default_params
    space = env.action_space(params)
    obs, state = vector.reset(jax.random.key(0), params)

    def body(state, key):
        action = jax.vmap(space.sample)(jax.random.split(key, NUM_ENVS))
        obs, state, reward, terminated, truncated, info = vector.step(key, state, action, params)
        return state, (obs, reward, terminated, truncated, info["episode_length"])

    run = jax.jit(lambda state, key: jax.lax.scan(body, state, jax.random.split(key, NUM_STEPS)))
    last, (later, reward, terminated, truncated, lengths) = run(state, jax.random.key(1))
    assert [leaf.shape for leaf in jax.tree.leaves(last)] == [leaf.shape for leaf in jax.tree.leaves(state)]
    assert obs.shape == (NUM_ENVS, *env.observation_space(params).shape)
    assert later.shape == (NUM_STEPS, *obs.shape)
    assert later.dtype == reward.dtype == jnp.float32
    assert np.isfinite(later).all()
    assert np.isfinite(reward).all()
    assert not (terminated & truncated).any()
    assert lengths.max() <= params.max_steps_in_episode
    assert not np.array_equal(later[0], later[-1])
    again = make(name, **NAMES[name])
    assert (env, hash(env)) == (again, hash(again))


@pytest.mark.parametrize("name", installed(["brax:inverted_pendulum"]))
def test_brax_gives_what_brax_gives(name):
    from brax import envs

    env, theirs = make(name, backend="generalized"), envs.get_environment("inverted_pendulum", backend="generalized")
    key, action = jax.random.key(3), jnp.asarray([0.5], jnp.float32)
    obs, state = env.reset_env(key, env.default_params)
    expected = jax.jit(theirs.reset)(key)
    np.testing.assert_allclose(obs, expected.obs, rtol=1e-5)
    for _ in range(5):
        obs, state, reward, terminated, _ = jax.jit(env.step_env)(key, state, action, env.default_params)
        expected = jax.jit(theirs.step)(expected, action)
        np.testing.assert_allclose(obs, expected.obs, rtol=1e-4, atol=1e-5)
        assert float(reward) == pytest.approx(float(expected.reward))
        assert bool(terminated) == bool(expected.done)


@pytest.mark.parametrize("name", installed(["navix:Navix-Empty-5x5-v0"]))
def test_a_library_that_knows_its_limit_truncates(name):
    env = make(name, max_steps=7)
    params = env.default_params
    _, state = env.reset_env(jax.random.key(0), params)
    for index in range(7):
        assert not env.is_truncated(state, params)
        turn = jnp.asarray(index % 2, jnp.int32)
        _, state, _, terminated, _ = env.step_env(jax.random.key(index), state, turn, params)
        assert not terminated
    assert env.is_truncated(state, params)


@pytest.mark.parametrize(
    ("name", "steps", "goal"), [("brax:inverted_pendulum", 6e4, None), ("navix:Navix-Empty-5x5-v0", 2e5, 0.95)]
)
def test_p3o_learns(name, steps, goal):
    """Short trainings: the score of the last third is the goal, or well above the first one."""
    if not is_installed(name):
        pytest.skip("its library is not installed")
    env = make_env(name, NAMES[name])
    # navix shows numbers from 0 to 10, on which a policy that is not kept near the last one loses the goal again
    config = Config(num_envs=32, segment_length=32, horizon=16, num_minibatches=2)
    _, metrics = jax.jit(make_train(config, env))(jax.random.key(0), Params(total_steps=steps))
    score = np.asarray(metrics.score)[np.asarray(metrics.num_episodes) > 0]
    assert np.mean(score[-len(score) // 3 :]) > (1.3 * score[0] if goal is None else goal)


@pytest.mark.parametrize("name", installed(["jumanji:Snake-v9", "navix:Nothing-v0", "craftax:Mine-v0", "brax:antt"]))
def test_an_unknown_task_is_said_in_the_words_of_the_command_line(name):
    library, _, task = name.partition(":")
    with pytest.raises(ValueError, match=f"`env` after {library}: must be one .*; got '{task}'"):
        make_env(name)


@pytest.mark.parametrize("name", installed(["navix:Navix-Empty-5x5-v0", "brax:ant", "jumanji:Snake-v1"]))
def test_an_unknown_argument_is_named(name):
    with pytest.raises(ValueError, match=f"`arguments` must be some that {name} takes; got .*colour"):
        make(name, colour=1)


@pytest.mark.parametrize("library", sorted(ADAPTERS))
def test_a_library_that_is_absent_names_its_extra(library, monkeypatch):
    package = MODULES.get(library, library)
    for module in (package, *(name for name in sys.modules if name.startswith(f"{package}."))):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'neocarbs-p3o\[{library}\]'"):
        make(f"{library}:absent")


class Spec:
    """Bounds or numbers of values, as Jumanji gives them."""

    def __init__(self, **fields):
        self.__dict__.update(fields)


def test_spaces_of_specifications():
    assert space_of(Spec(shape=(), num_values=4)) == Discrete(4)
    assert space_of(Spec(shape=(2, 2), num_values=np.array([[2, 3], [4, 5]]))) == MultiDiscrete((2, 3, 4, 5))
    box = space_of(Spec(shape=(2, 2), minimum=-1.0, maximum=np.ones((2, 2))))
    assert box == Box(-np.ones(4), np.ones(4), (4,))


def test_observations_are_joined():
    np.testing.assert_array_equal(joined({"b": jnp.ones((2, 2), bool), "a": jnp.asarray(3)}), [3, 1, 1, 1, 1])
    assert joined(jnp.zeros((5, 5, 3), jnp.uint8)).shape == (5, 5, 3)
