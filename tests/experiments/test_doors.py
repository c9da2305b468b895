"""Sweeps of real trainings, tiny ones: agents of trials, environments of one's own, seeds, confirmation, campaigns."""

import dataclasses
import json
from pathlib import Path

import pytest

from experiments import cli, environments, evaluate, saved, sweep, sweep_options, sweep_setup, train, watch
from experiments.agents import resolve
from neocarbs_jax import Study
from neocarbs_jax.report.progress import Progress

TINY = ("--episodes", "4", "--set", "segment_length=8", "horizon=4", "num_envs=8", "num_minibatches=1")
SWEEP = ("--storage", "runs/a.db", "--bounds", "total_steps=1e3,4e3", *TINY, "network.width=8")
HELPER = "GOAL = 3\n"
MINE = """
from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from beside import GOAL
from envs import Environment
from envs.environment import Box, Discrete, EnvParams, EnvState


@dataclass(frozen=True)
class Corridor(Environment):
    goal: int = GOAL

    @property
    def default_params(self):
        return EnvParams(max_steps_in_episode=20)

    def action_space(self, params=None):
        return Discrete(2)

    def observation_space(self, params=None):
        return Box(-jnp.inf, jnp.inf, (1,))

    def reset_env(self, key, params):
        state = EnvState(time=jnp.zeros((), jnp.int32))
        return self.get_obs(state, params), state

    def step_env(self, key, state, action, params):
        state = EnvState(time=state.time + action)
        arrived = state.time >= self.goal
        return self.get_obs(state, params), state, arrived.astype(jnp.float32), arrived, {"score": jnp.float32(1)}

    def get_obs(self, state, params):
        return state.time[None].astype(jnp.float32)


class Mutable(Corridor):
    __hash__ = None


def make(goal: int = GOAL):
    return Corridor(goal)


def mutable():
    return Mutable()
"""


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run a command in a folder of its own, where an environment is; return what it printed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corridor.py").write_text(MINE)
    (tmp_path / "beside.py").write_text(HELPER)
    for module in (train, evaluate, watch, sweep):
        monkeypatch.setattr(module, "keep_on_disk", lambda: None)

    def call(*args):
        cli.main(args)
        return capsys.readouterr().out

    return call


def refused(run, capsys, *args):
    """Run a command that is refused; return its one line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as refusal:
        run(*args)
    assert refusal.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.slow
def test_agents_of_trials_are_evaluated_watched_and_trained_on(run, tmp_path, capsys):
    run("sweep", "--env", "foraging", *SWEEP, "--trials", "3", "--keep", "all")
    assert "over 2 episodes" in run("eval", "runs/foraging#1", "--episodes", "2")
    assert "foraging by runs/foraging#1" in run("watch", "--policy", "runs/foraging#1", "--steps", "4")
    steps = int(saved.load(resolve("runs/foraging#1", "from")).params.total_steps)
    on = ("train", "--from", "runs/foraging#1", "--out", "on", "--episodes", "2")
    assert "more than the" in refused(run, capsys, *on)
    assert "`from` must leave the shapes" in refused(run, capsys, *on, "--set", "network.width=16")
    assert not (tmp_path / "on").exists()
    out = run(*on, "--set", f"total_steps={steps + 1000}")
    assert "going on from runs/foraging/trials/1" in out
    assert int(saved.load(tmp_path / "on").params.total_steps) == steps + 1000
    assert "it is only evaluated" in run(*on, "--set", f"total_steps={steps + 1000}")
    again = refused(run, capsys, "eval", "runs/foraging#9")
    assert "`p3o train --from-trial runs/a.db --name foraging --trial 9` trains it again" in again


@pytest.mark.slow
def test_an_environment_of_the_users_own_is_trained_swept_and_evaluated(run, tmp_path):
    run("train", "--env", "corridor.py:make", "--out", "mine", *TINY, "total_steps=500", "env.goal=2")
    assert saved.load(tmp_path / "mine").env.goal == 2
    assert "score 1.000" in run("eval", "mine", "--episodes", "2")
    run("sweep", "--env", "corridor.py:make", *SWEEP, "--trials", "2", "--axes", "env.goal=2,4", "--name", "mine")
    trials = Study.load(f"sqlite:///{tmp_path}/runs/a.db", name="mine").trials
    assert {trial.values["env.goal"] for trial in trials} <= {2, 3, 4}
    for trial in trials:
        assert trial.attrs["settings"]["env"] == f"corridor.py:make?goal={trial.values['env.goal']}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("corridor.py:Make", "'corridor.py:Make'"),
        ("nowhere.py:make", "'nowhere.py:make'"),
        ("nowhere:make", "'nowhere:make'"),
        ("corridor.py:mutable", "`env` must make a hashable environment"),
        ("corridor.py:make?gaol=3", "got gaol; did you mean goal?"),
        ("CartPole", "did you mean gymnax:CartPole-v1?"),
        ("pong?frameskip", "`env` must read NAME=VALUE"),
    ],
)
def test_what_is_no_environment_is_one_line(run, capsys, name, message):
    assert message in refused(run, capsys, "train", "--env", name)


def test_gymnaxs_environments_have_short_names():
    assert environments.full_name("CartPole-v1") == "gymnax:CartPole-v1"
    assert environments.full_name("CartPole-v1?a=1") == "gymnax:CartPole-v1?a=1"
    assert environments.full_name("pong") == "pong"
    assert environments.full_name("corridor:make") == "corridor:make"


@pytest.mark.slow
def test_arguments_of_the_environment_are_settings(run, capsys):
    command = ("train", "--out", "a", "--episodes", "2", *TINY[2:], "total_steps=64")
    run(*command, "env.frameskip=2")
    assert saved.read_settings(resolve("a", "out"))["env"] == "pong?frameskip=2"
    assert "env=pong?frameskip=2 there, pong now" in refused(run, capsys, *command)
    assert "got frameskp; did you mean frameskip?" in refused(run, capsys, *command, "env.frameskp=2")
    sweep_ = sweep_setup.prepare(
        sweep_options.parse(["--set", "env.frameskip=2", "--axes", "env.continuous"]), Progress(1)
    )
    assert sweep_.settings({"env.continuous": True})["env"] == "pong?continuous=True&frameskip=2"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--axes", "num_envs=2,64", "num_minibatches=1,8"], "`num_minibatches` must divide `num_envs`; got 4 and 2"),
        (["--axes", "minibatches_of", "--set", "bands=0"], "`minibatches_of` must be environments unless"),
        (["--axes", "minibatches_of", "bands=0,8"], "`minibatches_of` must be environments unless"),
        (["--axes", "tau_rule=fixed,explained", "bands=0,8"], "`tau_rule` must be noise or fixed unless `bands` is 0"),
        (["--axes", "env.continuous=1,2"], "`axes` of env.continuous must be true and false; got"),
        (["--axes", "env.frameskip=0,2"], "`frameskip` must be at least 1; got 0."),
        (["--until-rating", ".1", "--strategy", "random"], "`until_rating` needs `trials` or `max_cost`"),
        (["--env"], "`env` must name an environment; got none."),
        (["--axes", "network.kind=mlp,cnn"], "`network.kind` must not be 'cnn' unless observations are images"),
        (["--axes", "minibatches_of", "network.kind=mlp,gru", "--preset", "ppo"], "the network has no memory"),
    ],
)
def test_what_is_impossible_in_a_corner_is_refused(run, capsys, options, message):
    assert message in refused(run, capsys, "sweep", *options)


def test_a_preset_leaves_out_what_has_no_effect(capsys):
    args = sweep_options.parse(["--set", "estimator=gae"])
    sweep_setup.prepare(args, Progress(1))
    assert "tau and floor have no effect" in capsys.readouterr().out
    assert not {"tau", "floor"} & set(sweep_setup.space_of(args).names)


@pytest.mark.slow
def test_a_trial_of_several_seeds_is_their_mean(run, tmp_path):
    run("sweep", "--env", "foraging", *SWEEP, "--trials", "1", "--seeds", "3")
    [trial] = Study.load(f"sqlite:///{tmp_path}/runs/a.db", name="foraging").trials
    assert trial.score == pytest.approx(sum(trial.attrs["scores"]) / 3)
    assert len(set(trial.attrs["scores"])) == 3
    out = run("train", "--from-trial", "runs/a.db", "--trial", "0")
    assert f"scored {trial.attrs['scores'][0]:.6g}: the same" in out


@pytest.mark.slow
def test_a_front_is_confirmed_once_and_its_file_runs_again(run, tmp_path):
    command = ("sweep", "--env", "foraging", *SWEEP, "--trials", "3", "--confirm", "2", "--preset", "ppo")
    assert "seed 2 of 2" in run(*command)
    file = tmp_path / "runs" / "foraging" / "confirmed.json"
    rows = json.loads(file.read_text())["points"]
    assert all(len(row["scores"]) == 2 for row in rows)
    assert "seed 1 of 2" not in run(*command)
    assert json.loads(file.read_text())["points"] == rows
    out = run("sweep", "--file", "runs/foraging/sweep.toml", "--trials", "4")
    assert "4 trials completed" in out
    settings = [t.attrs["settings"] for t in Study.load(f"sqlite:///{tmp_path}/runs/a.db", name="foraging").trials]
    searched = {"total_steps", "learning_rate", "update_epochs", "entropy", "clip", "value", "max_grad_norm"}
    searched |= {"gamma", "gae_lambda", "key"}
    assert len({repr({k: v for k, v in s.items() if k not in searched}) for s in settings}) == 1


def test_the_file_of_a_sweep_keeps_what_equals_a_default_but_not_the_presets(tmp_path):
    args = sweep_options.parse(["--preset", "ppo", "--set", "value=0.1", "segment_length=128"])
    training = sweep_setup.prepare(args, Progress(1))
    sweep_setup.write_file(tmp_path / "sweep.toml", args, sweep_setup.space_of(args), training)
    again = sweep_setup.prepare(sweep_options.parse(["--file", str(tmp_path / "sweep.toml")]), Progress(1))
    assert again.config == training.config
    assert again.params == training.params


@pytest.mark.slow
def test_a_campaign_goes_on_with_the_same_command(run, tmp_path):
    command = ("sweep", "--env", "foraging", "corridor.py:make", *SWEEP, "--trials", "2", "--out", "runs/all")
    run(*command)
    page = (tmp_path / "runs" / "all" / "overview.html").read_text()
    assert "foraging" in page
    assert "corridor.py:make" in page
    out = run(*command)
    assert out.count("It holds 2 of 2 trials already") == 2
    assert (tmp_path / "runs" / "all" / "foraging" / "report.html").exists()


PRESETS = sorted((Path(sweep.__file__).parent / "presets").glob("*.toml"))


SLOW = [pytest.mark.slow]
"""The 1000 scenes of drive are made anew on a machine that has not made them yet."""


@pytest.mark.parametrize(
    "file", [pytest.param(file, id=file.stem, marks=SLOW if file.stem == "drive" else []) for file in PRESETS]
)
def test_a_sweep_file_that_comes_along_can_be_run(file):
    args = sweep_options.parse(["--file", str(file)])
    for env in args.env:
        part = dataclasses.replace(args, env=(env,))
        assert sweep_setup.prepare(part, Progress(1)).env_name == env
        assert sweep_setup.space_of(part).names


def test_sweep_files_come_along():
    assert len(PRESETS) >= 3
