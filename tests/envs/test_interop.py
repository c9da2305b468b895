"""Other people's loops, as they are, on our environments; wrappers over anybody's environments keep what these have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.interop import GymnaxView, gymnasium_vector
from envs.registry import make
from envs.spaces import MultiDiscrete, gymnax_space
from envs.wrappers import EpisodeStatistics, FrameStack, LegacyView
from p3o_jax import Config, NetworkConfig, Params, make_train
from p3o_jax.vector import VectorEnvironment

SMALL = {
    "agar": {"num_players": 4, "num_food": 16},
    "boids": {"num_boids": 6},
    "foraging": {},
    "pong": {},
    "snake": {"width": 18, "height": 16, "num_snakes": 5, "num_food": 12, "vision": 3},
}


@pytest.mark.parametrize("wrapper", [EpisodeStatistics, FrameStack, LegacyView, GymnaxView])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_wrappers_keep_what_they_wrap(name, wrapper):
    pytest.importorskip("gymnax", exc_type=ImportError)
    plain = make(name, **SMALL[name])
    env = wrapper(plain)
    for attribute in ("name", "num_agents", "num_actions", "metrics", "costly_reset", "default_params"):
        assert getattr(env, attribute) == getattr(plain, attribute), attribute
    assert type(env.action_space().sample(jax.random.key(0)).dtype) is type(jnp.dtype(plain.action_space().dtype))
    with pytest.raises(AttributeError):
        _ = env.no_such_name


@pytest.mark.parametrize("wrapper", [EpisodeStatistics, FrameStack, GymnaxView])
def test_the_metrics_of_a_wrapped_environment_reach_info(wrapper):
    pytest.importorskip("gymnax", exc_type=ImportError)
    vector = VectorEnvironment(wrapper(make("foraging")), 3)
    params = vector.env.default_params
    state = jax.eval_shape(vector.reset, jax.random.key(0), params)[1]
    action = jax.ShapeDtypeStruct((3,), jnp.int32)
    info = jax.eval_shape(vector.step, jax.random.key(0), state, action, params)[-1]
    assert set(make("foraging").metrics) <= set(info)


@pytest.mark.parametrize("wrapper", [EpisodeStatistics, FrameStack])
@jax.numpy_dtype_promotion("standard")  # gymnax multiplies integer actions by floats
def test_wrappers_work_over_environments_of_gymnax(wrapper):
    pytest.importorskip("gymnax", exc_type=ImportError)
    plain = make("gymnax:CartPole-v1")
    env = wrapper(plain)
    assert (env.num_agents, env.metrics, env.costly_reset, env.num_actions) == (1, (), False, 2)
    params = env.default_params
    vector, bare = VectorEnvironment(env, 3), VectorEnvironment(plain, 3)
    obs, state = vector.reset(jax.random.key(0), params)
    plain_obs, plain_state = bare.reset(jax.random.key(0), params)
    for t in range(12):  # a pole that is always pushed the same way falls within these
        action = jnp.ones(3, jnp.int32)
        obs, state, *rest = vector.step(jax.random.key(t), state, action, params)
        plain_obs, plain_state, *plain_rest = bare.step(jax.random.key(t), plain_state, action, params)
        last = obs[..., -1] if wrapper is FrameStack else obs
        jax.tree.map(np.testing.assert_array_equal, (last, rest), (plain_obs, plain_rest))
    assert obs.shape[1:] == env.observation_space(params).shape


def test_a_multi_discrete_space_is_none_of_gymnaxs():
    pytest.importorskip("gymnax", exc_type=ImportError)
    with pytest.raises(ValueError, match=r"`space` must be discrete or a box for gymnax; got MultiDiscrete"):
        gymnax_space(MultiDiscrete((2, 3)))


def test_the_learner_takes_an_environment_as_gymnax_shows_it():
    pytest.importorskip("gymnax", exc_type=ImportError)
    config = Config(num_envs=4, segment_length=4, horizon=2, network=NetworkConfig(width=4, depth=1))
    plain, view = (
        jax.eval_shape(make_train(config, env), jax.random.key(0), Params())
        for env in (make("pong"), GymnaxView(make("pong")))
    )
    assert jax.tree.map(jnp.shape, plain) == jax.tree.map(jnp.shape, view)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), [("pong", {}), ("breakout", {}), ("pong", {"continuous": True})])
@jax.numpy_dtype_promotion("standard")
@jax.numpy_rank_promotion("allow")
def test_ppo_of_rejax_trains_on_our_environments(name, arguments):
    rejax = pytest.importorskip("rejax", exc_type=ImportError)
    env = LegacyView(make(name, **arguments))
    params = env.default_params.replace(max_steps_in_episode=64)
    settings = {"num_envs": 8, "num_steps": 16, "num_epochs": 1, "num_minibatches": 2, "eval_freq": 256}
    algorithm = rejax.get_algo("ppo").create(env=env, env_params=params, total_timesteps=256, **settings)
    assert algorithm.discrete == (not arguments)
    state, (lengths, returns) = jax.jit(algorithm.train)(jax.random.key(0))
    assert ((lengths > 0) & (lengths <= 64)).all()
    assert np.isfinite(returns).all()
    assert int(state.global_step) == 256
    fresh = algorithm.init_state(jax.random.key(0))
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), state.actor_ts.params, fresh.actor_ts.params)
    assert any(jax.tree.leaves(moved))


def test_statistics_of_gymnasium_are_those_of_a_loop_in_the_style_of_cleanrl():
    """The loop reads `final_info` and `final_obs` as gymnasium's own vector environments give them."""
    gymnasium = pytest.importorskip("gymnasium")
    view = gymnasium_vector("pong", 3, seed=1)
    view.params = view.params.replace(max_steps_in_episode=4)
    view = gymnasium.wrappers.vector.RecordEpisodeStatistics(view)
    obs, _ = view.reset(seed=0)
    returns, running = [], np.zeros(3)
    for t in range(1, 13):
        obs, reward, terminated, truncated, info = view.step(view.action_space.sample())
        done, running = terminated | truncated, running + reward
        assert done.any() == (t % 4 == 0)
        assert ("final_info" in info) == done.any()
        if "final_info" in info:
            np.testing.assert_allclose(info["final_info"]["episode"]["r"][done], running[done])
            np.testing.assert_array_equal(info["final_info"]["episode"]["l"][done], 4)
            np.testing.assert_array_equal(info["_final_info"], done)
            np.testing.assert_array_equal(info["_final_obs"], done)
            np.testing.assert_allclose(info["final_info"]["episode_return"][done], running[done])
            np.testing.assert_allclose(info["final_info"]["score"][done], 0.0)
            if t == 4:  # later ones lack a step: the wrapper takes the first for a reset
                np.testing.assert_allclose(info["episode"]["r"][done], running[done])
                np.testing.assert_array_equal(info["episode"]["l"][done], 4)
            last = np.stack(list(info["final_obs"][done]))  # rows are objects in gymnasium's own vectors
            assert last.shape == obs[done].shape
            assert (last != obs[done]).any(axis=1).all()
            returns += running[done].tolist()
            running[done] = 0.0
    assert len(returns) == 9
    assert len(view.return_queue) == 9
