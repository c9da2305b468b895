"""The contract that every registered environment keeps."""

import copy
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.environment import NO_TIME_LIMIT, Discrete
from envs.players import scripted
from envs.registry import ENVIRONMENTS, make
from p3o_jax.vector import VectorEnvironment

NUM_STEPS = 10_000
SMALL = {
    "agar": {"num_players": 4, "num_food": 16},
    "boids": {"num_boids": 6},
    "drive": {"num_vehicles": 6, "num_scenes": 4},
    "maze": {"size": 9, "num_maps": 8},
    "snake": {"width": 18, "height": 16, "num_snakes": 5, "num_food": 12, "vision": 3},
}
DEFAULTS = [(name, SMALL.get(name, {})) for name in sorted(ENVIRONMENTS)]
VARIANTS = [
    ("agar", {**SMALL["agar"], "continuous": False}),
    ("agar", {**SMALL["agar"], "num_players": 1}),
    ("breakout", {"continuous": True, "frameskip": 2}),
    ("connect4", {"opponent": "random"}),
    ("drive", {**SMALL["drive"], "continuous": True, "subset": 2}),
    ("maze", {**SMALL["maze"], "doors": True}),
    ("pong", {"continuous": True, "score_fractions": True}),
]


def slow(cases, names=tuple(ENVIRONMENTS)):
    """The same cases, those of the named environments run by `make test-all` only."""
    return [pytest.param(case, marks=pytest.mark.slow) if case[0] in names else case for case in cases]


class Case:
    """One environment with its compiled functions."""

    def __init__(self, name, arguments):
        self.env = make(name, **arguments)
        self.params = self.env.default_params
        self.shape = (self.env.num_agents,) if self.env.num_agents > 1 else ()
        self.reset = jax.jit(self.env.reset_env)
        self.step = jax.jit(self.env.step_env)
        self.get_obs = jax.jit(self.env.get_obs)
        sample = self.env.action_space(self.params).sample
        self.sample = jax.jit(jax.vmap(sample) if self.shape else sample)

    def action(self, key):
        return self.sample(jax.random.split(key, self.shape) if self.shape else key)


def name_of(arguments):
    return "-".join([arguments[0], *map(str, arguments[1].values())])


@functools.cache
def case_of(name):
    """The case of this name, compiled once for all fixtures."""
    return Case(*next(case for case in [*DEFAULTS, *VARIANTS] if name_of(case) == name))


@pytest.fixture(scope="module", params=DEFAULTS, ids=name_of)
def case(request):
    return case_of(name_of(request.param))


@pytest.fixture(
    scope="module",
    params=slow(DEFAULTS, ("agar", "boids", "breakout", "connect4", "drive", "foraging", "snake")),
    ids=name_of,
)
def plain_case(request):
    """For tests that compile most: eager operations one by one, or another copy of the step."""
    return case_of(name_of(request.param))


@pytest.fixture(scope="module", params=[*DEFAULTS, *slow(VARIANTS)], ids=name_of)
def any_case(request):
    return case_of(name_of(request.param))


def assert_equal(x, y, rtol=0.0):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), x, y)


def test_ten_thousand_random_steps_stay_inside_the_declared_spaces(any_case):
    env = any_case.env
    params = any_case.params.replace(max_steps_in_episode=200)
    num_envs = 8
    vector = VectorEnvironment(env, num_envs, final_observation=True)
    space, action_space = env.observation_space(params), env.action_space(params)
    num_steps = -(-NUM_STEPS // vector.batch_size)

    def body(state, key):
        action_key, step_key = jax.random.split(key)
        action = jax.vmap(action_space.sample)(jax.random.split(action_key, vector.batch_size))
        obs, state, reward, terminated, truncated, info = vector.step(step_key, state, action, params)
        inside = jax.vmap(space.contains)(obs) & jax.vmap(space.contains)(info.pop("final_observation"))
        finite = jnp.isfinite(reward) & jnp.all(jnp.isfinite(obs.astype(jnp.float32)).reshape(len(obs), -1), 1)
        return state, (inside, finite, reward, terminated, truncated, info)

    obs, state = vector.reset(jax.random.key(0), params)
    assert obs.shape == (vector.batch_size, *space.shape)
    assert obs.dtype == space.dtype
    assert action_space.sample(jax.random.key(0)).dtype == action_space.dtype
    rollout = jax.jit(lambda state, keys: jax.lax.scan(body, state, keys)[1])
    inside, finite, reward, terminated, truncated, info = rollout(state, jax.random.split(jax.random.key(1), num_steps))
    assert inside.all()
    assert finite.all()
    assert reward.dtype == jnp.float32
    assert (terminated.dtype, truncated.dtype) == (bool, bool)
    assert set(info) - {"controlled"} == {"done", "episode_return", "episode_length", "score", *env.metrics}
    check_statistics(reward, terminated, truncated, info)


def check_statistics(reward, terminated, truncated, info):
    """Sums of reward and steps restart after every end; nothing outlives the time limit."""
    reward, terminated, truncated, info = jax.tree.map(np.asarray, (reward, terminated, truncated, info))
    np.testing.assert_array_equal(info["done"], terminated | truncated)
    total, length = np.zeros(reward.shape), np.zeros(reward.shape, int)
    for t in range(len(reward)):
        goes_on = ~info["done"][t - 1] if t else False
        total[t] = reward[t] + np.where(goes_on, total[t - 1], 0)
        length[t] = 1 + np.where(goes_on, length[t - 1], 0)
    np.testing.assert_allclose(info["episode_return"], total, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(info["episode_length"], length)
    assert info["done"].any()
    assert info["episode_length"].max() <= 200


def test_the_same_key_gives_the_same_step(case):
    key = jax.random.key(2)
    state = case.reset(key, case.params)[1]
    action = case.action(jax.random.key(3))
    assert_equal(case.step(key, state, action, case.params), case.step(key, state, action, case.params))


def test_jit_equals_eager(plain_case):
    case, key = plain_case, jax.random.key(2)
    obs, state = case.reset(key, case.params)
    assert_equal((obs, state), case.env.reset_env(key, case.params), rtol=1e-6)
    action = case.action(jax.random.key(3))
    compiled = case.step(key, state, action, case.params)
    assert_equal(compiled, case.env.step_env(key, state, action, case.params), rtol=1e-5)


def test_vmap_over_states_and_parameters_equals_a_loop(plain_case):
    case = plain_case
    keys = jax.random.split(jax.random.key(4), 2)
    states = jax.tree.map(lambda *x: jnp.stack(x), *[case.reset(k, case.params)[1] for k in keys])
    actions = jnp.stack([case.action(k) for k in keys])
    axes = type(case.params)(**{f.name: None for f in dataclasses.fields(case.params)})
    axes = axes.replace(max_steps_in_episode=0)
    params = case.params.replace(max_steps_in_episode=jnp.array([1, 5]))

    def step(key, state, action, params):
        out = case.env.step_env(key, state, action, params)
        return out, case.env.is_truncated(out[1], params)

    together, truncated = jax.jit(jax.vmap(step, in_axes=(0, 0, 0, axes)))(keys, states, actions, params)
    np.testing.assert_array_equal(truncated, [True, False])
    for i in range(2):
        alone = jax.tree.map(lambda x, i=i: x[i], (keys, states, actions))
        assert_equal(jax.tree.map(lambda x, i=i: x[i], together), case.step(*alone, case.params), rtol=1e-5)


def test_step_keeps_the_structure_shapes_and_dtypes_of_the_state(case):
    obs, state = case.reset(jax.random.key(5), case.params)
    after = case.step(jax.random.key(6), state, case.action(jax.random.key(7)), case.params)
    before = jax.tree.map(jax.typeof, (obs, state))
    assert before == jax.tree.map(jax.typeof, after[:2])
    assert after[2].shape == after[3].shape == case.shape
    assert case.env.is_truncated(state, case.params).shape == ()


def test_no_second_compilation(case):
    state = case.reset(jax.random.key(5), case.params)[1]
    for t in range(3):
        _, state, *_ = case.step(jax.random.key(t), state, case.action(jax.random.key(t)), case.params)
    assert case.step._cache_size() == 1
    assert case.reset._cache_size() == 1


def test_reset_inside_step_equals_reset(plain_case):
    case = plain_case
    env, params = case.env, case.params.replace(max_steps_in_episode=1)
    key = jax.random.key(8)
    state = env.reset(key, params)[1]
    obs, after, _, _, truncated, info = env.step(key, state, case.action(key), params)
    assert truncated.all()
    step_key, reset_key = jax.random.split(key)
    assert_equal((obs, after), env.reset(reset_key, params), rtol=1e-5)  # two programs round differently
    assert_equal(info["final_observation"], case.step(step_key, state, case.action(key), params)[0], rtol=1e-5)


def test_observation_is_a_function_of_the_state(case):
    obs, state = case.reset(jax.random.key(9), case.params)
    assert_equal(obs, case.get_obs(state, case.params), rtol=1e-6)


def test_environments_are_hashable_and_deep_copyable(case):
    twin = copy.deepcopy(case.env)
    assert twin == case.env
    assert hash(twin) == hash(case.env)
    assert case.env.name
    space = case.env.action_space(case.params)
    assert case.env.num_actions == (space.n if isinstance(space, Discrete) else space.shape[0])
    assert case.params.max_steps_in_episode in (NO_TIME_LIMIT, 200, 512, 1000, 1024)


@pytest.fixture(scope="module", params=slow(DEFAULTS, ("connect4",)), ids=name_of)
def played_case(request):
    return case_of(name_of(request.param))


def test_scripted_player_acts_inside_the_action_space(played_case):
    case = played_case
    state = case.reset(jax.random.key(11), case.params)[1]
    action = jax.jit(scripted(case.env))(jax.random.key(12), state, case.params)
    space = case.env.action_space(case.params)
    assert action.shape == (*case.shape, *space.shape)
    assert action.dtype == space.dtype
    assert (jax.vmap(space.contains)(action) if case.shape else space.contains(action)).all()
