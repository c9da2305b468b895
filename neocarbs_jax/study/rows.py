"""From the trials of a ledger to the arrays of a sweep: one row per trial, and one per earlier point of its curve."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from neocarbs_jax import fitting, sweep
from neocarbs_jax.fitting import Fit
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.study import curves, lineage, programs
from neocarbs_jax.study.trials import Trial

_STATUS = {
    "queued": sweep.Status.PENDING,
    "running": sweep.Status.PENDING,
    "completed": sweep.Status.SUCCESS,
    "failed": sweep.Status.FAILED,
}


class Rows(NamedTuple):
    """Rows of a sweep, those of a trial side by side, its own the last of them.

    Attributes:
        unit: points of the unit cube.
        score: measured scores, NaN where there is none.
        cost: measured costs, NaN where there is none.
        status: one `sweep.Status` each.
        trial: position of the row's trial.
        budget: value of the budget axis of an earlier point of a curve; NaN for a trial's own row.
        run: position of the trial that began the training; that of the row's trial where it goes on from none.
        checkpoint: cost until the trial's checkpoint; 0 where it has none.
        inherited: the part of the cost that another row has paid, as of `Observations`.
    """

    unit: Float[np.ndarray, "n d"]
    score: Float[np.ndarray, " n"]
    cost: Float[np.ndarray, " n"]
    status: Int[np.ndarray, " n"]
    trial: Int[np.ndarray, " n"]
    budget: Float[np.ndarray, " n"]
    run: Int[np.ndarray, " n"]
    checkpoint: Float[np.ndarray, " n"]
    inherited: Float[np.ndarray, " n"]

    def values(self, config: sweep.Config, row: int, trial: Trial) -> dict[str, Any]:
        """Return the values of a row of the trial."""
        if math.isnan(self.budget[row]) or config.budget is None:
            return dict(trial.values)
        axis = dict(config.space.axes)[config.budget]
        return {**trial.values, config.budget: axis.to_python(self.budget[row])}


class Memory:
    """Surrogates fitted earlier, and the rows that they were fitted to; changes how long `propose` takes, not what."""

    def __init__(self) -> None:
        self._kept: tuple[Fit, np.ndarray] | None = None  # one attribute: threads may share a sampler
        self._places: dict[int, tuple[Trial, np.ndarray | None]] = {}

    def place(self, space: SearchSpace, trial: Trial, defaults: Mapping[str, Any]) -> np.ndarray | None:
        """Return the trial's unit point, or None where it has no place in the space."""
        known = self._places.get(trial.number)
        if known is not None and known[0] is trial:
            return known[1]
        has_ended = trial.status in ("completed", "failed")
        place = space.place({**defaults, **trial.values} if has_ended and trial.values else trial.values)
        if has_ended:
            self._places[trial.number] = trial, place
        return place

    def recall(self, rows: np.ndarray) -> Fit | None:
        """Return the fit, if `rows` start with those that it was made of."""
        if self._kept is None:
            return None
        fit, fitted = self._kept
        return fit if np.array_equal(fitted, rows[: len(fitted)], equal_nan=True) else None

    def keep(self, fit: Fit, rows: np.ndarray) -> None:
        """Remember a fit to the first rows, as NumPy arrays, which keep their precision when pickled."""
        self._kept = jax.device_get(fit), rows[: int(fit.count)]


def collect(config: sweep.Config, trials: Sequence[Trial], memory: Memory, defaults: Mapping[str, Any]) -> Rows:
    """Return the rows of the trials; one that has no place in the space is abandoned.

    It may be one whose values are not all written yet, or one of another tool's.
    """
    space = config.space
    earlier = curves.earlier_points(config, trials)
    runs, checkpoints = lineage.runs(trials), lineage.checkpoints(trials)
    rows: list[tuple[Any, ...]] = []
    for position, (trial, points) in enumerate(zip(trials, earlier, strict=True)):
        place = memory.place(space, trial, defaults)
        status = sweep.Status.ABANDONED if place is None else _STATUS[trial.status]
        if place is not None:
            for budget, score, cost in points:
                unit = curves.at_budget(config, place, budget)
                rows.append((unit, score, cost, sweep.Status.SUCCESS, position, budget, runs[position], 0.0, cost))
        score = math.nan if trial.score is None else trial.score
        cost = math.nan if trial.cost is None else trial.cost
        unit = space.center if place is None else place
        line = runs[position], checkpoints[position], trial.inherited
        rows.append((unit, score, cost, status, position, math.nan, *line))
    unit, *columns = zip(*rows, strict=True) if rows else ((),) * len(Rows._fields)
    kinds = (float, float, np.int32, np.int32, float, np.int32, float, float)
    return Rows(np.array(unit, float).reshape(-1, space.size), *map(np.array, columns, kinds))


def restore(config: sweep.Config, rows: Rows, num_trials: int) -> sweep.State:
    """Return the sweep of these rows, its surrogates not fitted."""
    known = rows.unit, rows.score, rows.cost, rows.status
    return sweep.restore(
        config, *known, count=num_trials, run=rows.run, checkpoint=rows.checkpoint, inherited=rows.inherited
    )


def fitted(config: sweep.Config, rows: Rows, num_trials: int, memory: Memory) -> sweep.State:
    """Return the sweep of these rows, its surrogates fitted."""
    known = np.column_stack([rows.unit, rows.score, rows.cost, rows.status])
    state = restore(config, rows, num_trials)
    recalled = memory.recall(known)
    state = state if recalled is None else state._replace(fit=recalled)
    checkpoint = fitting.last_checkpoint(np.asarray(len(rows.score), np.int32))
    if checkpoint <= state.fit.count:
        return state
    size = bucket(config, int(checkpoint))
    program = programs.fit(config.form, config.space.size, size)
    fit = program(fitting.rows_to_fit(jax.device_get(state.observations), checkpoint, size), checkpoint)
    memory.keep(fit, known)
    return state._replace(fit=jax.device_get(fit))


def with_room(config: sweep.Config, num_rows: int) -> sweep.Config:
    """Return the configuration with a buffer that holds the rows and one more; it grows by doubling."""
    return dataclasses.replace(config, capacity=max(config.capacity, 1 << num_rows.bit_length()))


def bucket(config: sweep.Config, num_rows: int) -> int:
    """Return the number of rows that surrogates are fitted on."""
    sizes = fitting.bucket_sizes(config.capacity)
    return next((size for size in sizes if num_rows <= size), sizes[-1])


def compile_ahead(config: sweep.Config, num_rows: int) -> None:
    """Compile in the background what is needed soon, so that no suggestion waits for it."""
    if not config.strategy.uses_surrogates:
        return
    programs.proposal_ahead(config)
    sizes = fitting.bucket_sizes(config.capacity)
    soon = bucket(config, int(fitting.last_checkpoint(np.asarray(num_rows))))
    programs.fit_ahead(config.form, config.space.size, soon)
    for size, larger in itertools.pairwise(sizes):
        if num_rows >= size // 2:
            programs.fit_ahead(config.form, config.space.size, larger)
    if num_rows >= config.capacity - max(config.capacity // 4, 64):
        programs.proposal_ahead(dataclasses.replace(config, capacity=2 * config.capacity))
