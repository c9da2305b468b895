"""Replicates of front points: when one is worth more than a new point, and how many there may be."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import sweep
from neocarbs_jax.observations import merge
from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.strategies import NeoCARBS

SPACE = SearchSpace(steps=Log(1, 100), x=Linear(0, 1))
SMALL = {"num_candidates": 64, "num_refined": 4, "refine_steps": 4}


def solved(values, key):
    """Nothing but noise is left to find: every setting has the same mean."""
    return jax.random.normal(key), values["steps"]


def num_replicates(strategy):
    config = sweep.Config(SPACE, capacity=64, strategy=strategy)
    state, _ = jax.jit(functools.partial(sweep.run, config, solved, num_trials=40))(jax.random.key(0))
    data = state.observations
    return int(jnp.sum(data.success & ~merge(data).first)), int(jnp.sum(data.success))


def test_replicates_stay_within_their_share():
    number, successes = num_replicates(NeoCARBS(replicates=0.2, **SMALL))
    assert number <= 0.2 * successes + 1


def test_no_replicates_where_none_are_wanted():
    assert num_replicates(NeoCARBS(replicates=0.0, **SMALL))[0] == 0


def test_a_point_of_a_replicate_is_bitwise_one_that_was_measured():
    config = sweep.Config(SPACE, capacity=32, strategy=NeoCARBS(replicates=0.9, **SMALL))
    state = sweep.init(config)
    rng = np.random.default_rng(0)
    for index in range(12):  # one setting of a wide interval, alone on the front
        state, suggestion = sweep.enqueue(config, state, jnp.asarray([0.5, index / 12]))
        state = sweep.observe(config, state, suggestion, float(rng.normal()), 10.0)
    points = {tuple(np.asarray(row).tolist()) for row in state.observations.unit[:12]}
    suggest = jax.jit(sweep.suggest, static_argnums=0)
    found = [
        suggest(config, state._replace(count=jnp.int32(12 + index)), jax.random.key(index))[1] for index in range(8)
    ]
    for suggestion in found:
        unit = tuple(np.asarray(suggestion.unit).tolist())
        close = [p for p in points if np.allclose(p, unit, atol=1e-9)]
        assert not close or unit in points


@pytest.mark.parametrize("share", [-0.1, 1.0, "many", None])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match="`replicates` must be at least 0 and less than 1"):
        NeoCARBS(replicates=share)
