"""Estimators as values, and by name."""

from dataclasses import fields
from typing import Any

from p3o_jax.checks import check_choice
from p3o_jax.estimators.banded import Banded
from p3o_jax.estimators.base import Estimate, Estimator, Judged, Outcome, Predictions, num_judged
from p3o_jax.estimators.gae import GAE
from p3o_jax.estimators.original import Original
from p3o_jax.estimators.p3o import P3O
from p3o_jax.ops.bands import bands_over

__all__ = [
    "ESTIMATORS",
    "GAE",
    "P3O",
    "Banded",
    "Estimate",
    "Estimator",
    "Judged",
    "Original",
    "Outcome",
    "Predictions",
    "make_estimator",
    "num_judged",
]

ESTIMATORS: dict[str, type] = {"p3o": P3O, "original": Original, "gae": GAE}


def make_estimator(name: str, **settings: Any) -> Estimator:
    """Return the estimator of that name with those of `settings` that it has.

    "p3o" is `Banded`, by default with as many bands as reach over the horizon, and `P3O` if `bands` is 0.

    Raises:
        ValueError: The name is unknown, or a setting is out of range.
    """
    check_choice("estimator", name, ESTIMATORS)
    estimator = ESTIMATORS[name]
    if name == "p3o":
        lags = P3O(settings.get("horizon", P3O.horizon))
        settings = {"bands": bands_over(lags.horizon)} | settings
        estimator = Banded if settings["bands"] else P3O
    return estimator(**{field.name: settings[field.name] for field in fields(estimator) if field.name in settings})
