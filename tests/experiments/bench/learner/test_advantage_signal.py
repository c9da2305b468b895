"""True advantages by rollouts, where they are known, and the table."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.environment import Box, Discrete, Environment, EnvParams, EnvState
from experiments.bench.learner.advantage_signal import Args, Look, collect_and_estimate, rules_of, table, true_advantage
from p3o_jax import learner
from p3o_jax.ops.spread import init_spread
from p3o_jax.rollout import make_actor
from p3o_jax.settings import Config, Params


@dataclass(frozen=True)
class Bandit(Environment):
    """Three steps; the first action is the reward of each."""

    @property
    def default_params(self):
        return EnvParams()

    def action_space(self, params=None):
        return Discrete(2)

    def observation_space(self, params=None):
        return Box(0.0, 2.0, (1,))

    def get_obs(self, state, params):
        return state.first_action[None].astype(jnp.float32)

    def reset_env(self, key, params):
        state = BanditState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))
        return self.get_obs(state, params), state

    def step_env(self, key, state, action, params):
        first_action = jnp.where(state.time == 0, action, state.first_action)
        state = BanditState(state.time + 1, first_action)
        return self.get_obs(state, params), state, first_action.astype(jnp.float32), state.time >= 3, {}


class BanditState(EnvState):
    first_action: jax.Array


CONFIG = Config(bands=0, num_envs=64, segment_length=8, horizon=4)


@pytest.fixture(scope="module")
def actor():
    env = Bandit()
    return make_actor(CONFIG, env, env.default_params)


@pytest.fixture(scope="module")
def state():
    return jax.jit(lambda key: learner.init(CONFIG, Bandit(), key, Params()))(jax.random.key(0))


def test_true_advantage_is_what_the_action_changes(actor, state):
    action = jnp.arange(64) % 2
    measure = jax.jit(partial(true_advantage, actor, 400, 8, gamma=0.5))
    found = measure(state, state.position, action, jax.random.key(1))
    # 1 + 1/2 + 1/4 until the episode ends, against the same with the chance of an untrained policy, a half
    np.testing.assert_allclose(found, 1.75 * (np.asarray(action) - 0.5), atol=0.2)


def test_positions_actions_and_advantages_of_a_segment_belong_together(actor, state):
    estimate = jax.jit(partial(collect_and_estimate, CONFIG, actor, (0, 1, 3)))
    end, at_starts, advantages = estimate(state, state.position, jax.random.key(1))
    (first, action), (second, _), (third, action_of_third) = at_starts
    np.testing.assert_array_equal(first.obs, state.position.obs)
    np.testing.assert_array_equal(second.obs[:, 0], action)  # the first action is what is seen until the episode ends
    assert bool(jnp.all(third.first))
    assert not bool(jnp.any(second.first))
    assert end.obs.shape == (64, 1)
    # Untrained predictions are near 0: an advantage is nearly the rewards to come, three times the first action's.
    for i, chosen in ((0, action), (2, action_of_third)):
        assert np.corrcoef(advantages["weights: all 1"][i], chosen)[0, 1] > 0.9


def test_table_has_each_rule_and_the_mean_of_a_trainings_looks():
    looks = [Look(score, 192, dict.fromkeys(rules_of(init_spread(4)), score / 10)) for score in (1.0, 2.0)]
    head, _, default, *_, about = table({"catch": looks}).splitlines()
    assert head == "| rule | catch (2) |"
    assert default == "| weights: default | 0.150 |"
    assert "192 actions" in about


@pytest.mark.parametrize("wrong", [{"tasks": ("nope",)}, {"segments": 0}, {"rollouts": 0}, {"reach": 0}])
def test_bad_arguments_are_named(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
        Args(**wrong)
