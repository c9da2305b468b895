"""From the trials of a ledger to the next one: arrays out of dictionaries, and back."""

import contextlib
import functools
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from neocarbs_jax import sweep
from neocarbs_jax.precision import double_precision
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.space.feasibility import exact
from neocarbs_jax.study import ledger, programs
from neocarbs_jax.study.rows import Memory, collect, compile_ahead, fitted, restore, with_room
from neocarbs_jax.study.trials import Trial

_FEWEST_COMPLETED = 4  # trials before predictions mean anything
MIN_CAPACITY = 128  # one program until then: compiling one takes longer than all suggestions of a smaller one

_ONE_AT_A_TIME = threading.RLock()  # limits of two threads that overlap would outlast both


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Compute in this thread alone, in double precision where that is free.

    Matrices are small: threads of BLAS cost more than they bring, on a busy machine twenty times as much.
    """
    with _ONE_AT_A_TIME, _thread_pools().limit(limits=1, user_api="blas"), double_precision():
        yield


@functools.cache
def _thread_pools() -> ThreadpoolController:
    """The libraries whose threads can be limited; looking for them takes milliseconds."""
    import scipy.linalg  # noqa: F401  # loads the LAPACK that jaxlib calls

    return ThreadpoolController()


def propose(
    config: sweep.Config,
    trials: Sequence[Trial],
    seed: int,
    memory: Memory | None = None,
    defaults: Mapping[str, Any] = MappingProxyType({}),
    remaining: float = math.inf,
) -> Trial:
    """Return the trial that a sweep with these trials behind it runs next: a function of config, trials and seed alone.

    Args:
        config: of the sweep; its capacity grows with the trials, by doubling.
        trials: those suggested before, in order; running ones are accounted for, interrupted ones left out. One whose
            worker has not written all its values yet counts, so that no two workers share an index.
        seed: of the sweep.
        memory: of earlier calls for the same sweep, if any.
        defaults: values of axes that ended trials lack.
        remaining: what is left of a budget of cost, that of ended trials subtracted.

    Returns:
        A running trial whose number is its position among `trials`.
    """
    n, memory = len(trials), memory or Memory()
    rows = collect(config, trials, memory, defaults)
    config = with_room(config, len(rows.score))
    with one_at_a_time():
        compile_ahead(config, len(rows.score))
        suggestion = None
        if n == 0:
            unit = config.space.center
        elif _is_initial(config, trials):
            unit = programs.initial(config)(np.asarray(int(seed)), np.int32(n))
        else:
            state = fitted(config, rows, n, memory) if config.strategy.uses_surrogates else restore(config, rows, n)
            suggestion = programs.proposal(config)(state, np.asarray(int(seed)), np.asarray(remaining, float))
            unit = suggestion.unit
    parent = None if suggestion is None or int(suggestion.parent) < 0 else trials[rows.trial[int(suggestion.parent)]]
    values = None if parent is None else _longer(config, np.asarray(unit), parent, defaults)
    line: dict[str, Any] = {}
    if parent is not None and values is not None:
        line = {"parent": parent.number, "inherited": parent.checkpoint_cost}
    if values is None:
        values = _values(config.space, np.asarray(unit), trials, memory, defaults)
    fewest = max(_FEWEST_COMPLETED, config.strategy.num_initial)
    if suggestion is None or sum(t.status == "completed" for t in trials) < fewest:
        return Trial(number=n, values=values, status="running", direction=config.direction, **line)
    predictions = {name: float(getattr(suggestion, name)) for name in ledger.PREDICTIONS}
    known: dict[str, Any] = {k: v for k, v in predictions.items() if math.isfinite(v)}
    return Trial(number=n, values=values, status="running", direction=config.direction, **line, **known)


def _longer(
    config: sweep.Config, unit: np.ndarray, parent: Trial, defaults: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the values of a longer training of a trial: its own to the last digit, but for the budget.

    None where the study would not train so any more: the trial has values of names that are gone, fixed values that
    are others now, or values that are not active or not allowed at this budget.
    """
    assert config.budget is not None
    space = config.space
    budget = space.from_unit(exact(space, unit))[config.budget]
    kept = _kept(space, {**defaults, **parent.values, config.budget: budget})
    if kept is None or space.missing(kept):
        return None
    now = {**kept, **dict(space.fixed), config.budget: parent.values[config.budget]}
    return kept if all(name in now and now[name] == value for name, value in parent.values.items()) else None


def _values(
    space: SearchSpace, unit: np.ndarray, trials: Sequence[Trial], memory: Memory, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of a point: of one that was tried those that were tried, to the last digit."""
    for trial in trials:
        place = memory.place(space, trial, defaults) if trial.status == "completed" else None
        if place is not None and np.array_equal(place, unit):
            kept = _kept(space, {**defaults, **trial.values})
            if kept is not None:
                return kept
    return space.from_unit(exact(space, unit))


def _kept(space: SearchSpace, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return those of the values that are of the space and active; None where they break a constraint."""
    kept = {name: values[name] for name in (*space.names, *dict(space.fixed)) if name in values}
    return None if space.broken(kept) else space.active(kept)


def _is_initial(config: sweep.Config, trials: Sequence[Trial]) -> bool:
    """Whether the next point belongs to the initial design, which needs neither observations nor surrogates."""
    num = {status: sum(t.status == status for t in trials) for status in ("completed", "failed")}
    starting = config.strategy.starting(len(trials), num["completed"])
    return bool(starting) and num["failed"] == 0 and config.trial_cap is None
