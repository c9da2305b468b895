"""What `p3o train` shows: a live table in a terminal, plain lines elsewhere."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from p3o_jax.metrics import Metrics

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 24
"""Signs of a bar line."""

FULL_SIGNAL = 2.0
"""Ratio of signal to noise that a full bar stands for."""


class Progress(NamedTuple):
    """Where a training stands.

    Attributes:
        steps: Environment steps so far.
        total: Environment steps of the budget.
        rate: Steps per second since the last report.
        metrics: So far.
        weights: Weight of every band or lag, empty where there is none.
    """

    steps: int
    total: int
    rate: float
    metrics: Metrics
    weights: np.ndarray


class View(Protocol):
    """Where progress is shown."""

    def piece(self, progress: Progress) -> None:
        """Show progress between two reports."""
        ...

    def report(self, progress: Progress) -> None:
        """Show progress that stays."""
        ...


class Lines:
    """A line per report.

    Args:
        console: Where it is printed.
    """

    def __init__(self, console: Console):
        self.console = console

    def piece(self, progress: Progress) -> None:
        """Show nothing."""

    def report(self, progress: Progress) -> None:
        """Print a line."""
        score, episode_return, measures = latest(progress.metrics)
        line = f"{progress.steps:12,d} steps  {progress.rate / 1e3:8.1f}k steps/s  score {score:9.3f}"
        named = "".join(f"  {name} {value:.3f}" for name, value in measures.items())
        self.console.print(f"{line}  return {episode_return:9.3f}{named}", highlight=False)


class LiveTable:
    """A table with a row per report, and a last row that moves.

    Args:
        live: What shows it.
    """

    def __init__(self, live: Live):
        self.live = live
        self.reported: list[Progress] = []

    def piece(self, progress: Progress) -> None:
        """Move the last row."""
        self.live.update(table([*self.reported, progress]), refresh=True)

    def report(self, progress: Progress) -> None:
        """Keep a row."""
        self.reported.append(progress)
        self.live.update(table(self.reported), refresh=True)


@contextlib.contextmanager
def view(console: Console) -> Iterator[View]:
    """Yield the view that fits the console."""
    if not console.is_terminal:
        yield Lines(console)
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        console.show_cursor(True)  # a second Ctrl-C ends the process at once, and must not leave it hidden
        yield LiveTable(live)


def table(course: list[Progress]) -> Table:
    """Return a table with a row for each time that progress was shown."""
    names = sorted(course[-1].metrics.measures)
    numbers = "steps", "done", "steps/s", "score", "return", *names, "explained"
    judged = course[-1].metrics.signal_to_noise.shape[1] > 0
    whole = Table(*numbers, "weights", *(["signal / noise"] if judged else []), box=None)
    for column in whole.columns[: len(numbers)]:
        column.justify, column.no_wrap = "right", True
    for progress in course:
        score, episode_return, measures = latest(progress.metrics)
        numbers = [score, episode_return, *measures.values(), explained(progress.metrics)]
        share, rate = f"{progress.steps / progress.total:.0%}", f"{progress.rate:,.0f}"
        cells = [f"{progress.steps:,d}", share, rate, *(f"{number:.3f}" for number in numbers)]
        signal = [bars(signal_to_noise(progress.metrics) / FULL_SIGNAL)] if judged else []
        whole.add_row(*cells, bars(progress.weights), *signal)
    return whole


def latest(metrics: Metrics) -> tuple[float, float, dict[str, float]]:
    """Return score, return and the environment's measures of the latest interval in which an episode ended.

    They are NaN where none did.
    """
    done = np.flatnonzero(np.asarray(metrics.num_episodes) > 0)
    last = done[-1] if len(done) else 0
    measures = {name: float(value[last]) for name, value in sorted(metrics.measures.items())}
    return float(metrics.score[last]), float(metrics.episode_return[last]), measures


def explained(metrics: Metrics) -> float:
    """Return the explained variance of the latest interval, the mean over bands; NaN before the first update."""
    return float(np.mean(_latest_row(metrics, metrics.explained_variance)))


def signal_to_noise(metrics: Metrics) -> np.ndarray:
    """Return the ratios of the latest interval; NaN before the first update."""
    return _latest_row(metrics, metrics.signal_to_noise)


def _latest_row(metrics: Metrics, values: Any) -> np.ndarray:
    """Return the row of the latest interval that has begun, and NaN before the first."""
    begun = np.flatnonzero(np.diff(np.asarray(metrics.steps), prepend=0.0) > 0)
    values = np.asarray(values)
    return values[begun[-1]] if len(begun) else np.full(values.shape[1], np.nan)


def bars(weights: np.ndarray) -> str:
    """Return numbers from 0 to 1 as a line of bars, at most `WIDTH`: neighbours share a bar, and NaN is 0."""
    if not len(weights):
        return ""
    means = [part.mean() for part in np.array_split(np.nan_to_num(weights), min(WIDTH, len(weights)))]
    return "".join(BARS[min(int(max(mean, 0.0) * len(BARS)), len(BARS) - 1)] for mean in means)
