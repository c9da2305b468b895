"""The real benchmark: whole sweeps of trainings, judged by what fresh trainings of their fronts reach.

    python -m experiments.bench.tuner.real                          # an hour or two on two cores
    python -m experiments.bench.tuner.real --env pong --seeds 1 --budget 20

Every sweep may spend the same seconds of training. Then up to eight settings of its front are trained again with fresh
seeds, and only those runs count. A training costs its own updates times the seconds that one of its kind takes by
itself, measured once for all: neither the machine's load nor the order of the sweeps matters. Finished sweeps are kept
in `.cache/bench/<name>.json`: an interrupted or extended benchmark runs only what is missing.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import optuna
import tyro

from experiments.axes import PRESETS
from experiments.axes import parse as parse_axes
from experiments.bench import harness
from experiments.bench.tuner import real_report
from experiments.bench.tuner.peers import PEERS
from experiments.bench.tuner.runs import configure_jax
from experiments.environments import make_env
from experiments.members import Members
from experiments.objective import Training
from experiments.pace import Pace
from experiments.settings import replace
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.strategies import STRATEGIES
from neocarbs_jax.study import Study, Trial
from neocarbs_jax.study.confirm import FRESH, MOST_POINTS
from p3o_jax.settings import Config, Params

ENVS = ("gymnax:CartPole-v1", "pong", "gymnax:Breakout-MinAtar", "breakout")
COMPARED = ("neocarbs", "optuna_tpe", "random", "protein", "carbs")
EPISODES = 64
AT_ONCE = 8


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes:
        env: environments.
        strategies: ours, and peers.
        seeds: sweeps of each strategy on each environment.
        budget: seconds of training that each sweep may spend.
        steps: lowest and highest number of environment steps of a training.
        fresh: fresh trainings of each point of a front.
        name: file name of the results.
    """

    env: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = ENVS
    strategies: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = COMPARED
    seeds: int = 3
    budget: float = 60.0
    steps: tuple[float, float] = (3e4, 1e6)
    fresh: int = 3
    name: str = "real"


class Task:
    """Trainings on one environment as something to tune, with costs that do not depend on the machine's load."""

    def __init__(self, name: str, steps: tuple[float, float], paces: dict[str, float]):
        preset = PRESETS["p3o"]
        low, high = steps
        axes = [f"total_steps={low},{high}", *(axis for axis in preset.axes if axis != "total_steps")]
        self.name, self.space = name, SearchSpace(**parse_axes(axes, name))
        config, params = replace(Config(), Params(), preset.settings)
        self.training = Training(make_env(name), config, params, env_name=name, num_episodes=EPISODES)
        self.pace = Pace(self.training, paces)
        self._members = Members(self.training, AT_ONCE)

    def __call__(self, values: Mapping[str, Any], trial: Trial) -> tuple[float, float]:
        """Return score and cost of one training."""
        return self.training(values, trial)[0], self.cost(values)

    def cost(self, values: Mapping[str, Any]) -> float:
        """Return the seconds that a training of these values takes by itself."""
        return self.pace.cost(*self.training.split(values), self.training.settings(values))

    def fresh(self, points: Sequence[Mapping[str, Any]], number: int) -> list[list[float]]:
        """Return the scores of fresh trainings of each point, many at once; NaN for one that diverged."""
        trials = [
            Trial(index, dict(values), "running", replicate=FRESH + seed)
            for index, (values, seed) in enumerate(itertools.product(points, range(number)))
        ]
        scores = [score for score, _, _ in self._members(trials)]
        return [scores[start : start + number] for start in range(0, len(scores), number)]

    def floor(self) -> float:
        """Return the score of an agent that has hardly learnt: one update."""
        middle = self.space.from_unit(np.full(self.space.size, 0.5))
        return self.training(middle | {"total_steps": 1.0, "learning_rate": 1e-3}, None)[0]


class Pick(NamedTuple):
    """A point of a front: its settings, and the score that it claims."""

    values: Mapping[str, Any]
    score: float


def search(task: Task, strategy: str, seed: int, budget: float) -> tuple[list[Trial], list[Pick]]:
    """Run one sweep until the budget is spent; return its trials, and the points that its user would take from it.

    Those are the expected front of ours, and the measured front of a peer, which knows no other.
    """
    if strategy in PEERS:
        trials = _search_by_peer(task, strategy, seed, budget)
        return trials, _spread([Pick(trial.values, trial.score or 0.0) for trial in _measured_front(trials)])
    storage = optuna.storages.InMemoryStorage()
    study = Study.create(task.space, storage, name="real", seed=seed, strategy=strategy)
    study.run(task, max_cost=budget)
    return study.trials, _spread([Pick(point.values, point.score) for point in study.expected_front])


def _spread(front: Sequence[Pick]) -> list[Pick]:
    """Return at most so many points as are confirmed, both ends among them."""
    if len(front) <= MOST_POINTS:
        return list(front)
    return [front[round(i * (len(front) - 1) / (MOST_POINTS - 1))] for i in range(MOST_POINTS)]


def _search_by_peer(task: Task, strategy: str, seed: int, budget: float) -> list[Trial]:
    peer, trials, spent = PEERS[strategy](task.space, seed), [], 0.0
    while spent < budget:  # the last one may exceed it, and counts
        unit = peer.ask()
        trial = Trial(len(trials), task.space.from_unit(unit), "running")
        score, cost = task(trial.values, trial)
        peer.tell(unit, score, cost)
        failed = not math.isfinite(score)
        status = "failed" if failed else "completed"
        trials.append(dataclasses.replace(trial, status=status, score=None if failed else score, cost=cost))
        spent += cost
    return trials


def _measured_front(trials: Iterable[Trial]) -> list[Trial]:
    front: list[Trial] = []
    for trial in sorted((t for t in trials if t.score is not None), key=lambda t: (t.cost or 0, -(t.score or 0))):
        if not front or (trial.score or 0) > (front[-1].score or 0):
            front.append(trial)
    return front


def run(task: Task, strategy: str, seed: int, settings: Settings) -> harness.Row:
    """Run and confirm one sweep."""
    trials, points = search(task, strategy, seed, settings.budget)
    fresh = task.fresh([point.values for point in points], settings.fresh)
    return {
        "env": task.name,
        "strategy": strategy,
        "seed": seed,
        "budget": settings.budget,
        "steps": list(settings.steps),
        "trials": [[t.cost, t.score] for t in trials if t.status in ("completed", "failed")],
        "front": [
            {"cost": task.cost(point.values), "claimed": point.score, "fresh": scores, "values": point.values}
            for point, scores in zip(points, fresh, strict=True)
        ],
    }


def main(settings: Settings) -> None:
    """Run what is missing, then write the table and the picture."""
    known = [*STRATEGIES, *PEERS]
    for strategy in settings.strategies:
        if strategy not in known:
            raise SystemExit(f"`strategies` must be some of {', '.join(known)}; got {strategy!r}.")
    store = harness.Store(Path(".cache") / "bench" / f"{settings.name}.json", key_fn=_key)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tasks: dict[str, Task] = {}
    for seed, env, strategy in itertools.product(range(settings.seeds), settings.env, settings.strategies):
        wanted = {"env": env, "strategy": strategy, "seed": seed, "budget": settings.budget}
        done = {_key(row): row for row in store.rows}
        if _key(wanted | {"steps": list(settings.steps)}) in done:
            continue
        if env not in tasks:
            tasks.clear()  # thousands of compiled programs exhaust what a process may map
            jax.clear_caches()
            paces = next((row["paces"] for row in store.rows if row["env"] == env and "paces" in row), {})
            tasks[env] = Task(env, settings.steps, dict(paces))
            if not paces:
                store.merge([{"env": env, "strategy": "floor", "floor": tasks[env].floor()}])
        print(f"{strategy} on {env}, seed {seed}", flush=True)
        row = run(tasks[env], strategy, seed, settings)
        store.merge([row, _paces(store, tasks[env])])
    print(
        real_report.write(settings.name, [row for row in store.rows if _is_asked(row, settings)], _protocol(settings))
    )


def _protocol(settings: Settings) -> str:
    low, high = settings.steps
    return (
        f"Each sweep spends {settings.budget:g} s of training over the axes of the preset `p3o`, {low:g} to {high:g} "
        f"steps a training. Up to {MOST_POINTS} points of its front are then trained afresh {settings.fresh} times."
    )


def _paces(store: harness.Store, task: Task) -> harness.Row:
    return next(row for row in store.rows if row["env"] == task.name and "floor" in row) | {"paces": task.pace.known}


def _is_asked(row: harness.Row, settings: Settings) -> bool:
    sweep = (row.get("budget"), row.get("steps")) == (settings.budget, list(settings.steps))
    return row["env"] in settings.env and (sweep or "floor" in row)


def _key(row: Mapping[str, Any]) -> str:
    return str([row.get(name) for name in ("env", "strategy", "seed", "budget", "steps")])


if __name__ == "__main__":
    configure_jax()
    main(tyro.cli(Settings, description=__doc__))
