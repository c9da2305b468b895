"""Table and picture of the real benchmark: hypervolume of confirmed fronts."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float

from experiments.bench import harness

Point = tuple[float, float]
"""Cost and score."""


def attainment(points: Sequence[Point], costs: Float[np.ndarray, " n"], floor: float) -> Float[np.ndarray, " n"]:
    """Return the best score at each cost or less, above the floor."""
    best = np.zeros(len(costs))
    for cost, score in points:
        best = np.where(costs >= cost, np.maximum(best, score - floor), best)
    return best


def area(points: Sequence[Point], low: float, high: float, floor: float) -> float:
    """Return the area under the attainment over log cost, between two costs."""
    knots = sorted({low, high, *(cost for cost, _ in points if low < cost < high)})
    values = attainment(points, np.array(knots), floor)[:-1]
    return float(np.sum(values * np.diff(np.log(knots))))


def confirmed(row: harness.Row) -> list[tuple[float, float, float]]:
    """Return cost, mean fresh score and claimed score of the points of a front.

    A run that diverged counts as the worst of its point; a point of which no run is sound is left out.
    """
    points = []
    for point in row["front"]:
        sound = [score for score in point["fresh"] if math.isfinite(score)]
        if sound:
            mean = statistics.fmean(score if math.isfinite(score) else min(sound) for score in point["fresh"])
            points.append((point["cost"], mean, point["claimed"]))
    return points


def measures(rows: Sequence[harness.Row], floor: float) -> dict[tuple[str, int], dict[str, float]]:
    """Return, by strategy and seed, what the sweeps of one environment are worth.

    The share is that of the area under the best of all confirmed points of all sweeps, between their first and last
    cost on the pooled front.
    """
    pool = sorted((cost, score) for row in rows for cost, score, _ in confirmed(row))
    front = [p for i, p in enumerate(pool) if p[1] > max((s for _, s in pool[:i]), default=floor)]
    low, high = front[0][0], max(front[-1][0], front[0][0] * 1.001)
    whole = area(pool, low, high, floor)
    top = max(score for _, score in front) - floor
    found = {}
    for row in rows:
        points = [(cost, score) for cost, score, _ in confirmed(row)]
        claims = [claimed - score for _, score, claimed in confirmed(row)]
        found[row["strategy"], row["seed"]] = {
            "share": area(points, low, high, floor) / whole,
            "best": max((score for _, score in points), default=math.nan),
            "flatters": statistics.fmean(claims) / top if claims else math.nan,
            "trials": len(row["trials"]),
        }
    return found


def write(name: str, rows: Sequence[harness.Row], protocol: str) -> str:
    """Write the page and the picture, and return the page.

    Args:
        name: of the files.
        rows: sweeps, and the floor of each environment.
        protocol: what a sweep was, in a sentence or two.
    """
    floors = {row["env"]: row["floor"] for row in rows if "floor" in row}
    sweeps = [row for row in rows if "front" in row]
    by_env = {env: [row for row in sweeps if row["env"] == env] for env in dict.fromkeys(r["env"] for r in sweeps)}
    results = {env: measures(rows, floors[env]) for env, rows in by_env.items()}
    strategies = list(dict.fromkeys(row["strategy"] for row in sweeps))
    text = harness.page(
        "Whole sweeps of real trainings, by what their fronts keep",
        harness.stamp("optuna", "flax", "gymnax"),
        f"{protocol} The area under the means of the fresh trainings, over log cost and above the score of an agent "
        "after one update, is given as a share of the area under the best confirmed points of all sweeps. Means of the "
        "seeds, lowest and highest in brackets.",
        _grid("share of the pooled front's area", results, strategies, "share"),
        _grid("best confirmed score", results, strategies, "best"),
        _grid("claimed minus confirmed, as a share of the pooled front's height", results, strategies, "flatters"),
        _grid("trials in a sweep", results, strategies, "trials"),
        f"![]({name}.png)",
    )
    harness.write_text(harness.RESULTS / f"{name}.md", text)
    _plot(harness.RESULTS / f"{name}.png", by_env, floors)
    return text


def _grid(
    title: str, results: Mapping[str, Mapping[tuple[str, int], Mapping[str, float]]], names: Sequence[str], key: str
) -> str:
    rows = []
    for name in names:
        cells, means = [], []
        for found in results.values():
            values = [measured[key] for (strategy, _), measured in found.items() if strategy == name]
            cells.append(f"{statistics.fmean(values):.3g} [{min(values):.3g}, {max(values):.3g}]" if values else "")
            means += [statistics.fmean(values)] if values else []
        rows.append([name, *cells, f"{statistics.fmean(means):.3g}" if key in ("share", "flatters") else ""])
    return f"## {title[0].upper()}{title[1:]}\n\n" + harness.table(["strategy", *results, "mean"], rows)


def _plot(file: Path, by_env: Mapping[str, Sequence[harness.Row]], floors: Mapping[str, float]) -> None:
    figure, panels = plt.subplots(1, len(by_env), figsize=(4.2 * len(by_env), 3.6), squeeze=False)
    for panel, (env, rows) in zip(panels[0], by_env.items(), strict=True):
        pool = [(cost, score) for row in rows for cost, score, _ in confirmed(row)]
        costs = np.geomspace(min(pool)[0], max(pool)[0] * 1.1, 200)
        for index, strategy in enumerate(dict.fromkeys(row["strategy"] for row in rows)):
            own = [[(cost, score) for cost, score, _ in confirmed(r)] for r in rows if r["strategy"] == strategy]
            curves = [attainment(points, costs, floors[env]) for points in own]
            panel.step(costs, np.mean(curves, axis=0) + floors[env], where="post", color=f"C{index}", label=strategy)
        panel.set_xscale("log")
        panel.set_title(env, fontsize=10)
        panel.set_xlabel("seconds of training")
    panels[0][0].set_ylabel("confirmed score, mean of sweeps")
    panels[0][0].legend(fontsize=8)
    figure.tight_layout()
    harness.save_figure(figure, file)
    plt.close(figure)
