"""Commands that print what a study holds: `studies`, `show`, `front`, `best`."""

import dataclasses
import json
import math
from typing import Annotated, Any, Literal

import optuna
import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neocarbs_jax.command_line.common import Name, Storage, print_json, row_of, say
from neocarbs_jax.report.formats import formatted
from neocarbs_jax.report.lookup import find_study, storage_url, study_names
from neocarbs_jax.report.progress import front_details
from neocarbs_jax.study import ledger
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.lineage import line_of
from neocarbs_jax.study.trials import merit


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
    spent = sum(t.paid or 0.0 for t in trials)
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
        rows, line = [row_of(trial) for trial in study.trials], line_of(study.trials)
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
            for column in ("trial", "status", "score", "cost", *line, *names):
                table.add_column(column, justify="left" if column == "status" else "right")
            for row in rows:
                cells = [
                    *(row[name] for name in ("score", "cost", *line)),
                    *(row["values"].get(name) for name in names),
                ]
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
    return {"trial": point.trial.number, "parent": point.trial.parent, **numbers, "values": dict(point.values)}


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
