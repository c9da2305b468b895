"""When a run ends."""

import math
from collections.abc import Sequence
from statistics import NormalDist

from neocarbs_jax.study.trials import Trial

RATING_WINDOW = 8
"""Suggestions whose target costs, a golden-ratio sequence, cover the range of cost without a large gap."""


def is_done(trials: Sequence[Trial], num_trials: int | None, max_cost: float | None) -> bool:
    """Return whether the study holds the trials that it shall, or has spent its budget."""
    counted = [t for t in trials if t.status not in ("queued", "interrupted")]
    return (num_trials is not None and len(counted) >= num_trials) or remaining(trials, max_cost) <= 0


def remaining(trials: Sequence[Trial], max_cost: float | None) -> float:
    """Return what ended trials left of a budget; infinity without one."""
    return math.inf if max_cost is None else max_cost - sum(t.paid or 0.0 for t in trials)


def fits(trial: Trial, running: Sequence[Trial], left: float, delta: float) -> bool:
    """Return whether a trial exceeds what is left of a budget with a probability of at most delta.

    What other running trials are expected to cost is paid for already. A trial without a prediction fits.
    """
    if trial.predicted_cost is None or trial.predicted_cost_std is None:
        return True
    left -= sum(max((other.predicted_cost or 0.0) - other.inherited, 0.0) for other in running)
    log_std = math.asinh(trial.predicted_cost_std / trial.predicted_cost)
    most = trial.predicted_cost * math.exp(log_std * NormalDist().inv_cdf(1 - delta))
    return most - trial.inherited <= left


def is_exhausted(trials: Sequence[Trial], rating: float) -> bool:
    """Return whether the latest ratings, as many as it takes to go once over all costs, stay below a value."""
    latest = [trial.rating for trial in trials if trial.rating is not None][-RATING_WINDOW:]
    return len(latest) == RATING_WINDOW and max(latest) < rating


def check_stopping(
    num_trials: int | None, max_cost: float | None, until_rating: float | None, time_limit: float | None
) -> None:
    if num_trials is None and max_cost is None and until_rating is None:
        raise ValueError("`run` needs a stopping rule: `num_trials`, `max_cost` or `until_rating`.")
    if num_trials is not None and num_trials < 1:
        raise ValueError(f"`num_trials` must be at least 1; got {num_trials}.")
    for name, value in (("max_cost", max_cost), ("until_rating", until_rating), ("time_limit", time_limit)):
        if value is not None and not value > 0:
            raise ValueError(f"`{name}` must be positive; got {value}.")
        if value is not None and not math.isfinite(value):
            raise ValueError(f"`{name}` must be finite; got {value}.")
