"""Spaces as dictionaries, TOML files and Optuna distributions."""

import json

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from neocarbs_jax import space as spaces
from neocarbs_jax.space import Choice, Integer, Linear, Log, Logit, Pow2, SearchSpace

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


def test_dictionaries_and_toml_describe_the_same_space(tmp_path):
    text = """
    [learning_rate]
    type = "log"
    low = 1e-5
    high = 1e-1
    center = 1e-3

    [train]
    seed = 7

    [train.epochs]
    type = "integer"
    low = 1
    high = 8
    """
    path = tmp_path / "space.toml"
    path.write_text(text)
    expected = SearchSpace(learning_rate=Log(1e-5, 1e-1, center=1e-3), train={"seed": 7, "epochs": Integer(1, 8)})
    assert spaces.from_toml(path) == expected
    assert spaces.from_dict(json.loads(json.dumps(spaces.to_dict(SPACE)))) == SPACE


def test_optuna_distributions_become_axes():
    space = spaces.from_optuna(
        {
            "a": FloatDistribution(0.0, 1.0),
            "b": FloatDistribution(1e-5, 1.0, log=True),
            "c": FloatDistribution(0.0, 1.0, step=0.25),
            "d": IntDistribution(1, 9, step=2),
            "e": IntDistribution(1, 100, log=True),
            "f": CategoricalDistribution(("x", "y")),
            "g": IntDistribution(3, 3),
        }
    )
    assert space == SearchSpace(
        a=Linear(0.0, 1.0),
        b=Log(1e-5, 1.0),
        c=Linear(0.0, 1.0, step=0.25),
        d=Integer(1, 9, step=2),
        e=Integer(1, 100, log=True),
        f=Choice(("x", "y")),
        g=3,
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: spaces.from_dict({"x": {"type": "cubic"}}), "`type` of `x` must be one of"),
        (lambda: spaces.from_dict({"x": {"type": "log", "low": 1}}), "`x` must have a `high`"),
        (lambda: spaces.from_dict({"x": {"type": "log", "low": 1, "high": 2, "z": 1}}), "Fields of `x`"),
    ],
)
def test_a_dictionary_that_describes_no_space_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_a_space_becomes_distributions_that_hold_its_values():
    distributions = spaces.to_optuna(SPACE)
    assert set(distributions) == set(SPACE.names)
    for unit in np.random.default_rng(0).random((16, SPACE.size)):
        values = SPACE.from_unit(unit)
        for name, distribution in distributions.items():
            internal = distribution.to_internal_repr(values[name])
            assert distribution.to_external_repr(internal) == values[name]
