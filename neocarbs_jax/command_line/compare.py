"""The command `compare`: the fronts of two studies side by side."""

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neocarbs_jax.command_line.common import Storage, print_json, say
from neocarbs_jax.report import picture
from neocarbs_jax.report.lookup import find_study
from neocarbs_jax.report.outputs import check_file
from neocarbs_jax.study import Study
from neocarbs_jax.study.expectation import ExpectedPoint

NUM_COSTS = 7


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
