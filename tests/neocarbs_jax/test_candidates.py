"""Candidates stay inside the cube, and climb."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import Linear, SearchSpace, candidates

SPACE = SearchSpace(a=Linear(0.0, 1.0), b=Linear(0.0, 1.0), c=Linear(0.0, 1.0))


def test_steps_that_leave_the_cube_are_folded_back_and_do_not_pile_up_on_its_faces():
    corner = jnp.ones((1, 3))
    unit = candidates.perturb(SPACE, jax.random.key(0), corner, jnp.ones(1, bool), 512)
    assert bool(jnp.all((unit >= 0) & (unit <= 1)))
    moved = unit != 1
    assert float(jnp.mean(moved)) > 0.4  # a fifth, a half or all of the axes move


@pytest.mark.parametrize(("peak", "reached"), [((0.3, 0.6, 0.5), (0.3, 0.6, 0.5)), ((1.5, -0.5, 0.5), (1.0, 0.0, 0.5))])
def test_climbing_reaches_the_top_or_the_face_before_it(peak, reached):
    start = jnp.full((4, 3), 0.5)
    slope_fn = jax.grad(lambda unit: -jnp.sum((unit - jnp.array([peak])) ** 2))
    unit = candidates.climb(SPACE, slope_fn, start, 30)
    np.testing.assert_allclose(unit, np.broadcast_to(reached, (4, 3)), atol=0.02)  # steps halve at every turn


def test_nothing_moves_where_the_slope_is_not_finite():
    start = jnp.full((2, 3), 0.25)
    unit = candidates.climb(SPACE, lambda unit: jnp.full_like(unit, jnp.nan), start, 5)
    np.testing.assert_array_equal(unit, start)
