"""The configuration: names resolve to objects, equal choices are equal, and what is out of range is named."""

import dataclasses
import math

import pytest
import tinygp

from neocarbs_jax import gp, strategies
from neocarbs_jax.gp import KernelBuilder
from neocarbs_jax.gp.warping import WARPS
from neocarbs_jax.space import Choice, Linear, Log, SearchSpace
from neocarbs_jax.strategies import NeoCARBS
from neocarbs_jax.sweep import Config

SPACE = SearchSpace(x=Linear(0, 1), steps=Log(1, 100), kind=Choice(("a", "b")))


@pytest.mark.parametrize("name", list(strategies.STRATEGIES))
def test_the_name_of_a_strategy_stands_for_it_with_its_defaults(name):
    config = Config(SPACE, strategy=name)
    assert config.strategy == strategies.STRATEGIES[name]()
    assert config.strategy.name == name
    assert config == Config(SPACE, strategy=config.strategy)
    assert hash(config) == hash(Config(SPACE, strategy=config.strategy))
    assert dataclasses.replace(config, capacity=512).strategy is config.strategy


def test_the_default_is_neocarbs():
    assert Config(SPACE, strategy="neocarbs") == Config(SPACE)
    assert Config(SPACE).strategy == NeoCARBS()
    assert Config(SPACE, strategy=NeoCARBS(knee=0.1)) != Config(SPACE)


@pytest.mark.parametrize(("warp", "warps"), [("auto", WARPS), ("log", ("log",)), (("log", "rank"), ("log", "rank"))])
def test_a_warp_is_one_several_or_all(warp, warps):
    config = Config(SPACE, warp=warp, aggression=0.5)
    assert config.warps == warps
    assert (config.form.warps, config.form.aggression, config.form.kernel_fn) == (warps, 0.5, gp.MATERN_LINEAR)


def test_the_form_of_the_surrogates_leaves_out_what_does_not_change_them():
    assert Config(SPACE, capacity=8, strategy="carbs", trial_cap=1.0).form == Config(SPACE).form
    assert Config(SPACE, warp="linear").form != Config(SPACE).form


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": {"x": Linear(0, 1)}}, "`space` must be a SearchSpace; got"),
        ({"capacity": 0}, "`capacity` must be a positive whole number; got 0"),
        ({"capacity": 8.0}, "`capacity` must be a positive whole number; got 8.0"),
        ({"strategy": "guess"}, "`strategy` must be a Strategy or one of neocarbs, protein, .*; got 'guess'"),
        ({"strategy": NeoCARBS}, "`strategy` must be a Strategy or one of .*; got <class"),
        ({"warp": "cubic"}, "`warp` must be auto, or one or some of linear, aggression, .*; got 'cubic'"),
        ({"warp": ("linear", "cubic")}, "`warp` must be auto, .*; got .*cubic"),
        ({"warp": ()}, r"`warp` must be auto, .*; got \(\)"),
        ({"aggression": 0.0}, "`aggression` must be positive and finite; got 0.0"),
        ({"aggression": math.inf}, "`aggression` must be positive and finite; got inf"),
        ({"kernel_fn": tinygp.kernels.Matern52()}, "`kernel_fn` must be a gp.KernelBuilder; got Matern52"),
        ({"kernel_fn": gp.MaternLinear}, "`kernel_fn` must be a gp.KernelBuilder; got <class"),
        ({"resample_every": -1}, "`resample_every` must be a whole number, at least 0; got -1"),
        ({"resample_every": 2.5}, "`resample_every` must be a whole number, at least 0; got 2.5"),
        ({"budget": "epochs"}, "`budget` must be one of x, steps; got 'epochs'"),
        ({"budget": "kind"}, "`budget` must be one of x, steps; got 'kind'"),
        ({"trial_cap": 0.0}, "`trial_cap` must be positive and finite, or None; got 0.0"),
        ({"trial_cap": math.nan}, "`trial_cap` must be positive and finite, or None; got nan"),
        ({"delta": 0.0}, r"`delta` must lie in \(0, 0.5\); got 0.0"),
        ({"delta": 0.5}, r"`delta` must lie in \(0, 0.5\); got 0.5"),
    ],
)
def test_what_is_out_of_range_is_named(options, message):
    with pytest.raises(ValueError, match=message) as error:
        Config(**{"space": SPACE, **options})
    assert "\n" not in str(error.value)


def test_a_builder_of_a_users_own_is_taken():
    builder = KernelBuilder(lambda parameters: tinygp.kernels.Matern32(), lambda num_axes: {})
    assert Config(SPACE, kernel_fn=builder).form.kernel_fn is builder
