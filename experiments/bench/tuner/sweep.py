"""Tuner quality: strategies x tasks x seeds, ours and the peers' in one run (BENCHMARKS: fraction of the true front).

    python -m experiments.bench.tuner.sweep                      # the short form: 20 minutes on two cores
    python -m experiments.bench.tuner.sweep --full               # every task, every table, five seeds of everything
    python -m experiments.bench.tuner.sweep --tasks rl log --strategies neocarbs optuna_tpe --seeds 3 --trials 50

Finished sweeps are kept in `.cache/bench/<name>.json`: an interrupted or extended benchmark runs only what is missing.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import sys
import time
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress

import neocarbs_jax
from experiments.bench import harness
from experiments.bench.tuner import heavy_peers, report, runs, tables
from experiments.bench.tuner.measures import Job, Measures, measure
from neocarbs_jax import synthetic
from neocarbs_jax.strategies import STRATEGIES as OURS

STRATEGIES = (  # in the order in which a time limit spares them
    *("neocarbs", "optuna_tpe", "optuna_nsga2", "random", "pareto_genetic"),
    *("optuna_gp", "botorch_qlognehvi", "protein", "carbs", *heavy_peers.available()),
)
SHORT_LIMIT = 1100.0
SHORT_TABLES = ("rl:ppo_box2d_lunar_lander", "rl:ppo_cc_cartpole", "rl:sac_cc_pendulum", "hpobench:vehicle")
SLOW_PEERS = {  # short form: trials, seeds
    "optuna_gp": (50, 2),
    "botorch_qlognehvi": (50, 1),
    "smac_parego": (50, 2),
    "hebo": (50, 1),
}
SLOW_TASKS = ("rl", "log")  # short form: where the slow peers run


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes:
        full: every task and table, every peer, all seeds; hours.
        trials: trials per sweep.
        seeds: sweeps per strategy and task; seed i is the same for every strategy.
        tasks: names of synthetic tasks and tables; by default the selection of the form.
        strategies: ours and peers; by default all.
        tables: folder of the RL tables; by default `$NEOCARBS_TABLES` or ../shared/data.
        out: folder of the results.
        name: file name of the results.
        limit: seconds after which no further sweep starts (short form: 1100); the report says what is missing.
        note: a sentence for the head of the report: what the reader should know about this run.
    """

    full: bool = False
    trials: int | None = None
    seeds: int | None = None
    tasks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = ()
    strategies: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = ()
    tables: Path | None = None
    out: Path = harness.RESULTS
    name: str | None = None
    limit: float | None = None
    note: str = ""


def plan(settings: Settings) -> list[Job]:
    """The sweeps of a form: strategy by strategy, and every task once before any task again."""
    on_disk = tables.available(settings.tables)
    chosen = on_disk if settings.full else [name for name in SHORT_TABLES if name in on_disk]
    tasks = settings.tasks or (*(name for name in synthetic.TASKS if name != "ridge"), *chosen)
    strategies = settings.strategies or STRATEGIES
    trials = settings.trials or (200 if settings.full else 100)
    seeds = settings.seeds or (5 if settings.full else 3)
    jobs = [Job(s, task, seed, trials) for s, seed, task in itertools.product(strategies, range(seeds), tasks)]
    whole = settings.full or settings.tasks
    return jobs if whole else [short for job in jobs if (short := _shortened(job))]


def _shortened(job: Job) -> Job | None:
    """The part of a job that belongs to the short form: slow peers do less, on fewer tasks."""
    if job.strategy not in SLOW_PEERS:
        return job
    trials, seeds = SLOW_PEERS[job.strategy]
    if job.task not in SLOW_TASKS or job.seed >= seeds:
        return None
    return dataclasses.replace(job, trials=min(job.trials, trials))


def main(settings: Settings) -> None:
    """Run what is missing, then write the tables and the picture."""
    name = settings.name or ("sweep-full" if settings.full else "sweep-short")
    store = finished(name)
    done = {row["key"]: Measures.of_row(row) for row in store.rows}
    jobs = plan(settings)
    limit = settings.limit or (math.inf if settings.full else SHORT_LIMIT)
    start = time.monotonic()
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("sweeps", total=len(jobs))
        for job in jobs:
            late = time.monotonic() - start > limit
            key = job_key(job)
            if key not in done and not late:
                progress.update(bar, description=f"{job.strategy} on {job.task}, seed {job.seed}")
                done[key] = run_job(job, settings.tables)
                store.merge([{"key": key} | done[key].as_row()])
            progress.advance(bar)
    results = {job: done[key] for job in jobs if (key := job_key(job)) in done}
    missing = [job for job in jobs if job not in results]
    sys.stdout.write(report.write(settings.out, name, results, missing, settings.note))


def finished(name: str) -> harness.Store:
    """What earlier calls of a benchmark finished, by the row's `key`."""
    return harness.Store(Path(".cache") / "bench" / f"{name}.json", key_fn=lambda row: row["key"])


def job_key(job: Job) -> str:
    """What identifies a finished sweep; for ours the sources too, so that a change of ours runs again."""
    return json.dumps([*dataclasses.astuple(job), *([sources_digest()] if job.strategy in OURS else [])])


@functools.cache
def sources_digest() -> str:
    """Digest of the tuner's sources."""
    files = sorted(Path(neocarbs_jax.__path__[0]).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def run_job(job: Job, table_dir: Path | None) -> Measures:
    """Run and judge one sweep."""
    task = tables.task_of(job.task, table_dir)
    return measure(task, task.front(), runs.run(job.strategy, task, job.seed, job.trials))


if __name__ == "__main__":
    runs.configure_jax()
    main(tyro.cli(Settings, description=__doc__))
