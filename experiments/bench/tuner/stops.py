"""What `trial.should_stop()` saves and loses: the same studies with it, with reports alone, and without either.

    python -m experiments.bench.tuner.stops                         # two tables, three seeds
    python -m experiments.bench.tuner.stops --tables rl:sac_cc_pendulum --seeds 5 --trials 60

A trial reports four earlier points of its training, and is asked after each whether it is worth going on with. One that
is stopped has cost what it has spent by then, and counts as the shorter training that it was.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import optuna
import tyro
from jaxtyping import Float

from experiments.bench import harness
from experiments.bench.tuner import runs, tables
from experiments.bench.tuner.measures import noiseless
from experiments.bench.tuner.tables import CurveTask
from neocarbs_jax.study import Study
from neocarbs_jax.synthetic import hypervolume_fraction

MODES = ("alone", "reports", "stops")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes:
        tables: names of tables of learning curves.
        trials: trials per study.
        seeds: studies per table and mode.
        chance: probability of reaching the front below which a trial is stopped.
        name: file name of the result.
    """

    tables: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = (
        "rl:ppo_cc_cartpole",
        "rl:ppo_box2d_lunar_lander",
    )
    trials: int = 50
    seeds: int = 3
    chance: float = 0.05
    name: str = "stops"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One study: share of the true front's hypervolume and cost, after each trial; the share of trials stopped."""

    fraction: Float[np.ndarray, " n"]
    spent: Float[np.ndarray, " n"]
    stopped: float


def run(task: CurveTask, seed: int, settings: Settings, mode: str) -> Outcome:
    """Run one study; trial i of a seed sees the same noise in every mode."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.InMemoryStorage()
    study = Study.create(task.space, storage, seed=seed, budget="budget", compilation_cache=False)
    evaluate, curve_fn = runs.evaluate_fn(task), task.curve_fn
    assert curve_fn is not None
    curve = jax.jit(lambda unit, key: curve_fn(task.space.from_unit(unit), key))
    points, costs, stopped = [], [], 0
    for key in jax.random.split(jax.random.key(10_000 + seed), settings.trials):
        [trial] = study.ask()
        unit = np.array([trial.values[name] for name in task.space.names])  # its axes are those of the unit cube
        score, cost = (float(a) for a in evaluate(jnp.asarray(unit), key))
        if mode != "alone" and math.isfinite(score) and unit[-1] > 0:  # at 0 there is nothing shorter
            for budget, *reached in zip(*(np.asarray(a).tolist() for a in curve(jnp.asarray(unit), key)), strict=True):
                trial.report(*reached, budget=budget)
                if mode == "stops" and trial.should_stop(settings.chance):
                    (score, cost), unit[-1] = reached, budget
                    stopped += 1
                    break
        study.tell(trial, score, cost)
        points.append(unit)
        costs.append(cost)
    truth, true_cost = noiseless(task, np.array(points))
    fraction = hypervolume_fraction(truth, true_cost, task.front(), task.floor)
    return Outcome(np.asarray(fraction), np.cumsum(costs), stopped / settings.trials)


def row_of(name: str, outcomes: dict[str, list[Outcome]]) -> tuple[str, ...]:
    """Return the row of a table: means over seeds, and the deviation of a mean of differences seed by seed."""
    fractions = {mode: np.array([o.fraction[-1] for o in outcomes[mode]]) for mode in MODES}
    spent = {mode: np.array([o.spent[-1] for o in outcomes[mode]]) for mode in MODES}
    as_much = [o.fraction[o.spent <= cost] for o, cost in zip(outcomes["alone"], spent["stops"], strict=True)]
    change = fractions["stops"] - fractions["alone"]
    error = np.std(change, ddof=1) / math.sqrt(len(change)) if len(change) > 1 else math.nan
    return (
        name,
        *(f"{fractions[mode].mean():.3f}" for mode in MODES),
        f"{np.mean([part[-1] if part.size else 0 for part in as_much]):.3f}",
        f"{change.mean():+.3f} ± {error:.3f}",
        f"{np.mean([o.stopped for o in outcomes['stops']]):.2f}",
        *(f"{np.mean(1 - spent['stops'] / spent[mode]):+.2f}" for mode in MODES[:-1]),
    )


def main(settings: Settings) -> None:
    """Run the studies and write the table."""
    rows, columns = [], ["table", *MODES, "alone at the cost of stops", "stops - alone", "trials stopped"]
    columns += ["saved of alone", "saved of reports"]
    for name in settings.tables:
        task = tables.load(name)
        assert isinstance(task, CurveTask)
        outcomes = {mode: [run(task, seed, settings, mode) for seed in range(settings.seeds)] for mode in MODES}
        rows.append(row_of(name, outcomes))
        print(rows[-1], file=sys.stderr, flush=True)
    page = harness.page(
        "What stopping hopeless trials saves",
        harness.stamp(),
        f"Fractions of the true front's hypervolume after {settings.trials} trials, means of {settings.seeds} seeds: "
        "studies that are told the end of each trial alone, that have reports of earlier points too, and that stop "
        f"trials whose chance of the front is below {settings.chance}. The last columns are shares of the compute.",
        harness.table(columns, rows),
    )
    harness.write_text(harness.RESULTS / f"{settings.name}.md", page)
    print(page)


if __name__ == "__main__":
    runs.configure_jax()
    main(tyro.cli(Settings, description=__doc__))
