"""From the trials of a ledger to the next one: arrays out of dictionaries, and back."""

import dataclasses
import functools
import itertools
import math
import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from threadpoolctl import ThreadpoolController

from neocarbs_jax import beliefs, sweep
from neocarbs_jax.beliefs import Fit
from neocarbs_jax.precision import double_precision
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.study import ledger, programs
from neocarbs_jax.study.trials import Trial

_FEWEST_COMPLETED = 4  # trials before predictions mean anything
MIN_CAPACITY = 128  # one program until then: compiling one takes longer than all suggestions of a smaller one

_STATUS = {
    "queued": sweep.Status.PENDING,
    "running": sweep.Status.PENDING,
    "completed": sweep.Status.SUCCESS,
    "failed": sweep.Status.FAILED,
}


_ONE_AT_A_TIME = threading.RLock()  # limits of two threads that overlap would outlast both


@functools.cache
def _thread_pools() -> ThreadpoolController:
    """The libraries whose threads can be limited; looking for them takes milliseconds."""
    import scipy.linalg  # noqa: F401  # loads the LAPACK that jaxlib calls

    return ThreadpoolController()


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


def propose(
    config: sweep.Config,
    trials: Sequence[Trial],
    seed: int,
    memory: Memory | None = None,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> Trial:
    """Return the trial that a sweep with these trials behind it runs next: a function of config, trials and seed alone.

    Args:
        config: of the sweep; its capacity grows with the trials, by doubling.
        trials: those suggested before, in order; running ones are accounted for, interrupted ones left out. One whose
            worker has not written all its values yet counts, so that no two workers share an index.
        seed: of the sweep.
        memory: of earlier calls for the same sweep, if any.
        defaults: values of axes that ended trials lack.

    Returns:
        A running trial whose number is its position among `trials`.
    """
    n, memory = len(trials), memory or Memory()
    config = dataclasses.replace(config, capacity=max(config.capacity, 1 << n.bit_length()))
    # Matrices are small: threads of BLAS cost more than they bring, on a busy machine twenty times as much.
    with _ONE_AT_A_TIME, _thread_pools().limit(limits=1, user_api="blas"), double_precision():
        _compile_ahead(config, n)
        suggestion = None
        if n == 0:
            unit = config.space.center
        elif _is_initial(config, trials):
            unit = programs.initial(config)(np.asarray(int(seed)), np.int32(n))
        else:
            suggestion = _suggest(config, trials, seed, memory, defaults)
            unit = suggestion.unit
    values = _values(config.space, np.asarray(unit), trials, memory, defaults)
    fewest = max(_FEWEST_COMPLETED, config.strategy.num_initial)
    if suggestion is None or sum(t.status == "completed" for t in trials) < fewest:
        return Trial(number=n, values=values, status="running")
    predictions = {name: float(getattr(suggestion, name)) for name in ledger.PREDICTIONS}
    known: dict[str, Any] = {k: v for k, v in predictions.items() if math.isfinite(v)}
    return Trial(number=n, values=values, status="running", **known)


def _values(
    space: SearchSpace, unit: np.ndarray, trials: Sequence[Trial], memory: Memory, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of a point: of one that was tried those that were tried, to the last digit."""
    for trial in trials:
        if trial.status == "completed" and np.array_equal(memory.place(space, trial, defaults), unit):
            known = {**defaults, **trial.values}
            return {name: known[name] for name in (*space.names, *dict(space.fixed))}
    return space.from_unit(unit)


def _is_initial(config: sweep.Config, trials: Sequence[Trial]) -> bool:
    """Whether the next point belongs to the initial design, which needs neither observations nor surrogates."""
    num = {status: sum(t.status == status for t in trials) for status in ("completed", "failed")}
    starting = config.strategy.starting(len(trials), num["completed"])
    return bool(starting) and num["failed"] == 0 and config.trial_cap is None


def _suggest(
    config: sweep.Config, trials: Sequence[Trial], seed: int, memory: Memory, defaults: Mapping[str, Any]
) -> sweep.Suggestion:
    unit, score, cost, status = _columns(config, trials, memory, defaults)
    rows = np.column_stack([unit, score, cost, status])
    state = sweep.restore(config, unit, score, cost, status, memory.recall(rows))
    if config.strategy.uses_surrogates:
        checkpoint = beliefs.last_checkpoint(np.asarray(len(trials), np.int32))
        if checkpoint > state.fit.count:
            size = _bucket(config, int(checkpoint))
            program = programs.fit(config.form, config.space.size, size)
            fit = program(beliefs.rows_to_fit(jax.device_get(state.observations), checkpoint, size), checkpoint)
            state = state._replace(fit=jax.device_get(fit))
            memory.keep(state.fit, rows)
    return programs.proposal(config)(state, np.asarray(int(seed)))


def _columns(
    config: sweep.Config, trials: Sequence[Trial], memory: Memory, defaults: Mapping[str, Any]
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Points, scores, costs and statuses of the trials; one that has no place in the space is abandoned.

    It may be one whose values are not all written yet, or one of another tool's.
    """
    space = config.space
    places = [memory.place(space, trial, defaults) for trial in trials]
    units = [space.center if place is None else place for place in places]
    score = np.array([math.nan if t.score is None else t.score for t in trials], float)
    cost = np.array([math.nan if t.cost is None else t.cost for t in trials], float)
    status = [
        sweep.Status.ABANDONED if place is None else _STATUS[t.status] for t, place in zip(trials, places, strict=True)
    ]
    return np.array(units).reshape(len(trials), space.size), score, cost, np.array(status, np.int32)


def _bucket(config: sweep.Config, num_rows: int) -> int:
    sizes = beliefs.bucket_sizes(config.capacity)
    return next((size for size in sizes if num_rows <= size), sizes[-1])


def _compile_ahead(config: sweep.Config, n: int) -> None:
    """Compile in the background what is needed soon, so that no suggestion waits for it."""
    if not config.strategy.uses_surrogates:
        return
    programs.proposal_ahead(config)
    sizes = beliefs.bucket_sizes(config.capacity)
    programs.fit_ahead(config.form, config.space.size, _bucket(config, int(beliefs.last_checkpoint(np.asarray(n)))))
    for size, larger in itertools.pairwise(sizes):
        if n >= size // 2:
            programs.fit_ahead(config.form, config.space.size, larger)
    if n >= config.capacity - max(config.capacity // 4, 64):
        programs.proposal_ahead(dataclasses.replace(config, capacity=2 * config.capacity))
