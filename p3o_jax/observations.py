"""Observations as networks take them: one array, also where an environment gives a tree of arrays."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree, Shaped


def flat_observations(obs: PyTree[Shaped[Array, "b ..."]], batch_size: int) -> Shaped[Array, "b ..."]:
    """Return the observations as one array.

    A single array stays as it is, in its own type: the network casts it, and scales nothing. The arrays of a tree (a
    dict, a tuple, a dataclass) are raveled and joined to one vector of float32, in the order of `jax.tree.leaves`,
    which sorts dicts by their keys.

    Args:
        obs: What the environments show, one row per environment or agent in every array.
        batch_size: Number of rows.

    Raises:
        ValueError: There is no array, or one has another number of rows, or holds no numbers.
    """
    leaves = jax.tree.leaves(obs)
    shapes = ", ".join(f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves) or "nothing"
    if not leaves or any(leaf.shape[:1] != (batch_size,) for leaf in leaves):
        raise ValueError(f"`env` must give {batch_size} observations; got arrays of {shapes}.")
    if not all(jnp.issubdtype(leaf.dtype, jnp.number) or leaf.dtype == bool for leaf in leaves):
        raise ValueError(f"`env` must give observations made of numbers; got arrays of {shapes}.")
    if len(leaves) == 1:
        return leaves[0]
    return jnp.concatenate([leaf.reshape(batch_size, -1).astype(jnp.float32) for leaf in leaves], axis=1)
