"""Tables and pictures of `bench_learning`'s records; kept records and new ones in one file."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from experiments.bench.learner.runs import TASKS, Record

DEFAULT_PPO = {"gamma": 0.99, "gae_lambda": 0.95}


def load(path: Path) -> list[Record]:
    """The records of an earlier run, none if there is no such file."""
    return [Record(**row) for row in json.loads(path.read_text())] if path.exists() else []


def merge(old: Iterable[Record], new: Iterable[Record]) -> list[Record]:
    """All records, new ones in the place of old ones of the same task and setting; sorted by task."""
    by_key = {record.key: record for record in (*old, *new)}
    return sorted(by_key.values(), key=lambda record: list(TASKS).index(record.task))


def check_comparable(records: Iterable[Record], budgets: Mapping[str, float], fixed: Mapping[str, Any]) -> None:
    """Raises a ValueError where a task was trained with another budget, or all with other settings."""
    for record in records:
        trained = record.params.get("total_steps") or record.steps[-1]  # which is rounded up to whole updates
        budget = budgets.get(record.task, trained)
        if not 0.99 * budget <= trained < 1.1 * budget:
            raise ValueError(
                "`out` must hold no records of other budgets, which cannot be compared; "
                f"got {trained:.3g} steps of {record.task} there, {budget:.3g} now."
            )
        # Pairs of PPO stand side by side.
        there, now = ({k: v for k, v in x.items() if k not in DEFAULT_PPO} for x in (record.fixed, fixed))
        if there != now:
            raise ValueError(
                f"`out` must hold no records of other settings, which cannot be compared; got {there} there, {now} now."
            )


def save(path: Path, records: Sequence[Record]) -> None:
    """Writes one record a line."""
    lines = [json.dumps(dataclasses.asdict(record)) for record in records]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def area_and_end(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Each seed's mean over all intervals, and over the last tenth; those without an episode are skipped."""
    score = np.array(record.score, float)
    score = score[:, ~np.isnan(score).all(axis=0)]  # short trainings have fewer updates than intervals
    return np.nanmean(score, axis=1), np.nanmean(score[:, -max(1, score.shape[1] // 10) :], axis=1)


def interquartile_mean(x: np.ndarray) -> float:
    """Mean of the middle half, values at the edge counted in part."""
    x, cut = np.sort(x), len(x) / 4
    weights = np.clip(np.arange(1, len(x) + 1) - cut, 0, 1) - np.clip(np.arange(1, len(x) + 1) - (len(x) - cut), 0, 1)
    return float(np.sum(weights * x) / np.sum(weights))


def with_interval(x: np.ndarray) -> str:
    """Interquartile mean and its 95% bootstrap interval over seeds."""
    draws = np.random.default_rng(0).choice(x, (2000, len(x)))
    low, high = np.quantile([interquartile_mean(draw) for draw in draws], [0.025, 0.975])
    return f"{interquartile_mean(x):.3g} [{low:.3g}, {high:.3g}]"


def share(record: Record, bar: Record) -> float:
    """Area of a record over that of another, both counted from the task's lowest score."""
    lowest = TASKS[record.task].lowest
    area, other = (interquartile_mean(area_and_end(r)[0]) - lowest for r in (record, bar))
    return area / other


def best(records: Sequence[Record]) -> Record:
    """The record with the largest area."""
    return max(records, key=lambda record: interquartile_mean(area_and_end(record)[0]))


def labelled(records: Sequence[Record]) -> dict[str, Record]:
    """One task's estimators by the names that tables and pictures have for them."""
    found = {record.estimator: record for record in records if record.estimator != "gae" and not record.values}
    grid = [record for record in records if record.estimator == "gae"]
    default = [record for record in grid if record.values == DEFAULT_PPO]
    found |= {"ppo": default[0]} if default else {}
    return found | ({"ppo tuned": best(grid)} if grid else {})


def by_task(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by task, in the order of `TASKS`."""
    groups = {task: [record for record in records if record.task == task] for task in TASKS}
    return {task: group for task, group in groups.items() if group}


def comparison_table(records: Sequence[Record]) -> str:
    """Every estimator on every task, and the mean over tasks of its share of tuned PPO."""
    columns = ("task", "steps", "seeds", "estimator", "area, IQM [95%]", "of tuned PPO", "last tenth, IQM [95%]")
    lines, shares = [_row(columns), "|---" * len(columns) + "|"], {}
    for task, group in by_task(records).items():
        names = labelled(group)
        for label, record in names.items():
            area, end = area_and_end(record)
            ratio = share(record, names["ppo tuned"]) if "ppo tuned" in names else float("nan")
            shares.setdefault(label, []).append(ratio)
            pairs = sum(r.estimator == "gae" for r in group)
            shown = f"{label} {tuple(record.values.values())} of {pairs}" if label == "ppo tuned" else label
            size = f"{record.steps[-1]:.3g}", str(len(area))
            lines.append(_row((task, *size, shown, with_interval(area), f"{ratio:.2f}", with_interval(end))))
    lines += ["", "Mean over tasks of the share of tuned PPO:", ""]
    lines += [f"* {label}: {np.mean(x):.3f}, worst {np.min(x):.2f}, {len(x)} tasks" for label, x in shares.items()]
    return "\n".join(lines)


def ablation_table(records: Sequence[Record]) -> str:
    """Area of every setting on every task; the last column is the mean of its share of the task's best."""
    tasks = by_task(records)
    settings = list(dict.fromkeys(record.key[1:] for record in records))
    lines = [_row(("setting", *tasks, "mean share of the best")), "|---" * (len(tasks) + 2) + "|"]
    for setting in settings:
        cells, shares = [], []
        for group in tasks.values():
            mine = [record for record in group if record.key[1:] == setting]
            cells.append(with_interval(area_and_end(mine[0])[0]) if mine else "")
            shares += [share(mine[0], best(group))] if mine else []
        name = ", ".join([f"{k} {v}" for k, v in setting[1:]]) or "default"
        mean = f"{np.mean(shares):.3f} ({len(shares)} tasks)"
        lines.append(_row((name, *cells, mean)))
    steps = ", ".join(f"{task} {group[0].steps[-1]:.3g}" for task, group in tasks.items())
    seeds = sorted({len(record.score) for record in records})
    return "\n".join([*lines, "", f"Steps: {steps}. Seeds: {', '.join(map(str, seeds))}."])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def draw(folder: Path, records: Sequence[Record], prefix: str = "") -> None:
    """A picture of each task's curves, and one of the horizon that P3O learnt there; `prefix` begins their names."""
    mpl.use("Agg")
    for task, group in by_task(records).items():
        names = labelled(group)
        draw_curves(folder / f"{prefix}{task}.png", task, names)
        if "p3o" in names:
            draw_horizon(folder / f"{prefix}{task}_horizon.png", names["p3o"])


def draw_curves(path: Path, title: str, records: dict[str, Record]) -> None:
    """Mean score over seeds against steps, one line per estimator, the range of the seeds shaded."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for label, record in records.items():
        score, steps = np.array(record.score, float), np.array(record.steps)
        seen = ~np.isnan(score).all(axis=0)  # short trainings have fewer updates than intervals
        score, steps = score[:, seen], steps[seen]
        line = axes.plot(steps, np.nanmean(score, axis=0), label=label)[0]
        axes.fill_between(steps, np.nanmin(score, axis=0), np.nanmax(score, axis=0), alpha=0.15, color=line.get_color())
    axes.set(title=title, xlabel="environment steps", ylabel="score")
    axes.legend()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def draw_horizon(path: Path, record: Record) -> None:
    """Explained variance against lag over training: the horizon that was learnt."""
    from matplotlib import pyplot as plt

    explained, steps = np.array(record.explained, float), np.array(record.steps)
    seen = ~np.isnan(explained[:, 0])
    explained, steps = explained[seen], steps[seen]
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    image = axes.pcolormesh(np.arange(explained.shape[1]), steps, np.clip(explained, 0, 1), vmin=0, vmax=1)
    axes.set(xlabel="lag", ylabel="environment steps")
    figure.colorbar(image, label="explained variance, negative as 0")
    figure.savefig(path, dpi=80)
    plt.close(figure)
