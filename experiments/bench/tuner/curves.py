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
from collections.abc import Sequence
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
    task: CurveTask, seed: int, num_trials: int, arm: str, decay: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the share of the true front's hypervolume and the cost paid after each trial, and whether it went on.

    Args:
        task: a table.
        seed: of the sweep.
        num_trials: of it.
        arm: a name in `ARMS`.
        decay: share of a training after its checkpoint.
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
                fraction, paid, went_on = run(task, seed, settings.trials, arm, settings.decay)
                row = dict(zip(keys, key, strict=True), fraction=fraction.tolist(), paid=paid.tolist())
                store.merge([row | {"went_on": went_on.tolist()}])
                said = f"{fraction[-1]:.3f} {paid[-1]:.3g} {went_on.sum()} went on"
                print(*key, said, file=sys.stderr, flush=True)
    return [row for row in store.rows if store.key_fn(row) in wanted]


COLUMNS = "found", "cost", "plain at that cost", "at half the cost", "cost for as much"
"""Of each arm in the table."""


def summarise(rows: Sequence[harness.Row], names: Sequence[str], arms: Sequence[str]) -> str:
    """Return a table: what each arm has found and paid beside the plain sweep of the same seed, medians over seeds."""
    others = [arm for arm in arms if arm != "plain"]
    lines = []
    for name in names:
        pairs = [_pairs(rows, [name], arm) for arm in ("plain", *others)]
        own = np.median([[_found(plain, 1.0, plain), _found(plain, 0.5, plain)] for plain, _ in pairs[0]], axis=0)
        each = [np.median([_against(*pair) for pair in of_arm], axis=0) for of_arm in pairs[1:]]
        lines.append(np.concatenate([own, *each]))
    columns = [
        "table",
        "plain",
        "plain: at half the cost",
        *(f"{arm}: {column}" for arm in others for column in COLUMNS),
    ]
    cells = [(name, *(f"{number:.2f}" for number in line)) for name, line in zip(names, lines, strict=True)]
    mean = np.mean(lines, axis=0)
    return harness.table(columns, [*cells, ("mean", *(f"{x:.2f}" if np.isfinite(x) else "" for x in mean))])


def differences(rows: Sequence[harness.Row], names: Sequence[str], arms: Sequence[str]) -> str:
    """Return what each arm has found more than the plain sweep at the same costs, over all sweeps."""
    said = []
    for arm in arms:
        if arm == "plain":
            continue
        for share in (0.25, 0.5):
            more = [
                _found(other, share, plain) - _found(plain, share, plain) for plain, other in _pairs(rows, names, arm)
            ]
            error = np.std(more, ddof=1) / np.sqrt(len(more)) if len(more) > 1 else np.nan
            said.append(f"{arm}, at {share:.0%} of the plain sweep's cost: {np.mean(more):+.3f} ± {error:.3f}")
    return (
        f"Found more than the plain sweep of the same seed, mean and standard error over all sweeps: {'; '.join(said)}."
    )


def _pairs(rows: Sequence[harness.Row], names: Sequence[str], arm: str) -> list[tuple[harness.Row, harness.Row]]:
    """Return the plain sweep and that of the arm, for each table and seed."""
    of = {(row["table"], row["seed"]): row for row in rows if row["arm"] == "plain"}
    return [(of[row["table"], row["seed"]], row) for row in rows if row["arm"] == arm and row["table"] in names]


def _found(row: harness.Row, share: float, plain: harness.Row) -> float:
    """Return what a sweep had found when it had paid a share of the plain one's cost."""
    before = np.array(row["fraction"])[np.array(row["paid"]) <= share * plain["paid"][-1]]
    return float(before[-1]) if len(before) else 0.0


def _against(plain: harness.Row, other: harness.Row) -> list[float]:
    """Return the numbers of `COLUMNS`; costs are shares of that of the plain sweep.

    The last one is infinite where the sweep never had found as much as the plain one in the end.
    """
    found, paid = np.array(other["fraction"]), np.array(other["paid"]) / plain["paid"][-1]
    enough = found >= plain["fraction"][-1]
    at_half, as_much = _found(other, 0.5, plain), float(paid[enough][0]) if enough.any() else np.inf
    return [found[-1], paid[-1], _found(plain, paid[-1], plain), at_half, as_much]


def main(settings: Settings) -> None:
    """Run the sweeps and write the table."""
    names = settings.tables or tuple(name for name in tables.available() if name.startswith("rl:"))
    rows = measure(settings, names)
    page = harness.page(
        "What learning curves and continued trainings are worth to a sweep",
        harness.stamp("jax", "numpy"),
        f"Sweeps of {settings.trials} trials: plain; with four earlier points of each training as data (curves); with "
        "trainings that go on from the checkpoints of others (continued), "
        f"which lie before the last {settings.decay:.0%}; and with both. Medians of {settings.seeds} seeds. Found: "
        "fraction of the true front's hypervolume. Cost: what all trials paid, as a share of what the plain sweep of "
        "the same seed paid. Plain at that cost: what that one had found when it had paid as much. At half the cost: "
        "what the sweep had found at half of the cost of the plain one. Cost for as much: where it had found what the "
        "plain one has in the end; inf where it never had.",
        summarise(rows, names, settings.arms),
        differences(rows, names, settings.arms),
    )
    harness.write_text(harness.RESULTS / f"{settings.name}.md", page)
    print(page)


if __name__ == "__main__":
    runs.configure_jax()
    main(tyro.cli(Settings, description=__doc__))
