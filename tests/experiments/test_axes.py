"""Every setting can be searched by name, with a range that suits it, and what cannot be is said in one line."""

import pytest

from experiments import axes, settings, sweep_options, sweep_setup
from experiments.axes import AXES, PRESETS, parse, text_of, without_effect
from neocarbs_jax.report.progress import Progress
from neocarbs_jax.space import Choice, Integer, Log, Pow2

FIXED_ONLY = {"pool_size", "num_buckets", "implementation"}
"""Settings of the program, which change no result that one would tune."""


def test_every_setting_is_an_axis():
    assert set(settings.NAMES) - set(AXES) == FIXED_ONLY
    assert set(AXES) <= set(settings.NAMES)


def test_default_ranges_are_ones_that_the_settings_take():
    for name, axis in AXES.items():
        if name in settings.RANGES:
            assert axis.low in settings.RANGES[name]
            assert axis.high in settings.RANGES[name]


def test_axes_read_names_ranges_and_options():
    found = parse(
        [["gamma", "learning_rate=1e-4,1e-2"], "num_envs=16,64", "optimizer=muon,adam", "network.width=16,32,64"],
        "pong",
    )
    assert found["gamma"] is AXES["gamma"]
    assert found["learning_rate"] == Log(1e-4, 1e-2)
    assert found["num_envs"] == Pow2(16, 64)
    assert found["optimizer"] == Choice(("muon", "adam"))
    assert found["network.width"] == Choice((16, 32, 64))


def test_arguments_of_the_environment_are_axes():
    found = parse(["env.frameskip=1,4", "env.continuous"], "pong")
    assert found == {"env.frameskip": Integer(1, 4), "env.continuous": Choice((False, True))}


@pytest.mark.parametrize("name", list(AXES))
def test_the_text_of_an_axis_is_read_back(name):
    assert parse([f"{name}={text_of(AXES[name])}"], "pong")[name] == AXES[name]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("speed", "`axes` must name a setting"),
        ("tau=.5,2", "`axes` of tau must be at least 0, at most 1; got 2"),
        ("clip=", "`axes` must read NAME or NAME=LOW,HIGH; got 'clip='"),
        ("learning_rate=1", "`axes` must read NAME=LOW,HIGH; got 'learning_rate=1'"),
        ("learning_rate=a,b", "`axes` must read NAME=LOW,HIGH"),
        ("num_envs=3,9", "`axes` of num_envs: `low` must be a power of two"),
        ("env.frameskip", "`axes` must give env.frameskip a range or options; got none"),
        ("env.speed=1,2", "`axes` must name an argument of pong"),
    ],
)
def test_what_cannot_be_an_axis_is_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        parse([entry], "pong")


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_have_no_axis_without_effect(preset):
    chosen = PRESETS[preset]
    assert without_effect(chosen.axes, chosen.settings) == []
    assert set(chosen.axes) <= set(AXES)


def test_axes_without_effect_are_said_and_searched(capsys):
    args = sweep_options.parse(["--axes", "gamma", "gae_lambda", "clip"])
    sweep_setup.prepare(args, Progress(1))
    assert "gae_lambda and gamma have no effect with these settings (estimator p3o)." in capsys.readouterr().out
    assert "gamma" in sweep_setup.space_of(args).names


def test_given_axes_replace_those_of_the_preset_and_the_budget_stays():
    assert sweep_setup.space_of(sweep_options.parse(["--axes", "clip"])).names == ("total_steps", "clip")
    assert sweep_setup.space_of(sweep_options.parse(["--axes", "clip", "--set", "total_steps=1e5"])).names == ("clip",)
    assert "gae_lambda" in sweep_setup.space_of(sweep_options.parse(["--preset", "ppo"])).names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--axes", "optimizer=adam,sgd"], "`optimizer` must be one of"),
        (["--axes", "num_minibatches=1,64", "--set", "num_envs=32"], "`num_minibatches` must divide `num_envs`"),
        (["--max-cost", "0"], "`max_cost` must be positive and finite; got 0"),
        (["--preset", "sac"], "`preset` must be one of p3o, ppo; got 'sac'"),
        (["--keep", "some"], "`keep` must be one of front, all, none"),
        (["--warp", "odd"], "`warp` must be one of auto,"),
        (["--confirm", "-1"], "`confirm` must be at least 0; got -1"),
        (["--axes", "clip", "--set", "clip=.1"], "`axes` must name settings that `set` does not fix; got clip in both"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_the_first_trial(options, message):
    with pytest.raises(ValueError, match=message):
        sweep_setup.prepare(sweep_options.parse(options), Progress(1))


def test_help_lists_every_axis_and_preset():
    text = axes.describe()
    assert all(name in text for name in (*AXES, *PRESETS))
