"""Settings by name: read, checked, written out, and read back the same."""

import jax
import numpy as np
import pytest

from experiments.settings import NAMES, RANGES, assignments, describe, flat, replace
from p3o_jax.settings import PARAM_NAMES, Config, Params


def test_an_option_that_is_given_twice_adds_up():
    together = assignments([("total_steps=2e4", "clip=.1"), ("num_envs=32",)])
    assert together == {"total_steps": 2e4, "clip": 0.1, "num_envs": 32}


def test_a_setting_that_is_given_twice_is_refused():
    with pytest.raises(ValueError, match=r"`set` must give tau once; got .1 and .2"):
        assignments([("tau=.1",), ("tau=.2",)])


def test_every_number_of_a_training_has_a_range_that_holds_its_default():
    assert set(RANGES) == set(PARAM_NAMES)
    assert all(getattr(Params(), name) in RANGES[name] for name in PARAM_NAMES)


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ("learning_rate=-1", "at least 0; got -1"),
        ("learning_rate=nan", "at least 0; got nan"),
        ("total_steps=-1", "more than 0; got -1"),
        ("total_steps=inf", "more than 0; got inf"),
        ("total_steps=0", "more than 0; got 0"),
        ("gamma=1.5", "at least 0, at most 1; got 1.5"),
        ("adam_b1=1", "at least 0, less than 1; got 1"),
        ("max_grad_norm=0", "more than 0, or inf; got 0"),
        ("update_epochs=.2", "at least 1; got 0.2"),
        ("tau=true", "; got True"),
    ],
)
def test_a_number_out_of_its_range_is_refused(entry, rule):
    with pytest.raises(ValueError, match=rf"`set` must give {entry.split('=')[0]} a number.*{rule}"):
        assignments([entry])


@pytest.mark.parametrize(("entry", "meant"), [("learningrate=1", "learning_rate"), ("network.with=1", "network.width")])
def test_a_misspelt_setting_names_the_one_that_was_meant(entry, meant):
    with pytest.raises(ValueError, match=f"did you mean {meant}"):
        assignments([entry])


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-7, 0.98765432])
def test_what_is_written_out_is_the_same_float32_when_read_back(value):
    config, params = replace(Config(horizon=8), Params(), {"tau": value, "network.kind": "gru"})
    again = replace(Config(), Params(), flat(config, params))
    assert again[0] == config
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (params, again[1])), strict=True))
    assert flat(*again) == flat(config, params)


def test_help_lists_every_setting_with_its_default_in_80_columns():
    text = describe(Config(), Params())
    assert all(f"  {name}=" in text for name in NAMES)
    assert "learning_rate=0.005" in text
    assert max(map(len, text.splitlines())) <= 80
