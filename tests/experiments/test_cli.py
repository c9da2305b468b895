"""`p3o`: an agent is trained, kept, resumed, evaluated and watched; bad input is one line."""

import jax
import pytest

from experiments import cli, evaluate, saved, train, watch
from experiments.common import user_errors
from experiments.environments import constructor_arguments
from experiments.settings import assignments

SMALL = ["num_envs=8", "segment_length=8", "horizon=4", "num_minibatches=1", "update_epochs=1"]


def run(monkeypatch, folder, *args):
    monkeypatch.chdir(folder)
    for module in (train, evaluate, watch):
        monkeypatch.setattr(module, "keep_on_disk", lambda: None)
    cli.main(args)


def test_an_agent_is_kept_resumed_evaluated_and_watched(monkeypatch, tmp_path, capsys):
    command = ["train", "--out", "agent", "--episodes", "2", "--set", *SMALL]
    run(monkeypatch, tmp_path, *command, "total_steps=256", "--reports", "2")
    assert "kept in agent" in capsys.readouterr().out
    assert int(saved.load(tmp_path / "agent").state.num_updates) == 4
    run(monkeypatch, tmp_path, *command, "total_steps=512", "--override")
    assert "(update 4) in agent" in capsys.readouterr().out
    assert int(saved.load(tmp_path / "agent").state.num_updates) == 8
    run(monkeypatch, tmp_path, "eval", "agent", "--episodes", "2")
    assert "over 2 episodes" in capsys.readouterr().out
    run(monkeypatch, tmp_path, "watch", "--policy", "agent", "--steps", "8", "--png", "last.png")
    assert "pong by agent" in capsys.readouterr().out
    assert (tmp_path / "last.png").stat().st_size > 0
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "watch", "--policy", "agent", "--env", "breakout")
    assert "`policy` must be trained on breakout" in capsys.readouterr().err


def test_words_of_the_shell_are_values():
    entries = ("squash=false", "pool_size=none", "tau=.2", "estimator=gae", "network.kind=gru", "value_clip=inf")
    values = {"squash": False, "pool_size": None, "tau": 0.2, "estimator": "gae", "network.kind": "gru"}
    assert assignments(entries) == values | {"value_clip": float("inf")}


@pytest.mark.parametrize("left", ["agent.new", "agent.old"])
def test_what_a_killed_save_left_is_found(tmp_path, left):
    (tmp_path / left).mkdir()
    saved.recover(tmp_path / "agent")
    assert not (tmp_path / "agent").exists()  # settings are written last: this one is not whole
    (tmp_path / left / "settings.json").touch()
    saved.recover(tmp_path / "agent")
    assert (tmp_path / "agent" / "settings.json").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "--env", "pang"], "`env` must be one of"),
        (["train", "--set", "total_step=3"], "got total_step; did you mean total_steps?"),
        (["train", "--set", "clip"], "`set` must read NAME=VALUE; got 'clip'."),
        (["train", "--set", "num_envs=6", "num_minibatches=4"], "must divide `num_envs`; got 4 and 6."),
        (["train", "--set", "estimator=td"], "`estimator` must be one of p3o, original, gae; got 'td'."),
        (["train", "--set", "squash=maybe"], "`squash` must be True or False; got 'maybe'."),
        (["train", "--set", "num_envs=1e1"], "`num_envs` must be an integer; got 10.0."),
        (["train", "--set", "network=gru"], "`set` must name a setting, which `p3o train --help` lists; got network"),
        (["train", "--set", "tau=none"], "`set` must give tau a number; got None."),
        (["train", "--set", "tau=low"], "`set` must give tau a number; got 'low'."),
        (["train", "--set", "network.kind=lstm"], "`kind` must be one of mlp, cnn, gru; got 'lstm'."),
        (["train", "--set", "network.width=1e2"], "`width` must be an integer; got 100.0."),
        (["train", "--set", "tau=.1", "--set", "tau=.2"], "`set` must give tau once; got .1 and .2."),
        (
            ["train", "--set", "tau=.1", "--set", "clip=-1"],
            "`set` must give clip a number that is more than 0; got -1.",
        ),
        (["train", "--set", "pool_size=0"], "`pool_size` must be at least 1; got 0."),
        (["train", "--episodes", "0"], "`episodes` must be at least 1; got 0."),
        (["train", "--reports", "0"], "`reports` must be at least 1; got 0."),
        (["train", "--devices", "99"], "on this machine; got 99."),
        (["train", "--seed", "-1"], "`seed` must be from 0 to 4294967295; got -1."),
        (["train", "--seed", "1", "--seed", "2"], "`--seed` must be given once; got it 2 times."),
        (["train", "--out", "/proc/none/a"], "`out` must be a folder that can be written; got '/proc/none/a'"),
        (["train", "--resume", "--overwrite"], "`resume` must be given alone; got --resume and --overwrite."),
        (["train", "--resume"], "`resume` needs a folder that `p3o train` wrote; got 'runs/train-pong'"),
        (["train", "--trial", "3"], "`trial` must come with `from-trial`; got 3 alone."),
        (["train", "--from-trial", "a.db", "--trial", "3"], "`storage` must exist; got 'sqlite:///a.db'."),
        (["eval", "agent", "--episodes", "0"], "`episodes` must be at least 1; got 0."),
        (["watch"], "`env` must be given unless `policy` is a folder; got no env and 'random'."),
        (["watch", "--env", "pong", "--every", "0"], "`every` must be at least 1; got 0."),
        (["watch", "--env", "pong", "--fps", "0"], "`fps` must be at least 1; got 0."),
        (["watch", "--env", "pong", "--fps", "1000"], "`fps` must be at most 100; got 1000."),
        (["watch", "--env", "pong", "--steps", "-1"], "`steps` must be at least 1; got -1."),
        (["watch", "--env", "pong", "--gif", "/proc/none/a.gif"], "`gif` must be a file whose folder can be written"),
        (["watch", "--env", "pong", "--gif", "a.png"], "`gif` must end in .gif; got 'a.png'."),
        (["watch", "--env", "pong", "--arguments", "frameskp", "4"], "got frameskp; did you mean frameskip?"),
        (["watch", "--env", "pong", "--arguments", "frameskip"], "`arguments` must read NAME=VALUE; got 'frameskip'."),
        (["watch", "--env", "pong", "--arguments", "frameskip=no"], "`arguments` must be some that pong takes; got"),
        (["watch", "--env", "pung"], "got 'pung'; did you mean pong?"),
        (["watch", "--env", "gymnax:CartPole"], "got 'CartPole'; did you mean gymnax:CartPole-v1?"),
        (
            ["watch", "--env", "gymnax:CartPole-v1", "--policy", "scripted"],
            "`policy` must be random or a folder, as only agar",
        ),
        (["watch", "--policy", "nowhere"], "`policy` must be random, scripted, master or a folder that `p3o"),
        (["eval", "nowhere"], "`checkpoint` must be a folder that `p3o train` wrote; got 'nowhere'."),
    ],
)
def test_bad_input_is_one_line_and_exit_2(monkeypatch, tmp_path, capsys, args, message):
    with pytest.raises(SystemExit) as refusal:
        run(monkeypatch, tmp_path, *args)
    assert refusal.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


@pytest.fixture
def promoting():
    """Let every thread promote types, as gymnax does."""
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.mark.parametrize("env", ["gymnax:CartPole-v1", "gymnax:Breakout-MinAtar"])
def test_an_environment_without_a_picture_is_watched_by_its_observations(monkeypatch, tmp_path, capsys, promoting, env):
    run(monkeypatch, tmp_path, "watch", "--env", env, "--steps", "4", "--gif", "a.gif", "--png", "a.png")
    assert f"{env} by random: " in capsys.readouterr().out
    assert (tmp_path / "a.gif").stat().st_size > 0
    assert (tmp_path / "a.png").stat().st_size > 0


@pytest.mark.parametrize("given", [["frameskip", "2"], ["frameskip=2"]])
def test_arguments_of_an_environment_are_read_in_two_ways(given):
    assert constructor_arguments([given, ["continuous=true"]]) == {"frameskip": 2, "continuous": True}


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_help_lists_settings_and_environments(monkeypatch, tmp_path, capsys, command):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, tmp_path, command, "--help")
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "learning_rate=0.005" in out
    assert "breakout" in out
    assert "gymnax:CartPole-v1" in out
    assert ("total_steps              100000 to 4e+06, log" in out) == (command == "sweep")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("`a` must\n  be b."), "error: `a` must be b."),
        (OSError(28, "No space left on device", "runs/a"), "error: No space left on device: runs/a"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "error: the memory of the device must hold the training"),
    ],
)
def test_what_a_user_can_mend_is_one_line(capsys, error, message):
    with pytest.raises(SystemExit) as refusal, user_errors():
        raise error
    assert refusal.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(message)


def test_an_error_of_ours_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="ours"), user_errors():
        raise RuntimeError("ours")


@pytest.mark.slow
@pytest.mark.usefixtures("promoting")
def test_an_agent_is_evaluated_in_another_environment_of_the_same_shapes(monkeypatch, tmp_path, capsys):
    pytest.importorskip("gymnasium")
    command = ["train", "--env", "gymnax:CartPole-v1", "--out", "agent", "--episodes", "2", "--set", *SMALL]
    run(monkeypatch, tmp_path, *command, "total_steps=128")
    run(monkeypatch, tmp_path, "eval", "agent", "--env", "gymnasium:CartPole-v1", "--episodes", "8")
    assert "over 8 episodes" in capsys.readouterr().out
    with pytest.raises(SystemExit) as refusal:
        run(monkeypatch, tmp_path, "eval", "agent", "--env", "gymnasium:Acrobot-v1")
    assert refusal.value.code == 2
    assert "`env` must have the observations and actions of the training" in capsys.readouterr().err
