"""Commands that look at studies: `studies`, `show`, `front`, `best`, `compare`, `report`, `dashboard`."""

import dataclasses
import json
import math
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import optuna
import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neocarbs_jax.command_line.common import Name, Storage, print_json, row_of, say
from neocarbs_jax.command_line.objectives import default_folder
from neocarbs_jax.report import picture, report
from neocarbs_jax.report.formats import formatted
from neocarbs_jax.report.lookup import find_study, storage_url, study_names
from neocarbs_jax.report.outputs import check_file, check_folder
from neocarbs_jax.report.progress import front_details
from neocarbs_jax.study import Study, ledger
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.trials import merit

LARGEST_PORT = 65535
NUM_COSTS = 7


@dataclasses.dataclass
class Studies:
    """List the studies of a storage."""

    storage: Storage
    """Database of the studies: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    json: bool = False
    """Print JSON."""

    def run(self, console: Console) -> None:
        storage = ledger.open_storage(storage_url(self.storage), must_exist=True)
        rows = [_summary(optuna.load_study(study_name=name, storage=storage)) for name in study_names(self.storage)]
        if self.json:
            print_json(rows)
            return
        if not rows:
            console.print(f"{self.storage} holds no study.")
            return
        table = Table(box=None)
        for column in ("study", "completed", "failed", "running", "best score", "cost in all"):
            table.add_column(column, justify="right" if column != "study" else "left")
        for row in rows:
            if "completed" not in row:
                table.add_row(escape(row["study"]), "made by something else than NeoCARBS")
                continue
            counts = (str(row[status]) for status in ("completed", "failed", "running"))
            best = "" if row["best_score"] is None else f"{row['best_score']:.4g}"
            table.add_row(escape(row["study"]), *counts, best, f"{row['cost']:.4g}")
        console.print(table)


def _summary(study: optuna.Study) -> dict[str, Any]:
    if "space" not in study.user_attrs:
        return {"study": study.study_name}
    trials = ledger.read(study)
    counts = {status: sum(t.status == status for t in trials) for status in ("completed", "failed", "running")}
    best = max((t for t in trials if t.score is not None), key=merit, default=None)
    spent = sum(t.cost or 0.0 for t in trials)
    return {"study": study.study_name, **counts, "best_score": best.score if best else None, "cost": spent}


@dataclasses.dataclass
class Show:
    """Print the trials of a study, or everything that is known of one trial."""

    storage: Storage
    """Database of the study: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    name: Name = None
    """The study; by default the only one of the storage."""
    trial: Annotated[int | None, tyro.conf.arg(metavar="NUMBER")] = None
    """A single trial."""
    json: bool = False
    """Print JSON."""

    def run(self, console: Console) -> None:
        study = find_study(self.storage, self.name, (lambda _: None) if self.json else say(console))
        rows = [row_of(trial) for trial in study.trials]
        if self.trial is not None:
            if not 0 <= self.trial < len(rows):
                raise ValueError(f"`trial` must be from 0 to {len(rows) - 1}; got {self.trial}.")
            rows = [rows[self.trial]]
        if self.json:
            print_json(rows[0] if self.trial is not None else rows)
        elif self.trial is not None:
            for name, value in rows[0].items():
                if value not in (None, {}, ""):
                    say(console)(f"{name:<20} {value if isinstance(value, str) else json.dumps(value)}")
        else:
            table = Table(box=None)
            names = list(study.space.names)
            for column in ("trial", "status", "score", "cost", *names):
                table.add_column(column, justify="left" if column == "status" else "right")
            for row in rows:
                cells = [row["score"], row["cost"], *(row["values"].get(name) for name in names)]
                table.add_row(str(row["number"]), row["status"], *map(_cell, cells))
            console.print(table)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else escape(str(value))


@dataclasses.dataclass
class Front:
    """Print the front of a study: what fresh runs of its settings should score, and what was measured."""

    storage: Storage
    """Database of the studies: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    name: Name = None
    """The study; by default the only one of the storage."""
    json: bool = False
    """Print JSON."""

    def run(self, console: Console) -> None:
        study = find_study(self.storage, self.name, (lambda _: None) if self.json else say(console))
        if self.json:
            print_json({"expected": [_point(p) for p in study.expected_front], "measured": [*map(row_of, study.front)]})
        else:
            console.print(front_details(study.trials, cost_unit="", expected=study.expected_front))


def _point(point: ExpectedPoint) -> dict[str, Any]:
    numbers = {name: getattr(point, name) for name in ("score", "low", "high", "cost")}
    return {"trial": point.trial.number, **numbers, "values": dict(point.values)}


@dataclasses.dataclass
class Best:
    """Print the settings that should score best at a cost or less, ready to be used."""

    storage: Storage
    """Database of the study: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    name: Name = None
    """The study; by default the only one of the storage."""
    max_cost: float = math.inf
    """Most that a run of them may cost."""
    format: Literal["text", "toml", "json", "cli", "py"] = "text"
    """How: with a sentence, as TOML, as JSON, as options of a command line, or as a Python dictionary."""

    def run(self, console: Console) -> None:
        study = find_study(self.storage, self.name, say(console) if self.format == "text" else (lambda _: None))
        front = study.expected_front
        affordable = [point for point in front if point.cost <= self.max_cost * (1 + 1e-9)]
        if not front:
            raise ValueError("`storage` must hold a study with a completed trial; got none.")
        if not affordable:
            cheapest = min(point.cost for point in front)
            raise ValueError(f"`max_cost` must be at least {cheapest:.4g}, the cheapest; got {self.max_cost}.")
        best = affordable[-1]
        if self.format == "text":
            chance = f"(90% from {best.low:.4g} to {best.high:.4g})"
            say(console)(f"Trial {best.trial.number}: expected score {best.score:.4g} {chance}, cost {best.cost:.4g}.")
        print(formatted(best.values, "toml" if self.format == "text" else self.format))


@dataclasses.dataclass
class Compare:
    """Compare the expected fronts of two studies: the best score of each, at several costs."""

    first: Storage
    """Storage of the first study, and its name where there are several: runs/a.db or runs/a.db#NAME."""
    second: Storage
    """Storage of the second one."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Picture of both fronts to write: a page for a browser (.html), or an image (.png)."""
    json: bool = False
    """Print JSON."""

    def run(self, console: Console) -> None:
        if self.out is not None:
            if self.out.suffix.lower() not in (".html", ".png"):
                raise ValueError(f"`out` must end in .html or .png; got {str(self.out)!r}.")
            check_file("out", self.out, self.out.suffix.lower())
        studies = [_named(text) for text in (self.first, self.second)]
        if len({study.direction for study in studies}) > 1:
            ways = " and ".join(f"{study.name!r} to {study.direction}" for study in studies)
            raise ValueError(f"`first` and `second` must have scores of the same direction; got {ways}.")
        minimize = studies[0].direction == "minimize"
        fronts = [study.expected_front for study in studies]
        for study, front in zip(studies, fronts, strict=True):
            if not front:
                raise ValueError(f"`first` and `second` must have completed trials; got {study.name!r} without.")
        if self.out is not None:
            _draw(self.out, *studies)
        costs = np.geomspace(min(f[0].cost for f in fronts), max(f[-1].cost for f in fronts), NUM_COSTS)
        reached = [[_reached(front, cost) for cost in costs] for front in fronts]
        if self.json:
            print_json({"costs": [*map(float, costs)], "scores": reached, "names": [study.name for study in studies]})
            return
        table = Table(box=None)
        for column in ("up to cost", *(escape(study.name) for study in studies)):
            table.add_column(column, justify="right")
        for cost, *scores in zip(costs, *reached, strict=True):
            known = [s for s in scores if s is not None]
            best = (min if minimize else max)(known, default=None)
            cells = ["" if s is None else f"[bold]{s:.4g}[/bold]" if s == best else f"{s:.4g}" for s in scores]
            table.add_row(f"{cost:.4g}", *cells)
        console.print(table)
        wins = [sum(_beats(a, b, minimize) for a, b in zip(*order, strict=True)) for order in (reached, reached[::-1])]
        (first, second), (ahead, behind) = (study.name for study in studies), wins
        say(console)(f"Of {NUM_COSTS} costs, {first!r} is ahead at {ahead}, {second!r} at {behind}.")
        if self.out is not None:
            say(console)(f"Wrote {self.out}.")


def _draw(file: Path, first: Study, second: Study) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix.lower() == ".png":
        picture.write_comparison(file, first, second)
    else:
        first.figure("compare", other=second).write_html(file)


def _named(text: str) -> Study:
    storage, _, name = text.partition("#")
    return find_study(storage, name or None, lambda _: None)


def _reached(front: list[ExpectedPoint], cost: float) -> float | None:
    """Return the score of the dearest point of a front that a cost pays for: its best one."""
    return next((point.score for point in reversed(front) if point.cost <= cost * (1 + 1e-9)), None)


def _beats(score: float | None, other: float | None, minimize: bool) -> bool:
    return score is not None and (other is None or (score < other if minimize else score > other))


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
