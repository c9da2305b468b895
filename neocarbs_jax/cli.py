"""Studies from the shell: list them, print and confirm fronts, write reports, import trials, serve a dashboard."""

import dataclasses
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

import optuna
import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neocarbs_jax.adapters.csv_file import import_csv
from neocarbs_jax.report import report
from neocarbs_jax.report.lookup import find_study, import_function, storage_url, study_names
from neocarbs_jax.report.outputs import check_folder, folder_name
from neocarbs_jax.report.progress import confirmed_table, front_details
from neocarbs_jax.study import ledger
from neocarbs_jax.study.confirm import MOST_POINTS, confirm

Storage = Annotated[str, tyro.conf.Positional]
Name = Annotated[str | None, tyro.conf.arg(metavar="STUDY")]


LARGEST_PORT = 65535


@dataclasses.dataclass
class Studies:
    """List the studies of a storage."""

    storage: Storage
    """Database of the studies: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""

    def run(self, console: Console) -> None:
        names = study_names(self.storage)
        if not names:
            console.print(f"{self.storage} holds no study.")
            return
        table = Table(box=None)
        for column in ("study", "completed", "failed", "running", "best score", "cost in all"):
            table.add_column(column, justify="right" if column != "study" else "left")
        storage = ledger.open_storage(storage_url(self.storage), must_exist=True)
        for name in names:
            study = optuna.load_study(study_name=name, storage=storage)
            if "space" not in study.user_attrs:
                table.add_row(escape(name), "made by something else than NeoCARBS")
                continue
            trials = ledger.read(study)
            count = {status: sum(t.status == status for t in trials) for status in ("completed", "failed", "running")}
            best = max((t.score for t in trials if t.score is not None), default=None)
            cost = sum(t.cost or 0.0 for t in trials)
            table.add_row(escape(name), *map(str, count.values()), "" if best is None else f"{best:.4g}", f"{cost:.4g}")
        console.print(table)


@dataclasses.dataclass
class Front:
    """Print the front of a study: what fresh runs of its settings should score, and what was measured."""

    storage: Storage
    """Database of the studies: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    name: Name = None
    """The study; by default the only one of the storage."""

    def run(self, console: Console) -> None:
        study = find_study(self.storage, self.name, _say(console))
        console.print(front_details(study.trials, cost_unit="", expected=study.expected_front))


@dataclasses.dataclass
class Report:
    """Write report.html, front.png and trials.csv of a study."""

    storage: Storage
    """Database of the studies: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    name: Name = None
    """The study; by default the only one of the storage."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder to write into; by default runs/NAME."""

    def run(self, console: Console) -> None:
        if self.out is not None:
            check_folder("out", self.out)
        study = find_study(self.storage, self.name, _say(console))
        out = self.out or Path("runs") / folder_name(study.name)
        check_folder("out", out)
        trials = study.trials
        if not any(t.status == "completed" for t in trials):
            console.print(f"None of {len(trials)} trials has completed: the report is empty.")
        for path in report.write(out, trials, study.log_axes, title=study.name, expected=study.expected_front):
            console.print(str(path), soft_wrap=True)


@dataclasses.dataclass
class Import:
    """Add the trials of a CSV file to a study, such as the trials.csv of a report."""

    file: Annotated[Path, tyro.conf.Positional]
    """With a header: a column for each axis, one for the score, one for the cost; others become attributes."""
    storage: Storage
    """Database of the study: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    name: Name = None
    """The study; by default the only one of the storage."""
    score: str = "score"
    """Column of the score."""
    cost: str = "cost"
    """Column of the cost."""

    def run(self, console: Console) -> None:
        study = find_study(self.storage, self.name, _say(console))
        imported = import_csv(study, self.file, score=self.score, cost=self.cost)
        for line in imported.skipped:
            console.print(f"Left out {line}", soft_wrap=True, highlight=False, markup=False)
        _say(console)(f"{imported.added} trials added to {study.name!r}.")


@dataclasses.dataclass
class Dashboard:
    """Serve Optuna's dashboard of a storage (extra `dashboard`)."""

    storage: Storage
    """Database of the studies: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """Port to listen on."""

    def run(self, console: Console) -> None:
        check_address(self.host, self.port)
        try:
            import optuna_dashboard
        except ImportError as error:
            raise ValueError("`dashboard` needs an extra: pip install 'neocarbs-p3o[dashboard]'.") from error
        storage = ledger.open_storage(storage_url(self.storage), must_exist=True)
        console.print(f"http://{self.host}:{self.port} (Ctrl-C ends it)", soft_wrap=True)
        optuna_dashboard.run_server(storage, host=self.host, port=self.port)


@dataclasses.dataclass
class Confirm:
    """Run the settings of the expected front again, afresh; print what was claimed, expected and confirmed."""

    storage: Storage
    """Database of the study: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    objective: Annotated[str, tyro.conf.arg(metavar="FUNCTION")]
    """Function of the study, as module:function or file.py:function. It takes the values, and `trial` as well if it
    draws at random: `trial.replicate` is another number for each run."""
    name: Name = None
    """The study; by default the only one of the storage."""
    seeds: int = 5
    """Fresh runs of each point."""
    points: int = MOST_POINTS
    """Points of the front that are run, spread over the costs."""

    def run(self, console: Console) -> None:
        for name, value in (("seeds", self.seeds), ("points", self.points)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1; got {value}.")
        objective = import_function("objective", self.objective)
        study = find_study(self.storage, self.name, _say(console))
        confirmed = confirm(study, objective, self.seeds, self.points)
        if not confirmed:
            console.print(f"No trial of {len(study.trials)} has completed: there is no front to confirm.")
            return
        console.print(confirmed_table(confirmed, cost_unit=""))


COMMANDS = Studies | Front | Confirm | Report | Import | Dashboard


def _say(console: Console) -> Callable[[str], None]:
    """Return a function that prints text as it is, whatever brackets a name has."""
    return lambda text: console.print(text, soft_wrap=True, markup=False)


def check_address(host: str, port: int) -> None:
    """Raise a ValueError unless a server can listen there."""
    if not 1 <= port <= LARGEST_PORT:
        raise ValueError(f"`port` must be from 1 to {LARGEST_PORT}; got {port}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
            listener.bind(address)
    except socket.gaierror as error:
        raise ValueError(f"`host` must be an address of this machine; got {host!r} ({error.strerror}).") from error
    except OSError as error:
        raise ValueError(
            f"`port` must be free, and `host` this machine's; got {host}:{port} ({error.strerror})."
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    if arguments is None:
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGINT, _end)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    command = tyro.cli(COMMANDS, prog="neocarbs", description=__doc__, args=arguments)
    try:
        command.run(Console())
    except ValueError as error:
        sys.exit(_fail(str(error)))
    except OSError as error:
        sys.exit(_fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error)))


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
