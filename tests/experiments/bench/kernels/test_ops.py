"""The plain forms that the kernels are timed against compute the same numbers, and the bytes are counted right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench.kernels.ops import known_share, make_batch, make_ops, moved_bytes


@pytest.fixture(scope="module")
def batch():
    return make_batch(jax.random.key(0), (24, 6, 16), jnp.float32, end_every=10)


@pytest.mark.parametrize("name", ["advantage", "loss and gradient", "spread"])
def test_variants_of_an_op_agree(batch, name):
    other_work = ("GAE, for scale", "jnp, one pass, no bootstrap")
    ops = [op for op in make_ops(["reference", "xla"]) if op.name == name and op.variant not in other_work]
    assert len(ops) >= 2
    first, *others = [jax.tree.leaves(jax.jit(op.function)(batch)) for op in ops]
    for other in others:
        for x, y in zip(first, other, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)  # float32 sums in other orders


def test_bytes_count_whole_sectors_of_known_lags(batch):
    """Without ends step t of 24 knows min(16, 24 - t) lags, in sectors of 8 float32."""
    endless = batch._replace(terminated=jnp.zeros((24, 6), bool), truncated=jnp.zeros((24, 6), bool))
    known = np.minimum(16, 24 - np.arange(24))
    rho = np.mean(np.ceil(known / 8) * 8 / 16)
    assert known_share(endless) == pytest.approx(rho)
    moved = {op.name: moved_bytes(op, endless) for op in make_ops(["xla"]) if op.variant == "xla"}
    assert moved["spread"] == pytest.approx(24 * 6 * 16 * 4 * rho)
    assert moved["loss and gradient"] == pytest.approx(24 * 6 * 16 * 4 * 2)  # every prediction in, every gradient out
