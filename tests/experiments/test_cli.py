"""`p3o`: an agent is trained, kept, resumed, evaluated and watched; bad input is one line."""

import pytest

from experiments import cli, evaluate, saved, train, watch
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
        (["train", "--set", "num_envs=6"], "`num_minibatches` must divide `num_envs`; got 4 and 6."),
        (["train", "--set", "estimator=td"], "`estimator` must be one of p3o, original, gae; got 'td'."),
        (["train", "--set", "squash=maybe"], "`squash` must be True or False; got 'maybe'."),
        (["train", "--set", "num_envs=1e1"], "`num_envs` must be an integer; got 10.0."),
        (["train", "--set", "network=gru"], "`set` must name a setting, which `p3o train --help` lists; got network"),
        (["train", "--set", "tau=none"], "`set` must give tau a number; got None."),
        (["train", "--set", "tau=low"], "`set` must give tau a number; got 'low'."),
        (["train", "--set", "network.kind=lstm"], "`kind` must be one of mlp, cnn, gru; got 'lstm'."),
        (["train", "--set", "network.width=1e2"], "`width` must be an integer; got 100.0."),
        (["train", "--episodes", "0"], "`episodes` must be at least 1; got 0."),
        (["watch"], "`env` must be given unless `policy` is a folder; got no env and 'random'."),
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
