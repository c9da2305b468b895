"""Whatever was observed, suggestions are finite and inside the space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neocarbs_jax import strategies, sweep
from neocarbs_jax.space import Choice, Integer, Linear, Log, Pow2, SearchSpace
from neocarbs_jax.sweep import Status

CAPACITY = 16
SPACES = {
    1: SearchSpace(x=Log(1e-3, 1e3)),
    40: SearchSpace(
        **{f"x{i}": Linear(0, 1) for i in range(34)}, n=Integer(1, 5), p=Pow2(1, 8), c=Choice(("a", "b", "c", "d"))
    ),
}
STRATEGY = strategies.NeoCARBS(num_candidates=64, num_refined=16)


def config(space):
    return sweep.Config(space, capacity=CAPACITY, strategy=STRATEGY, trial_cap=1e3)


@st.composite
def histories(draw, num_axes):
    """Scores from 1e-30 to 1e30 or constant, costs over 12 decades, duplicates, any mixture of fates, any length."""
    num = draw(st.integers(0, CAPACITY))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    unit = rng.random((num, num_axes))
    if draw(st.booleans()):
        unit[:] = unit[:1]
    score = rng.normal(size=num) * 10.0 ** draw(st.integers(-30, 30))
    if draw(st.booleans()):
        score[:] = 10.0 ** draw(st.integers(-30, 30))
    cost = 10.0 ** rng.uniform(-6, 6, num)
    fates = draw(st.sampled_from([[Status.SUCCESS], [Status.FAILED], list(Status)[1:]]))
    status = rng.choice([int(fate) for fate in fates], num).astype(np.int32)
    return unit, score, cost, status


@pytest.mark.parametrize(("num_axes", "x64"), [(1, True), pytest.param(40, False, marks=pytest.mark.slow)])
def test_suggestions_are_finite_and_inside_the_space(num_axes, x64, suggest):
    space = SPACES[num_axes]

    @settings(max_examples=12, deadline=None)
    @given(histories(num_axes))
    def check(history):
        with jax.enable_x64(x64):
            state = sweep.restore(config(space), *history)
            _, suggestion = suggest(config(space), state, jax.random.key(0))
            unit = np.asarray(suggestion.unit)
            predictions = [float(suggestion.predicted_score), float(suggestion.predicted_cost)]
        assert np.all((unit >= 0) & (unit <= 1))
        space.validate(space.from_unit(unit))
        assert np.isfinite(predictions).all()
        assert not np.isnan(float(suggestion.rating))

    check()


@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param(strategies.Protein(num_candidates=64), marks=pytest.mark.slow),
        pytest.param(strategies.CARBS(num_candidates=64), marks=pytest.mark.slow),
        strategies.ParetoGenetic(),
        strategies.Random(),
    ],
    ids=lambda strategy: strategy.name,
)
def test_every_strategy_runs_a_whole_sweep_and_stays_inside(strategy, run):
    space = SearchSpace(x=Linear(0, 1), cost=Log(1, 100), kind=Choice(("a", "b")))
    config = sweep.Config(space, 12, strategy, warp="linear")

    def objective(values, key):
        failed = values["x"] > 0.9
        return jnp.where(failed, jnp.nan, values["x"] * jnp.log(values["cost"])), values["cost"]

    state, trace = run(config, objective, jax.random.key(0), 10)
    units = np.asarray(trace.suggestion.unit)
    np.testing.assert_array_equal(units[0], space.snap(jnp.asarray(space.center, units.dtype)))
    assert np.all(np.isfinite(np.asarray(trace.suggestion.predicted_score)[1:]) == strategy.uses_surrogates)
    assert np.all((units >= 0) & (units <= 1))
    assert int((state.observations.success | state.observations.failed).sum()) == 10
    np.testing.assert_array_equal(np.asarray(trace.failed), np.asarray(trace.suggestion.values["x"]) > 0.9)
