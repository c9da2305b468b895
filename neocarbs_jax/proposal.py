"""From the trials of a ledger to the next one: arrays out of dictionaries, and back."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from threadpoolctl import ThreadpoolController

from neocarbs_jax import ledger, sweep
from neocarbs_jax.ledger import Trial
from neocarbs_jax.model import Fit

MIN_CAPACITY = 128  # one program until then: compiling one takes longer than all suggestions of a smaller one

_STATUS = {
    "running": sweep.Status.PENDING,
    "completed": sweep.Status.SUCCESS,
    "failed": sweep.Status.FAILED,
}
_suggest = jax.jit(sweep.suggest, static_argnums=0)


@functools.cache
def _thread_pools() -> ThreadpoolController:
    """The libraries whose threads can be limited; looking for them takes milliseconds."""
    import scipy.linalg  # noqa: F401  # loads the LAPACK that jaxlib calls

    return ThreadpoolController()


class Memory:
    """Surrogates fitted earlier, and the rows that they were fitted to; changes how long `propose` takes, not what."""

    def __init__(self) -> None:
        self._kept: tuple[Fit, np.ndarray] | None = None  # one attribute: threads may share a sampler

    def recall(self, rows: np.ndarray) -> Fit | None:
        """The fit, if `rows` start with those that it was made of."""
        if self._kept is None:
            return None
        fit, fitted = self._kept
        return fit if np.array_equal(fitted, rows[: len(fitted)], equal_nan=True) else None

    def keep(self, fit: Fit, rows: np.ndarray) -> None:
        """Remembers a fit to the first rows, as NumPy arrays, which keep their precision when pickled."""
        self._kept = jax.device_get(fit), rows[: int(fit.count)]


def propose(config: sweep.Config, trials: Sequence[Trial], seed: int, memory: Memory | None = None) -> Trial:
    """The trial that a sweep with these trials behind it runs next; a function of config, trials and seed alone.

    Args:
        config: of the sweep; its capacity grows with the trials, by doubling.
        trials: those suggested before, in order; running ones are accounted for, interrupted ones left out. One whose
            worker has not written all its values yet counts, so that no two workers share an index.
        seed: of the sweep.
        memory: of earlier calls for the same sweep, if any.

    Returns:
        A running trial whose number is its position among `trials`.
    """
    n = len(trials)
    capacity = max(config.capacity, 1 << n.bit_length())
    config = dataclasses.replace(config, capacity=capacity)
    whole = [set(config.space.names) <= set(t.values) for t in trials]
    center = config.space.center
    unit = np.array(
        [config.space.to_unit(t.values) if known else center for t, known in zip(trials, whole, strict=True)]
    )
    unit = unit.reshape(n, config.space.size)
    score = np.array([math.nan if t.score is None else t.score for t in trials], float)
    cost = np.array([math.nan if t.cost is None else t.cost for t in trials], float)
    status = [_STATUS[t.status] if known else sweep.Status.ABANDONED for t, known in zip(trials, whole, strict=True)]
    status = np.array(status, np.int32)
    # Matrices are small: threads of BLAS cost more than they bring, on a busy machine twenty times as much.
    with _thread_pools().limit(limits=1, user_api="blas"), jax.enable_x64(jax.default_backend() == "cpu"):
        rows = np.column_stack([unit, score, cost, status])
        memory = memory or Memory()
        state = sweep.restore(config, unit, score, cost, status, memory.recall(rows))
        memory.keep(state.fit, rows)
        _, suggestion = _suggest(config, state, jax.random.fold_in(jax.random.key(seed), n))
    values = config.space.from_unit(np.asarray(suggestion.unit))
    predictions = {name: float(getattr(suggestion, name)) for name in ledger.PREDICTIONS}
    informed = sum(t.status == "completed" for t in trials) >= config.num_initial  # before, predictions mean nothing
    known: dict[str, Any] = {k: v for k, v in predictions.items() if informed and math.isfinite(v)}
    return Trial(number=n, values=values, status="running", **known)
