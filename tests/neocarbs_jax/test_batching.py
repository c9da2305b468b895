"""What vmap makes of flags, and of whole sweeps of which some have failures."""

import jax
import jax.numpy as jnp
import numpy as np

from neocarbs_jax import batching, sweep
from neocarbs_jax import model as models
from neocarbs_jax.space import Linear, Log, SearchSpace


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


def test_a_sweep_beside_one_that_fails_is_what_it_is_alone():
    space = SearchSpace(x=Linear(0, 1), steps=Log(1, 100))
    config = sweep.Config(space, capacity=10, num_candidates=64, num_refined=8, fit_steps=4, warp="linear")

    def run(threshold):
        def objective(values, key):
            del key
            score = jnp.where(values["x"] > threshold, jnp.nan, values["x"] * jnp.log(values["steps"]))
            return score, values["steps"]

        return sweep.run(config, objective, jax.random.key(0), 10)[1].suggestion.unit

    with jax.enable_x64(True):
        thresholds = jnp.asarray([2.0, 0.5])
        together = jax.jit(jax.vmap(run))(thresholds)
        alone = jnp.stack([jax.jit(run)(threshold) for threshold in thresholds])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_surrogates_fitted_beside_failures_are_those_fitted_alone():
    space = SearchSpace(x=Linear(0, 1), steps=Log(1, 100))
    config = sweep.Config(space, capacity=40, fit_steps=4, warp="linear")
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        unit, score = rng.uniform(size=(32, 2)), rng.normal(size=32)
        status = np.full((2, 32), int(sweep.Status.SUCCESS))
        status[1, 5] = int(sweep.Status.FAILED)
        states = [sweep.restore(config, unit, score, np.exp(unit[:, 1]), row) for row in status]
        raw = [state._replace(fit=models.unfitted(config)) for state in states]
        refit = jax.jit(lambda state: models.refit(config, state.observations, state.fit, jnp.asarray(32, jnp.int32)))
        together = jax.vmap(refit)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *raw))
    for i, state in enumerate(states):
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, atol=1e-6), together, state.fit)
