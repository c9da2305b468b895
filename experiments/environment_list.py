"""List our environments, or say all of one.

p3o envs
p3o envs chambers
"""

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from envs.registry import ENVIRONMENTS, LIBRARIES
from experiments.common import nearest, read, user_errors


@dataclasses.dataclass(frozen=True)
class Envs:
    """List environments."""

    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = None
    """Environment of ours whose observation, actions, rewards and arguments are wanted; by default all are listed."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    args = read(Envs, "p3o envs", __doc__, arguments)
    console = Console()
    with user_errors():
        if args.name is None:
            console.print(table())
            console.print(f"Others by LIBRARY:NAME, of {', '.join(LIBRARIES)}.", highlight=False)
        else:
            console.print(reference(args.name), markup=False, highlight=False, soft_wrap=True)


def table() -> Table:
    """Return name, task, agents and actions of each environment."""
    rows = Table("name", "task", "agents", "actions", box=None)
    for name, kind in sorted(ENVIRONMENTS.items()):
        env = kind()
        rows.add_row(name, reference(name).splitlines()[0], str(env.num_agents), actions_of(env))
    return rows


def reference(name: str) -> str:
    """Return the docstring of an environment.

    Raises:
        ValueError: There is none of this name.
    """
    if name not in ENVIRONMENTS:
        raise ValueError(
            f"`name` must be one of {', '.join(sorted(ENVIRONMENTS))}; got {name!r}{nearest(name, ENVIRONMENTS)}"
        )
    return inspect.getdoc(ENVIRONMENTS[name]) or ""


def actions_of(env: Any) -> str:
    """Return what an action of one agent is."""
    space = env.action_space()
    return str(space.n) if hasattr(space, "n") else f"{space.shape[0]} float{'s' * (space.shape[0] > 1)}"


if __name__ == "__main__":
    main()
