"""Checkpoints: exact resume, and refusal to overwrite or to guess."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax import checkpoint


def _plain(tree):
    """The tree with random keys as numbers."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x, tree)


def test_a_restored_checkpoint_goes_on_bit_for_bit(task, trained, tmp_path):
    half, _ = task.go_on(task.init(jax.random.key(0)), num_updates=13)
    checkpoint.save(tmp_path / "half", half)
    restored = checkpoint.restore(tmp_path / "half", jax.eval_shape(task.init, jax.random.key(0)))
    jax.tree.map(np.testing.assert_array_equal, _plain(restored), _plain(half))
    jax.tree.map(np.testing.assert_array_equal, _plain(task.go_on(restored)), _plain(trained))


def test_checkpoints_refuse_to_overwrite_and_to_guess(tmp_path):
    checkpoint.save(tmp_path / "one", {"x": jnp.zeros(2)})
    with pytest.raises(ValueError, match="`path` must not exist yet"):
        checkpoint.save(tmp_path / "one", {"x": jnp.zeros(2)})
    with pytest.raises(ValueError, match="`path` must be a checkpoint"):
        checkpoint.restore(tmp_path / "two", {"x": jnp.zeros(2)})
    for template, got in (
        ({"x": jnp.zeros(2, jnp.int32)}, r"got int32\[2\] for x, which is float32\[2\] there"),
        ({"x": jnp.zeros(3)}, r"got float32\[3\] for x, which is float32\[2\] there"),
        ({"y": jnp.zeros(2)}, r"got nothing for x, which is float32\[2\] there"),
    ):
        with pytest.raises(ValueError, match="`template` must be of the shapes and types .*" + got):
            checkpoint.restore(tmp_path / "one", template)


def test_what_an_older_checkpoint_may_lack_is_nan(tmp_path):
    checkpoint.save(tmp_path / "old", {"log": {"score": jnp.ones(2)}, "x": jnp.zeros(3)})
    template = {"log": {"score": jnp.zeros(2), "measures": {"goal": jnp.zeros(2)}}, "x": jnp.zeros(3)}
    restored = checkpoint.restore(tmp_path / "old", template, may_lack="log.measures.")
    np.testing.assert_array_equal(restored["log"]["measures"]["goal"], [np.nan, np.nan])
    np.testing.assert_array_equal(restored["log"]["score"], [1, 1])
    with pytest.raises(ValueError, match=r"got float32\[2\] for log.measures.goal, which is nothing there"):
        checkpoint.restore(tmp_path / "old", template)
    checkpoint.save(tmp_path / "none", {"log": {"score": jnp.ones(2)}})
    with pytest.raises(ValueError, match=r"got float32\[3\] for x, which is nothing there"):
        checkpoint.restore(tmp_path / "none", template, may_lack="log.measures.")


@pytest.mark.parametrize("gone", ["_METADATA", "manifest.ocdbt", "d"])
def test_a_checkpoint_that_is_being_removed_is_no_checkpoint(tmp_path, gone):
    checkpoint.save(tmp_path / "one", {"x": jnp.zeros(2)})
    path = tmp_path / "one" / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ValueError, match="`path` must be a checkpoint that can be read"):
        checkpoint.restore(tmp_path / "one", {"x": jnp.zeros(2)})
