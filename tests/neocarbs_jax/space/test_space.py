"""Spaces: round trips, exact whole numbers, agreement of host and device, errors that name the rule."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neocarbs_jax.space import Choice, Integer, Linear, Log, Logit, Ordinal, Pow2, SearchSpace, nest

finite = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda v: v == 0 or abs(v) > 1e-6)


def pair(values):
    """Two different bounds, far enough apart that the axis is no single number."""
    return st.tuples(values, values).map(sorted).filter(lambda p: p[1] - p[0] > 1e-9 * max(abs(p[0]), abs(p[1]), 1e-12))


AXES = st.one_of(
    pair(finite).map(lambda p: Linear(*p)),
    pair(st.floats(1e-12, 1e12)).map(lambda p: Log(*p)),
    pair(st.one_of(st.floats(1e-9, 0.5), st.floats(1e-9, 0.5).map(lambda v: 1 - v))).map(lambda p: Logit(*p)),
    pair(st.integers(-1000, 1000)).map(lambda p: Integer(*p)),
    pair(st.integers(1, 100_000)).map(lambda p: Integer(*p, log=True)),
    pair(st.integers(0, 30)).map(lambda p: Pow2(2 ** p[0], 2 ** p[1])),
    st.lists(st.text(max_size=3), min_size=2, max_size=4, unique=True).map(lambda o: Choice(tuple(o))),
    st.lists(st.integers(-99, 99) | finite, min_size=2, max_size=5, unique=True).map(lambda o: Ordinal(tuple(o))),
)
SPACES = st.dictionaries(st.sampled_from("abcdef"), AXES, min_size=1, max_size=4).map(lambda d: SearchSpace(**d))


@settings(max_examples=150, deadline=None)
@given(SPACES, st.data())
def test_values_survive_the_round_trip_through_the_unit_cube(space, data):
    unit = np.array(data.draw(st.lists(st.floats(0, 1), min_size=space.size, max_size=space.size)))
    values = space.from_unit(unit)
    space.validate(values)
    again = space.from_unit(space.to_unit(values))
    for name, axis in space.axes:
        if isinstance(axis, Integer | Pow2 | Choice | Ordinal):
            assert again[name] == values[name]
            assert type(again[name]) is type(values[name])
        else:
            # A few roundings of a double, relative to the larger bound where the axis crosses zero.
            scale = max(abs(axis.low), abs(axis.high)) if isinstance(axis, Linear) else values[name]
            assert abs(again[name] - values[name]) <= 1e-12 * scale


@settings(max_examples=100, deadline=None)
@given(SPACES, st.data())
def test_the_same_unit_point_always_gives_the_same_value_and_stays_inside(space, data):
    unit = np.array(data.draw(st.lists(st.floats(0, 1), min_size=space.size, max_size=space.size)))
    assert space.from_unit(unit) == space.from_unit(unit.copy())
    assert np.all((space.to_unit(space.from_unit(unit)) >= 0) & (space.to_unit(space.from_unit(unit)) <= 1))


SPACE = SearchSpace(
    learning_rate=Log(1e-5, 1e-1),
    gamma=Logit(0.8, 1 - 1e-9),
    train={"epochs": Integer(1, 8), "minibatch": Pow2(512, 32768)},
    depth=Integer(1, 1000, log=True),
    clip=Linear(0.0, 1.0, step=0.25),
    width=Choice((64, 128, 256)),
    activation=Choice(("tanh", "relu")),
    seed=7,
    name="run",
)


def test_traced_values_equal_host_values():
    units = jax.random.uniform(jax.random.key(0), (64, SPACE.size))
    traced = jax.jit(jax.vmap(lambda u: {k: v for k, v in SPACE.from_unit(u).items() if not isinstance(v, str)}))(units)
    for i in range(0, 64, 7):
        host = SPACE.from_unit(np.asarray(units[i]))
        for name in ("train/epochs", "train/minibatch", "width", "depth"):
            assert int(traced[name][i]) == host[name]
        # exp and logistic in single precision.
        np.testing.assert_allclose(traced["learning_rate"][i], host["learning_rate"], rtol=1e-5)
        np.testing.assert_allclose(traced["gamma"][i], host["gamma"], rtol=1e-6)
        assert ("tanh", "relu")[int(traced["activation"][i])] == host["activation"]


def test_names_nest_and_fixed_values_are_carried():
    values = SPACE.from_unit(SPACE.center)
    assert values["seed"] == 7
    assert values["name"] == "run"
    assert nest(values)["train"] == {"epochs": 5, "minibatch": 4096}
    assert isinstance(values["train/epochs"], int)


def test_snapping_is_idempotent_and_keeps_values():
    units = jax.random.uniform(jax.random.key(1), (32, SPACE.size))
    snapped = SPACE.snap(units)
    # Single precision: levels divide exactly to one rounding.
    np.testing.assert_allclose(SPACE.snap(snapped), snapped, atol=1e-6)
    assert SPACE.from_unit(np.asarray(units[3]))["clip"] == SPACE.from_unit(np.asarray(snapped[3]))["clip"]


def test_centre_and_width_shape_the_prior():
    space = SearchSpace(x=Log(1e-4, 1.0, center=1e-3, width=0.05), y=Linear(0, 1))
    np.testing.assert_allclose(space.center, [0.25, 0.5], atol=1e-12)
    draws = space.from_prior(jax.random.uniform(jax.random.key(0), (4000, 2)))
    # Standard errors of 4000 draws are below 0.005.
    np.testing.assert_allclose(draws.mean(0), [0.25, 0.5], atol=0.02)
    np.testing.assert_allclose(draws.std(0), [0.05, math.sqrt(1 / 12)], atol=0.01)


def test_every_level_of_a_discrete_axis_is_equally_likely():
    space = SearchSpace(n=Integer(3, 12, step=3), p=Pow2(2, 16))
    grid = np.stack([np.linspace(0.0005, 0.9995, 1000)] * 2, axis=1)
    values = space.from_unit(grid)
    assert np.unique(values["n"], return_counts=True)[1].tolist() == [250] * 4
    assert np.unique(values["p"], return_counts=True)[1].tolist() == [250] * 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(1, 0), "`low` must be less than `high`"),
        (lambda: Linear(0, math.inf), "`high` must be a finite number"),
        (lambda: Log(0.0, 1.0), "`low` must be positive on a Log axis; got 0.0"),
        (lambda: Logit(0.5, 1.0), "`high` must be below 1"),
        (lambda: Pow2(3, 8), "`low` must be a power of two on a Pow2 axis; got 3"),
        (lambda: Integer(0, 10, log=True), "`low` must be at least 1"),
        (lambda: Choice(("a",)), "`options` must hold at least two"),
        (lambda: Linear(0, 1, center=2), "`center` must lie in"),
        (lambda: SearchSpace(), "at least one axis"),
        (lambda: SearchSpace(x=(0, 1)), "`x` must be an axis"),
        (lambda: SPACE.to_unit({}), "`learning_rate` must be given"),
        (lambda: SearchSpace(x=Linear(0, 1)).to_unit({"x": 2.0}), "`x` must lie in"),
        (lambda: SearchSpace(x=Linear(0, 1)).to_unit({"x": 0.5, "y": 1}), "`y` must be one of"),
        (lambda: SearchSpace(x=Linear(0, 1), s=1).to_unit({"x": 0.5, "s": 2}), "`s` must be 1, its fixed value"),
    ],
)
def test_impossible_spaces_and_values_raise_one_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_a_space_is_static_for_jax():
    assert jax.tree.leaves(SPACE) == []
    assert hash(SPACE) == hash(SearchSpace(**dict(SPACE.axes), **dict(SPACE.fixed)))
    jitted = jax.jit(lambda space, unit: space.from_unit(unit)["learning_rate"], static_argnums=0)
    assert jnp.isfinite(jitted(SPACE, jnp.full(SPACE.size, 0.5)))
