"""The learning curve of a training: its points, the shorter trainings that they stand for, and the table curves.csv."""

import csv
import io
import math
from collections.abc import Sequence

import jax
import numpy as np

from experiments.programs import summary
from p3o_jax.learner import State
from p3o_jax.metrics import Metrics
from p3o_jax.settings import Params

FILE = "curves.csv"
COLUMNS = ("steps", "num_episodes", "score", "episode_return", "episode_length")


def learning_curve(metrics: Metrics, seconds: float, done: int = 0) -> list[tuple[float, float, float]]:
    """Return (steps, score while training, seconds) of each interval of a training in which episodes ended.

    Args:
        metrics: of the training.
        seconds: that it took.
        done: steps before these metrics, of a training that goes on from another.
    """
    steps, scores, ended = (np.asarray(a, float) for a in (metrics.steps, metrics.score, metrics.num_episodes))
    known = (ended > 0) & np.isfinite(scores)
    return [
        (done + float(s), float(y), seconds * float(s) / steps[-1])
        for s, y in zip(steps[known], scores[known], strict=True)
    ]


def shorter_trainings(
    curve: Sequence[tuple[float, float, float]], params: Params, seconds: float, inherited: float = 0.0
) -> list[tuple[float, float, float]]:
    """Return (total steps, score before its decay, seconds) of the trainings that this one was the beginning of.

    A training of B steps decays over their last share d. Until then, for (1 - d) B steps, it is the beginning of every
    longer one with the same settings; where nothing is annealed, it is so to its end. The last entry is the training
    itself: by its score before the decay the study learns what a decay adds.

    Args:
        curve: (steps, score, seconds) of the training.
        params: of the training.
        seconds: that it took.
        inherited: seconds that its parent took until the checkpoint from which it went on.
    """
    anneals = float(params.anneal) != 0 or float(params.entropy_anneal) != 0
    total, constant = float(params.total_steps), 1 - float(params.decay) * anneals
    if not curve or constant <= 0 or curve[0][0] >= constant * total:
        return []
    steps, scores, _ = zip(*curve, strict=True)
    points = [(s / constant, y) for s, y in zip(steps, scores, strict=True) if s < constant * total * (1 - 1e-3)]
    points.append((total, float(np.interp(constant * total, steps, scores))))
    whole = [(budget, y, (seconds + inherited) * budget / total - inherited) for budget, y in points]
    return [point for point in whole if point[2] > 0]


def curves(state: State, steps_per_update: int) -> str:
    """Return the curve of a training as CSV: a line per interval that has begun, nothing where nothing was measured.

    Columns are fields of `Metrics` and of `UpdateMetrics`, the environment's measures, and of every band or lag J the
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
