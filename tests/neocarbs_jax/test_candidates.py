"""Candidates stay inside the cube, and climb."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import Choice, Integer, Linear, SearchSpace, candidates

SPACE = SearchSpace(a=Linear(0.0, 1.0), b=Linear(0.0, 1.0), c=Linear(0.0, 1.0))
SHARES = np.array([0.2, 0.5, 1.0])  # of the axes that move, one of them at random


@pytest.fixture(scope="module")
def perturb(jit):
    return jit(candidates.perturb, static_argnums=(0, 4))


def test_steps_that_leave_the_cube_are_folded_back_and_do_not_pile_up_on_its_faces(perturb):
    num = 4096
    unit = np.asarray(perturb(SPACE, jax.random.key(0), jnp.ones((1, 3)), jnp.ones(1, bool), num))
    assert np.all((unit >= 0) & (unit <= 1))
    # From a corner half of the steps leave the cube; only axes that do not move stay on the face.
    deviation = np.sqrt(0.25 / num)
    assert np.mean(unit != 1) == pytest.approx(SHARES.mean(), abs=4 * deviation)
    assert not np.any(unit == 0)
    # Half of all standard normals are within .67, and the scales' median is the geometric mean of .02 and .5.
    median = np.median(1 - unit[unit != 1])
    assert median == pytest.approx(0.67 * np.sqrt(0.02 * 0.5), rel=0.15)


def test_steps_start_at_parents_alone_or_at_the_centre_without_any(perturb):
    unit = jnp.array([[0.1, 0.2, 0.3], [0.9, 0.8, 0.7], [0.5, 0.6, 0.4]])
    parents = jnp.array([False, True, True])
    got = np.asarray(perturb(SPACE, jax.random.key(1), unit, parents, 1024))
    unmoved = [np.mean(np.any(got == row, axis=1)) for row in np.asarray(unit)]
    assert unmoved[0] == 0
    # Half each, and of three axes at least one stays with probability (1 - .2^3 + 1 - .5^3) / 3.
    expected = 0.5 * (2 - 0.2**3 - 0.5**3) / 3
    np.testing.assert_allclose(unmoved[1:], expected, atol=4 * np.sqrt(0.25 / 1024))
    got = np.asarray(perturb(SPACE, jax.random.key(1), unit, jnp.zeros(3, bool), 1024))
    assert np.mean(np.any(got == 0.5, axis=1)) == pytest.approx(2 * expected, abs=4 * np.sqrt(0.25 / 1024))


def test_draws_from_the_prior_are_on_the_grid_and_follow_it(jit):
    space = SearchSpace(a=Linear(0.0, 1.0, center=0.25, width=0.05), n=Integer(1, 4), c=Choice(("a", "b")))
    unit = jit(candidates.from_prior, static_argnums=(0, 2))(space, jax.random.key(0), 2048)
    np.testing.assert_array_equal(unit, space.snap(unit))
    values = space.from_unit(np.asarray(unit))
    # Four standard errors of 2048 draws.
    assert values["a"].mean() == pytest.approx(0.25, abs=4 * 0.05 / np.sqrt(2048))
    counts = np.unique(values["n"], return_counts=True)[1]
    np.testing.assert_allclose(counts / 2048, 0.25, atol=4 * np.sqrt(0.19 / 2048))


@pytest.mark.parametrize(("peak", "reached"), [((0.3, 0.6, 0.5), (0.3, 0.6, 0.5)), ((1.5, -0.5, 0.5), (1.0, 0.0, 0.5))])
def test_climbing_reaches_the_top_or_the_face_before_it(peak, reached, jit):
    start = jnp.full((4, 3), 0.5)
    slope_fn = jax.grad(lambda unit: -jnp.sum((unit - jnp.array([peak])) ** 2))
    unit = jit(lambda start: candidates.climb(SPACE, slope_fn, start, 30))(start)
    np.testing.assert_allclose(unit, np.broadcast_to(reached, (4, 3)), atol=0.02)  # steps halve at every turn


def test_points_of_a_batch_climb_each_by_itself(jit):
    start = jnp.array([[0.5, 0.5, 0.5], [0.2, 0.9, 0.4]])
    slope_fn = jax.grad(lambda unit: -jnp.sum((unit - 0.3) ** 2 * jnp.array([[1.0, 10.0, 0.1]])))
    climb = jit(lambda start: candidates.climb(SPACE, slope_fn, start, 7))
    np.testing.assert_array_equal(climb(start)[1:], climb(start[1:]))


def test_nothing_moves_where_the_slope_is_not_finite(jit):
    start = jnp.full((2, 3), 0.25)
    unit = jit(lambda start: candidates.climb(SPACE, lambda unit: jnp.full_like(unit, jnp.nan), start, 5))(start)
    np.testing.assert_array_equal(unit, start)


def test_a_point_is_new_unless_it_equals_one_that_counts():
    seen = jnp.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    unit = jnp.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.1, 0.2, 0.31]])
    np.testing.assert_array_equal(candidates.is_new(unit, seen, jnp.array([True, False])), [False, True, True])
