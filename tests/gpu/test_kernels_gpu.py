"""The kernels on a GPU compute what the definitions do; skipped without one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax.ops.advantages import p3o_advantage
from p3o_jax.ops.spread import init_spread, update_spread
from p3o_jax.ops.value_loss import gaussian_nll, p3o_value_loss

pytestmark = [
    pytest.mark.skipif(jax.default_backend() != "gpu", reason="needs a GPU"),
    pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated:DeprecationWarning"),
]

SHAPES = [(128, 512, 128), (64, 300, 32), (33, 17, 20), (200, 8, 256)]
TOLERANCE = {"rtol": 5e-5, "atol": 5e-5}  # float32 sums of up to 256 terms of order 1, in another order


def make_inputs(shape, dtype):
    """Returns the arguments of the advantage and of the loss; episodes end every 30 steps, half of them cut."""
    rng = np.random.default_rng(0)
    num_steps, num_envs, horizon = shape
    mean = jnp.asarray(rng.normal(size=shape), dtype)
    last_mean = jnp.asarray(rng.normal(size=(num_envs, horizon)), dtype)
    weights = jnp.asarray(rng.uniform(0.3, 1, horizon), jnp.float32)
    std = jnp.asarray(rng.uniform(0.5, 1.5, horizon), jnp.float32)
    rewards, returns = jnp.asarray(rng.normal(size=(2, num_steps, num_envs)), jnp.float32)
    terminated, truncated = jnp.asarray(rng.random((2, num_steps, num_envs)) < 1 / 60)
    outcome = rewards, terminated, truncated
    return (mean, weights, *outcome, last_mean), (mean, weights, std, returns, *outcome)


def compare(function, arguments, **tolerance):
    """Checks the kernel against the definition, for every number that `function` returns."""
    actual, expected = (jax.jit(partial(function, implementation=i))(*arguments) for i in ("pallas", "reference"))
    for x, y in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(x, np.float32), np.asarray(y, np.float32), **tolerance)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_advantages_are_the_definitions(shape, dtype):
    arguments, _ = make_inputs(shape, dtype)
    compare(p3o_advantage, arguments, **TOLERANCE)
    mean = arguments[0]
    compare(partial(p3o_advantage, tau=jnp.linspace(0, 1, shape[2])), arguments, **TOLERANCE)
    compare(partial(p3o_advantage, truncated_mean=mean[::-1]), arguments, **TOLERANCE)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_losses_and_gradients_are_the_definitions(shape, dtype):
    _, arguments = make_inputs(shape, dtype)
    mean, _, std, _, *outcome = arguments
    # A gradient in bfloat16 is rounded once, to 8 bits, and entries are about 1 / (number of predictions).
    tolerance = {"rtol": 1e-4 if dtype == jnp.float32 else 1e-2, "atol": 1e-3 / mean.size}

    def loss(*args, implementation):
        return jax.value_and_grad(partial(p3o_value_loss, implementation=implementation))(*args)

    def nll(*args, implementation):
        return jax.value_and_grad(partial(gaussian_nll, implementation=implementation), (0, 1))(*args)

    compare(loss, arguments, **tolerance)
    compare(nll, (mean, jnp.log(std), *outcome), rtol=tolerance["rtol"], atol=1e-6)


def test_kernels_work_under_vmap():
    inputs = [make_inputs((40, 16, 32), jnp.float32) for _ in range(3)]
    for_advantage, for_loss = jax.tree.map(lambda *x: jnp.stack(x), *inputs)

    def advantage(*args, implementation):
        return jax.vmap(partial(p3o_advantage, implementation=implementation))(*args)

    def gradient(*args, implementation):
        return jax.vmap(jax.grad(partial(p3o_value_loss, implementation=implementation)))(*args)

    compare(advantage, for_advantage, **TOLERANCE)
    compare(gradient, for_loss, rtol=1e-4, atol=1e-7)


def test_the_platforms_best_is_the_kernel():
    arguments, (mean, _, _, _, *outcome) = make_inputs((40, 16, 32), jnp.float32)
    text = jax.jit(p3o_advantage).lower(*arguments).as_text()
    assert text.count("__gpu$xla.gpu.triton") == 1
    spread = jax.jit(update_spread)(init_spread(32), mean, *outcome)
    expected = update_spread(init_spread(32), mean, *outcome, implementation="xla")
    for x, y in zip(spread, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4)
