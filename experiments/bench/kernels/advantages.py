"""Time P3O's advantages and value loss against plain jnp, and against the memory bus.

    python -m experiments.bench.kernels.advantages            the shapes of the protocol, for a GPU
    python -m experiments.bench.kernels.advantages --short    small shapes, minutes on two CPU cores

Ops: the advantage, the value loss with its gradient, and the running spread; each naively in jnp, in one pass of plain
jnp, and by our implementations. Every variant runs after warm-up on random data, over buffers that together exceed the
caches; the median and quartiles of several rounds count. "of copy" is the rate at which the least bytes the op can move
were moved, as a share of the rate of a copy measured in the same run: what a kernel that skips masked sectors does not
read does not count for it.
On a CPU only ratios within one table mean anything.
"""

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.progress import track

from experiments.bench import harness
from experiments.bench.kernels.ops import Batch, Op, known_share, make_batch, make_ops, moved_bytes
from experiments.common import user_errors

SHAPES = [(128, 4096, 32), (128, 4096, 128), (64, 16384, 64), (1024, 1024, 256)]
SHORT_SHAPES = [(64, 256, 32), (64, 256, 128)]
CACHE_BYTES = 60e6  # the L2 of an H200; more than a CPU's


class Row(NamedTuple):
    """One measurement.

    Attributes:
        shape: T, B, H.
        dtype: Of the predictions.
        end_every: Mean length of an episode, 0 for no ends.
        op: What was computed.
        variant: How.
        median_us: Microseconds of a call, its median over rounds.
        quartiles_us: And its quartiles.
        of_copy: Rate of the least bytes moved, as a share of the copy's.
        rho: Share of the sectors that hold a known lag.
    """

    shape: tuple[int, int, int]
    dtype: str
    end_every: int
    op: str
    variant: str
    median_us: float
    quartiles_us: tuple[float, float]
    of_copy: float
    rho: float


def time_calls(functions: Sequence[Callable[[Any], Any]], inputs: Sequence[Any], rounds: int, calls: int) -> np.ndarray:
    """Return microseconds per call, a row for each function and a column for each round."""
    lowered = [jax.jit(function).lower(inputs[0]) for function in functions]
    with ThreadPoolExecutor() as pool:
        compiled = list(pool.map(lambda program: program.compile(), lowered))

    def run(function: Callable[[Any], Any], turn: int) -> None:
        jax.block_until_ready([function(inputs[(turn + i) % len(inputs)]) for i in range(calls)])

    timed = harness.time_in_turns({str(i): partial(run, function) for i, function in enumerate(compiled)}, rounds)
    return np.stack([timing.wall for timing in timed.values()]) / calls * 1e6


def measure(shape: tuple[int, int, int], dtype: Any, end_every: int, ops: Sequence[Op], rounds: int) -> list[Row]:
    """Return a row for each op, and one for the copy that they are compared with."""
    num_bytes = float(np.prod(shape)) * jnp.dtype(dtype).itemsize
    num_buffers = max(2, int(np.ceil(3 * CACHE_BYTES / num_bytes)))
    make = jax.jit(partial(make_batch, shape=shape, dtype=dtype, end_every=end_every))
    batches = [jax.block_until_ready(make(key)) for key in jax.random.split(jax.random.key(0), num_buffers)]
    calls = 8 if jax.default_backend() == "gpu" else 2
    rho = known_share(batches[0])
    copy = Op("copy", "x + 1", lambda batch: batch.mean + jnp.ones((), dtype), 2, 0)
    times = time_calls([op.function for op in (copy, *ops)], batches, rounds, calls)
    copy_rate = moved_bytes(copy, batches[0]) / float(np.median(times[0]))
    rows = zip((copy, *ops), times, strict=True)
    return [_row(shape, dtype, end_every, op, row, batches[0], copy_rate, rho) for op, row in rows]


def _row(
    shape: tuple[int, int, int],
    dtype: Any,
    end_every: int,
    op: Op,
    times: np.ndarray,
    batch: Batch,
    copy_rate: float,
    rho: float,
) -> Row:
    low, median, high = (float(x) for x in np.percentile(times, [25, 50, 75]))
    of_copy = moved_bytes(op, batch) / median / copy_rate
    name = jnp.dtype(dtype).name
    return Row(shape, name, end_every, op.name, op.variant, median, (low, high), float(of_copy), rho)


def markdown(rows: Sequence[Row], measured: harness.Stamp) -> str:
    """Return the page, one line a measurement, with each variant's speed relative to naive jnp."""
    naive = {row[:4]: row.median_us for row in rows if row.variant == "jnp, naive"}
    lines = []
    for row in rows:
        speed = f"{naive[row[:4]] / row.median_us:.2f}" if row[:4] in naive else ""
        share = f"{row.of_copy:.2f}" if row.of_copy else ""
        quartiles = f"{row.median_us:,.0f} ({row.quartiles_us[0]:,.0f} to {row.quartiles_us[1]:,.0f})"
        shape, ends = " x ".join(map(str, row.shape)), row.end_every or "never"
        lines.append((shape, row.dtype, ends, row.op, row.variant, quartiles, speed, share, f"{row.rho:.2f}"))
    columns = ("T x B x H", "dtype", "ends every", "op", "variant", "us (quartiles)", "x naive", "of copy", "rho")
    return harness.page("Advantages and value loss", measured, harness.table(columns, lines))


@dataclasses.dataclass
class Args:
    """Time the advantages and the value loss."""

    short: bool = False
    """Small shapes in float32: minutes on two CPU cores."""
    rounds: int = 15
    """How often each variant is timed."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"`rounds` must be at least 1; got {self.rounds}.")


def main() -> None:
    """Measure, print the page, and write it under experiments/results."""
    with user_errors():
        args = tyro.cli(Args, description=__doc__)
    measured, platform_name = harness.stamp(), jax.default_backend()
    ours = ["reference", "xla", "pallas"] if platform_name == "gpu" else ["reference", "xla"]
    dtypes = [jnp.float32] if args.short else [jnp.float32, jnp.bfloat16]
    settings = [
        (shape, dtype, end_every)
        for shape in (SHORT_SHAPES if args.short else SHAPES)
        for dtype in dtypes
        for end_every in (0, 100)
    ]
    rows = []
    for setting in track(settings, description="measuring"):
        rows += measure(*setting, make_ops(ours), args.rounds)
    text = markdown(rows, measured)
    name = f"bench_advantages_{platform_name}{'_short' if args.short else ''}"
    harness.write_text(harness.RESULTS / f"{name}.md", text)
    harness.write_record(harness.RAW / f"{name}.json", measured, rows=[row._asdict() for row in rows])
    print(text)


if __name__ == "__main__":
    main()
