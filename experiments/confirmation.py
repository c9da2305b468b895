"""The end of a sweep: the settings of its front are trained again, and what was trained is not lost to Ctrl-C."""

import json
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from experiments.objective import Training
from neocarbs_jax.study import Study
from neocarbs_jax.study.confirm import Confirmed, confirm
from neocarbs_jax.study.results import plain

FILE = "confirmed.json"
"""Beside the report."""


class Options(Protocol):
    """The options of `p3o sweep` that count here."""

    confirm: int
    confirm_points: int


def confirm_front(study: Study, objective: Training, args: Options, out: Path, console: Console) -> list[Confirmed]:
    """Train the settings of the front again; what the file of the folder holds of them already is not.

    Args:
        study: Whose front is confirmed.
        objective: Of the sweep.
        args: Number of seeds and of points.
        out: Folder of the sweep, where the file grows point by point.
        console: Where to say what was trained.
    """
    said = f"Confirming the front: {args.confirm} fresh trainings of each of up to {args.confirm_points} settings."
    console.print(said, soft_wrap=True)
    earlier = read(out / FILE)

    def on_run(point: Any, index: int, score: float) -> None:
        console.print(f"  trial {point.trial.number}, seed {index + 1} of {args.confirm}: {score:.4g}", highlight=False)

    def on_point(point: Confirmed) -> None:
        row = plain(point.as_row())[0]
        others = [other for other in read(out / FILE) if other.get("values") != row["values"]]
        out.mkdir(parents=True, exist_ok=True)
        (out / FILE).write_text(json.dumps({"points": [*others, row]}, indent=1) + "\n", encoding="utf-8")

    return confirm(study, objective, args.confirm, args.confirm_points, on_run, on_point, earlier)


def read(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of confirmed points; none where there is no such file."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["points"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [row for row in rows if isinstance(row, dict)]
