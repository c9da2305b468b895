"""Strategies are values: frozen, hashable, made by constructors, changed by subclasses; what they share."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import pareto, strategies, sweep
from neocarbs_jax.beliefs import Beliefs
from neocarbs_jax.space import Choice, Integer, Linear, Log, Logit, SearchSpace
from neocarbs_jax.strategies import CARBS, NeoCARBS, ParetoGenetic, Protein, Random, Strategy
from neocarbs_jax.strategies.base import Situation, observed_range, random_parents, raw_front
from neocarbs_jax.sweep import Status

SPACE = SearchSpace(x=Linear(0, 1), steps=Log(1, 100), n=Integer(1, 4), kind=Choice(("a", "b")))
ALL = [NeoCARBS, Protein, CARBS, ParetoGenetic, Random]


def test_every_strategy_has_a_name_of_its_own():
    assert list(strategies.STRATEGIES.values()) == ALL
    assert [kind.name for kind in ALL] == ["neocarbs", "protein", "carbs", "pareto_genetic", "random"]
    assert {kind.name for kind in ALL if kind.uses_surrogates} == {"neocarbs", "protein", "carbs"}


@pytest.mark.parametrize("kind", ALL)
def test_strategies_are_equal_where_their_numbers_are(kind):
    assert kind() == kind()
    assert hash(kind()) == hash(kind())
    assert kind() != next(other for other in ALL if other is not kind)()
    for field in dataclasses.fields(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(kind(), field.name, 1)


@pytest.mark.parametrize("name", ["kappa", "target_width", "thrift", "knee", "growth", "reach", "caution"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_numbers_of_neocarbs_are_positive_and_finite(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be positive and finite; got {value}"):
        NeoCARBS(**{name: value})


@pytest.mark.parametrize("name", ["num_initial", "num_candidates", "num_refined", "refine_steps"])
@pytest.mark.parametrize("value", [0, -3, 2.0])
def test_counts_of_neocarbs_are_positive_whole_numbers(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be a positive whole number; got {value}"):
        NeoCARBS(**{name: value})


def test_acquisitions_are_named():
    with pytest.raises(ValueError, match="`acquisition` must be one of ehvi, improvement, conservative; got 'entropy'"):
        NeoCARBS(acquisition="entropy")


def test_only_neocarbs_starts_with_several_draws_and_goes_on_until_one_succeeds():
    assert [bool(NeoCARBS(num_initial=2).starting(n, 1)) for n in range(4)] == [True, True, False, False]
    assert NeoCARBS(num_initial=2).starting(7, 0)
    for kind in (Protein, CARBS, ParetoGenetic):
        assert [bool(kind().starting(n, 0)) for n in range(3)] == [True, False, False]


@pytest.mark.parametrize("kind", [NeoCARBS, Random])
def test_the_initial_design_alone_is_what_a_sweep_without_results_is_told(kind, suggest):
    """`initial` needs no surrogates, and gives the point that `propose` gives."""
    # As in test_sweep, whose compiled program is found on disk.
    space = SearchSpace(
        learning_rate=Log(1e-5, 1e-1), steps=Log(1e7, 1e10), gamma=Logit(0.8, 0.9999), epochs=Integer(1, 8)
    )
    strategy = NeoCARBS(num_candidates=128, num_refined=32) if kind is NeoCARBS else kind()
    config = sweep.Config(space, 24, strategy, warp="linear")
    state = sweep.init(config)
    for n in range(3):
        key = jax.random.fold_in(jax.random.key(4), n)
        state, suggestion = suggest(config, state, key)
        if n:
            np.testing.assert_array_equal(suggestion.unit, strategy.initial(space, key))


def observations(unit, score, cost, status):
    config = sweep.Config(SPACE, capacity=len(score))
    return sweep.restore(config, unit, score, cost, status).observations


def test_the_raw_front_averages_replicates():
    unit = np.random.default_rng(0).random((5, SPACE.size))
    unit[3] = unit[1]
    status = np.array([Status.SUCCESS] * 4 + [Status.FAILED], np.int32)
    data = observations(unit, [1.0, 3.0, 2.0, 0.6, 9.0], [1.0, 2.0, 2.0, 2.0, 1.0], status)
    # The lucky second point was run again: 3 and .6 make 1.8, less than the third has at that cost.
    np.testing.assert_array_equal(raw_front(data), [True, False, True, False, False])


def test_parents_are_points_of_the_raw_front_or_the_centre():
    unit = np.random.default_rng(0).random((4, SPACE.size))
    data = observations(unit, [1.0, 2.0, 1.5, 0.5], [1.0, 2.0, 3.0, 4.0], np.full(4, int(Status.SUCCESS), np.int32))
    seen = Situation(SPACE, data, None, jnp.int32(4))
    parents, on_front = random_parents(seen, jax.random.key(0), 64)
    np.testing.assert_array_equal(on_front, [True, True, False, False])
    assert {tuple(row) for row in np.asarray(parents).tolist()} == {tuple(row) for row in data.unit[:2].tolist()}
    nothing = seen._replace(observations=data._replace(status=jnp.full(4, int(Status.FAILED), jnp.int32)))
    parents, _ = random_parents(nothing, jax.random.key(0), 8)
    np.testing.assert_array_equal(parents, np.broadcast_to(np.asarray(SPACE.center, np.float32), (8, SPACE.size)))


def test_ranges_are_those_of_the_rows_that_count():
    value = jnp.array([5.0, 1.0, 2.0])
    assert [float(end) for end in observed_range(value, jnp.array([False, True, True]))] == [1.0, 2.0]
    assert [float(end) for end in observed_range(value, jnp.zeros(3, bool))] == [0.0, 1.0]
    low, high = observed_range(value, jnp.array([True, False, False]))
    assert (float(low), float(high)) == pytest.approx((5.0, 5.001))


def test_a_limit_on_cost_rules_points_out():
    seen = Situation(SPACE, None, None, jnp.int32(0), log_max_cost=1.0)
    zeros = jnp.zeros(2)
    at = Beliefs(zeros, zeros, zeros, jnp.array([0.5, 1.5]), zeros, zeros)
    np.testing.assert_array_equal(seen.affordable(at, jnp.array([1.0, 2.0])), [1.0, -jnp.inf])
    free = seen._replace(log_max_cost=None)
    np.testing.assert_array_equal(free.affordable(at, jnp.array([1.0, 2.0])), [1.0, 2.0])


def test_a_strategy_without_a_rule_says_so():
    with pytest.raises(NotImplementedError):
        Strategy().propose(None, jax.random.key(0))


def test_pareto_genetic_steps_from_the_loneliest_point_every_other_time(jit):
    unit = np.full((3, SPACE.size), 0.5)
    unit[:, 0] = [0.2, 0.5, 0.8]
    data = observations(unit, [1.0, 2.0, 3.0], [1.0, 1.5, 80.0], np.full(3, int(Status.SUCCESS), np.int32))
    assert bool(jnp.all(pareto.non_dominated(data.score, jnp.log(data.cost), data.success)))
    rule = ParetoGenetic(radius=1e-4)
    for count, expected in ((4, {0.8}), (5, {0.2, 0.5, 0.8})):
        seen = Situation(SPACE, data, None, jnp.int32(count))
        propose = jit(jax.vmap(lambda key, seen=seen: rule.propose(seen, key)))
        draws = propose(jax.random.split(jax.random.key(0), 24))
        assert {round(float(x), 1) for x in draws[:, 0]} == expected
        # The step has the radius as its standard deviation, so it does not leave the spot.
        np.testing.assert_allclose(draws[:, 0], np.round(draws[:, 0], 1), atol=6e-4)
