"""Commands that move trials: `import` into a study, `export` out of it, and `rm`, which deletes one."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import optuna
import tyro
from rich.console import Console

from neocarbs_jax.adapters.csv_file import import_csv
from neocarbs_jax.command_line.common import Name, Storage, row_of, say
from neocarbs_jax.report.lookup import find_study, storage_url, study_names
from neocarbs_jax.report.report import write_csv
from neocarbs_jax.study import ledger

FORMATS = (".csv", ".json", ".parquet")


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
        study = find_study(self.storage, self.name, say(console))
        imported = import_csv(study, self.file, score=self.score, cost=self.cost)
        for line in imported.skipped:
            say(console)(f"Left out {line}")
        say(console)(f"{imported.added} trials added to {study.name!r}.")


@dataclasses.dataclass
class Export:
    """Write all trials of a study to a file."""

    storage: Storage
    """Database of the study: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    file: Annotated[Path, tyro.conf.Positional]
    """Its ending says the format: .csv, .json, or .parquet, which needs the package pyarrow."""
    name: Name = None
    """The study; by default the only one of the storage."""

    def run(self, console: Console) -> None:
        if self.file.suffix not in FORMATS:
            raise ValueError(f"`file` must end in {', '.join(FORMATS)}; got {str(self.file)!r}.")
        study = find_study(self.storage, self.name, say(console))
        rows = [row_of(trial) for trial in study.trials]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if self.file.suffix == ".csv":
            write_csv(self.file, study.trials)
        elif self.file.suffix == ".json":
            self.file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        else:
            _write_parquet(self.file, rows)
        say(console)(f"Wrote {len(rows)} trials to {self.file}.")


def _write_parquet(file: Path, rows: list[dict]) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError("`file` must not end in .parquet where pyarrow is missing: pip install pyarrow.") from error
    # Dictionaries become columns; what differs in type from row to row, text.
    flat = [{**{k: v for k, v in row.items() if k not in ("values", "attrs")}, **row["values"]} for row in rows]
    for row, whole in zip(flat, rows, strict=True):
        row["attrs"] = json.dumps(whole["attrs"])
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(flat), file)


@dataclasses.dataclass
class Rm:
    """Delete a study and all its trials, after asking."""

    storage: Storage
    """Database of the study: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY")]
    """The study."""
    yes: bool = False
    """Do not ask."""

    def run(self, console: Console) -> None:
        known = study_names(self.storage)
        if self.name not in known:
            raise ValueError(
                f"`name` must be a study of the storage ({', '.join(known) or 'none'}); got {self.name!r}."
            )
        storage = ledger.open_storage(storage_url(self.storage), must_exist=True)
        count = len(optuna.load_study(study_name=self.name, storage=storage).get_trials(deepcopy=False))
        if not self.yes:
            if not sys.stdin.isatty():
                raise ValueError("`yes` must be given where nobody can be asked; got no terminal.")
            if input(f"Delete study {self.name!r} and its {count} trials for good? [y/N] ").strip().lower() != "y":
                say(console)("Nothing was deleted.")
                return
        optuna.delete_study(study_name=self.name, storage=storage)
        say(console)(f"Deleted study {self.name!r} with {count} trials.")
