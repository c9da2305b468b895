"""Actions of a wrong shape or type are named; types do not depend on whether 64 bits are enabled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.registry import ENVIRONMENTS, make
from envs.spaces import Discrete
from envs.wrappers import EpisodeStatistics, FrameStack
from p3o_jax.vector import VectorEnvironment

SMALL = {
    "agar": {"num_players": 4, "num_food": 16},
    "boids": {"num_boids": 6},
    "drive": {"num_vehicles": 6, "num_scenes": 4},
    "maze": {"size": 9, "num_maps": 8},
    "snake": {"width": 18, "height": 16, "num_snakes": 5, "num_food": 12, "vision": 3},
}
CASES = [
    *((name, SMALL.get(name, {})) for name in sorted(ENVIRONMENTS)),
    ("agar", {**SMALL["agar"], "continuous": False}),
    ("agar", {**SMALL["agar"], "num_players": 1}),
    ("breakout", {"continuous": True}),
    ("connect4", {"opponent": "random"}),
    ("drive", {**SMALL["drive"], "continuous": True, "controlled": 0.5}),
    ("maze", {**SMALL["maze"], "doors": True}),
    ("pong", {"continuous": True}),
    ("snake", {**SMALL["snake"], "num_snakes": 1}),
]
IDS = ["-".join([name, *map(str, arguments.values())]) for name, arguments in CASES]


def shape_of_action(env):
    space = env.action_space(env.default_params)
    return (env.num_agents, *space.shape) if env.num_agents > 1 else space.shape


def step_with(env, action):
    """Types of what a step with this action gives; nothing is computed."""
    params, key = env.default_params, jax.random.key(0)
    _, state = jax.eval_shape(env.reset_env, key, params)
    return jax.eval_shape(lambda key, state: env.step_env(key, state, action, params), key, state)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_a_wrong_shape_of_the_action_is_named(name, arguments):
    env = make(name, **arguments)
    right = shape_of_action(env)
    for wrong in {(*right, 2), right[1:], right[:-1], (3, *right[1:]), (2,)} - {right}:
        if np.prod(wrong) == np.prod(right) == 1:
            continue
        with pytest.raises(ValueError, match=r"`action` must have shape .* in \w+; got "):
            step_with(env, jnp.zeros(wrong, env.action_space().dtype))
    for wrapped in (EpisodeStatistics(env), FrameStack(env)):
        with pytest.raises(ValueError, match=r"`action` must have shape"):
            step_with(wrapped, jnp.zeros((*right, 2), env.action_space().dtype))


def test_boids_and_agar_name_the_shape_that_they_want():
    with pytest.raises(ValueError, match=r"`action` must have shape \(6, 2\) in Boids; got \(2,\)\."):
        step_with(make("boids", num_boids=6), jnp.zeros(2))
    with pytest.raises(ValueError, match=r"`action` must have shape \(4, 2\) in Agar; got \(4,\)\."):
        step_with(make("agar", **SMALL["agar"]), jnp.zeros(4))


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_a_row_of_actions_too_few_or_too_many_is_named(name, arguments):
    vector = VectorEnvironment(make(name, **arguments), 3)
    params, key = vector.env.default_params, jax.random.key(0)
    state = jax.eval_shape(vector.reset, key, params)[1]
    space = vector.env.action_space(params)
    for rows in (1, vector.batch_size + 1):
        action = jax.ShapeDtypeStruct((rows, *space.shape), space.dtype)
        with pytest.raises(ValueError, match=rf"`action` must have {vector.batch_size} rows; got shape \({rows},"):
            jax.eval_shape(vector.step, key, state, action, params)


def test_discrete_actions_must_be_integers_and_may_be_of_any_width():
    env = make("pong")
    for action in (1, np.int64(1), np.uint8(1), jnp.asarray(1, jnp.int8)):
        step_with(env, action)
    with pytest.raises(ValueError, match="`action` must be of an integer type in Pong; got float32"):
        step_with(env, jnp.float32(1.0))


def test_a_single_snake_has_no_axis_of_agents():
    env = make("snake", **{**SMALL["snake"], "num_snakes": 1})
    obs, state, reward, terminated, info = step_with(env, jnp.int32(0))
    assert obs.shape == env.observation_space().shape == (7, 7)
    assert reward.shape == terminated.shape == info["score"].shape == ()
    vector = VectorEnvironment(env, 3)
    first, state = jax.eval_shape(vector.reset, jax.random.key(0), env.default_params)
    action = jax.ShapeDtypeStruct((3,), jnp.int32)
    again = jax.eval_shape(vector.step, jax.random.key(0), state, action, env.default_params)
    assert (again[0], again[1]) == (first, state)


def types_of_a_step(name, arguments, wide):
    """Types of reset, step and sampled action, for an action of 64 bits where `wide`."""
    env = make(name, **arguments)
    params, space = env.default_params, env.action_space()

    def play(key):
        first = env.reset_env(key, params)
        action = jnp.zeros(shape_of_action(env), space.dtype)
        if wide:
            action = action.astype(jnp.int64 if isinstance(space, Discrete) else jnp.float64)
        return first, env.step_env(key, first[1], action, params), space.sample(key)

    return jax.tree.map(lambda x: (x.shape, str(x.dtype)), jax.eval_shape(play, jax.random.key(0)))


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_types_do_not_depend_on_whether_64_bits_are_enabled(name, arguments):
    """States and observations keep their sizes, and the same key draws the same episode."""
    with jax.enable_x64(False):
        expected = types_of_a_step(name, arguments, wide=False)
    with jax.enable_x64(True):
        assert types_of_a_step(name, arguments, wide=True) == expected


@pytest.mark.parametrize("name", ["breakout", "connect4", "foraging", "pong"])
def test_the_same_key_draws_the_same_with_64_bits(name):
    """As bits of 64 a coin that reads the 32nd would always fall on the same side."""
    env = make(name)
    keys = jax.random.split(jax.random.key(0), 16)

    def draws():
        draw = (lambda key: env.draw(key, env.default_params)) if name == "foraging" else env.draw
        return jax.tree.map(np.asarray, jax.vmap(draw)(keys))

    with jax.enable_x64(False):
        expected = draws()
    with jax.enable_x64(True):
        jax.tree.map(np.testing.assert_array_equal, draws(), expected)
    assert all(len(np.unique(leaf, axis=0)) > 1 for leaf in jax.tree.leaves(expected))
