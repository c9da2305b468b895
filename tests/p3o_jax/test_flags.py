"""Trainings under the switches of JAX that a user may have set for a whole process."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from p3o_jax import Config, NetworkConfig, Params, evaluate, make_train

PROGRAM = """
import runpy, sys
import jax, numpy as np
from p3o_jax import Config, NetworkConfig, Params, evaluate, make_train

env = runpy.run_path(sys.argv[1])["Recall"](actions="box", truncates=True)
shape = dict(num_envs=2, segment_length=4, horizon=3, num_minibatches=2, num_buckets=4)
config = Config(estimator=sys.argv[2], **shape, network=NetworkConfig(width=4, depth=1), **eval(sys.argv[3]))
train = jax.jit(make_train(config, env))
state, metrics = train(jax.random.key(0), Params(total_steps=16.0, update_epochs=1.0))
print(metrics.failed, metrics.failed_term, metrics.num_episodes.tolist(), metrics.score.tolist())
print({str(x.dtype) for x in jax.tree.leaves(state.trainable)})
result = evaluate(config, env, state, jax.random.key(1), 2, max_steps=3)
print(result.num_episodes, np.isfinite(result.score_mean))
"""
ALL_STATISTICS = {"normalize_observations": True, "bootstrap_truncations": True, "reward_scale": "return"}


@pytest.mark.parametrize("estimator", ["p3o", *(pytest.param(x, marks=pytest.mark.slow) for x in ("original", "gae"))])
@pytest.mark.parametrize("flag", ["JAX_ENABLE_X64", "JAX_DEBUG_NANS", "JAX_DEBUG_INFS", "JAX_DISABLE_JIT"])
def test_a_training_and_its_evaluation_run_under_a_switch_of_the_process(flag, estimator):
    settings = {} if flag == "JAX_DISABLE_JIT" else ALL_STATISTICS
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).with_name("conftest.py")), estimator, repr(settings)]
    environment = {**os.environ, flag: "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    training, parameters, evaluation = done.stdout.splitlines()
    # Two updates fall into the first and the third of four intervals; episodes of 5 steps end in the second one only.
    missing = "0.0" if flag == "JAX_DEBUG_NANS" else "nan"
    assert training.startswith(f"False None [0.0, 0.0, 2.0, 0.0] [{missing}, {missing}, ")
    assert parameters == "{'float32'}"
    assert evaluation == "0.0 True"


def types_of(task, actions, settings):
    """Type of every array of a training's result and of its evaluation's, by name."""
    env = task.env(actions, truncates=True)
    shape = {"num_envs": 2, "segment_length": 4, "horizon": 3, "num_minibatches": 2}
    config = Config(**{"network": NetworkConfig(width=4, depth=1), **shape, **settings})
    state, metrics = jax.eval_shape(make_train(config, env), jax.random.key(0), Params())
    result = jax.eval_shape(lambda state, key: evaluate(config, env, state, key, 2), state, jax.random.key(1))
    leaves, _ = jax.tree_util.tree_flatten_with_path((state, metrics, result))
    return {jax.tree_util.keystr(path): str(leaf.dtype) for path, leaf in leaves}


@pytest.mark.parametrize(
    ("actions", "settings"),
    [
        ("box", {"estimator": "p3o", **ALL_STATISTICS}),
        ("box", {"estimator": "original", "squash": True}),
        ("discrete", {"estimator": "gae", "reward_scale": "return", "minibatches_of": "samples"}),
        ("multi", {"estimator": "p3o", "implementation": "reference", "bands": 0, "tau_rule": "precision"}),
        ("discrete", {"estimator": "original", "implementation": "interpret"}),
        ("discrete", {"estimator": "p3o", "network": NetworkConfig("gru", 4), "precision": "bfloat16"}),
    ],
)
def test_a_state_has_the_same_types_whether_or_not_64_bits_are_enabled(task, actions, settings):
    """So that a checkpoint restores under either, and nothing is computed in float64 by accident."""
    with jax.enable_x64(False):
        expected = types_of(task, actions, settings)
    with jax.enable_x64(True):
        assert types_of(task, actions, settings) == expected
