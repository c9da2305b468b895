"""Statistics, tables and pictures of the records of the learning benchmark."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from experiments.bench import harness
from experiments.bench.learner.runs import TASKS, Record, Setting, compared_of, trained_config
from experiments.settings import differences

DEFAULT_PPO = {"gamma": 0.99, "gae_lambda": 0.95}
LAGS = {"bands": 0}


def check_comparable(
    records: Iterable[Record], budgets: Mapping[str, float], settings: Sequence[Setting], fixed: Mapping[str, Any]
) -> None:
    """Check that records may stand in one table with a run.

    Args:
        records: Of earlier runs.
        budgets: Environment steps of the run's trainings, by task.
        settings: What the run trains.
        fixed: Fields of `Config` and `Params` for all of its trainings.

    Raises:
        ValueError: If a task was trained with another budget, or all with other settings.
    """
    for record in records:
        trained = record.params.get("total_steps") or record.steps[-1]  # which is rounded up to whole updates
        budget = budgets.get(record.task, trained)
        if not 0.99 * budget <= trained < 1.1 * budget:
            raise ValueError(
                "`out` must hold no records of other budgets, which cannot be compared; "
                f"got {trained:.3g} steps of {record.task} there, {budget:.3g} now."
            )
        for setting in settings:
            if changed := _changed(record, setting, fixed):
                raise ValueError(
                    f"`out` must hold no records of other settings, which cannot be compared; got {'; '.join(changed)}."
                )


def _changed(record: Record, setting: Setting, fixed: Mapping[str, Any]) -> list[str]:
    """Return what differs between a record and a training, apart from what is compared."""
    there, now = record.fixed | record.in_force, {**fixed, **compared_of(trained_config(setting, fixed))}
    varied = {*record.values, *setting.values, *DEFAULT_PPO}  # pairs of PPO stand side by side
    if not record.estimator == setting.estimator == "p3o":
        varied.add("bands")  # which the others do not have
    names = sorted({*there, *now} - varied)
    there, now = ({name: given.get(name, "its default") for name in names} for given in (there, now))
    return differences(there, now)


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
    names = {(): "", tuple(LAGS.items()): ", lags"}
    found = {
        record.estimator + names[values]: record
        for record in records
        if record.estimator != "gae" and (values := tuple(record.values.items())) in names
    }
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
    rows, shares = [], {}
    for task, group in by_task(records).items():
        names = labelled(group)
        for label, record in names.items():
            area, end = area_and_end(record)
            ratio = share(record, names["ppo tuned"]) if "ppo tuned" in names else float("nan")
            shares.setdefault(label, []).append(ratio)
            pairs = sum(r.estimator == "gae" for r in group)
            shown = f"{label} {tuple(record.values.values())} of {pairs}" if label == "ppo tuned" else label
            size = f"{record.steps[-1]:.3g}", len(area)
            rows.append((task, *size, shown, with_interval(area), f"{ratio:.2f}", with_interval(end)))
    columns = ("task", "steps", "seeds", "estimator", "area, IQM [95%]", "of tuned PPO", "last tenth, IQM [95%]")
    means = [f"* {label}: {np.mean(x):.3f}, worst {np.min(x):.2f}, {len(x)} tasks" for label, x in shares.items()]
    heading = "Mean over tasks of the share of tuned PPO:"
    return "\n\n".join([harness.table(columns, rows), heading, "\n".join(means)])


def ablation_table(records: Sequence[Record]) -> str:
    """Area of every setting on every task; the last column is the mean of its share of the task's best."""
    tasks = by_task(records)
    rows = []
    for setting in dict.fromkeys(record.key[1:] for record in records):
        cells, shares = [], []
        for group in tasks.values():
            mine = [record for record in group if record.key[1:] == setting]
            cells.append(with_interval(area_and_end(mine[0])[0]) if mine else "")
            shares += [share(mine[0], best(group))] if mine else []
        name = ", ".join([f"{k} {v}" for k, v in setting[1:]]) or "default"
        rows.append((name, *cells, f"{np.mean(shares):.3f} ({len(shares)} tasks)"))
    steps = ", ".join(f"{task} {group[0].steps[-1]:.3g}" for task, group in tasks.items())
    seeds = ", ".join(map(str, sorted({len(record.score) for record in records})))
    table = harness.table(("setting", *tasks, "mean share of the best"), rows)
    return f"{table}\n\nSteps: {steps}. Seeds: {seeds}."


def pictures(records: Sequence[Record], prefix: str = "") -> dict[str, Figure]:
    """Each task's curves, and the horizon that P3O learnt there, by file name; `prefix` begins the names."""
    figures = {}
    for task, group in by_task(records).items():
        names = labelled(group)
        figures[f"{prefix}{task}.png"] = curves_figure(task, names)
        if "p3o" in names:
            figures[f"{prefix}{task}_horizon.png"] = horizon_figure(names["p3o"])
    return figures


def curves_figure(title: str, records: Mapping[str, Record]) -> Figure:
    """Mean score over seeds against steps, one line per estimator, the range of the seeds shaded."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for label, record in records.items():
        score, steps = np.array(record.score, float), np.array(record.steps)
        seen = ~np.isnan(score).all(axis=0)  # short trainings have fewer updates than intervals
        score, steps = score[:, seen], steps[seen]
        line = axes.plot(steps, np.nanmean(score, axis=0), label=label)[0]
        axes.fill_between(steps, np.nanmin(score, axis=0), np.nanmax(score, axis=0), alpha=0.15, color=line.get_color())
    axes.set(title=title, xlabel="environment steps", ylabel="score")
    axes.legend()
    return figure


def horizon_figure(record: Record) -> Figure:
    """The horizon that was learnt, over training: explained variance of each lag or band, and what else is known.

    That is the weight of each, and, on a scale of logarithms, the ratio of signal to noise of each that was judged.
    """
    steps = np.array(record.steps)
    panels: list[tuple[str, list[list[float | None]], Any]] = [
        ("explained variance, negative as 0", record.explained, Normalize(0, 1)),
        ("weight", record.weights, Normalize(0, 1)),
        ("signal / noise, below .1 as .1", record.signal_to_noise, LogNorm(0.1, 10)),
    ]
    panels = [panel for panel in panels if panel[1]]
    figure = Figure(figsize=(1 + 5 * len(panels), 3.5), layout="constrained")
    for axes, (label, numbers, norm) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        values = np.array(numbers, float)
        seen = ~np.isnan(values[:, 0])
        values = np.clip(values[seen], norm.vmin, norm.vmax)
        image = axes.pcolormesh(np.arange(values.shape[1]), steps[seen], values, norm=norm)
        width = len(record.explained[0])
        unit = "band" if record.in_force["bands"] else "lag" if values.shape[1] == width else "group of lags"
        axes.set(xlabel=unit, ylabel="environment steps")
        figure.colorbar(image, label=label)
    return figure
