"""The wheel, installed in a fresh environment, works beside a user's own packages `envs` and `experiments`."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("neocarbs_jax", "p3o_jax", "envs", "experiments")
SMALL = ("--episodes", "2", "--set", "num_envs=8", "segment_length=8", "horizon=4", "num_minibatches=1")

CORRIDOR = '''
"""A user's environment: walk right for five steps."""
from types import SimpleNamespace
from typing import NamedTuple

import jax.numpy as jnp


class State(NamedTuple):
    place: object
    time: object


class Corridor:
    default_params = None

    def action_space(self, params=None):
        return SimpleNamespace(n=2, shape=())

    def observation_space(self, params=None):
        return SimpleNamespace(shape=(1,))

    def reset_env(self, key, params):
        state = State(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))
        return self.get_obs(state, params), state

    def step_env(self, key, state, action, params):
        state = State(state.place + 2 * action - 1, state.time + 1)
        return self.get_obs(state, params), state, state.place.astype(jnp.float32), state.time >= 5, {}

    def is_truncated(self, state, params):
        return jnp.zeros((), bool)

    def get_obs(self, state, params):
        return state.place[None].astype(jnp.float32)
'''

USE = """
import envs, experiments, jax, neocarbs_jax, p3o_jax
from envs.corridor import Corridor

print(p3o_jax.__file__, neocarbs_jax.__file__, envs.__file__, experiments.__file__, sep="\\n")
config = p3o_jax.Config(num_envs=8, segment_length=8, horizon=4, num_minibatches=1)
train = jax.jit(p3o_jax.make_train(config, Corridor()))
state, metrics = train(jax.random.key(0), p3o_jax.Params(total_steps=128.0))
assert int(state.num_updates) == 2
assert not metrics.failed
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy so that the checkout stays clean."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # An old setuptools cannot read our pyproject; pip then fetches a newer one.
    offline = ["--no-build-isolation"] if int(version("setuptools").split(".")[0]) >= 77 else []
    pip("wheel", "--no-deps", *offline, "--wheel-dir", folder, source)
    [file] = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory):
    """The folder of programs of a fresh environment with the wheel, and of the dependencies what is here."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=False, symlinks=True)
    [packages] = environment.glob("lib/python3*/site-packages")
    # Folders that are named here are searched, but not for hooks such as that of our editable installation.
    here = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "dependencies.pth").write_text("\n".join(here) + "\n")
    python = environment / "bin" / "python"
    pip("--python", python, "install", "--no-deps", "--no-index", "--ignore-installed", wheel)
    return environment / "bin"


@pytest.fixture
def elsewhere(tmp_path_factory):
    """A user's repository with packages of the same names as ours."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("envs", "experiments"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
    (folder / "envs" / "corridor.py").write_text(CORRIDOR)
    return folder


def pip(*args):
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *map(str, args)], check=True)


def run(elsewhere, program, *args, **variables):
    """Run an installed program in the user's repository."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([program, *args], cwd=elsewhere, env=inherited | variables, capture_output=True, text=True)


def test_the_wheel_has_the_packages_but_no_benchmarks_and_no_results(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {Path(name).parts[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
    assert "experiments/sweep.py" in names
    assert "experiments/masters/pong.npz" in names
    assert not [name for name in names if name.startswith(("experiments/bench", "experiments/results"))]


def test_a_users_envs_and_experiments_stand_beside_ours(scripts, elsewhere):
    done = run(elsewhere, scripts / "python", "-c", USE)
    assert done.returncode == 0, done.stderr
    *ours, envs, experiments = map(Path, done.stdout.split())
    assert all(scripts.parent in file.parents for file in ours)
    assert [envs.parent, experiments.parent] == [elsewhere / "envs", elsewhere / "experiments"]


@pytest.mark.parametrize("program", ["p3o", "neocarbs"])
def test_console_scripts_start_in_a_users_repository(scripts, elsewhere, program):
    done = run(elsewhere, scripts / program, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: {program}" in done.stdout


@pytest.mark.parametrize("package", ["envs", "experiments"])
def test_a_package_that_hides_ours_is_named_in_one_line(scripts, elsewhere, tmp_path, package):
    shutil.copytree(elsewhere / package, tmp_path / package)
    done = run(elsewhere, scripts / "p3o", "train", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert f"`{package}` at {tmp_path / package} hides" in line
    assert not (elsewhere / "runs").exists()


@pytest.mark.slow
def test_an_agent_is_trained_in_a_users_repository(scripts, elsewhere):
    done = run(elsewhere, scripts / "p3o", "train", "--env", "pong", "--out", "agent", *SMALL, "total_steps=256")
    assert done.returncode == 0, done.stderr
    assert "kept in agent" in done.stdout
    assert (elsewhere / "agent" / "settings.json").exists()


@pytest.mark.slow
def test_a_sweep_runs_in_a_users_repository(scripts, elsewhere):
    bounds = ("--bounds", "total_steps=1e3,4e3")
    done = run(elsewhere, scripts / "p3o", "sweep", "--env", "pong", "--trials", "2", *bounds, *SMALL)
    assert done.returncode == 0, done.stderr
    assert "2 trials completed, 0 failed." in done.stdout
    assert (elsewhere / "runs" / "pong" / "front.png").stat().st_size > 0
