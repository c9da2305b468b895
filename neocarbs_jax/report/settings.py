"""Settings of trials beside the hyperparameters that were searched.

An objective may record them as the attribute "settings", a dictionary; then tables and pages show them.
"""

from collections.abc import Sequence
from typing import Any

from neocarbs_jax.study.trials import Trial

SETTINGS = "settings"
"""Name of the attribute."""

TRAINING_SCORE, LEARNING_CURVE = "training_score", "learning_curve"
"""Names of further attributes that tables and pages show: what a training scored at its end, before it was evaluated,
and [budget, score, cost] on its way."""


def settings_of(trial: Trial) -> dict[str, Any]:
    """Return the settings that a trial keeps; none where its objective recorded none."""
    settings = trial.attrs.get(SETTINGS)
    return settings if isinstance(settings, dict) else {}


def shared_and_varying(trials: Sequence[Trial]) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that all trials share, and the names of those that differ; hyperparameters are in neither."""
    kept = [settings_of(t) for t in trials if settings_of(t)]
    searched = {name for t in trials for name in t.values}
    names = [name for name in dict.fromkeys(name for settings in kept for name in settings) if name not in searched]
    shared = {name: kept[0][name] for name in names if all(s.get(name, s) == kept[0].get(name) for s in kept)}
    return shared, [name for name in names if name not in shared]
