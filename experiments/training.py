"""One training in pieces, between which it reports, saves and can be stopped."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich.console import Console

from experiments import programs, saved
from experiments.interrupts import Stopped, interruptible, leave
from experiments.training_view import Progress, view
from experiments.watching.players import beliefs_of
from p3o_jax.learner import num_total_updates, steps_per_update
from p3o_jax.metrics import TERMS, Metrics

PIECE_SECONDS = 1.0
"""Training between two looks at whether to stop: what an interrupted training loses at most, beside one update."""


def train(run: saved.Saved, folder: Path, reports: int, console: Console, num_devices: int = 1) -> saved.Saved:
    """Train to the end of the budget, reporting and saving on the way; exit code 1 if the training diverges.

    On Ctrl-C the state reached is kept and the process ends.
    """
    env, config, params = run.env, run.config, run.params
    total, kept = int(num_total_updates(config, env, params)), int(run.state.num_updates)
    if kept >= total:
        return run
    try:
        console.print("compiling ...")
        advance = interruptible(programs.compile_advance, config, env, params, num_devices)
        since = time.perf_counter()
        with view(console) as shown:
            for piece in pieces(run, advance, total, -(-total // reports)):
                run = piece.run
                progress = progress_of(piece, total, piece.done - kept, time.perf_counter() - since)
                if not piece.due:
                    shown.piece(progress)
                    continue
                shown.report(progress)
                since, kept = time.perf_counter(), piece.done
                saved.save(folder, run)
    except Stopped as stop:
        stop_training(stop, run, folder, kept)
    if run.state.failure.failed:
        what = f"{TERMS[int(run.state.failure.term)]} not finite at step {int(run.state.failure.step)}"
        console.print(f"failed: {what}. Start anew with other settings and --overwrite.", soft_wrap=True)
        raise SystemExit(1)
    return run


class Piece(NamedTuple):
    """A part of a training, about `PIECE_SECONDS` long.

    Attributes:
        run: The training after it.
        metrics: So far.
        due: Whether it is to be reported and saved.
    """

    run: saved.Saved
    metrics: Metrics
    due: bool

    @property
    def done(self) -> int:
        """Updates so far."""
        return int(self.run.state.num_updates)


def pieces(run: saved.Saved, advance: programs.Advance, total: int, chunk: int) -> Iterator[Piece]:
    """Train piece by piece, to the last of `total` updates or to a failure; every `chunk` updates one is due.

    Raises:
        Stopped: A signal came.
    """
    size, done = 1, int(run.state.num_updates)
    while done < total and not run.state.failure.failed:
        mark = min(total, (done // chunk + 1) * chunk)
        start = time.perf_counter()
        limit = jnp.asarray(min(size, mark - done), jnp.int32)
        state, metrics = interruptible(_finish, advance, run.state, run.params, limit)
        run, done = run._replace(state=state), int(state.num_updates)
        size = max(1, min(2 * size, int(size * PIECE_SECONDS / (time.perf_counter() - start))))
        yield Piece(run, metrics, done == mark or bool(metrics.failed))


def progress_of(piece: Piece, total: int, updates: int, seconds: float) -> Progress:
    """Return where a training stands, of `total` updates, after `updates` in so many seconds."""
    size = steps_per_update(piece.run.config, piece.run.env)
    weights = beliefs_of(piece.run).weights
    return Progress(piece.done * size, total * size, updates * size / seconds, piece.metrics, weights)


def _finish(program: Callable[..., Any], *args: Any) -> Any:
    return jax.block_until_ready(program(*args))


def stop_training(stop: Stopped, run: saved.Saved, folder: Path, saved_at: int) -> None:
    """Keep the state reached, say how to go on, and end the process."""
    done = int(run.state.num_updates)
    if not done:
        leave(stop.signum, "Stopped before the first update: nothing to keep. The same command starts again.")
    if done > saved_at:
        saved.save(folder, run)
    steps = done * steps_per_update(run.config, run.env)
    leave(stop.signum, f"Stopped after {steps:,d} steps. `p3o train --resume --out {folder}` goes on from there.")
