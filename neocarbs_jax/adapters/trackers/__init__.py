"""Trackers: the trials of a study in the tools that people look at.

    tracker = MLflow(study, "sqlite:///runs/mlflow.db")
    study.run(objective, num_trials=50, on_tell=tracker)   # each trial when it has ended
    tracker.sync()                                         # or all of them, at any time

The packages of the tools are imported when a tracker is made, and not before.
"""

from collections.abc import Callable

from neocarbs_jax.adapters.trackers.by_name import HELP, check, named
from neocarbs_jax.adapters.trackers.csv_table import CSV
from neocarbs_jax.adapters.trackers.mlflow_runs import MLflow
from neocarbs_jax.adapters.trackers.record import Tracker
from neocarbs_jax.adapters.trackers.tensorboard import TensorBoard
from neocarbs_jax.adapters.trackers.trackio_runs import Trackio
from neocarbs_jax.adapters.trackers.wandb_runs import WandB
from neocarbs_jax.study import Trial

__all__ = ["CSV", "HELP", "MLflow", "TensorBoard", "Tracker", "Trackio", "WandB", "all_of", "check", "named"]


def all_of(*callbacks: Callable[[Trial], None]) -> Callable[[Trial], None]:
    """Return one callback that calls several, one after the other."""

    def call(trial: Trial) -> None:
        for callback in callbacks:
            callback(trial)

    return call
