"""The main job: it runs, is killed, resumes, and refuses bad input before anything is written."""

import os
import signal
import subprocess
import sys

import pytest

from experiments import sweep, sweep_options, sweep_setup
from experiments.common import user_errors
from experiments.environments import make_env
from experiments.objective import Training
from experiments.settings import assignments
from neocarbs_jax.space import Linear, SearchSpace
from neocarbs_jax.study import Study
from p3o_jax.settings import Config, Params

SMALL = ["--env", "pong", "--episodes", "4", "--set", "segment_length=8", "horizon=4", "num_envs=8"]
BUDGETS = ["--bounds", "total_steps=1e3,4e3"]


def run_main(monkeypatch, folder, *args):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sweep, "keep_on_disk", lambda: None)
    sweep.main([*args] if "--storage" in args else ["--storage", "sqlite:///runs/sweep.db", *args])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--env", "pang"], "`env` must be one of"),
        (["--trials", "0"], "`trials` must be at least 1; got 0."),
        (["--episodes", "0"], "`episodes` must be at least 1; got 0."),
        (["--bounds", "learning_rate=1e-1,1e-5"], "`bounds` of learning_rate: `low` must be less than `high`; got"),
        (
            ["--bounds", "learning_rate=-1,1e-5"],
            "`bounds` of learning_rate: `low` must be positive on a Log axis; got -1",
        ),
        (["--bounds", "speed=1,2"], "`bounds` must name one of total_steps,"),
        (["--bounds", "clip=1"], "`bounds` must read AXIS=LOW,HIGH; got 'clip=1'."),
        (["--set", "num_minibatches=6"], "`num_minibatches` must divide `num_envs`; got 6 and 64."),
        (["--set", "speed=6"], "got speed."),
        (["--set", "learning_rate=-1"], "`set` must give learning_rate a number that is at least 0; got -1."),
        (["--bounds", "tau=.5,2"], "`bounds` of tau must be at least 0, at most 1; got 2."),
        (["--bounds", "tau=.1,nan"], "`bounds` of tau: `high` must be a finite number; got nan."),
        (["--bounds", "tau=.1,.2", "--bounds", "tau=.1,.3"], "`bounds` must give tau once; got .1,.2 and .1,.3."),
        (["--seed", "-1"], "`seed` must be from 0 to 4294967295; got -1."),
        (["--out", "/proc/none/out"], "`out` must be a folder that can be written; got '/proc/none/out'"),
        (["--storage", "sqlite:runs/a.db"], "`storage` must be a path, or read sqlite:///PATH; got"),
        (["--set", "clip=.2", "--bounds", "clip=.1,.2"], "`bounds` must name one of total_steps,"),
        (["--curves", "--seeds", "2"], "`seeds` must be 1 where `curves` is given; got 2."),
        (["--curves", "--set", "total_steps=1e4"], "`set` must leave total_steps to search where `curves` is given;"),
        (["--curves", "--set", "decay=1"], "`decay` must be below 1 where `curves` is given; got 1.0."),
        (["--curves", "--strategy", "random"], "`strategy` must have surrogates where `curves` is given; got random."),
        (["--continues", "--seeds", "2"], "`seeds` must be 1 where `continues` is given; got 2."),
        (["--continues", "--vmap", "2"], "`vmap` must be 1 where `continues` is given; got 2."),
        (
            ["--continues", "--set", "total_steps=1e4"],
            "`set` must leave total_steps to search where `continues`",
        ),
        (["--continues", "--strategy", "carbs"], "`strategy` must be neocarbs where `continues` is given; got carbs."),
        (["--track", "excel"], "`track` must be some of wandb[:PROJECT], mlflow[:URI],"),
        (["--strategy", "guess"], "`strategy` must be one of neocarbs,"),
        (["--storage", "sqlite:////proc/none/sweep.db"], "`storage` must name a database that can be opened; got"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_nothing_written(monkeypatch, tmp_path, capsys, args, message):
    with pytest.raises(SystemExit) as refusal:
        run_main(monkeypatch, tmp_path, *args)
    assert refusal.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_a_study_of_another_task_is_refused(monkeypatch, tmp_path, capsys):
    Study.create(SearchSpace(speed=Linear(0, 1)), f"sqlite:///{tmp_path}/runs/sweep.db", name="pong")
    with pytest.raises(SystemExit) as refusal:
        run_main(monkeypatch, tmp_path, "--env", "pong")
    assert refusal.value.code == 2
    assert "`space` must share an axis with the one of study 'pong' (speed)" in capsys.readouterr().err
    assert not Study.load(f"sqlite:///{tmp_path}/runs/sweep.db", name="pong").trials


def test_other_bounds_are_said_in_one_line(tmp_path, capsys):
    storage = f"sqlite:///{tmp_path}/sweep.db"
    Study.create(sweep_setup.search_space(), storage, name="pong")
    with user_errors():
        study = Study.create(sweep_setup.search_space(["clip=0.1,0.2"]), storage, name="pong")
    assert capsys.readouterr().err == (
        "Study 'pong' goes on with its trials over another space: clip is Linear(0.1, 0.2).\n"
    )
    assert dict(study.space.axes)["clip"].high == 0.2


def test_a_study_is_not_continued_with_other_settings(monkeypatch, tmp_path, capsys):
    storage = f"sqlite:///{tmp_path}/runs/sweep.db"
    made, other = (["tau=.1", "value_clip=inf", f"optimizer={optimizer}"] for optimizer in ("muon", "adam"))
    study = Study.create(sweep_setup.search_space([], assignments(made)), storage, name="pong")
    for _ in range(2):
        sweep.keep_settings(study, "pong", sweep_setup.prepare(sweep.Sweep(set=tuple(made)), sweep.Progress(1)))
    kept = study.optuna_study.user_attrs["settings"]
    study.optuna_study.set_user_attr("settings", {k: v for k, v in kept.items() if k != "squash"})  # an older study
    with pytest.raises(SystemExit) as refusal:
        run_main(monkeypatch, tmp_path, "--episodes", "8", "--set", *other)
    assert refusal.value.code == 2
    message = "as study 'pong' was made; got episodes=256 there, 8 now; optimizer=muon there, adam now. Choose"
    assert message in capsys.readouterr().err
    assert not Study.load(storage, name="pong").trials


def test_a_study_whose_bands_follow_an_axis_is_not_continued_with_given_ones(tmp_path):
    axes = ["--axes", "horizon=16,32", "learning_rate"]
    args, given = (sweep_options.parse([*axes, *more]) for more in ([], ["--set", "bands=8"]))
    space = sweep_setup.space_of(args)
    study = Study.create(space, f"sqlite:///{tmp_path}/a.db", name="pong")
    for _ in range(2):
        sweep.keep_settings(study, "pong", sweep_setup.prepare(args, sweep.Progress(1)))
    with pytest.raises(ValueError, match="got bands=fitted there, 8 now"):
        sweep.keep_settings(study, "pong", sweep_setup.prepare(given, sweep.Progress(1)))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (["--seed", "1"], "got seed=0 there, 1 now."),
        (["--strategy", "random"], "got strategy=neocarbs there, random now."),
    ],
)
def test_a_study_is_not_continued_with_another_seed_or_strategy(monkeypatch, tmp_path, capsys, other, message):
    Study.create(sweep_setup.search_space(), f"sqlite:///{tmp_path}/runs/sweep.db", name="pong")
    with pytest.raises(SystemExit) as refusal:
        run_main(monkeypatch, tmp_path, *other)
    assert refusal.value.code == 2
    assert message in capsys.readouterr().err


def test_bounds_that_are_given_twice_add_up():
    space = sweep_setup.search_space([("tau=.1,.2", "clip=.1,.2"), ("value=.1,.2",)])
    ends = {name: (axis.low, axis.high) for name, axis in space.axes}
    assert ends["tau"] == ends["clip"] == ends["value"] == (0.1, 0.2)


def test_a_diverging_training_is_a_failed_trial_with_its_reason():
    config, params = Config(num_envs=8, segment_length=4, horizon=4, num_minibatches=1), Params()
    training = Training(make_env("pong"), config, params, num_episodes=2)
    score, cost, attrs = training({"total_steps": 128.0, "learning_rate": float("inf")})
    assert score != score
    assert cost > 0
    assert attrs["reason"].startswith("non-finite ")


def test_none_is_a_reward_scale_too():
    values = assignments(["reward_scale=none", "pool_size=none", "normalize_observations=true"])
    assert values == {"reward_scale": "none", "pool_size": None, "normalize_observations": True}


@pytest.mark.slow
def test_killed_in_the_middle_it_resumes_and_reports(tmp_path):
    command = [sys.executable, "-m", "experiments.sweep", "--storage", "sqlite:///runs/sweep.db", *SMALL]
    command += ["--trials", "3", *BUDGETS, "--track", "csv"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline().startswith("trial   0")
        os.kill(killed.pid, signal.SIGKILL)
    resumed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Resuming study 'pong'" in resumed.stdout
    assert "3 trials completed, 0 failed." in resumed.stdout
    assert "training programs compiled" in resumed.stdout
    trials = Study.load(f"sqlite:///{tmp_path}/runs/sweep.db", name="pong").trials
    assert sum(t.status == "interrupted" for t in trials) <= 1
    written = {"report.html", "front.png", "trials.csv", "sweep.toml", "trials", "tracked.csv"}
    assert 'track = ["csv"]' in (tmp_path / "runs" / "pong" / "sweep.toml").read_text()
    # A table that the killed process was writing is cleared away by the next one that is 10 s younger.
    names = {path.name for path in (tmp_path / "runs" / "pong").iterdir()}
    assert {name for name in names if not name.startswith(".tracked.csv.")} == written
