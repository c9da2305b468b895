"""Masters: every environment trained by its preset with fresh seeds, held against its goal.

    python -m experiments.bench.masters                  # all that is missing, hours; or: make bench-masters
    python -m experiments.bench.masters --env pong       # one of them, and the page with what is there
    python -m experiments.bench.masters --env pong --ship    # put its best agent into the package

A training that is in the records with the settings of its preset is not repeated; settings that are newer than the
record are not compared. On the way each training is evaluated a number of times, which its seconds leave out: "solved"
is the first time that the goal was met.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console

from experiments import environments, folder, programs, saved
from experiments.agents import MASTERS
from experiments.bench import harness
from experiments.repeat import wanted
from experiments.train import settings_of
from p3o_jax.learner import num_total_updates, steps_per_update

PRESETS = Path("experiments/presets")


class Task(NamedTuple):
    """What a master is asked for.

    Attributes:
        goal: Lower bounds of "score" and of the environment's own measures; below 0 stands an upper bound, negated.
        env: Where it is evaluated, if not where it is trained.
        beside: Where it is evaluated as well, without a goal.
        copies: Environments of an evaluation; each agent of each has one first episode.
        agent: Environment of the package's agent, with the arguments that it needs; "" where it is only a row of the
            table.
    """

    goal: Mapping[str, float]
    env: str = ""
    beside: str = ""
    copies: int = 256
    agent: str = ""


TASKS = {
    "pong": Task({"score": 20.5}, agent="pong"),
    "breakout": Task({"score": 800.0}, agent="breakout"),
    "connect4": Task({"score": 0.99}, copies=1024, agent="connect4"),
    "maze": Task({"score": 0.99}, "maze?min_size=15&size=15", "maze?min_size=15&seed=1&size=15"),
    "maze-47": Task({"score": 0.9}, "maze?min_size=47&size=47", "maze?min_size=15&size=15", 64, "maze"),
    "foraging": Task({"near_rate": 0.178, "far_rate": 0.003}, agent="foraging"),
    "snake": Task({"score": 40.0}, copies=2, agent="snake?layers=True"),
    "boids": Task({"score": 0.623}, "boids?nearest=8&see_self=True", copies=16, agent="boids?nearest=8&see_self=True"),
    "agar": Task({"score": 77.5}, copies=32, agent="agar?continuous=False"),
    "drive": Task({"goal": 0.95, "collision": -0.02}, "drive", "drive?first_scene=1000", copies=32, agent="drive"),
    "chambers": Task({"score": 0.95}, "chambers", agent="chambers"),
}
"""By preset. The goals of foraging, boids and agar are what the scripts reach (results/policies.md)."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to train."""

    env: tuple[str, ...] = ()
    """Presets; by default all that have a file."""
    seeds: int = 5
    """Trainings of each."""
    first_seed: int = 100
    """Number of the first seed; others than those that settings were chosen with."""
    looks: int = 10
    """Evaluations on the way, evenly spread; the last is at the end."""
    ship: bool = False
    """Write the best agent of each to the package."""
    page_only: bool = False
    """Train nothing; write the page again."""
    runs: Path = Path("runs/masters")
    """Folder of the agents."""
    out: Path = harness.RESULTS
    """Folder of the page and the records."""


def main() -> None:
    """Entry point."""
    args = tyro.cli(Settings, description=__doc__)
    console, measured = Console(), harness.stamp()
    store = harness.Store(args.out / "masters.json.gz", key_fn=lambda row: (row["name"], row["seed"]))
    names = args.env or tuple(name for name in TASKS if preset(name).exists())
    for name in names:
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            chosen = every_setting(name, seed)
            records = [row["settings"].items() for row in store.rows if row["name"] == name]
            if args.page_only or any(record <= chosen.items() for record in records):
                continue
            store.merge([train(name, chosen, args, console)])
            harness.write_text(args.out / "masters.md", page(store.rows, measured))
        if args.ship and TASKS[name].agent:
            ship(name, store.rows, args.runs, console)
    harness.write_text(args.out / "masters.md", page(store.rows, measured))
    console.print(page(store.rows, measured), markup=False, soft_wrap=True)


def preset(name: str) -> Path:
    """Return the file of the settings."""
    return PRESETS / f"{name}.toml"


def every_setting(name: str, seed: int) -> dict[str, Any]:
    """Return every setting of one training, as `p3o train --file` has them."""
    return wanted(None, seed, [], settings_of(preset(name)))[0]


def train(name: str, settings: dict[str, Any], args: Settings, console: Console) -> harness.Row:
    """Train with one seed, keep the agent and return the row of the records."""
    task, run = TASKS[name], folder.new(settings)
    advance = programs.compile_advance(run.config, run.env, run.params)
    score = judge(run, task.env or run.env_name, task.copies)
    size, total = steps_per_update(run.config, run.env), int(num_total_updates(run.config, run.env, run.params))
    seconds, cpu, looks = 0.0, 0.0, []
    for look in range(1, args.looks + 1):
        limit = jnp.asarray(total * look // args.looks - int(run.state.num_updates), jnp.int32)
        start, cpu_start = time.perf_counter(), time.process_time()
        state, _ = jax.block_until_ready(advance(run.state, run.params, limit))
        seconds, cpu = seconds + time.perf_counter() - start, cpu + time.process_time() - cpu_start
        run = run._replace(state=state)
        looks.append({"steps": int(state.num_updates) * size, "seconds": seconds, "cpu": cpu, **score(state, look)})
        said = ", ".join(f"{key} {value:.4g}" for key, value in looks[-1].items())
        console.print(f"{name}, seed {settings['seed']}: {said}", highlight=False, soft_wrap=True)
    saved.save(args.runs / name / str(settings["seed"]), run)
    beside = judge(run, task.beside, task.copies)(run.state, 0) if task.beside else {}
    return {"name": name, "seed": settings["seed"], "settings": settings, "looks": looks, "beside": beside}


def judge(run: saved.Saved, env_name: str, copies: int) -> Any:
    """Return (state, number of the key) -> score and measures in that environment, as `p3o eval` has them."""
    program = programs.compile_score(run.config, environments.make_env(env_name), run.state, copies)

    def score(state: Any, number: int) -> dict[str, float]:
        result = program(state, jax.random.key(number))
        return {"score": float(result.score_mean)} | {key: float(x) for key, x in sorted(result.measures.items())}

    return score


def meets(goal: Mapping[str, float], look: Mapping[str, float]) -> bool:
    """Return whether an evaluation is within all bounds."""
    return all(look[key] >= bound if bound >= 0 else look[key] <= -bound for key, bound in goal.items())


def ship(name: str, rows: Sequence[harness.Row], runs: Path, console: Console) -> None:
    """Write the agent of the seed that ended best to the package, for the environment of the task's agent."""
    key = "score" if "score" in TASKS[name].goal else next(iter(TASKS[name].goal))
    best = max(present(name, rows), key=lambda row: row["looks"][-1][key])
    agent = TASKS[name].agent
    file = MASTERS / f"{environments.split(agent)[0]}{saved.PACKED}"
    saved.pack(file, saved.load(runs / name / str(best["seed"]))._replace(env_name=agent))
    console.print(f"{file}: seed {best['seed']}, {file.stat().st_size / 1e3:.0f} kB", soft_wrap=True)


def present(name: str, rows: Sequence[harness.Row]) -> list[harness.Row]:
    """Return the rows of a task that were trained by the preset as it is now."""
    own = [row for row in rows if row["name"] == name]
    return [row for row in own if row["settings"].items() <= every_setting(name, row["seed"]).items()]


def page(rows: Sequence[harness.Row], measured: harness.Stamp) -> str:
    """Return the tables as Markdown."""
    done = {name: present(name, rows) for name in TASKS if preset(name).exists()}
    lines = [line(name, found) for name, found in done.items() if found]
    columns = "environment, goal, reached, range, seeds, met by, steps until met, CPU seconds until met, of training"
    seeds = [(name, row["seed"], *ends(row)) for name, found in done.items() for row in found]
    about = (
        "Means over seeds of the evaluation at the end, by the code of `p3o eval`, with sampled actions and first "
        "episodes. Steps, in millions, and processor seconds until the goal was met are medians of the seeds that met "
        "it, to one of the evaluations on the way. The command is the last one; rows that it did not name are from "
        "earlier ones. `p3o train --file experiments/presets/NAME.toml` trains one."
    )
    each = harness.table(("environment", "seed", "at the end", "beside"), seeds)
    return harness.page("Masters", measured, about, harness.table(columns.split(", "), lines), "Every seed:", each)


def line(name: str, rows: Sequence[harness.Row]) -> tuple[object, ...]:
    """Return the row of a task."""
    goal, ends = TASKS[name].goal, [row["looks"][-1] for row in rows]
    words = ", ".join(f"{key} {'at most' if x < 0 else 'at least'} {abs(x):g}" for key, x in goal.items())
    reached = {key: np.array([end[key] for end in ends]) for key in goal}
    means = ", ".join(f"{key} {x.mean():.4g}" for key, x in reached.items())
    spread = ", ".join(f"{x.min():.4g} to {x.max():.4g}" for x in reached.values())
    solved = [next(look for look in row["looks"] if meets(goal, look)) for row in rows if meets(goal, row["looks"][-1])]
    steps, cpu = (np.median([look[key] for look in solved]) if solved else None for key in ("steps", "cpu"))
    until = (None, None) if steps is None else (f"{steps / 1e6:.2g}", f"{cpu:.0f}")
    seconds = f"{np.median([end['cpu'] for end in ends]):.0f}"
    return name, words, means, spread, len(rows), len(solved), *until, seconds


def ends(row: harness.Row) -> tuple[str, str]:
    """Return what one seed reached, and beside it."""
    last = {key: x for key, x in row["looks"][-1].items() if key not in ("steps", "seconds", "cpu")}
    return tuple(", ".join(f"{key} {x:.4g}" for key, x in found.items()) for found in (last, row["beside"]))  # pyright: ignore[reportReturnType]


if __name__ == "__main__":
    main()
