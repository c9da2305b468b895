"""`p3o`: train, evaluate and watch agents."""

import tyro
from rich.console import Console

from experiments.common import compilation_cache
from experiments.train import Eval, Train
from experiments.watch import Watch


def main() -> None:
    """Entry point of the console script."""
    command = tyro.cli(Train | Eval | Watch, prog="p3o", description=__doc__)
    compilation_cache()
    command.run(Console())


if __name__ == "__main__":
    main()
