"""Environments by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envs.adapters import ADAPTERS, adapt
from envs.agar import Agar
from envs.boids import Boids
from envs.breakout import Breakout
from envs.chambers import Chambers
from envs.connect4 import Connect4
from envs.drive import Drive
from envs.foraging import Foraging
from envs.maze import Maze
from envs.pong import Pong
from envs.snake import Snake

ENVIRONMENTS: dict[str, Callable[..., Any]] = {
    "agar": Agar,
    "boids": Boids,
    "breakout": Breakout,
    "chambers": Chambers,
    "connect4": Connect4,
    "drive": Drive,
    "foraging": Foraging,
    "maze": Maze,
    "pong": Pong,
    "snake": Snake,
}
"""Class of each environment by name."""

_GYMNAX = "gymnax:"

LIBRARIES = ("gymnax", *ADAPTERS)
"""Other libraries whose environments are known by "LIBRARY:NAME"."""


def make(name: str, **overrides: Any) -> Any:
    """Make an environment.

    Args:
        name: One of `ENVIRONMENTS`, or "LIBRARY:NAME" for one of another library: "gymnax:CartPole-v1", "brax:ant",
            "navix:Navix-Empty-5x5-v0", "jumanji:Snake-v1", "craftax:Craftax-Symbolic-v1", "playground:CartpoleBalance".
        **overrides: Constructor arguments, as in `make("pong", frameskip=4)`.

    Returns:
        The environment. Its parameters are in its `default_params`.

    Raises:
        ValueError: The name is unknown.
        ModuleNotFoundError: The name is one of another library, which is not installed.
    """
    if name.startswith(_GYMNAX):
        return _make_gymnax(name.removeprefix(_GYMNAX), overrides)
    library, colon, task = name.partition(":")
    if colon and library in ADAPTERS:
        return adapt(library, task, overrides)
    if name not in ENVIRONMENTS:
        known, libraries = ", ".join(sorted(ENVIRONMENTS)), ", ".join(f"{library}:NAME" for library in LIBRARIES)
        raise ValueError(f"`name` must be one of {known}, or one of {libraries}; got {name!r}.")
    return ENVIRONMENTS[name](**overrides)


def _make_gymnax(name: str, overrides: dict[str, Any]) -> Any:
    try:
        import gymnax
    except ModuleNotFoundError as error:
        if error.name != "gymnax":
            raise
        message = "gymnax's environments need an extra: pip install 'neocarbs-p3o[gymnax]'."
        raise ModuleNotFoundError(message) from error
    if name not in gymnax.registered_envs:
        known = ", ".join(gymnax.registered_envs)
        raise ValueError(f"`name` after gymnax: must be one of {known}; got {name!r}.")
    return gymnax.make(name, **overrides)[0]
