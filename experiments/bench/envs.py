"""Speed of the environments: steps per second inside jit, with random actions, against the number of copies.

    python -m experiments.bench.envs                       # every environment and gymnax's, a table
    python -m experiments.bench.envs --only pong --save    # and write it under experiments/results/

A step of `step_env` alone, of the auto-resetting `VectorEnvironment`, and of gymnax's own CartPole and
Breakout-MinAtar under the same `VectorEnvironment` are timed in one process. Wall time is the fastest rollout's.
Processor time, which other programs disturb less, is there beside it; the cost of auto-reset is a ratio of it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import tyro
from rich.console import Console

from envs.registry import ENVIRONMENTS, make
from experiments.bench import harness
from p3o_jax.vector import VectorEnvironment

PEERS = ("gymnax:CartPole-v1", "gymnax:Breakout-MinAtar")
COPIES = {"snake": (1, 2), "boids": (4, 32), "agar": (4, 32), "drive": (4, 32)}


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
    """Write a table under `out`, and the records beside what other runs wrote for other environments."""
    out: Path = harness.RESULTS
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
        compile: Seconds to compile the auto-resetting rollout, or to load it where JAX's cache on disk is in use.
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
    calls = {"full": repeated(full, state, params), "bare": repeated(alone, state.env, params)}
    timed = harness.time_in_turns(calls, settings.repeats)
    (seconds, cpu), (bare_seconds, bare_cpu) = ((timing.wall.min(), timing.cpu.min()) for timing in timed.values())
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


def repeated(program: Program, state: Any, params: Any) -> Callable[[int], None]:
    """Rollouts that go on from one another, as a function of the seed."""

    def call(seed: int) -> None:
        nonlocal state
        state, _ = jax.block_until_ready(program.run(state, jax.random.key(seed), params))

    return call


def table(rows: list[Row]) -> str:
    """The measurements as Markdown."""
    columns = "environment, copies, agents, M steps/s, step_env alone, CPU ns/step, auto-reset, compile s, MB"
    return harness.table(columns.split(", "), map(cells_of, rows))


def cells_of(row: Row) -> tuple[object, ...]:
    """The row in the table."""
    speeds = f"{row.vector / 1e6:.2f}", f"{row.bare / 1e6:.2f}", f"{row.cpu_ns:.0f}"
    rest = f"{100 * row.reset_cost:+.0f}%", f"{row.compile:.1f}", f"{row.megabytes:.1f}"
    return row.name, row.num_envs, row.num_agents, *speeds, *rest


def save(folder: Path, rows: list[Row], measured: harness.Stamp) -> None:
    """Write records and a table; measurements of other environments that are there already stay."""
    name = f"bench_envs_{jax.default_backend()}"
    store = harness.Store(folder / f"{name}.json.gz", key_fn=lambda row: row["name"])
    merged = [Row(**row) for row in store.merge([dataclasses.asdict(row) for row in rows])]
    merged = sorted(merged, key=lambda row: (row.name, row.num_envs))
    about = "The command is the last one; rows of environments that it did not name are from earlier runs."
    text = harness.page("Environments: steps per second", measured, about, table(merged))
    harness.write_text(folder / f"{name}.md", text)


def main() -> None:
    """Entry point."""
    settings = tyro.cli(Settings, description=__doc__)
    console = Console()
    measured = harness.stamp("gymnax")
    rows = []
    for name in settings.only or (*sorted(ENVIRONMENTS), *PEERS):
        for num_envs in COPIES.get(name, settings.num_envs):
            rows.append(measure(name, num_envs, settings))
            console.print(f"{name} x {num_envs}: {rows[-1].vector / 1e6:.2f}M steps/s", highlight=False)
        if settings.save:
            save(settings.out, rows, measured)
    console.print(table(rows), soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
