"""Compile P3O's kernels for an H200 on a machine without a GPU, and check the machine code.

Checked for each op: one kernel of ours in the program, no register spills, 16-byte loads and stores where the layout
allows them, and no all-gather when environments are sharded over devices.

    pip install jax-cuda13-plugin nvidia-cuda-nvcc nvidia-nvvm
    python -m experiments.bench.kernels.gpu_compile
"""

import re
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.experimental import topologies
from jax.sharding import AbstractDevice, AbstractMesh, Mesh, NamedSharding, PartitionSpec, use_abstract_mesh
from rich.console import Console
from rich.table import Table

from p3o_jax.ops.advantages import p3o_advantage
from p3o_jax.ops.sharding import sharded_advantage
from p3o_jax.ops.value_loss import gaussian_nll, p3o_value_loss

# What the compiler must know of the device; figures of its data sheet and of compute capability 9.0.
H200 = """
gpu_device_info {
  name: "NVIDIA H200" device_vendor: "NVIDIA Corporation"
  cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98 l2_cache_size: 52428800
  memory_bandwidth: 4800000000000 device_memory_size: 151397597184 device_address_bits: 64
  threads_per_warp: 32 threads_per_block_limit: 1024 threads_per_core_limit: 2048
  registers_per_block_limit: 65536 registers_per_core_limit: 65536
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  driver_version: "13.0.0" runtime_version: "13.0.0" compile_time_toolkit_version: "13.0.0"
}
platform_name: "CUDA"
"""
H200_DEVICE = AbstractDevice(device_kind="NVIDIA H200", num_cores=132, platform="gpu")


class Shape(NamedTuple):
    """A segment: steps, environments, lags."""

    num_steps: int
    num_envs: int
    horizon: int


SHAPES = [Shape(128, 4096, 32), Shape(128, 4096, 128), Shape(64, 16384, 64), Shape(1024, 1024, 256)]


class Case(NamedTuple):
    """One program to compile, and whether its kernel must move 16 bytes at a time."""

    name: str
    function: Callable
    arguments: tuple[jax.ShapeDtypeStruct, ...]
    vectors: bool


class Report(NamedTuple):
    """What the compiler made of a case."""

    kernels: int
    vector_loads: int
    vector_stores: int
    collectives: int


def describe(shape: Shape, dtype: jnp.dtype, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the arguments' types, environments sharded over `mesh`."""
    num_steps, num_envs, horizon = shape

    def array(dims: tuple[int, ...], kind: jnp.dtype, *spec: str | None) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(dims, kind, sharding=NamedSharding(mesh, PartitionSpec(*spec)))

    step = (num_steps, num_envs)
    return {
        "mean": array((*step, horizon), dtype, None, "env"),
        "by_lag": array((horizon,), jnp.float32),
        "number": array(step, jnp.float32, None, "env"),
        "flag": array(step, jnp.bool_, None, "env"),
        "last_mean": array((num_envs, horizon), dtype, "env"),
    }


def make_cases(shape: Shape, dtype: jnp.dtype, mesh: Mesh) -> list[Case]:
    """Return the forward passes and the losses with their gradients, for one shape and one device."""
    x = describe(shape, dtype, mesh)
    outcome = x["number"], x["flag"], x["flag"]
    loss, nll, advantage = (partial(f, implementation="pallas") for f in (p3o_value_loss, gaussian_nll, p3o_advantage))
    loss_arguments = x["mean"], x["by_lag"], x["by_lag"], x["number"], *outcome
    advantage_arguments = x["mean"], x["by_lag"], *outcome, x["last_mean"]
    return [
        Case("advantage", advantage, advantage_arguments, vectors=False),
        Case("advantage, tau by lag", advantage, (*advantage_arguments, x["by_lag"]), vectors=False),
        Case("loss", loss, loss_arguments, vectors=True),
        Case("loss, gradient", jax.value_and_grad(loss), loss_arguments, vectors=True),
        Case("nll, gradients", jax.value_and_grad(nll, (0, 1)), (x["mean"], x["by_lag"], *outcome), vectors=True),
    ]


def make_sharded_case(shape: Shape, mesh: Mesh) -> Case:
    """Return the advantage with its environments spread over several devices."""
    x = describe(shape, jnp.float32, mesh)
    arguments = x["mean"], x["by_lag"], x["number"], x["flag"], x["flag"], x["last_mean"]
    sharded = sharded_advantage(abstract(mesh), "env", implementation="pallas")
    return Case("sharded advantage", sharded, arguments, vectors=False)


def abstract(mesh: Mesh) -> AbstractMesh:
    """Return the mesh as the backend wants it: from the one in force it takes which device to lower for."""
    return mesh.abstract_mesh.update(abstract_device=H200_DEVICE)


def compile_case(case: Case, mesh: Mesh) -> Report:
    """Return what was compiled; a compiler error says if registers are spilled."""
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "xla_gpu_fail_ptx_compilation_on_register_spilling": True,
            "xla_dump_to": folder,
            "xla_dump_emitter_re": ".*",
        }
        with use_abstract_mesh(abstract(mesh)):
            lowered = jax.jit(case.function).lower(*case.arguments)
        text = lowered.compile(compiler_options=options).as_text() or ""
        programs = [path.read_text() for path in Path(folder).glob("*.ptx")]
    ours = [ptx for ptx in programs if re.search(r"\.entry _\w+_kernel", ptx)]
    return Report(
        kernels=len(ours),
        vector_loads=sum(ptx.count("ld.global.v4") for ptx in ours),
        vector_stores=sum(ptx.count("st.global.v4") for ptx in ours),
        collectives=len(re.findall(r"= \S+ all-(?:gather|to-all|reduce)", text)),
    )


def is_sound(case: Case, report: Report) -> bool:
    """Return whether the compiled program is what the kernels are written for."""
    stores = report.vector_stores > 0 or "gradient" not in case.name
    vectors = not case.vectors or (report.vector_loads > 0 and stores)
    return report.kernels == 1 and report.collectives == 0 and vectors


def mesh_of(num_devices: int) -> Mesh:
    """Return a mesh of devices that exist only for the compiler."""
    name = f"{num_devices}x1x1"
    topology = topologies.get_topology_desc(platform="cuda", topology=name, target_config=H200)
    return Mesh(np.array(topology.devices).reshape(num_devices), ("env",))


def main(num_devices: int = 2, short: bool = False) -> None:
    """Compile every op for every shape and dtype of the benchmark.

    Args:
        num_devices: Number of devices that the sharded program is compiled for.
        short: Only the first shape.
    """
    jax.config.update("jax_platforms", "cpu")
    table = Table("op", "T x B x H", "dtype", "kernels", "16-byte loads", "16-byte stores", "collectives", "")
    single, several = mesh_of(1), mesh_of(num_devices)
    cases = [
        (case, shape, dtype, single)
        for shape in SHAPES[: 1 if short else None]
        for dtype in (jnp.float32, jnp.bfloat16)
        for case in make_cases(shape, dtype, single)
    ]
    cases.append((make_sharded_case(SHAPES[0], several), SHAPES[0], jnp.float32, several))
    sound = True
    for case, shape, dtype, mesh in cases:
        report = compile_case(case, mesh)
        sound &= is_sound(case, report)
        size, verdict = " x ".join(map(str, shape)), "ok" if is_sound(case, report) else "NOT AS WRITTEN"
        table.add_row(case.name, size, jnp.dtype(dtype).name, *map(str, report), verdict)
    Console(width=120).print(f"jax {jax.__version__}, compiled for an H200, no register spills", table)
    sys.exit(not sound)


if __name__ == "__main__":
    tyro.cli(main)
