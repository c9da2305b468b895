"""What learning curves and continued trainings are worth to a sweep: the same sweeps with each of them, and without.

    python -m experiments.bench.tuner.curves                        # every table of learning curves
    python -m experiments.bench.tuner.curves --tables rl:ppo_cc_cartpole --seeds 2 --trials 25

A shorter training is an earlier point of a longer one, of the same seed, at its own cost. It counts as found, too. A
training that goes on from another one has its seed, and pays the difference to the cost of that one's checkpoint, which
lies before a final decay. Finished sweeps are kept in `.cache/bench/<name>.json`: an interrupted or extended benchmark
runs only what is missing.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Float
from threadpoolctl import threadpool_limits

from experiments.bench import harness
from experiments.bench.tuner import runs, tables
from experiments.bench.tuner.tables import CurveTask
from neocarbs_jax import sweep
from neocarbs_jax.synthetic import hypervolume_fraction

_suggest = jax.jit(sweep.suggest, static_argnums=0)
_observe = jax.jit(sweep.observe, static_argnums=0)
_observe_curve = jax.jit(sweep.observe_curve, static_argnums=0)

ARMS = {
    "plain": (False, False),
    "curves": (True, False),
    "continued": (False, True),
    "both": (True, True),
}
"""Whether a sweep has curves, and whether it continues trainings."""

MOST_TRIALS = 2
"""Times as many trials as a plain sweep has, at most, where continued ones leave some of its cost."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes:
        tables: names of tables; by default all of learning curves that are here.
        arms: which of plain, curves, continued and both.
        trials: trials per sweep.
        seeds: sweeps per table.
        first_seed: of them.
        decay: share of a training after its checkpoint.
        name: file name of the result.
    """

    tables: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = ()
    arms: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = tuple(ARMS)
    trials: int = 50
    seeds: int = 3
    first_seed: int = 0
    decay: float = 0.15
    name: str = "curves"


def run(
    task: CurveTask, seed: int, num_trials: int, arm: str, decay: float, most: float = np.inf
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the share of the true front's hypervolume and the cost paid after each trial, and whether it went on.

    Args:
        task: a table.
        seed: of the sweep.
        num_trials: at most.
        arm: a name in `ARMS`.
        decay: share of a training after its checkpoint.
        most: cost after which the sweep ends.
    """
    with_curves, continues = ARMS[arm]
    num_rows = num_trials * (1 + tables.CURVE_POINTS * with_curves)
    own: dict[str, Any] = {"continues": True} if continues else {}
    config = sweep.Config(task.space, capacity=1 << (num_rows - 1).bit_length(), budget="budget", **own)
    state, keys = sweep.init(config), jax.random.split(jax.random.key(seed), num_trials)
    found: list[Float[np.ndarray, "p d"]] = []
    noise_keys: dict[int, Array] = {}
    paid, went_on = [], []
    for key, noise_key in zip(keys, jax.random.split(jax.random.key(10_000 + seed), num_trials), strict=True):
        with threadpool_limits(1, "blas"):  # as the study does
            state, suggestion = jax.block_until_ready(_suggest(config, state, key))
        begun = 0.0
        went_on.append(continues and int(suggestion.parent) >= 0)
        if continues and int(suggestion.parent) >= 0:
            noise_key = noise_keys[int(suggestion.parent)]
            before = np.asarray(state.observations.unit)[np.asarray(state.observations.turn) == int(suggestion.parent)]
            begun = float(before[0, -1])
        noise_keys[int(suggestion.index)] = noise_key
        score, cost = runs.evaluate_fn(task)(suggestion.unit, noise_key)
        checkpoint = {"checkpoint": (1 - decay) * cost} if continues else {}
        points = np.asarray(suggestion.unit)[None, :]
        if with_curves and bool(jnp.isfinite(score)):
            budgets, scores, costs = _curve_fn(task)(suggestion.unit, noise_key)
            scores = jnp.where(budgets > begun, scores, jnp.nan)  # known of the training that this one goes on from
            earlier = np.repeat(points, len(budgets), axis=0)
            earlier[:, -1] = budgets
            points = np.concatenate([earlier, points])
            curve = (jnp.append(a, b) for a, b in ((budgets, suggestion.unit[-1]), (scores, score), (costs, cost)))
            state = _observe_curve(config, state, suggestion, *curve, **checkpoint)
        else:
            state = _observe(config, state, suggestion, score, cost, **checkpoint)
        found.append(points)
        paid.append(float(cost) - (float(suggestion.inherited) if continues else 0.0))
        if sum(paid) >= most:
            break
    last = np.cumsum([len(points) for points in found]) - 1
    return _fraction(task, np.concatenate(found))[last], np.cumsum(paid), np.array(went_on)


@functools.cache
def _curve_fn(task: CurveTask):
    curve_fn = task.curve_fn
    assert curve_fn is not None
    return jax.jit(lambda unit, key: curve_fn(task.space.from_unit(unit), key))


def _fraction(task: CurveTask, unit: Float[np.ndarray, "n d"]) -> np.ndarray:
    score, cost = jax.vmap(lambda u: task.noiseless(task.space.from_unit(u)))(jnp.asarray(unit, float))
    return np.asarray(hypervolume_fraction(score, cost, task.front(), task.floor))


def measure(settings: Settings, names: tuple[str, ...]) -> list[harness.Row]:
    """Return a row for each sweep, those of earlier runs included."""
    keys = "table", "arm", "seed", "trials", "decay"
    store = harness.Store(Path(".cache") / "bench" / f"{settings.name}.json", lambda row: tuple(row[k] for k in keys))
    wanted = []
    for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
        for name in names:
            for arm in settings.arms:
                key = (name, arm, seed, settings.trials, settings.decay if ARMS[arm][1] else 0.0)
                wanted.append(key)
                if key in map(store.key_fn, store.rows):
                    continue
                task = tables.load(name)
                assert isinstance(task, CurveTask)
                limits = settings.trials, np.inf
                if ARMS[arm][1]:  # as many as the plain sweep's cost pays for
                    plain = next(r for r in store.rows if store.key_fn(r) == (name, "plain", seed, settings.trials, 0.0))
                    limits = MOST_TRIALS * settings.trials, plain["paid"][-1]
                fraction, paid, went_on = run(task, seed, limits[0], arm, settings.decay, limits[1])
                row = dict(zip(keys, key, strict=True), fraction=fraction.tolist(), paid=paid.tolist())
                store.merge([row | {"went_on": went_on.tolist()}])
                said = f"{fraction[-1]:.3f} {paid[-1]:.3g} {len(paid)} trials, {went_on.sum()} went on"
                print(*key, said, file=sys.stderr, flush=True)
    return [row for row in store.rows if store.key_fn(row) in wanted]


def summarise(rows: list[harness.Row], names: tuple[str, ...], arms: tuple[str, ...], num_trials: int) -> str:
    """Return the table: of each arm what it has found and paid beside the plain sweep of the same seed, medians."""
    of = {(row["table"], row["seed"], row["arm"]): row for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    others = [arm for arm in arms if arm != "plain"]
    lines, means = [], []
    for name in names:
        plain = float(np.median([of[name, seed, "plain"]["fraction"][-1] for seed in seeds]))
        each = [
            np.median([_against(of[name, seed, "plain"], of[name, seed, arm], num_trials) for seed in seeds], axis=0)
            for arm in others
        ]
        means.append([plain, *np.concatenate(each)])
        lines.append(_line(name, means[-1]))
    columns = ["table", "plain"]
    for arm in others:
        columns += [arm, "cost of it", f"{arm}, at the cost of plain", "cost for as much"]
    return harness.table(columns, [*lines, _line("mean", np.mean(means, axis=0).tolist())])


def _line(name: str, numbers: list[float]) -> list[str]:
    return [name, *(f"{number:.3f}" if index % 4 in (0, 1, 3) else f"{number:.2f}" for index, number in enumerate(numbers))]


def _against(plain: harness.Row, other: harness.Row, num_trials: int) -> list[float]:
    """Return what a sweep found with as many trials, at which cost, at the cost of the plain one, and where it had as much.

    Costs are shares of that of the plain sweep.
    """
    found, paid, whole = np.array(other["fraction"]), np.array(other["paid"]), plain["paid"][-1]
    enough = found >= plain["fraction"][-1]
    within = found[paid <= whole]
    last = min(num_trials, len(found)) - 1
    at_cost = within[-1] if len(within) else 0.0
    return [found[last], paid[last] / whole, at_cost, paid[enough][0] / whole if enough.any() else np.inf]


def main(settings: Settings) -> None:
    """Run the sweeps and print the table."""
    names = settings.tables or tuple(name for name in tables.available() if name.startswith("rl:"))
    rows = measure(settings, names)
    print(summarise(rows, names, settings.arms, settings.trials))


if __name__ == "__main__":
    runs.configure_jax()
    main(tyro.cli(Settings, description=__doc__))
