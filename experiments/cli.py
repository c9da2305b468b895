"""Train, evaluate and watch agents, and sweep trainings.

* `p3o train` trains P3O, or PPO, on an environment and keeps the agent.
* `p3o eval` evaluates a kept agent.
* `p3o watch` shows an agent or a simple policy on a local page, on which one may play, or draws it.
* `p3o gallery` writes a page with pictures of all environments.
* `p3o envs` lists the environments, and says all of one.
* `p3o sweep` tunes trainings and shows the Pareto front of score against cost.
"""

import dataclasses
import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro

from experiments.interrupts import stoppable

MODULES = {
    "train": "experiments.train",
    "eval": "experiments.evaluate",
    "watch": "experiments.watch",
    "gallery": "experiments.gallery",
    "envs": "experiments.environment_list",
    "sweep": "experiments.sweep",
}


@dataclasses.dataclass
class Command:
    """The first argument."""

    command: Annotated[Literal["train", "eval", "watch", "gallery", "envs", "sweep"], tyro.conf.Positional]
    """What to do; its options follow, and `p3o COMMAND --help` lists them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the first argument names; the others are its options.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    with stoppable():
        chosen = tyro.cli(Command, prog="p3o", description=__doc__, args=given[:1])
        # Only the module of the chosen command is imported, so that help comes at once.
        importlib.import_module(MODULES[chosen.command]).main(given[1:])


if __name__ == "__main__":
    main()
