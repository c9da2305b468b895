"""Log standard deviations stay inside their ranges, and are otherwise what gradient steps make of them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax import distributions, init, update
from p3o_jax.estimators import original
from p3o_jax.gradient import bound_log_stds

HUGE_STEPS = {"learning_rate": 5.0, "anneal": 0.0, "total_steps": 1e6}
"""Adam's steps are of the size of the rate: three reach any bound."""


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_policy_whose_entropy_alone_pays_keeps_a_bounded_spread(task, sign):
    params = replace(task.params, entropy=1e3 * sign, kl_limit=float("inf"), **HUGE_STEPS)
    env = task.env("box")
    state = init(task.config, env, jax.random.key(0), params)
    state = jax.jit(lambda state: update(task.config, env, state, params, None))(state)
    low, high = distributions.LOG_STD_RANGE
    np.testing.assert_array_equal(state.trainable["params"]["free"], high if sign > 0 else low)
    assert not state.failure.failed


def test_the_spread_of_the_original_value_head_is_bounded_and_comes_back(task):
    config, env = replace(task.config, estimator="original"), task.env()
    params = replace(task.params, learning_rate=1.0, anneal=0.0, value=1e3, total_steps=1e6)
    low, high = original.LOG_STD_RANGE
    state = init(config, env, jax.random.key(0), params)
    step = jax.jit(lambda state: update(config, env, state, params))
    for far in (high + 3.0, low - 3.0):
        moved = replace(state, trainable={**state.trainable, "log_std": jnp.full(4, far)})
        log_std = step(moved).trainable["log_std"]
        assert ((log_std >= low) & (log_std <= high)).all()
    at_the_bound = replace(state, trainable={**state.trainable, "log_std": jnp.full(4, high)})
    assert (step(at_the_bound).trainable["log_std"] < high).all()  # errors are of order 1, so that less is likelier


def test_inside_the_ranges_nothing_changes_and_other_parameters_never_do():
    trainable = {"params": {"free": jnp.array([-9.0, 4.9]), "w": jnp.array([99.0])}, "log_std": jnp.array([9.9, -9.9])}
    jax.tree.map(np.testing.assert_array_equal, bound_log_stds(trainable), trainable)
    without = {"params": {"w": jnp.array([-99.0])}}
    jax.tree.map(np.testing.assert_array_equal, bound_log_stds(without), without)
