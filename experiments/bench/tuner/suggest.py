"""Suggestion latency against observations n, batch q and axes d: ours and the peers' in one run.

    python -m experiments.bench.tuner.suggest            # n at d = 11, q and d at n = 100: ten minutes
    python -m experiments.bench.tuner.suggest --full     # n to 1000 for everybody

Also: 32 whole sweeps in one vmapped call against the same sweeps one after another through `study`, peak memory at
n = 1000, and the number of compilations while n grows.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optuna
import tyro
from rich.console import Console
from threadpoolctl import threadpool_limits

from experiments.bench import harness
from experiments.bench.tuner.peers import PEERS, BotorchPeer, OptunaPeer, Peer
from neocarbs_jax import sweep, synthetic
from neocarbs_jax.fitting import last_checkpoint
from neocarbs_jax.observations import Status
from neocarbs_jax.space import Linear, SearchSpace
from neocarbs_jax.study import Study

PEER_NAMES = ("optuna_gp", "botorch_qlognehvi")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        full: every n, q and d for everybody; hours.
        repeats: suggestions timed per cell; the median counts.
        sweeps: whole sweeps in the vmapped call.
        trials: trials of each.
        out: folder of the results.
    """

    full: bool = False
    repeats: int = 3
    sweeps: int = 32
    trials: int = 100
    out: Path = harness.RESULTS


@dataclasses.dataclass(frozen=True)
class Cell:
    """One latency.

    Attributes:
        strategy: whose.
        n: observations.
        q: suggestions in one call.
        d: axes.
        seconds: median of one call that suggests all q; of ours with its share of the refits.
    """

    strategy: str
    n: int
    q: int
    d: int
    seconds: float


def space_of(num_axes: int) -> SearchSpace:
    """Unit axes."""
    return SearchSpace(**{f"u{i}": Linear(0.0, 1.0) for i in range(num_axes)})


def observations_of(n: int, num_axes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, scores and costs with structure: score = (1 - 4 |u - .4|^2 / d)(1 - exp(-3 u_0)) + noise."""
    rng = np.random.default_rng(n + num_axes)
    unit = rng.uniform(size=(n, num_axes))
    score = (1 - 4 * np.mean((unit - 0.4) ** 2, axis=1)) * -np.expm1(-3 * unit[:, 0]) + 0.02 * rng.normal(size=n)
    return unit, score, np.exp(5 * unit[:, 0] + 0.1 * rng.normal(size=n))


_suggest_batch = jax.jit(sweep.suggest_batch, static_argnums=(0, 3))


def time_ours(n: int, q: int, num_axes: int, repeats: int) -> float:
    """A call of suggest_batch with its share of the refits, which come at the checkpoints of `last_checkpoint`."""
    capacity = max(64, 2 ** int(np.ceil(np.log2(n + q))))
    config = sweep.Config(space_of(num_axes), capacity=capacity)
    unit, score, cost = (jnp.asarray(a) for a in observations_of(n, num_axes))
    stale = sweep.restore(config, unit, score, cost, jnp.full(n, int(Status.SUCCESS)))
    fitted = jax.jit(sweep.refit, static_argnums=0)(config, stale)
    keys = jax.random.split(jax.random.key(0), repeats + 1)

    def call(state: sweep.State, turn: int) -> None:
        jax.block_until_ready(_suggest_batch(config, state, keys[turn], q))

    calls = {"without": functools.partial(call, fitted), "with": functools.partial(call, stale)}
    with threadpool_limits(1, "blas"):  # as the study does
        timed = harness.time_in_turns(calls, repeats)
    without, with_refit = (float(np.median(timing.wall)) for timing in timed.values())
    checkpoints = {int(last_checkpoint(jnp.asarray(count))) for count in range(n, 2 * n)}
    return without + max(with_refit - without, 0.0) * min(1.0, q * len(checkpoints) / n)


def time_peer(name: str, n: int, q: int, num_axes: int, repeats: int) -> float:
    """q calls of a peer: it fits once per suggestion and has no joint batch behind ask and tell."""
    peer = PEERS[name](space_of(num_axes), 0)
    preload(peer, *observations_of(n, num_axes))

    def call(_: int) -> None:
        for _ in range(q):
            peer.ask()

    return seconds_of(call, repeats, warm_up=1)  # whose imports and first compilation are not the suggestion's


def seconds_of(call: Callable[[int], object], repeats: int = 1, warm_up: int = 0) -> float:
    """Median wall time of a call."""
    return float(np.median(harness.time_in_turns({"": call}, repeats, warm_up)[""].wall))


def preload(peer: Peer, unit: np.ndarray, score: np.ndarray, cost: np.ndarray) -> None:
    """Give a peer its observations."""
    if isinstance(peer, BotorchPeer):
        for row in zip(unit, score, cost, strict=True):
            peer.tell(row[0], float(row[1]), float(row[2]))
    elif isinstance(peer, OptunaPeer):
        peer.enter(unit, score, cost)


def plan(full: bool) -> list[tuple[str, int, int, int]]:
    """(strategy, n, q, d) of every cell; the short form varies n at d = 11 and q = 1, q and d at n = 100."""
    sizes, batches, axes = (10, 30, 100, 300, 1000), (1, 8, 32), (4, 11, 30)
    ours = [("neocarbs", n, q, d) for d, n, q in itertools.product(axes, sizes, batches)]
    peers = [(name, n, 1, d) for d, n, name in itertools.product(axes, sizes, PEER_NAMES)]
    if full:
        return ours + peers
    # Of n, q and d, at least two are those of the middle: n = 100, q = 1, d = 11.
    ours = [cell for cell in ours if (cell[1] == 100) + (cell[2] == 1) + (cell[3] == 11) >= 2]
    return ours + [cell for cell in peers if cell[3] == 11 and cell[1] <= 300]


def measure_latency(settings: Settings, console: Console) -> list[Cell]:
    """All cells of the table."""
    cells = []
    for strategy, n, q, d in plan(settings.full):
        ours = strategy == "neocarbs"
        seconds = time_ours(n, q, d, settings.repeats) if ours else time_peer(strategy, n, q, d, 1)
        cells.append(Cell(strategy, n, q, d, seconds))
        console.print(cells[-1])
    return cells


def measure_sweeps(settings: Settings) -> dict[str, float]:
    """Seconds of all sweeps in one vmapped call, and through `study` extrapolated from two of them."""
    task = synthetic.make("rl")
    config = sweep.Config(task.space, capacity=settings.trials)
    keys = jax.random.split(jax.random.key(0), settings.sweeps)
    together = jax.jit(jax.vmap(lambda key: sweep.run(config, task, key, settings.trials)[1].score)).lower(keys)
    compiled = together.compile()
    with threadpool_limits(1, "blas"):  # as the study does
        vmapped = seconds_of(lambda _: jax.block_until_ready(compiled(keys)))
    objective = jax.jit(task)

    def through_study(seed: int) -> None:
        study = Study.create(task.space, optuna.storages.InMemoryStorage(), seed=seed)
        for trial in range(settings.trials):
            asked = study.ask()[0]
            values = {name: jnp.asarray(value, float) for name, value in asked.values.items()}
            score, cost = objective(values, jax.random.key(trial))
            study.tell(asked, float(score), float(cost))

    one = seconds_of(through_study, warm_up=1)  # round and seed 0 compile
    return {"vmapped": vmapped, "study_extrapolated": one * settings.sweeps, "ratio": one * settings.sweeps / vmapped}


def peak_memory_gib(n: int) -> float:
    """Peak resident memory of a fresh process that suggests once at n observations of 11 axes."""
    code = (
        "import re, jax; jax.config.update('jax_enable_x64', True);"
        f"from experiments.bench.tuner.suggest import time_ours; time_ours({n}, 1, 11, 1);"
        # Not getrusage, whose maximum a child takes over from its parent.
        "print(int(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1]) / 2**20)"
    )
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def compilations_while_growing(num_trials: int = 40) -> int:
    """Compilations of `suggest` from the first observation to capacity."""
    task = synthetic.make("rl")
    config = sweep.Config(task.space, capacity=num_trials)
    # A function of its own: jit wrappers of one function share a cache.
    suggest = jax.jit(lambda config, state, key: sweep.suggest(config, state, key), static_argnums=0)
    state = sweep.init(config)
    for key in jax.random.split(jax.random.key(0), num_trials):
        state, suggestion = suggest(config, state, key)
        score, cost = task(suggestion.values, key)
        state = sweep.observe(config, state, suggestion, score, cost)
    return suggest._cache_size()  # pyright: ignore[reportAttributeAccessIssue]


def markdown(cells: list[Cell], others: dict[str, float], measured: harness.Stamp) -> str:
    """A row per (d, n), milliseconds per call."""
    columns = [("neocarbs", 1), ("neocarbs", 8), ("neocarbs", 32), *((name, 1) for name in PEER_NAMES)]
    by_key = {(c.strategy, c.n, c.q, c.d): c.seconds for c in cells}
    rows = []
    for d, n in sorted({(c.d, c.n) for c in cells}):
        row = [by_key.get((s, n, q, d)) for s, q in columns]
        rows.append((d, n, *("-" if v is None else f"{1e3 * v:.0f}" for v in row)))
    table = harness.table(("d", "n", *(f"{s}, q = {q}" for s, q in columns)), rows)
    rest = "\n".join(f"- {name}: {value:.3g}" for name, value in others.items())
    return harness.page("Suggestion latency", measured, "Milliseconds per call.", table, rest)


def main(settings: Settings) -> None:
    """Measure everything and write `suggest.md`."""
    measured = harness.stamp("tinygp", "optuna", "torch", "botorch")
    cells = measure_latency(settings, Console(stderr=True))
    others = {f"{settings.sweeps} sweeps: {name}": value for name, value in measure_sweeps(settings).items()}
    others["peak memory at n = 1000, GiB"] = peak_memory_gib(1000)
    others["compilations of suggest from n = 1 to capacity"] = compilations_while_growing()
    text = markdown(cells, others, measured)
    harness.write_text(settings.out / "suggest.md", text)
    rows = [dataclasses.asdict(cell) for cell in cells]
    harness.write_record(harness.RAW / "suggest.json", measured, cells=rows, others=others)
    sys.stdout.write(text)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", jax.default_backend() == "cpu")  # as the study does
    main(tyro.cli(Settings, description=__doc__))
