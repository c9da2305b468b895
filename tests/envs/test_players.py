"""Scripted players reach the maximum of their game; pictures of every state can be drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.players import scripted
from envs.registry import ENVIRONMENTS, make
from envs.render import render, save_gif, save_png
from envs.wrappers import FrameStack
from p3o_jax.vector import VectorEnvironment

SMALL = {
    "drive": {"num_scenes": 4},
    "maze": {"size": 9, "num_maps": 4, "doors": True},
    "snake": {"width": 24, "height": 20, "num_snakes": 4, "num_food": 20},
}


def scores(name, num_envs, num_steps, **arguments):
    """Scores of all episodes that end."""
    env = make(name, **arguments)
    params, policy, vector = env.default_params, scripted(env), VectorEnvironment(env, num_envs)

    def body(state, key):
        action_key, step_key = jax.random.split(key)
        action = jax.vmap(policy, in_axes=(0, 0, None))(jax.random.split(action_key, num_envs), state.env, params)
        _, state, _, _, _, info = vector.step(step_key, state, vector._merge(action), params)
        return state, (info["done"], info["score"])

    state = vector.reset(jax.random.key(0), params)[1]
    keys = jax.random.split(jax.random.key(1), num_steps)
    done, score = jax.jit(lambda s, k: jax.lax.scan(body, s, k)[1])(state, keys)
    return np.asarray(score)[np.asarray(done)]


@pytest.mark.parametrize("continuous", [False, True])
def test_pong_is_won_21_to_nothing(continuous):
    won = scores("pong", 4, 800, continuous=continuous)
    assert len(won) >= 4
    assert (won == 21).all()


@pytest.mark.slow  # a player that searches compiles for ten seconds
def test_connect_four_is_won():
    won = scores("connect4", 4, 21)
    assert len(won) >= 4
    assert won.mean() == 1


def test_foraging_reaches_resources_and_enemies():
    assert scores("foraging", 4, 512).min() > 4


@pytest.mark.slow
def test_snakes_grow_long():
    lengths = scores("snake", 1, 300, **SMALL["snake"])
    assert lengths.mean() > 8


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_every_state_has_a_picture(name):
    env = make(name, **SMALL.get(name, {}))
    state = env.reset(jax.random.key(0))[1]
    frame = render(env, state, score=1.5)
    assert frame.dtype == np.uint8
    assert frame.ndim == 3
    assert frame.shape[2] == 3
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) >= 3


def test_picture_changes_with_the_state_and_can_be_saved(tmp_path):
    image = pytest.importorskip("PIL.Image")
    env = FrameStack(make("pong"))
    state = env.reset(jax.random.key(0))[1]
    moved = state.replace(env=state.env.replace(ball_x=jnp.float32(300), score_right=jnp.int32(7)))
    frames = [render(env, s) for s in (state, moved)]
    assert (frames[0] != frames[1]).any()
    save_gif(tmp_path / "a.gif", frames)
    save_png(tmp_path / "a.png", frames[0])
    with image.open(tmp_path / "a.gif") as gif:
        assert (gif.format, gif.n_frames, gif.size) == ("GIF", 2, frames[0].shape[1::-1])
    with image.open(tmp_path / "a.png") as png:
        np.testing.assert_array_equal(np.asarray(png), frames[0])


def test_foreign_environments_have_neither_player_nor_picture():
    class Other:
        name = "other"

    with pytest.raises(ValueError, match=r"`env` must be one of .*Pong.* for a scripted player; got other"):
        scripted(Other())
    with pytest.raises(ValueError, match=r"`env` must be one of .*Pong.* to be drawn; got other"):
        render(Other(), None)
