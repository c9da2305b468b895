"""How long a process waits for its first suggestions, and for any later one.

    python -m experiments.bench.tuner.startup                              # this checkout
    python -m experiments.bench.tuner.startup --trees /path/to/before .    # two checkouts, in turns

Each round starts fresh processes with a study of 10 axes: the first with an empty cache of compiled programs, the
second with what the first one left there. A third tells 300 trials that take no time: its longest wait is the worst
that a study of any pace meets. Processes are timed as a user's script is, so nothing is warmed up.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from experiments.bench import harness
from experiments.common import user_errors

CHILD = """
import json, resource, sys, time
def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
start = time.perf_counter()
from neocarbs_jax import Linear, SearchSpace, Study
imported = time.perf_counter() - start
space = SearchSpace(**{f"u{i}": Linear(0.0, 1.0) for i in range(10)})
study = Study.create(space, sys.argv[1])
waits, spent, pace = [], cpu(), float(sys.argv[3])
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    [trial] = study.ask()
    waits.append(time.perf_counter() - start)
    time.sleep(pace)
    study.tell(trial, sum(trial.values.values()), 1 + trial.values["u0"])
print(json.dumps({"import": imported, "waits": waits, "cpu": cpu() - spent}))
"""
"""Imports, asks and tells; arguments: storage, trials, seconds of a trial."""

FIRST_BY_SURROGATES = 4
"""Index of the first suggestion of the default strategy that its surrogates make."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        trees: checkouts of this project to compare, each a folder.
        rounds: processes of each kind and checkout; medians count.
        trials: of the study without pauses.
        pace: seconds that each of its trials takes.
        out: file of the table.
    """

    trees: tuple[Path, ...] = (Path("."),)
    rounds: int = 3
    trials: int = 300
    pace: float = 0.0
    out: Path = harness.RESULTS / "startup.md"


def run_child(tree: Path, folder: Path, trials: int, pace: float) -> dict[str, Any]:
    """Run a study in a process of its own.

    Args:
        tree: checkout whose tuner it imports.
        folder: of its database and its cache.
        trials: that it tells.
        pace: seconds that each of them takes.
    """
    storage = f"sqlite:///{tempfile.mkdtemp(dir=folder)}/study.db"
    command = [sys.executable, "-c", CHILD, storage, str(trials), str(pace)]
    environment = os.environ | {"PYTHONPATH": str(tree.resolve()), "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(tree: Path, settings: Settings) -> dict[str, float]:
    """Return the figures of one round of one checkout, in seconds."""
    with tempfile.TemporaryDirectory() as name:
        cold = run_child(tree, Path(name), FIRST_BY_SURROGATES + 2, 0.0)
        warm = run_child(tree, Path(name), FIRST_BY_SURROGATES + 2, 0.0)
    with tempfile.TemporaryDirectory() as name:
        long = run_child(tree, Path(name), settings.trials, settings.pace)
    started = FIRST_BY_SURROGATES + 1
    return {
        "import": cold["import"],
        "first ask": cold["waits"][0],
        "processor seconds until the surrogates suggest": cold["cpu"],
        "second process: until the surrogates suggest": sum(warm["waits"][:started]),
        "longest wait after that": max(long["waits"][started:]),
        "median wait after that": float(np.median(long["waits"][started:])),
    }


def main(settings: Settings) -> None:
    """Measure all checkouts in turns, and write the table."""
    measured = harness.stamp("tinygp", "optuna")
    rounds = {tree: [] for tree in settings.trees}
    for _ in range(settings.rounds):
        for tree, figures in rounds.items():
            figures.append(measure(tree, settings))
    names = list(next(iter(rounds.values()))[0])
    rows = []
    for name in names:
        values = [[figures[name] for figures in rounds[tree]] for tree in settings.trees]
        rows.append((name, *(f"{np.median(v):.2f} ({min(v):.2f} .. {max(v):.2f})" for v in values)))
    columns = ("seconds, median (range)", *(f"checkout {i + 1}" for i in range(len(settings.trees))))
    about = f"10 axes, {settings.rounds} rounds; {settings.trials} trials of {settings.pace:g} s for the last two rows."
    text = harness.page("First suggestions of a process", measured, about, harness.table(columns, rows))
    harness.write_text(settings.out, text)
    sys.stdout.write(text)


if __name__ == "__main__":
    with user_errors():
        main(tyro.cli(Settings, description=__doc__))
