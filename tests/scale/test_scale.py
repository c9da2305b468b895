"""Many processes on one study, in a real PostgreSQL server: make test-scale.

Eight workers of which two are killed: each trial runs to its end exactly once, and nothing is lost. How fast they are,
and how good their front is beside that of a single worker, is printed and not judged, for machines differ.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neocarbs_jax import Study, synthetic
from neocarbs_jax.space import to_dict

pytest.importorskip("psycopg")
pytestmark = [pytest.mark.scale, pytest.mark.filterwarnings("ignore")]  # connections of studies not yet there

ROOT = Path(__file__).resolve().parents[2]
OBJECTIVE = """
import json, os, sys, time
from pathlib import Path
time.sleep({seconds})
values = json.loads(os.environ["NEOCARBS_VALUES"])
with open(Path("done.txt"), "a") as file:
    file.write(os.environ["NEOCARBS_TRIAL"] + "\\n")
print(json.dumps({{"score": -abs(values["x"] - 0.3) - 1 / values["steps"], "cost": values["steps"]}}))
"""
SPACE = """
x = {type = "linear", low = 0.0, high = 1.0}
steps = {type = "log", low = 1.0, high = 1000.0}
"""
FUNCTION = """
import time
def objective(values):
    time.sleep(0.01)
    return -abs(values["x"] - 0.3) - 1 / values["steps"], values["steps"]
"""


@pytest.fixture
def neocarbs(tmp_path):
    """Start `neocarbs ARGUMENTS` in a folder of the test; none is left running."""
    started = []

    def start(*arguments):
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "JAX_PLATFORMS": "cpu"}
        words = [sys.executable, "-m", "neocarbs_jax.cli", *arguments]
        started.append(subprocess.Popen(words, cwd=tmp_path, env=environment))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def completed(study):
    return [trial for trial in study.trials if trial.status == "completed"]


def test_two_of_eight_workers_are_killed_and_every_trial_counts_once(postgres, neocarbs, tmp_path):
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "it.py").write_text(OBJECTIVE.format(seconds=0.5))
    command = ["--command", f"{sys.executable} it.py"]
    first = neocarbs(
        "run", "--space", "space.toml", *command, "--trials", "40", "--storage", postgres, "--name", "killed"
    )
    study = _when_there(postgres, "killed")
    workers = [neocarbs("worker", postgres, "--name", "killed") for _ in range(7)]
    while len(completed(study)) < 8:
        time.sleep(0.2)
    for worker in workers[:2]:
        worker.send_signal(signal.SIGKILL)
    assert [worker.wait(600) for worker in workers[2:]] == [0] * 5
    assert first.wait(600) == 0
    trials = completed(study)
    assert 40 <= len(trials) <= 40 + 8  # several may see the last free place at once
    ran = [int(line) for line in (tmp_path / "done.txt").read_text().split()]
    assert sorted(set(ran)) == sorted(ran)  # none twice
    assert {trial.number for trial in trials} <= set(ran)
    assert {trial.status for trial in study.trials} <= {"completed", "interrupted"}
    study.close()


def test_many_short_trials(postgres, neocarbs, tmp_path):
    """200 trials of 10 ms by eight processes of a strategy without surrogates: what the ledger can take."""
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "short.py").write_text(FUNCTION)
    arguments = ["--objective", "short.py:objective", "--trials", "200", "--strategy", "random", "--slots", "8"]
    process = neocarbs("run", "--space", "space.toml", *arguments, "--storage", postgres, "--name", "short")
    assert process.wait(600) == 0
    study = Study.load(postgres, name="short")
    trials = completed(study)
    assert len({trial.number for trial in trials}) == len(trials) >= 200
    ended = sorted(trial.ended.timestamp() for trial in trials)
    rate = 100 / (ended[-1] - ended[-101])
    print(f"\n{rate:.0f} trials per second in the second half, {os.cpu_count()} processors")
    study.close()


@pytest.mark.parametrize("task", ["rl"])
def test_eight_workers_find_nearly_the_front_of_one(postgres, neocarbs, tmp_path, task):
    """60 trials: the hypervolume of eight workers at once beside that of one, printed."""
    (tmp_path / "space.json").write_text(json.dumps(to_dict(synthetic.TASKS[task].space)))
    (tmp_path / "task.py").write_text(
        f"import jax, zlib\nfrom neocarbs_jax import synthetic\ntask = synthetic.TASKS[{task!r}]\n"
        "def objective(values):\n"
        "    key = jax.random.key(zlib.crc32(repr(sorted(values.items())).encode()))\n"
        "    score, cost = task(values, key)\n    return float(score), float(cost)\n"
    )
    shares = {}
    for slots in (1, 8):
        name = f"{task}{slots}"
        study = Study.create(synthetic.TASKS[task].space, postgres, name=name)
        arguments = ["worker", postgres, "--name", name, "--objective", "task.py:objective", "--trials", "60"]
        assert neocarbs(*arguments, "--slots", str(slots)).wait(900) == 0
        shares[slots] = _share(study, synthetic.TASKS[task])
        study.close()
    print(f"\n{task}, 60 trials: {shares[1]:.3f} of the true front by one worker, {shares[8]:.3f} by eight")
    assert shares[8] > 0.7 * shares[1]


def _share(study, task):
    units = np.stack([study.space.to_unit(trial.values) for trial in completed(study)[:60]])
    score, cost = jax.vmap(lambda unit: task.noiseless(study.space.from_unit(unit)))(jnp.asarray(units))
    return float(synthetic.hypervolume_fraction(score, cost, task.front(), task.floor)[-1])


def _when_there(postgres, name):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            return Study.load(postgres, name=name)
        except ValueError:
            time.sleep(0.5)
    raise AssertionError("the study was not made")
