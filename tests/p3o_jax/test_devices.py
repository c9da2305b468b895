"""A training on eight devices is that of one, in a process of its own that has eight."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from contextlib import nullcontext

import jax
import numpy as np

jax.config.update("jax_num_cpu_devices", 8)

from envs.pong import Pong
from p3o_jax import learner
from p3o_jax.devices import over_devices
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import Config, Params

arguments = eval(sys.argv[1])
network = NetworkConfig(width=8, depth=1, kind=arguments.pop("kind", "mlp"))
shape = {"num_envs": 16, "segment_length": 8, "horizon": 4, "num_minibatches": 2, "num_buckets": 2}
config = Config(network=network, **shape, **arguments)
params = Params(total_steps=1e4, update_epochs=2.0)
env = Pong()


def trained(context):
    with context:
        state = jax.jit(lambda key: learner.init(config, env, key, params))(jax.random.key(0))
        update = jax.jit(lambda state: learner.update(config, env, state, params))
        for _ in range(3):
            state = update(state)
        return state, update.lower(state).compile().as_text()


one, _ = trained(nullcontext())
many, program = trained(over_devices(jax.devices()))
assert jax.device_count() == 8
assert len(many.position.obs.addressable_shards) == 8 and many.position.obs.addressable_shards[0].data.shape[0] == 2
assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(many.trainable))
parts = [jax.tree.leaves((state.trainable, state.position.env_state)) for state in (one, many)]
for alone, together in zip(*parts, strict=True):
    np.testing.assert_allclose(alone, together, rtol=2e-3, atol=2e-5)  # sums of another order
print(program.count(" all-gather("))
"""
ROOT = Path(__file__).parents[2]


def run(arguments):
    env = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, repr(arguments)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"bands": 0, "implementation": "interpret"},
        {"kind": "gru", "implementation": "interpret"},
        {"bands": 3, "minibatches_of": "samples", "evidence": True},
    ],
)
def test_eight_devices_do_what_one_does_and_gather_no_environments(arguments):
    done = run(arguments)
    assert done.returncode == 0, done.stderr
    if "minibatches_of" not in arguments:  # samples are drawn from all environments
        assert done.stdout.strip() == "0"
