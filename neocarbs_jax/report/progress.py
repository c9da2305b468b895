"""The display of a running sweep: where it stands, what was predicted and measured, the front so far.

On a terminal the page redraws in place; elsewhere (a log file, CI) each finished trial prints one line.
"""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from neocarbs_jax.report.settings import shared_and_varying
from neocarbs_jax.study.confirm import Confirmed
from neocarbs_jax.study.expectation import ExpectedPoint, thin
from neocarbs_jax.study.ledger import Trial, pareto_front
from neocarbs_jax.study.lineage import line_of

RECENT = 8
_BLOCK = 6
_MOST_EXPECTED = 12
_SIDE_BY_SIDE = 100  # columns that the two tables need beside each other


class Progress:
    """Keep the clock of each phase and draw the sweep.

    Args:
        num_trials: how many trials the study shall hold; None where that is open.
        cost_unit: printed behind costs.
        console: where to draw.
    """

    def __init__(self, num_trials: int | None, cost_unit: str = "s", console: Console | None = None):
        self.console = console or Console()
        self.num_trials = num_trials
        self.cost_unit = cost_unit
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.num_programs = 0
        self.trials: Sequence[Trial] = ()
        self.current: Trial | None = None
        self._phase = "suggesting"
        self._explained = False
        self._since = time.perf_counter()
        self._live = Live(get_renderable=self._draw, console=self.console, refresh_per_second=4, transient=True)

    @contextlib.contextmanager
    def running(self) -> Iterator["Progress"]:
        """Draw while the block runs."""
        self._since = time.perf_counter()
        with self._live if self.console.is_terminal else contextlib.nullcontext():
            yield self

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Name what the block does and add its wall time to that phase's clock."""
        self._phase, self._since = name, time.perf_counter()
        try:
            yield
        finally:
            self._stop_clock()

    def _stop_clock(self) -> None:
        now = time.perf_counter()
        self.seconds[self._phase] += now - self._since
        self._phase, self._since = "suggesting", now

    def started(self, trial: Trial) -> None:
        """A trial was suggested and now runs."""
        self._stop_clock()
        self.current = trial

    def finished(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """A trial ended; `trials` is the ledger with it. What follows is the next suggestion."""
        self._since = time.perf_counter()
        self.current, self.trials = None, trials
        if not self.console.is_terminal:
            if trial.predicted_score is not None and not self._explained:
                self._explained = True
                self.console.print("(in brackets: what was predicted)", highlight=False)
            self.console.print(self._line(trial), highlight=False, soft_wrap=True)

    def clocks(self) -> str:
        """Seconds spent in each phase, and how many programs were compiled for them."""
        times = [f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items()]
        return " · ".join([*times, f"{self.num_programs} training programs compiled"])

    def _line(self, trial: Trial) -> str:
        done = sum(t.status != "interrupted" for t in self.trials)
        parts = [f"trial {trial.number:>3} [{done}{self._of('/')}]"]
        if trial.status == "completed":
            predicted = _bracketed(trial.predicted_score, trial.predicted_score_std)
            parts.append(f"score {trial.score:.4g}{predicted}")
            parts.append(f"cost {_number(trial.cost)} {self.cost_unit}{_bracketed(trial.predicted_cost)}")
        else:
            parts.append(f"{trial.status}: {trial.reason or 'the worker stopped'}")
        if trial.rating is not None:
            parts.append(f"rating {trial.rating:.2g}")
        return "  ".join(parts)

    def _of(self, between: str) -> str:
        return "" if self.num_trials is None else f"{between}{self.num_trials}"

    def _draw(self) -> RenderableType:
        elapsed = time.perf_counter() - self._since
        number = sum(t.status != "interrupted" for t in self.trials) + (self.current is not None)
        head = Spinner("dots", Text(f"trial {number}{self._of(' of ')} · {self._phase} {elapsed:.0f} s"))
        recent = list(self.trials[-RECENT:]) + ([self.current] if self.current else [])
        tables = self._recent_table(recent), front_table(self.trials, self.cost_unit, most=RECENT)
        if self.console.width < _SIDE_BY_SIDE:
            return Group(head, Text(self.clocks(), style="dim"), *tables)
        side_by_side = Table.grid(padding=(0, 3))
        side_by_side.add_row(*tables)
        return Group(head, Text(self.clocks(), style="dim"), side_by_side)

    def _recent_table(self, trials: Sequence[Trial]) -> Table:
        table = Table(title="predicted and measured", title_style="bold", title_justify="left", box=None)
        for name in ("trial", "score: pred.", "meas.", f"cost ({self.cost_unit}): pred.", "meas.", "rating"):
            table.add_column(name, justify="right", no_wrap=True)
        for t in trials:
            score = f"{t.score:.2f}" if t.score is not None else t.status
            predicted = _mean(t.predicted_score, t.predicted_score_std)
            cost = _number(t.predicted_cost), _number(t.cost)
            table.add_row(str(t.number), predicted, score, *cost, _number(t.rating))
        return table


def front_table(trials: Sequence[Trial], cost_unit: str = "s", most: int | None = None) -> Table:
    """The front, cheapest first: trial, cost and score; of a long one the `most` dearest."""
    table = Table(title="front", title_style="bold", title_justify="left", box=None)
    for name in ("trial", _cost_label(cost_unit), "score"):
        table.add_column(name, justify="right")
    for t in pareto_front(trials)[-(most or 0) :]:
        table.add_row(str(t.number), _number(t.cost), _number(t.score))
    return table


def front_details(trials: Sequence[Trial], cost_unit: str = "s", expected: Sequence[ExpectedPoint] = ()) -> Group:
    """The expected front and the measured one, cheapest first, every hyperparameter in a row of its own.

    They come in blocks that fit 80 columns. Of a long expected front some points are shown.
    """
    front, shown = pareto_front(trials), thin(expected, _MOST_EXPECTED)
    completed = sum(t.status == "completed" for t in trials)
    if not front:
        return Group(Text(f"no front yet: none of {len(trials)} trials has completed", style="bold"))
    parts: list[RenderableType] = []
    if shown:
        some = f"{len(shown)} of " if len(shown) < len(expected) else ""
        parts.append(Text(f"expected front: {some}{len(expected)} settings, and the mean score of fresh runs", "bold"))
        parts += [_expected_block(shown[i : i + _BLOCK], cost_unit) for i in range(0, len(shown), _BLOCK)]
    parts.append(Text(f"measured front: {len(front)} of {completed} completed trials, the best draws", "bold"))
    parts += [_front_block(front[i : i + _BLOCK], cost_unit) for i in range(0, len(front), _BLOCK)]
    shared, _ = shared_and_varying(trials)
    if shared:
        parts.append(Text("all trials: " + " ".join(f"{name}={value}" for name, value in shared.items()), style="dim"))
    return Group(*parts)


def _expected_block(points: Sequence[ExpectedPoint], cost_unit: str) -> Table:
    rows = {
        _cost_label(cost_unit): [_number(point.cost) for point in points],
        "expected": [_number(point.score) for point in points],
        "90% from": [_number(point.low) for point in points],
        "90% to": [_number(point.high) for point in points],
    }
    values = [point.values for point in points]
    return _block([str(point.trial.number) for point in points], rows, values)


def _front_block(front: Sequence[Trial], cost_unit: str) -> Table:
    rows = {_cost_label(cost_unit): [_number(t.cost) for t in front], "score": [_number(t.score) for t in front]}
    rows |= {name: [_number(getattr(t, name)) for t in front] for name in line_of(front)}
    return _block([str(t.number) for t in front], rows, [t.values for t in front])


def confirmed_table(confirmed: Sequence[Confirmed], cost_unit: str = "s") -> Table:
    """The points of a confirmed front: what was claimed, what was expected, and what fresh runs gave."""
    seeds = len(confirmed[0].scores) if confirmed else 0
    title = f"confirmed front: {seeds} fresh runs of each of {len(confirmed)} settings"
    table = Table(title=title, title_style="bold", title_justify="left", box=None)
    for name in ("trial", _cost_label(cost_unit), "claimed", "expected", "90% from", "to", "confirmed", "±"):
        table.add_column(name, justify="right", no_wrap=True)
    for c in confirmed:
        numbers = (c.cost, c.claimed, c.point.score, c.point.low, c.point.high, c.mean, c.standard_error)
        table.add_row(str(c.point.trial.number), *map(_number, numbers))
    return table


def _block(numbers: Sequence[str], rows: Mapping[str, Sequence[str]], values: Sequence[Mapping[str, object]]) -> Table:
    table = Table(box=None)
    table.add_column("trial", no_wrap=True)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    for name, cells in rows.items():
        table.add_row(name, *cells, style="bold")
    for name in dict.fromkeys(name for known in values for name in known):
        table.add_row(name, *(_number(known.get(name)) for known in values))
    return table


def _cost_label(unit: str) -> str:
    return f"cost ({unit})" if unit else "cost"


def _number(value: object) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"


def _bracketed(mean: float | None, std: float | None = None) -> str:
    return "" if mean is None else f" ({_mean(mean, std)})"


def _mean(mean: float | None, std: float | None = None) -> str:
    return _number(mean) if mean is None or std is None else f"{_number(mean)} ± {std:.2g}"
