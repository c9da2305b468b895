"""Names with slashes, such as train/epochs, for entries of nested mappings: in both directions."""

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the entries of nested mappings: {"train": {"epochs": 3}} -> ("train/epochs", 3).

    Args:
        tree: mappings of names to entries or to further mappings.
        prefix: what each name begins with.

    Raises:
        ValueError: if a name is no string, or empty.
    """
    for name, entry in tree.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"Names of a search space must be non-empty strings; got {name!r}.")
        if isinstance(entry, Mapping):
            yield from flatten(entry, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", entry


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dictionary of dictionaries from names with slashes: {"train/epochs": 3} -> {"train": {"epochs": 3}}."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *parents, leaf = name.split("/")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return tree
