"""Fronts against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neocarbs_jax import pareto, synthetic

POINTS = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.booleans()), min_size=12, max_size=12).map(
    lambda rows: tuple(np.array(column) for column in zip(*rows, strict=True))
)

non_dominated = jax.jit(pareto.non_dominated)
hypervolume = jax.jit(pareto.hypervolume)
staircase = jax.jit(pareto.staircase)


def as_arrays(points):
    score, cost, mask = points
    return jnp.asarray(score, jnp.float32), jnp.asarray(cost, jnp.float32), jnp.asarray(mask)


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_the_front_is_what_brute_force_leaves(points):
    score, cost, mask = points
    front = np.asarray(non_dominated(*as_arrays(points)))
    rank = [(s, -c, -j) for j, (s, c) in enumerate(zip(score, cost, strict=True))]
    for i in range(len(score)):
        at_least = mask & (score >= score[i]) & (cost <= cost[i])
        beaten = any(at_least[j] and rank[j] > rank[i] for j in range(len(score)))
        assert front[i] == (mask[i] and not beaten)


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_the_hypervolume_counts_unit_cells(points):
    score, cost, mask = points
    cells = sum(
        any(m and s > row and c <= column for s, c, m in zip(score, cost, mask, strict=True))
        for row in range(-5, 5)
        for column in range(-5, 6)
    )
    area = hypervolume(*as_arrays(points), jnp.float32(-5), jnp.float32(6))
    assert float(area) == cells


def test_the_staircase_never_falls_and_starts_at_the_floor():
    score, cost = jnp.array([1.0, 3.0, 2.0]), jnp.array([0.0, 2.0, 1.0])
    at = jnp.array([-1.0, 0.0, 1.5, 5.0])
    stairs = pareto.staircase(score, cost, jnp.ones(3, bool), at, jnp.float32(0.5))
    np.testing.assert_array_equal(stairs, [0.5, 1.0, 2.0, 3.0])


def test_gaps_are_distances_to_the_nearest_neighbour_on_the_front():
    gaps = pareto.gaps(jnp.array([0.0, 1.0, 5.0, 1.1]), jnp.array([True, True, True, False]))
    np.testing.assert_array_equal(gaps, [1.0, 1.0, 4.0, 0.0])


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_numpy_in_numpy_out_and_the_same_front(points):
    score, cost, mask = points
    front = pareto.non_dominated(score.astype(float), cost.astype(float), mask)
    assert isinstance(front, np.ndarray)
    np.testing.assert_array_equal(front, non_dominated(*as_arrays(points)))


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_the_staircase_is_the_best_of_what_is_affordable(points):
    score, cost, mask = points
    at = np.arange(-6, 7)
    expected = [max([-9, *(s for s, c, m in zip(score, cost, mask, strict=True) if m and c <= limit)]) for limit in at]
    stairs = staircase(*as_arrays(points), jnp.asarray(at, jnp.float32), jnp.float32(-9))
    np.testing.assert_array_equal(stairs, expected)


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_the_front_alone_has_the_staircase_and_the_hypervolume_of_all(points):
    score, cost, mask = as_arrays(points)
    front = non_dominated(score, cost, mask)
    at, floor = jnp.arange(-6.0, 7.0), jnp.float32(-9)
    np.testing.assert_array_equal(staircase(score, cost, front, at, floor), staircase(score, cost, mask, at, floor))
    reference = jnp.float32(-5), jnp.float32(6)
    assert float(hypervolume(score, cost, front, *reference)) == float(hypervolume(score, cost, mask, *reference))


def test_there_is_one_type_of_front():
    front = synthetic.make("log").front()
    assert isinstance(front, pareto.Front)
    assert synthetic.Front is pareto.Front
    assert np.all(np.diff(front.cost) > 0)
    assert np.all(np.diff(front.score) >= 0)
