"""Control of what `jax.vmap` makes of a program: calls that stay single, and conditions that stay conditions."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool


def one_by_one(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The function, batches of which run one after the other on CPUs.

    jaxlib 0.10 spreads a batch of LAPACK calls over the very pool of threads whose thread then waits for them: as many
    batches at once as there are threads wait for ever.
    """
    serial = jax.custom_batching.custom_vmap(function)

    @serial.def_vmap
    def _(axis_size: int, in_batched: list[bool], matrix: Array) -> tuple[Array, bool]:
        del axis_size, in_batched
        each = functools.partial(jax.lax.map, serial)
        return jax.lax.platform_dependent(matrix, cpu=each, default=jax.vmap(function)), True

    return serial


@jax.custom_batching.custom_vmap
def anywhere(flag: Bool[Array, ""]) -> Bool[Array, ""]:
    """The flag; under `vmap` whether any member of the batch has raised it, the same for all of them.

    `lax.cond` on a flag of each member computes both branches for every member. On this one it stays a condition: the
    costly branch runs when a member needs it, then for all, so it must give the others what the cheap one would.
    """
    return flag


@anywhere.def_vmap
def _(axis_size: int, in_batched: list[bool], flag: Array) -> tuple[Array, bool]:
    del axis_size, in_batched
    return anywhere(jnp.any(flag)), False
