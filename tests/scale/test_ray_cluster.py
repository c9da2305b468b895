"""Trials on two nodes of a Ray cluster, one of which is killed while it runs: make test-scale."""

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from neocarbs_jax import Study

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own imports warn
    cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [pytest.mark.scale, pytest.mark.filterwarnings("ignore")]  # Ray's processes and files warn all along

ROOT = Path(__file__).resolve().parents[2]
NUM_TRIALS = 12
FUNCTION = """
import os, time
import ray

def objective(values, trial):
    node = ray.get_runtime_context().get_node_id()
    with open("began.txt", "a") as file:
        file.write(f"{trial.number} {node}\\n")
    time.sleep(2)
    with open("ended.txt", "a") as file:
        file.write(f"{trial.number}\\n")
    return values["x"], 1.0, {"node": node}
"""


@pytest.fixture
def cluster():
    """A head without processors, and two nodes that run trials."""
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made, [made.add_node(num_cpus=2) for _ in range(2)]
    made.shutdown()


def lines_of(file):
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def test_a_node_is_killed_and_every_trial_counts_once(cluster, tmp_path):
    made, (lost, kept) = cluster
    (tmp_path / "space.toml").write_text('[x]\ntype = "log"\nlow = 0.1\nhigh = 10.0\n')
    (tmp_path / "it.py").write_text(FUNCTION)
    words = [
        sys.executable, "-m", "neocarbs_jax.cli", "run", "--space", "space.toml", "--objective", "it.py:objective",
        "--trials", str(NUM_TRIALS), "--strategy", "random", "--ray", "--ray-address", made.address,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(words, cwd=tmp_path, env=environment) as driver:
        deadline = time.monotonic() + 200
        while {lost.node_id, kept.node_id} - {node for _, node in lines_of(tmp_path / "began.txt")}:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        made.remove_node(lost, allow_graceful=False)
        assert driver.wait(240) == 0
    trials = Study.load(f"sqlite:///{tmp_path}/runs/space.db", name="space").trials
    completed = [trial for trial in trials if trial.status == "completed"]
    ended = [int(number) for [number] in lines_of(tmp_path / "ended.txt")]
    assert len(completed) == NUM_TRIALS
    assert {trial.status for trial in trials} == {"completed", "interrupted"}
    assert {trial.number for trial in completed} <= set(ended)
    began = [int(number) for number, _ in lines_of(tmp_path / "began.txt")]
    assert len(set(began)) == len(began)  # none twice
    lost_ones = [trial.reason for trial in trials if trial.status == "interrupted"]
    assert set(lost_ones) == {"Ray lost its worker (NodeDiedError)"}
    assert {trial.attrs["node"] for trial in completed} >= {kept.node_id}
