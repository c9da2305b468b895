"""Members of a batch on eight devices: what one device makes of them, in a process of its own that has eight."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import jax
import numpy as np

jax.config.update("jax_num_cpu_devices", 8)

from envs.pong import Pong
from experiments.members import Members
from experiments.objective import Training
from neocarbs_jax.study import Trial
from p3o_jax.settings import Config, Params

config = Config(num_envs=4, segment_length=8, horizon=4, num_minibatches=2)
trials = [
    Trial(i, {"learning_rate": 1e-3 * (i + 1), "total_steps": 320.0 * (1 + i % 5)}, "running") for i in range(11)
]


def run(devices):
    members = Members(Training(Pong(), config, Params(), env_name="pong", num_episodes=4), 16, devices)
    outcomes = members(trials)
    return outcomes, sorted({size for _, _, size in (n for n in members._programs)})


many, sizes = run(None)
one, _ = run(jax.devices()[:1])
assert jax.local_device_count() == 8 and sizes == [8, 16], sizes
for (score, _, attrs), (expected, _, expected_attrs) in zip(many, one, strict=True):
    np.testing.assert_allclose(score, expected, atol=1e-3)
    curves = [[point[:2] for point in a["learning_curve"]] for a in (attrs, expected_attrs)]
    np.testing.assert_allclose(*curves, rtol=1e-3)
print("equal")
"""
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_members_on_eight_devices_are_those_of_one():
    env = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "equal"
