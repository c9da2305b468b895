"""A training that version 0.1.0 kept: later versions read it, score it, and train on."""

import tarfile
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import saved
from p3o_jax.train import advance

ARCHIVE = Path(__file__).with_name("checkpoint-0.1.0.tar.gz")


@pytest.fixture
def run(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return saved.load(tmp_path / "golden-run")


def test_a_checkpoint_of_version_0_1_0_is_read(run):
    assert run.env_name == "pong"
    assert (run.config.num_envs, run.config.horizon, run.config.network.width) == (4, 4, 8)
    assert float(run.params.total_steps) == 512
    assert np.isinf(run.params.kl_limit)  # that version had none
    assert int(run.state.num_updates) == 16


def test_and_trains_on(run):
    params = run.params.replace(total_steps=1024.0)
    state, metrics = jax.jit(lambda state, params: advance(run.config, run.env, state, params, num_updates=2))(
        run.state, params
    )
    assert int(state.num_updates) == 18
    sums = np.asarray(state.log.weights)  # that version kept none
    assert np.isnan(sums[0]).all()
    assert np.isfinite(sums[-1]).all()
    assert not bool(metrics.failed)
