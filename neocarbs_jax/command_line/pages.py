"""Commands that show studies in a browser: `report` and `dashboard`."""

import dataclasses
import socket
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from neocarbs_jax.command_line.common import Name, Storage, say
from neocarbs_jax.command_line.objectives import default_folder
from neocarbs_jax.report import report
from neocarbs_jax.report.lookup import find_study
from neocarbs_jax.report.outputs import check_folder

LARGEST_PORT = 65535


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
        study = find_study(self.storage, self.name, say(console))
        out = self.out or default_folder(study.name)
        check_folder("out", out)
        trials = study.trials
        if not any(t.status == "completed" for t in trials):
            console.print(f"None of {len(trials)} trials has completed: the report is empty.")
        paths = report.write(
            out, trials, study.log_axes, title=study.name, expected=study.expected_front, space=study.space,
            importances=study.importances,
        )  # fmt: skip
        for path in paths:
            console.print(str(path), soft_wrap=True)


@dataclasses.dataclass
class Dashboard:
    """Serve a page on this machine that shows studies while they run (extra `dashboard`)."""

    storage: Storage
    """Database of the studies: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    study: Annotated[str | None, tyro.conf.arg(metavar="STUDY", aliases=["--name"])] = None
    """The study that is shown first; the page can choose any."""
    agents: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of the sweep that kept agents of trials; by default runs/NAME."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """Port to listen on."""

    def run(self, console: Console) -> None:
        check_address(self.host, self.port)
        try:
            from neocarbs_jax.dashboard import make, serve
        except ImportError as error:
            raise ValueError("`dashboard` needs an extra: pip install 'neocarbs-p3o[dashboard]'.") from error
        page = make(self.storage, self.study, self.agents)

        def ready(port: int) -> None:
            console.print(f"http://{self.host}:{port} (Ctrl-C ends it)", soft_wrap=True, highlight=False)

        serve(page, self.host, self.port, ready)


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
