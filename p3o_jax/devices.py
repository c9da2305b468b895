"""One training on several devices of a host: each steps its part of the environments, all hold the same network.

    with over_devices(jax.local_devices()):
        state, metrics = jax.jit(make_train(config, env))(key, params)

The program is the same as on one device; the compiler divides it (GSPMD) and adds up what the devices found. So the
result is that of one device too, but for the order of sums. Random numbers do not depend on the division.
"""

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, PartitionSpec
from jaxtyping import Array

AXIS = "environments"
SUM = "sum"
"""In place of an axis of an output: the devices' outputs are added up."""

Tree = TypeVar("Tree")


def over_devices(devices: Sequence[Any]) -> AbstractContextManager[Any]:
    """Return a context in which environments are divided among these devices.

    Args:
        devices: Of this process; each has the same number of environments of every minibatch.

    Raises:
        ValueError: There is no device.
    """
    if not devices:
        raise ValueError("`devices` must hold at least one device; got none.")
    return jax.set_mesh(Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,)))


def num_devices() -> int:
    """Return how many devices environments are divided among, 1 outside `over_devices`."""
    return jax.sharding.get_abstract_mesh().shape.get(AXIS, 1)


def divide(tree: Tree, axis: int = 0) -> Tree:
    """Return arrays whose environments, along `axis`, are divided among the devices."""
    return _place(tree, _spec(axis))


def everywhere(tree: Tree) -> Tree:
    """Return arrays that every device holds whole."""
    return _place(tree, PartitionSpec())


def flatten(x: Array) -> Array:
    """Return one row for each step of each environment, [T, B, ...] as [T B, ...]; `unflatten` knows their order.

    On one device that is no work. On several, rows of a device stay there only if environments come before steps.
    """
    return (x if num_devices() == 1 else x.swapaxes(0, 1)).reshape(-1, *x.shape[2:])


def unflatten(x: Array, num_steps: int, num_envs: int) -> Array:
    """Return the rows of `flatten` as [T, B, ...] again."""
    if num_devices() == 1:
        return x.reshape(num_steps, num_envs, *x.shape[1:])
    return x.reshape(num_envs, num_steps, *x.shape[1:]).swapaxes(0, 1)


def _place(tree: Tree, spec: PartitionSpec) -> Tree:
    if num_devices() == 1:
        return tree
    return jax.tree.map(lambda x: lax.with_sharding_constraint(x, spec), tree)


def _spec(axis: int | str | None) -> PartitionSpec:
    return PartitionSpec(*(None,) * axis, AXIS) if isinstance(axis, int) else PartitionSpec()


def _specs(axis: int | tuple[int | None, ...] | None, arg: Any) -> Any:
    if isinstance(axis, tuple) and arg is not None:
        return jax.tree.unflatten(jax.tree.structure(arg), [_spec(a) for a in axis])
    return PartitionSpec() if isinstance(axis, tuple) else _spec(axis)


def by_environment(
    in_axes: Sequence[int | tuple[int | None, ...] | None], out_axes: Sequence[int | str]
) -> Callable[[Callable[..., tuple[Any, ...]]], Callable[..., tuple[Any, ...]]]:
    """Decorate a function whose environments do not know of each other: each device runs it on its own ones.

    A kernel is opaque to the compiler: without this every device would gather all environments and do all the work.

    Args:
        in_axes: Axis of the environments in each positional argument; None of one that is the same for all,
            and a tuple of these for a tuple.
        out_axes: The same of each output, or `SUM`.
    """

    def decorate(fn: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
        @functools.wraps(fn)
        def run(*args: Any, **static: Any) -> tuple[Any, ...]:
            def own(*args: Any) -> tuple[Any, ...]:
                outputs = zip(fn(*args, **static), out_axes, strict=True)
                return tuple(lax.psum(x, AXIS) if axis == SUM else x for x, axis in outputs)

            if num_devices() == 1:
                return fn(*args, **static)
            ins = tuple(_specs(axis, arg) for axis, arg in zip(in_axes, args, strict=True))
            outs = tuple(map(_spec, out_axes))
            # A kernel does not say how its outputs vary over the devices, so that nothing can be checked.
            return jax.shard_map(own, in_specs=ins, out_specs=outs, check_vma=False)(*args)

        return run

    return decorate
