"""What a sweep leaves behind for people: report.html (self-contained), front.png, trials.csv."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from neocarbs_jax.report.page import page
from neocarbs_jax.report.picture import write_png
from neocarbs_jax.report.plots.snapshot import Snapshot
from neocarbs_jax.report.settings import settings_of
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.study.confirm import Confirmed
from neocarbs_jax.study.effects import Importance
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.ledger import PREDICTIONS, Trial
from neocarbs_jax.study.lineage import line_of
from neocarbs_jax.study.results import plain


def write(
    directory: str | Path,
    trials: Sequence[Trial],
    log_axes: Mapping[str, bool],
    *,
    title: str,
    score_name: str = "score",
    cost_name: str = "cost",
    expected: Sequence[ExpectedPoint] = (),
    confirmed: Sequence[Confirmed] = (),
    sweep: str = "",
    space: SearchSpace | None = None,
    importances: Sequence[Importance] = (),
) -> list[Path]:
    """Write report.html, front.png and trials.csv into `directory`; return their paths.

    Args:
        directory: where to write; made if missing.
        trials: the ledger.
        log_axes: for each hyperparameter to show, whether its axis is logarithmic.
        title: headline of the page.
        score_name, cost_name: labels with units.
        expected: `Study.expected_front`, shown before the measured one.
        confirmed: fresh runs of it, if there were any; they are written to confirmed.json as well.
        sweep: what would run this sweep again, such as a file of options; by default the file sweep.toml of the
            directory, where there is one.
        space: what was searched; without it the page shows no bounds, and cannot say that one should be extended.
        importances: `Study.importances`, shown where given.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    study = Snapshot(title, trials, expected, log_axes, space, importances)
    file = directory / "sweep.toml"
    sweep = sweep or (file.read_text(encoding="utf-8") if file.is_file() else "")
    names = {"title": title, "score_name": score_name, "cost_name": cost_name}
    report, picture, table = directory / "report.html", directory / "front.png", directory / "trials.csv"
    report.write_text(page(study, confirmed=confirmed, sweep=sweep, **names), encoding="utf-8")
    write_png(picture, study, **names)
    write_csv(table, trials)
    written = [report, picture, table]
    if confirmed:
        written.append(directory / "confirmed.json")
        content = plain({"points": [point.as_row() for point in confirmed]})[0]
        written[-1].write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return written


def write_csv(path: Path, trials: Sequence[Trial]) -> None:
    """One row per trial: number, status, score, cost, predictions, reason, the hyperparameters, attrs and settings.

    Where trials go on from others, the parent and what each has paid itself stand behind the reason.
    """
    names = sorted({name for t in trials for name in t.values})
    attrs = sorted({name for t in trials for name, value in t.attrs.items() if isinstance(value, int | float | str)})
    settings = {name: None for t in trials for name in settings_of(t) if name not in {*names, *attrs}}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        fields = ["status", "score", "cost", *PREDICTIONS, "reason", *line_of(trials)]
        writer.writerow(["trial", *fields, *names, *attrs, *settings])
        for t in trials:
            known = [t.number, *(getattr(t, name) for name in fields)]
            columns = ((names, t.values), (attrs, t.attrs), (settings, settings_of(t)))
            writer.writerow(known + [values.get(name) for chosen, values in columns for name in chosen])
