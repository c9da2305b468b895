"""When a run ends."""

import math
from collections.abc import Sequence

from neocarbs_jax.study.trials import Trial

RATING_WINDOW = 8
"""Suggestions whose target costs, a golden-ratio sequence, cover the range of cost without a large gap."""


def is_done(trials: Sequence[Trial], num_trials: int | None, max_cost: float | None) -> bool:
    counted = [t for t in trials if t.status not in ("queued", "interrupted")]
    spent = sum(t.cost or 0.0 for t in counted)
    return (num_trials is not None and len(counted) >= num_trials) or (max_cost is not None and spent >= max_cost)


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
