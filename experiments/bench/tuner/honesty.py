"""Whether fronts keep what they claim: measured and expected fronts of whole sweeps, against the truth of each point.

    python -m experiments.bench.tuner.honesty                       # noisy tasks and all tables that are here
    python -m experiments.bench.tuner.honesty --tasks rl:ppo_cc_cartpole --seeds 1 --trials 60

A sweep's measured front is the best of noisy draws; the expected front is `neocarbs_jax.expected`. The truth of a point
is the task's noiseless score there: the mean of infinitely many fresh runs. Points below the task's floor do not count.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.bench import harness
from experiments.bench.tuner import runs, tables
from experiments.bench.tuner.measures import noiseless
from neocarbs_jax import pareto, sweep
from neocarbs_jax.expected import expected_scores
from neocarbs_jax.strategies import NeoCARBS
from neocarbs_jax.sweep import Status
from neocarbs_jax.synthetic import Task, hypervolume_fraction

TASKS = ("rl", "rl_hard", "log", "heteroscedastic", "hpobench:vehicle", "fcnet:slice_localization")
_expected = jax.jit(expected_scores, static_argnums=0)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes:
        tasks: names of synthetic tasks and tables; by default some noisy tasks and all tables of learning curves.
        trials: trials per sweep.
        seeds: sweeps per task.
        name: file name of the result.
    """

    tasks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = ()
    trials: int = 150
    seeds: int = 2
    name: str = "honesty"


def judge(task: Task, seed: int, num_trials: int, replicates: float) -> list[float]:
    """Return, of one sweep: errors of both fronts, the share of intervals that hold, replicates and hypervolume.

    Errors are mean differences from the truth, as shares of the range of the true front.
    """
    strategy = NeoCARBS(replicates=replicates)
    record = runs.run(strategy, task, seed, num_trials)
    truth, true_cost = (np.asarray(a) for a in noiseless(task, record.unit))
    front = task.front()
    span = float(front.score.max() - front.score.min())
    done = np.isfinite(record.score)
    config = sweep.Config(task.space, capacity=256, strategy=strategy)
    status = np.where(done, int(Status.SUCCESS), int(Status.FAILED))
    expected = _expected(config, sweep.restore(config, record.unit, record.score, record.cost, status))
    score, low, high, _, on_front = (np.asarray(column)[:num_trials] for column in expected)
    claimed = np.where(done, record.score, -np.inf)
    measured = pareto.non_dominated(claimed, np.log(record.cost), done) & (claimed > task.floor)
    believed = on_front & (score > task.floor)
    held = (low <= truth) & (truth <= high)
    fraction = hypervolume_fraction(jnp.asarray(truth), jnp.asarray(true_cost), front, task.floor)
    return [
        _mean((claimed - truth) / span, measured),
        _mean((score - truth) / span, believed),
        _mean(np.abs(score - truth) / span, believed),
        _mean(held, believed),
        1 - len(np.unique(record.unit, axis=0)) / num_trials,
        float(fraction[-1]),
    ]


def _mean(values: np.ndarray, chosen: np.ndarray) -> float:
    return float(np.mean(values[chosen])) if chosen.any() else np.nan


def main(settings: Settings) -> None:
    """Run the sweeps and write the table."""
    names = settings.tasks or (*TASKS, *(name for name in tables.available() if name.startswith("rl:")))
    rows = []
    for name in names:
        task = tables.task_of(name)
        with_replicates, without = (
            np.mean([judge(task, seed, settings.trials, share) for seed in range(settings.seeds)], axis=0)
            for share in (NeoCARBS().replicates, 0.0)
        )
        rows.append((name, *with_replicates, without[-1]))
        print(rows[-1], file=sys.stderr, flush=True)
    sound = [row[1:] for row in rows if np.all(np.isfinite(row[1:]))]
    rows += [("mean", *np.mean(sound, axis=0)), ("mean of absolute values", *np.mean(np.abs(sound), axis=0))]
    columns = [
        *("task", "measured front flatters by", "expected front flatters by", "expected front errs by"),
        *("90% intervals hold", "share of replicates", "fraction", "fraction without replicates"),
    ]
    text = [(name, *(f"{value:.3f}" for value in values)) for name, *values in rows]
    page = harness.page(
        "Whether fronts keep what they claim",
        harness.stamp(),
        f"Sweeps of {settings.trials} trials, means of {settings.seeds} seeds. The first three columns are mean errors "
        "of the claimed scores against the truth, as shares of the range of the true front. A task whose sweeps found "
        "nothing above its floor has no error (nan) and is left out of the means.",
        harness.table(columns, text),
    )
    harness.write_text(harness.RESULTS / f"{settings.name}.md", page)
    print(page)


if __name__ == "__main__":
    runs.configure_jax()
    main(tyro.cli(Settings, description=__doc__))
