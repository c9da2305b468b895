"""The learning curve of a training as a table, which its folder holds as curves.csv."""

import csv
import io
import math

import jax
import numpy as np

from experiments.programs import summary
from p3o_jax.learner import State
from p3o_jax.metrics import Metrics

FILE = "curves.csv"
COLUMNS = ("steps", "num_episodes", "score", "episode_return", "episode_length")


def curves(state: State, steps_per_update: int) -> str:
    """Return the curve of a training as CSV: a line per interval that has begun, nothing where nothing was measured.

    Columns are fields of `Metrics` and of `UpdateMetrics`, the environment's measures, and of every lag or band J the
    explained variance, the weight, and the ratio of signal to noise where it was measured, as `explained_variance_J`,
    `weights_J` and `signal_to_noise_J`.
    """
    metrics: Metrics = jax.device_get(summary(state.log, state.failure, steps_per_update))
    columns = {name: getattr(metrics, name) for name in COLUMNS} | metrics.updates._asdict()
    columns |= metrics.measures
    for name in ("explained_variance", "weights", "signal_to_noise"):
        columns |= {f"{name}_{j}": values for j, values in enumerate(getattr(metrics, name).T)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for interval in np.flatnonzero(np.asarray(state.log.num_updates) > 0):
        writer.writerow([_cell(float(values[interval])) for values in columns.values()])
    return text.getvalue()


def _cell(value: float) -> str:
    return f"{value:.7g}" if math.isfinite(value) else ""
