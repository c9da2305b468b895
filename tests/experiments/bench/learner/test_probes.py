"""The probes' rules, and their table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench.learner.probe_tasks import Bandit, Delay, Room
from experiments.bench.learner.probes import LEARNERS, Args, table
from experiments.bench.learner.runs import config_of, train_all
from p3o_jax.settings import Config, Params


def episode(env, policy, num_steps, seed=0):
    """Observations, rewards, truncations and the last score of one episode."""
    obs, state = env.reset_env(jax.random.key(seed), env.default_params)

    def body(carry, key):
        obs, state = carry
        after, state, reward, _, info = env.step_env(key, state, policy(obs), env.default_params)
        return (after, state), (obs, reward, env.is_truncated(state, env.default_params), info["score"])

    return jax.lax.scan(body, (obs, state), jax.random.split(jax.random.key(seed + 1), num_steps))[1]


def right_bandit(obs):
    return jnp.argmax(obs[:16]) % 6


def test_the_bandit_pays_for_right_actions_alone_and_its_stream_does_not_care():
    right = episode(Bandit(), right_bandit, 64)
    wrong = episode(Bandit(), lambda obs: (right_bandit(obs) + 1) % 6, 64)
    np.testing.assert_allclose(right[1] - wrong[1], 0.3, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(right[0], wrong[0])
    assert (right[3][-1], wrong[3][-1]) == (64, 0)
    assert right[2].tolist() == [False] * 63 + [True]


def test_the_stream_of_the_bandit_has_unit_variance_and_a_memory():
    streams = jax.vmap(lambda seed: episode(Bandit(), right_bandit, 64, seed)[0][:, 16])(jnp.arange(500))
    np.testing.assert_allclose(np.var(streams), 1.0, atol=0.1)  # about 2000 independent numbers
    np.testing.assert_allclose(np.mean(streams[:, 1:] * streams[:, :-1]), 0.95, atol=0.1)


def test_the_room_takes_four_steps_and_a_turn():
    """Forward to the wall, a turn to the right, forward to the goal, which pays and terminates."""
    env, params = Room(), Room().default_params
    _, state = env.reset_env(jax.random.key(0), params)
    rewards, ends = [], []
    for action in (2, 2, 1, 2, 2):
        _, state, reward, terminated, info = env.step_env(jax.random.key(0), state, jnp.int32(action), params)
        rewards.append(float(reward))
        ends.append(bool(terminated))
    assert (rewards, ends, float(info["score"])) == ([0, 0, 0, 0, 1], [False] * 4 + [True], 1)


def test_delay_pays_fifty_steps_after_a_right_first_action():
    right = episode(Delay(), lambda obs: jnp.argmax(obs[:6]) % 4, 52)
    later = episode(Delay(), lambda obs: (jnp.argmax(obs[:6]) + (obs[6] == 0).astype(jnp.int32)) % 4, 52)
    assert jnp.argmax(right[1] - later[1]) == 50
    np.testing.assert_allclose(right[1] - later[1], np.eye(52)[50], atol=1e-6)
    assert (right[3][-1], later[3][-1]) == (1, 0)
    assert right[2].tolist() == [False] * 51 + [True]
    assert (right[0] >= 0).all()
    assert (right[0] <= 1).all()


def test_shares_count_from_chance():
    row = {"probe": "delay", "measure": "score", "num_envs": 64, "steps": 1e5}
    rows = [
        row | {"learner": "ppo, gamma 0", "areas": [0.25, 0.25]},
        row | {"learner": "ppo, gamma 1", "areas": [0.75] * 2},
    ]
    lines = table([*rows, row | {"learner": "bands", "areas": [0.5, 0.5]}]).splitlines()
    assert [line.split("|")[-2].strip() for line in lines[2:]] == ["0.00", "1.00", "0.50"]


def test_learners_are_settings_that_there_are():
    for static, traced in LEARNERS.values():
        assert config_of(**static).num_values
        assert all(Params(**own) for own in traced)
    with pytest.raises(ValueError, match="`learners` must be among"):
        Args(learners=("sarsa",))
    with pytest.raises(ValueError, match="`seeds` must be at least 1; got 0"):
        Args(seeds=0)


@pytest.mark.slow
def test_what_is_solved_is_kept():
    """Without `kl_limit`, six of six such trainings never reach the goal again after about 5e4 steps."""
    config = Config(num_envs=32, segment_length=32, horizon=16, num_minibatches=2)
    score = np.asarray(train_all(Room(), config, [Params(total_steps=2e5)], num_seeds=2).score)[0]
    assert np.nanmean(score[:, -10:], axis=1).min() > 0.95
