"""Other libraries' environments by name: "brax:ant", "navix:Navix-Empty-5x5-v0", "jumanji:Snake-v1", ..."""

from typing import Any

from envs.adapters.base import Adapter
from envs.adapters.brax_env import Brax
from envs.adapters.craftax_env import Craftax
from envs.adapters.jumanji_env import Jumanji
from envs.adapters.navix_env import Navix
from envs.adapters.playground_env import Playground

ADAPTERS: dict[str, type[Adapter]] = {
    adapter.library: adapter for adapter in (Brax, Craftax, Jumanji, Navix, Playground)
}
"""Adapter of each library by its name, which stands before the colon."""


def adapt(library: str, task: str, arguments: dict[str, Any]) -> Adapter:
    """Make an environment of another library.

    Args:
        library: One of `ADAPTERS`.
        task: Name of the environment in that library.
        arguments: Of its constructor, hashable.

    Raises:
        ValueError: The library has no such environment, or it takes other arguments.
        ModuleNotFoundError: The library is not installed.
    """
    return ADAPTERS[library](task, tuple(sorted(arguments.items())))
