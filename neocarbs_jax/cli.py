"""`neocarbs`: look at studies from the shell."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import optuna
import tyro
from rich.console import Console
from rich.table import Table

from neocarbs_jax.report import report
from neocarbs_jax.report.progress import front_details
from neocarbs_jax.study import Study, ledger

Storage = Annotated[str, tyro.conf.Positional]


@dataclasses.dataclass
class Studies:
    """List the studies of a storage."""

    storage: Storage
    """URL of the database, such as sqlite:///runs/pong.db."""

    def run(self, console: Console) -> None:
        table = Table(box=None)
        for column in ("study", "completed", "failed", "running", "best score", "cost in all"):
            table.add_column(column, justify="right" if column != "study" else "left")
        storage = ledger.open_storage(self.storage, must_exist=True)
        for name in optuna.get_all_study_names(storage):
            trials = ledger.read(optuna.load_study(study_name=name, storage=storage))
            count = {status: sum(t.status == status for t in trials) for status in ("completed", "failed", "running")}
            best = max((t.score for t in trials if t.score is not None), default=float("nan"))
            cost = sum(t.cost or 0.0 for t in trials)
            table.add_row(name, *map(str, count.values()), f"{best:.4g}", f"{cost:.4g}")
        console.print(table)


@dataclasses.dataclass
class Front:
    """Print the front of a study: the best score at every cost."""

    storage: Storage
    """URL of the database, such as sqlite:///runs/pong.db."""
    name: str = "sweep"
    """The study."""

    def run(self, console: Console) -> None:
        console.print(front_details(Study.load(self.storage, name=self.name).trials, cost_unit=""))


@dataclasses.dataclass
class Report:
    """Write report.html, front.png and trials.csv of a study."""

    storage: Storage
    """URL of the database, such as sqlite:///runs/pong.db."""
    name: str = "sweep"
    """The study."""
    out: Path | None = None
    """Directory to write into; by default runs/NAME."""

    def run(self, console: Console) -> None:
        study = Study.load(self.storage, name=self.name)
        for path in report.write(self.out or Path("runs") / self.name, study.trials, study.log_axes, title=self.name):
            console.print(str(path))


@dataclasses.dataclass
class Dashboard:
    """Serve Optuna's dashboard of a storage (extra `dashboard`)."""

    storage: Storage
    """URL of the database, such as sqlite:///runs/pong.db."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """Port to listen on."""

    def run(self, console: Console) -> None:
        try:
            import optuna_dashboard
        except ImportError as error:
            raise ValueError("`dashboard` needs an extra: pip install 'neocarbs-p3o[dashboard]'.") from error
        console.print(f"http://{self.host}:{self.port}")
        optuna_dashboard.run_server(ledger.open_storage(self.storage, must_exist=True), host=self.host, port=self.port)


def main() -> None:
    """Entry point of the console script."""
    command = tyro.cli(Studies | Front | Report | Dashboard, prog="neocarbs", description=__doc__)
    try:
        command.run(Console())
    except ValueError as error:
        sys.exit(_fail(error))


def _fail(error: ValueError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
