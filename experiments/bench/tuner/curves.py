"""What learning curves are worth to a sweep: the same sweeps with each training's earlier points as data, and without.

    python -m experiments.bench.tuner.curves                        # every table of learning curves
    python -m experiments.bench.tuner.curves --tables rl:ppo_cc_cartpole --seeds 2 --trials 25

A shorter training is an earlier point of a longer one, of the same seed, at its own cost. It counts as found, too.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from experiments.bench import harness
from experiments.bench.tuner import runs, tables
from experiments.bench.tuner.tables import CurveTask
from neocarbs_jax import sweep
from neocarbs_jax.synthetic import hypervolume_fraction

_suggest = jax.jit(sweep.suggest, static_argnums=0)
_observe = jax.jit(sweep.observe, static_argnums=0)
_observe_curve = jax.jit(sweep.observe_curve, static_argnums=0)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes:
        tables: names of tables; by default all of learning curves that are here.
        trials: trials per sweep.
        seeds: sweeps per table.
        name: file name of the result.
    """

    tables: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = ()
    trials: int = 50
    seeds: int = 3
    name: str = "curves"


def run(task: CurveTask, seed: int, num_trials: int, with_curves: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of the true front's hypervolume, and the cost spent, after each trial of a sweep."""
    rows = num_trials * (1 + tables.CURVE_POINTS * with_curves)
    config = sweep.Config(task.space, capacity=1 << (rows - 1).bit_length(), budget="budget")
    state, keys = sweep.init(config), jax.random.split(jax.random.key(seed), num_trials)
    found: list[Float[np.ndarray, "p d"]] = []
    spent = []
    for key, noise_key in zip(keys, jax.random.split(jax.random.key(10_000 + seed), num_trials), strict=True):
        with threadpool_limits(1, "blas"):  # as the study does
            state, suggestion = jax.block_until_ready(_suggest(config, state, key))
        score, cost = runs.evaluate_fn(task)(suggestion.unit, noise_key)
        points = np.asarray(suggestion.unit)[None, :]
        if with_curves and bool(jnp.isfinite(score)):
            budgets, scores, costs = _curve_fn(task)(suggestion.unit, noise_key)
            earlier = np.repeat(points, len(budgets), axis=0)
            earlier[:, -1] = budgets
            points = np.concatenate([earlier, points])
            curve = (jnp.append(a, b) for a, b in ((budgets, suggestion.unit[-1]), (scores, score), (costs, cost)))
            state = _observe_curve(config, state, suggestion, *curve)
        else:
            state = _observe(config, state, suggestion, score, cost)
        found.append(points)
        spent.append(float(cost))
    last = np.cumsum([len(points) for points in found]) - 1
    return _fraction(task, np.concatenate(found))[last], np.cumsum(spent)


@functools.cache
def _curve_fn(task: CurveTask):
    curve_fn = task.curve_fn
    assert curve_fn is not None
    return jax.jit(lambda unit, key: curve_fn(task.space.from_unit(unit), key))


def _fraction(task: CurveTask, unit: Float[np.ndarray, "n d"]) -> np.ndarray:
    score, cost = jax.vmap(lambda u: task.noiseless(task.space.from_unit(u)))(jnp.asarray(unit, float))
    return np.asarray(hypervolume_fraction(score, cost, task.front(), task.floor))


def compare(task: CurveTask, seeds: int, num_trials: int) -> list[float]:
    """Return fractions without and with curves, and the share of the cost at which curves reach as much."""
    rows = []
    for seed in range(seeds):
        plain, spent = run(task, seed, num_trials, with_curves=False)
        curved, cost = run(task, seed, num_trials, with_curves=True)
        within = cost <= spent[-1]
        enough = curved >= plain[-1]
        rows.append(
            [plain[-1], curved[-1], curved[within][-1], cost[enough][0] / spent[-1] if enough.any() else np.inf]
        )
    return np.median(rows, axis=0).tolist()


def main(settings: Settings) -> None:
    """Run the sweeps and print the table."""
    names = settings.tables or tuple(name for name in tables.available() if name.startswith("rl:"))
    rows = []
    for name in names:
        task = tables.load(name)
        assert isinstance(task, CurveTask)
        rows.append((name, *compare(task, settings.seeds, settings.trials)))
        print(rows[-1], file=sys.stderr, flush=True)
    mean = np.mean([row[1:4] for row in rows], axis=0)
    text = [(name, *(f"{value:.3f}" for value in values), f"{share:.2f}") for name, *values, share in rows]
    columns = ["table", "without", "with curves", "with curves, at the cost of those without", "cost for as much"]
    page = harness.page(
        "What learning curves are worth to a sweep",
        harness.stamp("jax", "numpy"),
        f"Fractions of the true front's hypervolume after {settings.trials} trials, medians of {settings.seeds} seeds. "
        "The last column is the cost at which the sweep with curves has found as much as the one without has in the "
        "end, as a share of that one's cost.",
        harness.table(columns, [*text, ("mean", *(f"{value:.3f}" for value in mean), "")]),
    )
    harness.write_text(harness.RESULTS / f"{settings.name}.md", page)
    print(page)


if __name__ == "__main__":
    runs.configure_jax()
    main(tyro.cli(Settings, description=__doc__))
