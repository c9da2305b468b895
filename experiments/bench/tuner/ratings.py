"""The stopping signal against what trials really add: the largest of eight ratings, and gains of the true front.

    python -m experiments.bench.tuner.ratings

Each task is swept by several seeds at once. A rating is the share of the front's hypervolume that a trial is expected
to add; its gain is what the noiseless score at its point does add, as a share of the hypervolume that the sweep has
reached. "signal" is the mean over seeds of the largest of the last eight ratings, which is what `Study.run` compares
with `until_rating`. "rating / gain" is the ratio of their sums from the tenth trial on: 1 is calibrated.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import tyro
from rich.console import Console

from experiments.bench import harness
from experiments.common import user_errors
from neocarbs_jax import sweep, synthetic
from neocarbs_jax.study.stopping import RATING_WINDOW

FIRST = 10  # trials before which nearly every one is a large gain


@dataclasses.dataclass
class Args:
    """Compare ratings with gains."""

    tasks: tuple[str, ...] = tuple(synthetic.TASKS)
    """Names of synthetic tasks."""
    seeds: int = 6
    """Sweeps of each."""
    trials: int = 64
    """Trials of a sweep."""
    out: Path = harness.RESULTS / "ratings.md"
    """Where the page goes."""

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.trials < FIRST + RATING_WINDOW:
            raise ValueError(f"`seeds` must be at least 1 and `trials` {FIRST + RATING_WINDOW}; got {self}.")


def measure(args: Args, name: str) -> tuple[object, ...]:
    """Sweep one task and return its row."""
    task = synthetic.make(name)
    config = sweep.Config(task.space, capacity=args.trials)
    keys = jax.random.split(jax.random.key(0), args.seeds)
    run = jax.jit(jax.vmap(lambda key: sweep.run(config, task, key, args.trials)[1]))
    trace = run(keys)
    front = task.front()

    @jax.jit
    def fractions(units: jax.Array) -> jax.Array:
        score, cost = jax.vmap(lambda unit: task.noiseless(task.space.from_unit(unit)))(units)
        return synthetic.hypervolume_fraction(score, cost, front, task.floor)

    reached = np.stack([np.asarray(fractions(units)) for units in trace.suggestion.unit])
    gains = np.diff(reached, axis=1) / np.maximum(reached[:, :-1], 1e-9)
    rating = np.asarray(trace.suggestion.rating)
    windows = np.lib.stride_tricks.sliding_window_view(rating, RATING_WINDOW, axis=1).max(axis=-1)
    signal = windows.mean(axis=0)  # of trials RATING_WINDOW - 1, ...
    ratio = rating[:, FIRST:].sum() / gains[:, FIRST - 1 :].sum()
    at = (16, args.trials // 2, args.trials)
    shown = [f"{signal[n - RATING_WINDOW]:.4f}" for n in at]
    return name, f"{reached[:, -1].mean():.2f}", *shown, f"{gains[:, FIRST - 1 :].mean():.4f}", f"{ratio:.2f}"


def main() -> None:
    """Entry point."""
    with user_errors():
        args = tyro.cli(Args, description=__doc__)
    measured, console = harness.stamp(), Console()
    columns = ["task", "hypervolume reached", *(f"signal after {n}" for n in (16, args.trials // 2, args.trials))]
    rows = []
    for name in args.tasks:
        rows.append(measure(args, name))
        console.print(*rows[-1])
        table = harness.table([*columns, "mean gain", "rating / gain"], rows)
        harness.write_text(args.out, harness.page("Ratings against gains", measured, table))


if __name__ == "__main__":
    main()
