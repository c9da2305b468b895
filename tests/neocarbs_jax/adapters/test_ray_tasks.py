"""Trials as tasks of a real Ray cluster of this machine, by `neocarbs run --ray` and from Python."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import pytest

from neocarbs_jax import Study, cli
from neocarbs_jax.programs import BrokenProgram
from neocarbs_jax.space import Log, SearchSpace

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own imports warn
    pytest.importorskip("ray")
    from neocarbs_jax.adapters import ray_tasks

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
    import json, os, sys, time
    from pathlib import Path
    x, seconds = float(sys.argv[1]), float(sys.argv[2])
    (Path("began") / os.environ["NEOCARBS_TRIAL"]).touch()
    time.sleep(seconds)
    print(json.dumps({"score": x, "cost": 1.0, "pid": os.getpid()}))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a space and a program, as the current one."""
    (tmp_path / "space.toml").write_text('[x]\ntype = "log"\nlow = 0.1\nhigh = 10.0\n')
    (tmp_path / "it.py").write_text(textwrap.dedent(PROGRAM))
    (tmp_path / "began").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def neocarbs(place, *arguments, **options):
    words = [sys.executable, "-m", "neocarbs_jax.cli", "run", "--space", "space.toml", "--strategy", "random"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen([*words, "--ray", *arguments], cwd=place, env=environment, text=True, **options)


def trials_of(place):
    return Study.load(f"sqlite:///{place}/runs/space.db", name="space").trials


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpus": -1.0}, "`cpus_per_trial` must be at least 0 and finite; got -1.0."),
        ({"gpus": 1.5}, "`gpus_per_trial` must be whole above 1, for Ray; got 1.5."),
        ({"cpus": 0.0}, "`cpus_per_trial` must be positive where `gpus_per_trial` is 0; got 0."),
        ({"slots": 0}, "`slots` must be at least 1; got 0."),
    ],
)
def test_resources_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ray_tasks.Resources(**options)


def test_a_cluster_has_room_for_what_each_node_has_room_for():
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    assert ray_tasks.Resources().room(nodes) == 11
    assert ray_tasks.Resources(cpus=2.0).room(nodes) == 5
    assert ray_tasks.Resources(cpus=0.1).room(nodes) == 110
    assert ray_tasks.Resources(gpus=0.25).room(nodes) == 4
    assert ray_tasks.Resources(gpus=2.0).room(nodes) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus-per-trial", "1"], "`ray` must be given where `gpus_per_trial` is; got only the latter."),
        (["--ray", "--pin"], "`pin` must be left out where `ray` is given"),
        (["--ray", "--cpus-per-trial", "0"], "`cpus_per_trial` must be positive"),
        (["--ray", "--ray-upload", "none"], "`ray_upload` must be a folder; got 'none'."),
        (["--ray", "--ray-address", "127.0.0.1:1"], "`ray_address` must be local, or auto or HOST:PORT of a cluster"),
        (["--ray", "--ray-address", "nowhere"], "`ray_address` must be local, or auto or HOST:PORT of a cluster"),
    ],
)
def test_what_cannot_be_is_one_line_at_once(place, capsys, options, message):
    with pytest.raises(SystemExit) as refusal:
        cli.main(["run", "--space", "space.toml", "--command", "true", "--trials", "1", *options])
    assert refusal.value.code == 2
    assert message in capsys.readouterr().err


def test_a_missing_ray_is_named_with_its_command(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "neocarbs_jax.adapters.ray_tasks", None)
    with pytest.raises(SystemExit) as refusal:
        cli.main(["run", "--space", "space.toml", "--command", "true", "--trials", "1", "--ray"])
    assert refusal.value.code == 2
    assert capsys.readouterr().err == "error: `ray` needs an extra: pip install 'neocarbs-p3o[ray]'.\n"


@pytest.mark.slow
def test_the_command_runs_programs_as_tasks_and_the_study_stays(place):
    arguments = ["--command", f"{sys.executable} it.py {{x}} 0.1", "--trials", "5", "--cpus-per-trial", "0.5"]
    assert neocarbs(place, *arguments, "--track", "csv").wait(300) == 0
    trials = trials_of(place)
    assert [t.status for t in trials] == ["completed"] * 5
    assert all(t.score == t.values["x"] for t in trials)
    assert len((place / "runs" / "space" / "tracked.csv").read_text().splitlines()) == 6
    assert (place / "runs" / "space" / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_takes_the_trials_back_and_leaves_nothing_running(place, number, code):
    program = place / "it.py"
    arguments = ["--command", f"{sys.executable} {program} {{x}} 987", "--trials", "5", "--slots", "2"]
    with neocarbs(place, *arguments, "--cpus-per-trial", "0.5", stdout=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 300
            while len(list((place / "began").iterdir())) < 2:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:  # a test that fails leaves nothing running either
            process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert out.splitlines()[-1] == "Stopped. The trial that ran is taken back."
    listing = subprocess.run(["ps", "-eo", "stat,args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in listing.splitlines() if str(program) in line and line[0] != "Z"]
    trials = trials_of(place)
    assert [t.status for t in trials] == ["interrupted"] * 2  # two slots: no more were started


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's processes and files warn all along
def test_how_a_task_ends_is_how_its_trial_ends(tmp_path):
    def objective(values, trial):
        match trial.number:
            case 1:
                raise FloatingPointError("diverged")
            case 2:
                os.kill(os.getpid(), signal.SIGKILL)
            case 5:
                raise KeyError("typo")
        return values["x"], 1.0, {"curve": [(1.0, 0.5, 0.5)]}

    study = Study.create(SearchSpace(x=Log(0.1, 10)), f"sqlite:///{tmp_path}/study.db", strategy="random")
    told = []
    with ray_tasks.cluster():
        resources = ray_tasks.Resources(cpus=1.0, slots=1)
        with pytest.raises(ValueError, match=r"must fit a node of the cluster, which has \d+ CPUs and 0 GPUs in all"):
            ray_tasks.run(study, objective, ray_tasks.Resources(gpus=1), num_trials=1)
        with pytest.raises(KeyError, match="typo"):
            ray_tasks.run(study, objective, resources, num_trials=9, on_tell=told.append)
    assert [t.status for t in study.trials] == [
        "completed", "failed", "interrupted", "completed", "completed", "interrupted",
    ]  # fmt: skip
    assert [t.number for t in told] == [0, 1, 2, 3, 4]
    assert study.trials[1].reason == "diverged"
    assert study.trials[2].reason == "Ray lost its worker (WorkerCrashedError)"
    assert study.trials[3].attrs["curve"] == [[1.0, 0.5, 0.5]]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_workers_that_are_lost_in_a_row_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_tasks, "MOST_LOSSES", 2)
    study = Study.create(SearchSpace(x=Log(0.1, 10)), f"sqlite:///{tmp_path}/study.db", strategy="random")
    with ray_tasks.cluster(), pytest.raises(BrokenProgram, match="Ray lost 2 workers in a row"):
        ray_tasks.run(study, lambda values: os._exit(1), ray_tasks.Resources(slots=1), num_trials=9)
    assert {t.status for t in study.trials} <= {"interrupted", "failed"}
