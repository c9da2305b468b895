"""The estimators with environments spread over devices.

For a mesh of the caller's own. `p3o_jax.over_devices` divides whole trainings, and needs none of this.

Under plain `jit` a kernel is opaque to the partitioner: every device would gather all predictions and do all the work.
Inside `shard_map` each device runs the kernel on its own environments. A loss is best called inside the `shard_map` of
the whole update, where each device's minibatch is normalised by itself and the gradients are averaged.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.sharding import AbstractMesh, Mesh, PartitionSpec

from p3o_jax.ops.advantages import Advantage, p3o_advantage


def sharded_advantage(mesh: Mesh | AbstractMesh, axis_name: str, **options: Any) -> Callable[..., Advantage]:
    """Return `p3o_advantage` of (mean, weights, rewards, terminated, truncated, last_mean), environments sharded.

    Args:
        mesh: Devices to spread over.
        axis_name: Axis of `mesh` that the environments are split along.
        **options: Passed on to `p3o_advantage`.
    """
    whole, by_step, by_env = PartitionSpec(), PartitionSpec(None, axis_name), PartitionSpec(axis_name)
    return jax.shard_map(
        partial(p3o_advantage, **options),
        mesh=mesh,
        in_specs=(by_step, whole, by_step, by_step, by_step, by_env),
        out_specs=by_step,
        check_vma=False,  # a kernel does not say how its outputs vary over the mesh
    )
