"""Checkpoints of whole states: what is restored goes on exactly as it would have."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp


def save(path: str | Path, state: Any) -> None:
    """Write a state, or any pytree of arrays and random keys, to a new directory, which appears once it is complete.

    Args:
        path: Path of the directory; its parents are made.
        state: What to write.

    Raises:
        ValueError: `path` exists.
    """
    path = Path(path).absolute()
    if path.exists():
        raise ValueError(f"`path` must not exist yet; got {path}.")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, _keys_to_data(state))


def restore(path: str | Path, template: Any, may_lack: str | tuple[str, ...] = ()) -> Any:
    """Return what `save` wrote.

    Args:
        path: Path of the directory.
        template: A pytree of the same structure, shapes and types, such as `jax.eval_shape` of `init`.
        may_lack: Beginnings of the dotted names of arrays that an older checkpoint need not hold; they are NaN then.

    Raises:
        ValueError: There is no such directory, or what it holds is not of the structure and types of `template`, or
            cannot be read, such as while somebody removes it.
    """
    path = Path(path).absolute()
    if not path.is_dir():
        raise ValueError(f"`path` must be a checkpoint; got {path}.")
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.eval_shape(_keys_to_data, template)
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), abstract)
    with ocp.StandardCheckpointer() as checkpointer:
        with _readable(path):
            tree = checkpointer.metadata(path).item_metadata.tree  # no metadata where its file is missing
        stored = _shapes(tree)
        wanted = _shapes(abstract)
        wanted = {name: x for name, x in wanted.items() if name in stored or not name.startswith(may_lack)}
        for name in sorted({*stored, *wanted}):
            if stored.get(name) != wanted.get(name):
                raise ValueError(
                    f"`template` must be of the shapes and types of the checkpoint at {path}; "
                    f"got {wanted.get(name, 'nothing')} for {name}, which is {stored.get(name, 'nothing')} there."
                )
        # What holds no array, such as a field that was added since, need not be there: arrays are found by name.
        by_name = _arrays(abstract)
        found = jax.tree_util.tree_map_with_path(lambda at, _: by_name[_name(at)], tree)
        with _readable(path):
            data = _arrays(checkpointer.restore(path, found))
    data = {name: jnp.full(x.shape, jnp.nan, x.dtype) for name, x in by_name.items() if name not in wanted} | data
    return jax.tree_util.tree_map_with_path(lambda at, leaf: _data_to_key(leaf, data[_name(at)]), template)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise a ValueError for whatever goes wrong: Orbax raises many kinds, bare exceptions among them."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"`path` must be a checkpoint that can be read; got {path}: {error}") from error


def _arrays(tree: Any) -> dict[str, Any]:
    """Return every array by its dotted name."""
    return {_name(at): leaf for at, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _name(at: Any) -> str:
    """Return the dotted name of a place in a tree, the same for a NamedTuple, a dataclass and a dict."""
    return jax.tree_util.keystr(at, simple=True, separator=".")


def _shapes(tree: Any) -> dict[str, str]:
    """Return "type[shape]" of every array by its dotted name."""
    arrays = ocp.tree.to_flat_dict(tree, keep_empty_nodes=False)
    return {".".join(path): f"{x.dtype}{list(x.shape)}" for path, x in arrays.items()}


def _keys_to_data(state: Any) -> Any:
    """Return the state with random keys as plain arrays."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, state)


def _data_to_key(template: Any, data: Any) -> Any:
    """Return `data`, as random keys where `template` has them."""
    if not _is_key(template):
        return data
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(jnp.empty((), template.dtype)))


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
