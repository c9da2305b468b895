"""What interpret mode does not show: without a GPU, the kernels lower for CUDA under every transformation.

That the kernels compute the right numbers is tested with all other implementations, in `test_advantages.py` and
`test_value_loss.py` ("interpret").
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractDevice, AbstractMesh, AxisType, Mesh, PartitionSpec, use_abstract_mesh

from p3o_jax.ops import triton
from p3o_jax.ops.advantages import Advantage, p3o_advantage
from p3o_jax.ops.sharding import sharded_advantage
from p3o_jax.ops.value_loss import gaussian_nll, p3o_value_loss

# jax 0.11 announces that this backend will go; ops/triton.py is the file to replace then.
pytestmark = pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated:DeprecationWarning")

GPU = AbstractDevice(device_kind="NVIDIA H200", num_cores=132, platform="gpu")
SHAPES = [(32, 64, 128), (12, 6, 20)]

advantage = partial(p3o_advantage, implementation="pallas")
loss = partial(p3o_value_loss, implementation="pallas")
nll = partial(gaussian_nll, implementation="pallas")


def make_mesh(shape=(), axes=()):
    """Returns a mesh of GPUs that exist only for the compiler."""
    return AbstractMesh(shape, axes, axis_types=(AxisType.Auto,) * len(axes), abstract_device=GPU)


def lower_for_cuda(function, *arguments, mesh_shape=(), mesh_axes=()):
    """Returns the program for an H200, as text."""
    types = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)
    with use_abstract_mesh(make_mesh(mesh_shape, mesh_axes)):
        return jax.jit(function).trace(*types).lower(lowering_platforms=("cuda",)).as_text()


def num_kernels(text):
    return text.count("__gpu$xla.gpu.triton")


def arguments_of(segment):
    """Returns the arguments of the advantage, the loss and the NLL."""
    head = segment.mean, segment.weights
    return (
        (*head, *segment.outcome, segment.last_mean),
        (*head, segment.std, segment.rewards, *segment.outcome),
        (segment.mean, jnp.log(segment.std), *segment.outcome),
    )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_op_is_one_kernel_forward_and_with_gradients(make_example, shape, dtype):
    segment = make_example(*shape)
    segment = segment._replace(mean=segment.mean.astype(dtype), last_mean=segment.last_mean.astype(dtype))
    for_advantage, for_loss, for_nll = arguments_of(segment)
    assert num_kernels(lower_for_cuda(advantage, *for_advantage)) == 1
    assert num_kernels(lower_for_cuda(loss, *for_loss)) == 1
    assert num_kernels(lower_for_cuda(jax.value_and_grad(loss), *for_loss)) == 1
    assert num_kernels(lower_for_cuda(jax.value_and_grad(nll, (0, 1)), *for_nll)) == 1


def test_optional_operands_lower_too(make_example):
    segment = make_example(*SHAPES[1])
    by_lag = jnp.full(SHAPES[1][2], 0.05)
    arguments = (*arguments_of(segment)[0], by_lag, segment.truncated_mean)
    assert num_kernels(lower_for_cuda(advantage, *arguments)) == 1


def test_kernels_lower_under_vmap(make_example):
    segments = [make_example(*SHAPES[1], seed=seed) for seed in (0, 1)]
    for_advantage, for_loss, _ = arguments_of(jax.tree.map(lambda *x: jnp.stack(x), *segments))
    assert num_kernels(lower_for_cuda(jax.vmap(advantage), *for_advantage)) == 1
    assert num_kernels(lower_for_cuda(jax.vmap(jax.grad(loss)), *for_loss)) == 1


def test_under_shard_map_each_device_runs_its_own_environments(make_example):
    segment = make_example(*SHAPES[1])
    sharded = sharded_advantage(make_mesh((2,), ("env",)), "env", implementation="pallas")
    text = lower_for_cuda(sharded, *arguments_of(segment)[0], mesh_shape=(2,), mesh_axes=("env",))
    assert num_kernels(text) == 1
    assert "all_gather" not in text


@pytest.mark.parametrize("implementation", ["xla", pytest.param("interpret", marks=pytest.mark.slow)])
def test_sharded_results_are_the_plain_ones(make_example, implementation):
    segment = make_example()
    arguments, for_loss, _ = arguments_of(segment)
    mesh = Mesh(np.array(jax.devices()[:1]), ("env",))
    actual = jax.jit(sharded_advantage(mesh, "env", implementation=implementation))(*arguments)
    assert isinstance(actual, Advantage)
    for x, y in zip(actual, jax.jit(p3o_advantage)(*arguments), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)

    whole, by_step = PartitionSpec(), PartitionSpec(None, "env")
    gradient = jax.jit(jax.grad(partial(p3o_value_loss, implementation=implementation)))
    specs = (by_step, whole, whole, by_step, by_step, by_step, by_step)
    mapped = jax.shard_map(gradient, mesh=mesh, in_specs=specs, out_specs=by_step, check_vma=False)
    np.testing.assert_allclose(jax.jit(mapped)(*for_loss), gradient(*for_loss), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [pytest.param((6, 4, 5), marks=pytest.mark.slow), (70, 3, 40)])
def test_several_tiles_and_programs_add_up(make_example, shape):
    """T beyond one tile, H that is no power of two, more than one program per environment."""
    segment = make_example(*shape)
    _, arguments, _ = arguments_of(segment)
    value_and_grad = jax.jit(jax.value_and_grad(p3o_value_loss), static_argnames="implementation")
    expected = value_and_grad(*arguments, implementation="reference")
    actual = value_and_grad(*arguments, implementation="interpret")
    for x, y in zip(actual, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("number", "largest", "divisor"), [(12, 8, 4), (12, 3, 2), (7, 8, 1), (64, 4, 4), (6, 1, 1)])
def test_blocks_divide_what_they_split(number, largest, divisor):
    assert triton.power_of_two_divisor(number, largest) == divisor


def test_groups_of_lags_are_one_kernel_under_vmap(make_example):
    """What `P3O(evidence=True)` asks for: the advantage of every group of lags, by `vmap` over weights."""
    segment = make_example(*SHAPES[1])
    head, rest = segment.mean, (*segment.outcome, segment.last_mean)

    def by_group(mean, weights, *rest):
        return jax.vmap(lambda weights: advantage(mean, weights, *rest))(weights)

    assert num_kernels(lower_for_cuda(by_group, head, jnp.stack([segment.weights] * 3), *rest)) == 1
