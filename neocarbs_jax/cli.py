"""Tune any program, and look at studies.

    neocarbs new                                # writes space.toml, to be edited
    neocarbs run --space space.toml --command "python train.py --lr {lr} --steps {steps}" --trials 50
    neocarbs best runs/space.db --max-cost 60   # settings for a budget

`neocarbs --completion bash` (or zsh) prints a script by which the shell completes commands and options; see
docs/guide/programs.md.

Exit codes: 0 for success; 1 where the program that is tuned is broken; 2 for wrong usage and for what cannot be opened;
130 and 143 after Ctrl-C and SIGTERM.
"""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import optuna
import tyro
from rich.console import Console

from neocarbs_jax.command_line import completion
from neocarbs_jax.command_line.begin import New
from neocarbs_jax.command_line.compare import Compare
from neocarbs_jax.command_line.keep import Export, Import, Rm
from neocarbs_jax.command_line.look import Best, Front, Show, Studies
from neocarbs_jax.command_line.pages import Dashboard, Report
from neocarbs_jax.command_line.slots import Stopped
from neocarbs_jax.command_line.work import Confirm, Run, Worker
from neocarbs_jax.programs import BrokenProgram

COMMANDS = (
    New | Run | Worker | Studies | Show | Front | Best | Confirm | Compare | Report | Dashboard | Export | Import | Rm
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    if arguments is None:
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGINT, _end)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if words[:1] == ["--completion"]:
            print(completion.script(" ".join(words[1:]), _parse))
        else:
            _parse(words).run(Console())
    except Stopped as stop:
        print("Stopped. The trial that ran is taken back.", flush=True)
        sys.exit(128 + stop.signum)
    except KeyboardInterrupt:  # somebody stopped the program that ran
        print("Stopped: the program was. Its trial is taken back.", flush=True)
        sys.exit(128 + signal.SIGINT)
    except BrokenProgram as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except ValueError as error:
        sys.exit(_fail(str(error)))
    except OSError as error:
        sys.exit(_fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error)))


def _parse(words: Sequence[str]) -> Any:
    return tyro.cli(COMMANDS, prog="neocarbs", description=__doc__, args=words)


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _end(signum: int, frame: FrameType | None) -> None:
    """End the process with one line; nothing that these commands do needs to be finished."""
    del frame
    print("Stopped.", flush=True)
    os._exit(128 + signum)


if __name__ == "__main__":
    main()
