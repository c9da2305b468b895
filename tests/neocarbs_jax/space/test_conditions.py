"""Axes that are active under conditions: absent where they are not, and then without any effect on distances."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neocarbs_jax import space as spaces
from neocarbs_jax import sweep
from neocarbs_jax.space import Choice, Integer, Linear, Log, Ordinal, Pow2, SearchSpace

SPACE = SearchSpace(
    opt=Choice(("adam", "sgd", "lion")),
    momentum=Linear(0.5, 0.99, center=0.9, when={"opt": "sgd"}),
    nesterov=Choice((False, True), when={"opt": "sgd"}),
    decay=Log(1e-6, 1e-1, when={"opt": ("adam", "lion"), "layers": [2, 3]}),
    layers=Integer(1, 3),
    width=Pow2(16, 128, when={"nesterov": True}),
    size=Ordinal(("s", "m", "l")),
)


def absent(values):
    return {name for name in SPACE.names if name not in values}


def expected_absent(values):
    sgd = values["opt"] == "sgd"
    gone = set() if sgd else {"momentum", "nesterov", "width"}
    gone |= {"decay"} if sgd or values["layers"] == 1 else set()
    return gone | ({"width"} if sgd and not values["nesterov"] else set())


points = st.lists(st.floats(0, 1), min_size=SPACE.size, max_size=SPACE.size).map(np.array)


@settings(max_examples=100, deadline=None)
@given(points, points)
def test_inactive_axes_are_absent_and_equal_settings_are_equal_points(unit, other):
    values = SPACE.from_unit(unit)
    assert absent(values) == expected_absent(values)
    place = SPACE.place(values)
    np.testing.assert_array_equal(SPACE.to_unit(values), place)
    dead = np.concatenate([np.full(SPACE.axis_of[n].size, n in absent(values)) for n in SPACE.names])
    np.testing.assert_array_equal(place[dead], 0.5)
    again = SPACE.from_unit(place)
    assert absent(again) == absent(values)
    assert all(again[name] == pytest.approx(value) for name, value in values.items())
    mixed = np.where(dead, other, unit)  # whatever lies on dead coordinates says nothing
    assert SPACE.from_unit(mixed) == values


@functools.cache
def snap():
    return jax.jit(jax.vmap(SPACE.snap))


@settings(max_examples=50, deadline=None)
@given(st.lists(points, min_size=8, max_size=8))
def test_snap_is_the_place_of_the_values_and_snaps_once(units):
    snapped = snap()(jnp.asarray(np.stack(units), jnp.float32))
    np.testing.assert_array_equal(snap()(snapped), snapped)
    for unit in np.asarray(snapped, np.float64):
        np.testing.assert_allclose(SPACE.place(SPACE.from_unit(unit)), unit, atol=2e-6)


def test_the_distance_between_branches_does_not_depend_on_dead_coordinates():
    adam, rest = {"opt": "adam", "layers": 1, "size": "s"}, {"layers": 1, "size": "s"}
    sgd = {"opt": "sgd", "momentum": 0.6, "nesterov": False, **rest}
    first = SPACE.place({**adam, "momentum": 0.5, "nesterov": True})
    second = SPACE.place({**adam, "momentum": 0.99})
    np.testing.assert_array_equal(first, second)
    assert np.linalg.norm(SPACE.place(sgd) - first) == np.linalg.norm(SPACE.place(sgd) - second)


def test_a_missing_value_of_an_active_axis_has_no_place_and_is_named():
    values = {"opt": "sgd", "momentum": 0.9, "layers": 1, "size": "s"}
    assert SPACE.place(values) is None
    with pytest.raises(ValueError, match="`nesterov` must be given"):
        SPACE.validate(values)
    assert SPACE.missing(values) == ["nesterov"]


def test_conditions_on_fixed_values_are_decided_at_once():
    axes = {"momentum": Linear(0, 1, when={"opt": "sgd"}), "rate": Log(1e-4, 1)}
    assert SearchSpace(opt="adam", **axes).names == ("rate",)
    assert SearchSpace(opt="sgd", **axes) == SearchSpace(opt="sgd", momentum=Linear(0, 1), rate=Log(1e-4, 1))


def test_dictionaries_and_toml_keep_conditions(tmp_path):
    assert spaces.from_dict(spaces.to_dict(SPACE)) == SPACE
    file = tmp_path / "space.toml"
    file.write_text(
        '[opt]\ntype = "choice"\noptions = ["adam", "sgd"]\n'
        '[sgd.momentum]\ntype = "linear"\nlow = 0\nhigh = 1\nwhen = { opt = "sgd" }\n'
    )
    expected = SearchSpace(opt=Choice(("adam", "sgd")), sgd={"momentum": Linear(0, 1, when={"opt": "sgd"})})
    assert spaces.from_toml(file) == expected


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"a": Linear(0, 1, when={"b": 1})}, r"`when` of `a` must name another axis \(\); got 'b'"),
        ({"a": Linear(0, 1, when={"b": 1}), "b": Linear(0, 1)}, "must name an axis of listed options or whole numbers"),
        ({"a": Linear(0, 1, when={"b": 7}), "b": Integer(0, 3)}, "`when` of `a` must have values of `b`.*got 7"),
        (
            {"a": Integer(0, 1, when={"b": 1}), "b": Integer(0, 1, when={"a": 1})},
            "`when` must not lead back.*circle among a, b",
        ),
        ({"a": Integer(0, 1, when={"a": 1})}, "circle among a"),
    ],
)
def test_conditions_that_cannot_be_are_refused(axes, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace(**axes)


@pytest.mark.parametrize("when", ["opt", {"opt": []}, {}, {1: 2}])
def test_a_condition_must_be_a_mapping(when):
    with pytest.raises(ValueError, match="`when` must map names of axes to values"):
        Linear(0, 1, when=when)


def test_the_budget_of_curves_depends_on_no_condition():
    with pytest.raises(ValueError, match="`budget` must be an axis that no condition joins"):
        sweep.Config(SPACE, budget="layers")


@pytest.mark.parametrize("strategy", ["random", pytest.param("neocarbs", marks=pytest.mark.slow)])
def test_a_sweep_suggests_canonical_points_of_all_branches(strategy):
    config = sweep.Config(SPACE, capacity=16, strategy=strategy)

    def objective(values, key):
        del key
        score = jnp.where(values["opt"] == 1, -((values["momentum"] - 0.8) ** 2), -1.0)
        return score, 1.0 + values["layers"].astype(float)

    _, trace = sweep.run(config, objective, jax.random.key(0), 12)
    units = trace.suggestion.unit
    np.testing.assert_array_equal(SPACE.snap(units), units)
    seen = [absent(SPACE.from_unit(np.asarray(unit))) for unit in units]
    assert len(set(map(frozenset, seen))) >= 2
