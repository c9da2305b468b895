"""What vmap makes of flags, and of whole sweeps of which some have failures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import batching, fitting, sweep
from neocarbs_jax.space import Linear, Log, SearchSpace
from neocarbs_jax.strategies import NeoCARBS


def test_a_flag_anywhere_is_one_flag_for_the_whole_batch():
    flags = jnp.asarray([[False, False], [False, True]])
    assert not batching.anywhere(flags[0, 0])
    np.testing.assert_array_equal(jax.vmap(batching.anywhere)(flags[1]), [True, True])
    np.testing.assert_array_equal(jax.vmap(jax.vmap(batching.anywhere))(flags), np.full((2, 2), True))
    np.testing.assert_array_equal(jax.vmap(jax.vmap(batching.anywhere))(flags[:1]), np.full((1, 2), False))


def test_a_condition_on_it_stays_a_condition():
    def run(flag):
        return jax.lax.cond(batching.anywhere(flag), lambda: jnp.where(flag, 1.0, 0.0), lambda: 0.0)

    flags = jnp.asarray([True, False])
    np.testing.assert_array_equal(jax.vmap(run)(flags), [1, 0])
    assert "stablehlo.case" in jax.jit(jax.vmap(run)).lower(flags).as_text()
    plain = jax.vmap(lambda flag: jax.lax.cond(flag, lambda: 1.0, lambda: 0.0))
    assert "stablehlo.case" not in jax.jit(plain).lower(flags).as_text()


@pytest.mark.slow
def test_a_sweep_beside_one_that_fails_is_what_it_is_alone(jit):
    space = SearchSpace(x=Linear(0, 1), steps=Log(1, 100))
    config = sweep.Config(space, capacity=10, strategy=NeoCARBS(num_candidates=64, num_refined=8), warp="linear")

    def run(threshold):
        def objective(values, key):
            del key
            score = jnp.where(values["x"] > threshold, jnp.nan, values["x"] * jnp.log(values["steps"]))
            return score, values["steps"]

        return sweep.run(config, objective, jax.random.key(0), 10)[1].suggestion.unit

    with jax.enable_x64(True):
        thresholds = jnp.asarray([2.0, 0.5])
        together = jit(jax.vmap(run))(thresholds)
        single = jit(run)
        alone = jnp.stack([single(threshold) for threshold in thresholds])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_surrogates_fitted_beside_failures_are_those_fitted_alone(jit):
    space = SearchSpace(x=Linear(0, 1), steps=Log(1, 100))
    config = sweep.Config(space, capacity=40, warp="linear")
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        unit, score = rng.uniform(size=(32, 2)), rng.normal(size=32)
        status = np.full((2, 32), int(sweep.Status.SUCCESS))
        status[1, 5] = int(sweep.Status.FAILED)
        states = [sweep.restore(config, unit, score, np.exp(unit[:, 1]), row) for row in status]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)

        def refit(state):
            return fitting.refit(config.form, state.observations, state.fit)

        together = jit(jax.vmap(refit))(stacked)
        single = jit(refit)
        for i, state in enumerate(states):
            alone = single(state)
            assert int(alone.count) == 32
            jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, atol=1e-6), together, alone)
        # The failure taught one of them something, and left the other's success surrogate at its prior.
        prior = fitting.unfitted(config.form, space.size).hyperparameters.log_noise[fitting.Target.SUCCESS]
        assert float(together.hyperparameters.log_noise[0, fitting.Target.SUCCESS]) == float(prior)
        assert float(together.hyperparameters.log_noise[1, fitting.Target.SUCCESS]) != float(prior)
