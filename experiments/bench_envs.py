"""Speed of the environments: steps per second inside jit, with random actions, against the number of copies.

    python -m experiments.bench_envs                       # every environment and gymnax's, a table
    python -m experiments.bench_envs --only pong --save    # and write it under experiments/results/

A step of `step_env` alone, of the auto-resetting `VectorEnvironment`, and of gymnax's own CartPole and
Breakout-MinAtar under the same `VectorEnvironment` are timed in one process. Wall time is the fastest rollout's.
Processor time, which other programs disturb less, is there beside it; the cost of auto-reset is a ratio of it.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import tyro
from rich.console import Console
from rich.table import Table

from envs.registry import ENVIRONMENTS, make
from p3o_jax.vector import VectorEnvironment

PEERS = ("gymnax:CartPole-v1", "gymnax:Breakout-MinAtar")
COPIES = {"snake": (1, 2), "boids": (4, 32), "agar": (4, 32)}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure."""

    only: tuple[str, ...] = ()
    """Environments; all if none is named."""
    num_envs: tuple[int, ...] = (256, 1024, 4096)
    """Numbers of copies; few for the environments of many agents."""
    steps: int = 128
    """Steps of a rollout."""
    repeats: int = 5
    """Rollouts timed; the fastest counts."""
    save: bool = False
    """Write JSON and a table under `out`, beside what other runs wrote for other environments."""
    out: Path = Path("experiments/results")
    """Folder of the results."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement; speeds in agent steps per second, best of the repeats.

    Attributes:
        name: Of the environment.
        num_envs: Copies.
        num_agents: Agents in each.
        vector: Speed with auto-reset and statistics.
        bare: Speed of `step_env` alone.
        cpu_ns: Processor time of a step with auto-reset, nanoseconds over all cores.
        reset_cost: What auto-reset and statistics add to the processor time of a step, as a share of it.
        compile: Seconds to compile the auto-resetting rollout.
        megabytes: Temporary memory of it, beside its inputs and outputs.
    """

    name: str
    num_envs: int
    num_agents: int
    vector: float
    bare: float
    cpu_ns: float
    reset_cost: float
    compile: float
    megabytes: float


def measure(name: str, num_envs: int, settings: Settings) -> Row:
    """Time one environment at one number of copies."""
    env = make(name)
    vector, params = VectorEnvironment(env, num_envs), env.default_params
    act = random_actions(vector, params)
    num_agents = vector.num_agents

    def with_reset(state, key, params):
        action_key, step_key = jax.random.split(key)
        obs, state, reward, terminated, _, info = vector.step(step_key, state, act(action_key), params)
        return state, checksum(obs, reward, terminated, info["score"])

    def bare(state, key, params):
        action_key, step_key = jax.random.split(key)
        action = act(action_key)
        action = action if num_agents == 1 else action.reshape(num_envs, num_agents, *action.shape[1:])
        keys = jax.random.split(step_key, num_envs)
        step = jax.vmap(env.step_env, in_axes=(0, 0, 0, None))
        obs, state, reward, terminated, _ = step(keys, state, action, params)
        return state, checksum(obs, reward, terminated)

    state = vector.reset(jax.random.key(0), params)[1]
    full = compiled(with_reset, state, params, settings.steps)
    alone = compiled(bare, state.env, params, settings.steps)
    (seconds, cpu), (bare_seconds, bare_cpu) = timed((full, state), (alone, state.env), params, settings.repeats)
    total = settings.steps * vector.batch_size
    return Row(
        name=name,
        num_envs=num_envs,
        num_agents=num_agents,
        vector=total / seconds,
        bare=total / bare_seconds,
        cpu_ns=1e9 * cpu / total,
        reset_cost=cpu / bare_cpu - 1.0,
        compile=full.seconds,
        megabytes=getattr(full.run.memory_analysis(), "temp_size_in_bytes", 0) / 1e6,
    )


def random_actions(vector: VectorEnvironment, params: Any) -> Callable[[Any], Any]:
    """key -> actions of every agent, drawn in one batch."""
    space, size = vector.env.action_space(params), vector.batch_size
    if hasattr(space, "n"):
        return lambda key: jax.random.randint(key, (size,), 0, space.n)
    return lambda key: jax.random.uniform(key, (size, *space.shape), minval=space.low, maxval=space.high)


def checksum(*arrays: Any) -> Any:
    """A number that needs every array, so that none is optimised away."""
    return sum(jnp.sum(array.astype(jnp.float32)) for array in jax.tree.leaves(arrays))


class Program(NamedTuple):
    """A compiled rollout, (state, key, params) -> (state, checksums), and the seconds that compiling it took."""

    run: Any
    seconds: float


def compiled(step: Callable, state: Any, params: Any, num_steps: int) -> Program:
    """Compile a rollout of a step."""

    def rollout(state, key, params):
        keys = jax.random.split(key, num_steps)
        return jax.lax.scan(lambda state, key: step(state, key, params), state, keys)

    begin = time.perf_counter()
    program = jax.jit(rollout).lower(state, jax.random.key(0), params).compile()
    return Program(program, time.perf_counter() - begin)


def timed(first: tuple, second: tuple, params: Any, repeats: int) -> list[tuple[float, float]]:
    """Least wall and processor seconds of two (program, state), run in turn after one run each to warm up."""
    least = [(float("inf"), float("inf")), (float("inf"), float("inf"))]
    states = [first[1], second[1]]
    for repeat in range(repeats + 1):
        for i, (program, _) in enumerate((first, second)):
            wall, cpu = time.perf_counter(), time.process_time()
            states[i], _ = jax.block_until_ready(program.run(states[i], jax.random.key(repeat), params))
            spent = time.perf_counter() - wall, time.process_time() - cpu
            if repeat:
                least[i] = (min(least[i][0], spent[0]), min(least[i][1], spent[1]))
    return least


def context(command: str) -> dict[str, str]:
    """Where and with what this was measured."""
    device = jax.devices()[0]
    versions = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy", "gymnax")}
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    cores = len(os.sched_getaffinity(0))
    where = {"date": date, "last command": command, "device": device.device_kind, "cores": str(cores)}
    where["load at start"] = f"{os.getloadavg()[0]:.1f} processes"
    return {**where, "python": platform.python_version(), **versions}


def table(rows: list[Row], where: dict[str, str]) -> str:
    """The measurements as Markdown."""
    lines = [
        "# Environments: steps per second",
        "",
        *(f"* {key}: {value}" for key, value in where.items()),
        "",
    ]
    lines.append(
        "| environment | copies | agents | M steps/s | step_env alone | CPU ns/step | auto-reset | compile s | MB |"
    )
    lines.append("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        cells = [row.name, str(row.num_envs), str(row.num_agents), f"{row.vector / 1e6:.2f}", f"{row.bare / 1e6:.2f}"]
        cells += [f"{row.cpu_ns:.0f}", f"{100 * row.reset_cost:+.0f}%", f"{row.compile:.1f}", f"{row.megabytes:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def save(folder: Path, rows: list[Row], where: dict[str, str]) -> None:
    """Write JSON and a table; measurements of other environments that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"bench_envs_{jax.default_backend()}"
    record = stem.with_suffix(".json")
    earlier = json.loads(record.read_text(encoding="utf-8"))["rows"] if record.exists() else []
    measured = {row.name for row in rows}
    kept = [Row(**row) for row in earlier if row["name"] not in measured]
    rows = sorted([*kept, *rows], key=lambda row: (row.name, row.num_envs))
    content = {"context": where, "rows": [dataclasses.asdict(row) for row in rows]}
    record.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text(table(rows, where), encoding="utf-8")


def main() -> None:
    """Entry point."""
    settings = tyro.cli(Settings, description=__doc__)
    console = Console()
    where = context("python -m experiments.bench_envs " + " ".join(sys.argv[1:]))
    rows = []
    for name in settings.only or (*sorted(ENVIRONMENTS), *PEERS):
        for num_envs in COPIES.get(name, settings.num_envs):
            rows.append(measure(name, num_envs, settings))
            console.print(f"{name} x {num_envs}: {rows[-1].vector / 1e6:.2f}M steps/s", highlight=False)
        if settings.save:
            save(settings.out, rows, where)
    show = Table(*(field.name for field in dataclasses.fields(Row)))
    for row in rows:
        show.add_row(*(f"{v:,.2f}" if isinstance(v, float) else str(v) for v in dataclasses.astuple(row)))
    console.print(show)


if __name__ == "__main__":
    main()
