"""The studies of a storage as the page reads them: rows once they change, surrogates in a thread beside it.

A poll reads the rows that still run and those that are new. The expected front and the importances need surrogates,
which take seconds to fit; the page shows those of a moment ago until the next ones are there.
"""

import dataclasses
import itertools
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.storages import BaseStorage

from neocarbs_jax import sweep
from neocarbs_jax.report.plots.snapshot import Snapshot
from neocarbs_jax.study import header, ledger
from neocarbs_jax.study.effects import Importance, importances
from neocarbs_jax.study.expectation import ExpectedPoint, expected_front
from neocarbs_jax.study.proposal import MIN_CAPACITY
from neocarbs_jax.study.rows import Memory
from neocarbs_jax.study.storages import patiently
from neocarbs_jax.study.trials import Trial

_LEAST_AGE = 0.5  # seconds for which rows are not read again: many pages may poll
_VERSIONS = itertools.count()
_SHARE = 0.2  # of the time, at most, in which surrogates are fitted


@dataclasses.dataclass(frozen=True)
class Moment:
    """A study as the page shows it.

    Attributes:
        version: another one whenever something changed; no two moments of a process share one.
        snapshot: rows, and what the surrogates last said.
        fitted: number of completed trials that the surrogates knew; None before the first fit.
        fitting: whether they are being fitted.
        problem: why the last fit failed, in one line; empty otherwise.
    """

    version: int
    snapshot: Snapshot
    fitted: int | None = None
    fitting: bool = False
    problem: str = ""

    @property
    def trials(self) -> Sequence[Trial]:
        """All rows, oldest first."""
        return self.snapshot.trials


class Watched:
    """One study of a storage.

    Args:
        head: what the study says of itself.
        fits: whether surrogates are fitted.
    """

    def __init__(self, head: header.Header, fits: bool = True):
        self._study, self._fits = head.study, fits
        self._lock = threading.Lock()
        self._read_at, self._rest_until = -1.0, 0.0
        self._marks: Any = None
        self._take(head)
        self._moment = Moment(next(_VERSIONS), self._snapshot([], (), ()))

    def moment(self) -> Moment:
        """Read what is new, and return the study as it is."""
        with self._lock:
            if time.monotonic() - self._read_at >= _LEAST_AGE:
                self._update()
                self._read_at = time.monotonic()
            if self._fits:
                self._start_fit()
            return self._moment

    def _take(self, head: header.Header) -> None:
        self._attrs = dict(head.study.user_attrs)
        self._defaults: Mapping[str, Any] = head.defaults
        self._config = sweep.Config(head.space, capacity=MIN_CAPACITY, **head.options)
        self._reader, self._memory = ledger.Reader(head.study, head.space, self._config.direction), Memory()

    def _update(self) -> None:
        if self._study.user_attrs != self._attrs:  # it goes on over another space
            before = self._config
            self._take(header.read(self._study))
            self._marks = None
            if self._config != before:
                self._moment = dataclasses.replace(self._moment, snapshot=self._snapshot([], (), ()), fitted=None)
        trials = self._reader.read()
        marks = (len(trials), [t for t in trials if t.status in ("running", "queued")])
        if marks != self._marks:
            self._marks = marks
            old = self._moment.snapshot
            self._change(snapshot=self._snapshot(trials, old.expected_front, old.importances))

    def _snapshot(
        self, trials: Sequence[Trial], expected: Sequence[ExpectedPoint], effects: Sequence[Importance]
    ) -> Snapshot:
        space = self._config.space
        log_axes = {name: axis.is_log for name, axis in space.axes}
        return Snapshot(self._study.study_name, trials, expected, log_axes, space, effects)

    def _change(self, **fields: Any) -> None:
        self._moment = dataclasses.replace(self._moment, version=next(_VERSIONS), **fields)

    def _start_fit(self) -> None:
        done = len(ledger.completed(self._moment.trials))
        waits = time.monotonic() < self._rest_until
        if not done or done == self._moment.fitted or self._moment.fitting or waits:
            return
        self._moment = dataclasses.replace(self._moment, fitting=True)
        work = (self._config, self._defaults, self._moment.trials, done)
        threading.Thread(target=self._fit, args=work, daemon=True).start()

    def _fit(self, config: sweep.Config, defaults: Mapping[str, Any], trials: Sequence[Trial], done: int) -> None:
        begun = time.monotonic()
        known = [trial for trial in trials if trial.status not in ("interrupted", "queued")]
        expected: list[ExpectedPoint] = []
        effects: list[Importance] = []
        problem = ""
        try:
            expected = expected_front(config, known, self._memory, defaults)
            effects = importances(config, known, expected, self._memory, defaults)
        except Exception as error:  # the page shows the rows all the same, and says what went wrong
            problem = f"The expected front could not be computed: {type(error).__name__}: {error}".partition("\n")[0]
        took = time.monotonic() - begun
        with self._lock:
            self._rest_until = time.monotonic() + took * (1 / _SHARE - 1)
            if config != self._config:  # the study goes on over another space
                self._moment = dataclasses.replace(self._moment, fitting=False)
                return
            snapshot = self._snapshot(self._moment.trials, expected, effects)
            self._change(snapshot=snapshot, fitted=done, fitting=False, problem=problem)


class Source:
    """The studies of a storage.

    Args:
        storage: opened for reading.
        fits: whether surrogates are fitted.
    """

    def __init__(self, storage: BaseStorage, *, fits: bool = True):
        self._storage, self._fits = storage, fits
        self._lock = threading.Lock()
        self._watched: dict[str, Watched] = {}

    def names(self) -> list[str]:
        """Return the names of the studies that NeoCARBS made, oldest first."""
        studies = patiently(self._storage.get_all_studies)
        return [study.study_name for study in studies if "space" in study.user_attrs]

    def moment(self, name: str) -> Moment:
        """Return a study as it is now.

        Raises:
            ValueError: there is no such study any more, or another tool made it.
        """
        with self._lock:
            if name not in self._watched:
                self._watched[name] = Watched(header.load(self._storage, name), self._fits)
            watched = self._watched[name]
        try:
            return watched.moment()
        except KeyError as error:
            del self._watched[name]
            raise ValueError(f"`study` must be a study of the storage; {name!r} is there no more.") from error
