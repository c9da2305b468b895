"""What trackers are told of an ended trial, and what all of them have in common."""

import abc
import dataclasses
import hashlib
import json
import math
import posixpath
import re
import warnings
from typing import Any

from neocarbs_jax.report.outputs import folder_name
from neocarbs_jax.report.settings import LEARNING_CURVE
from neocarbs_jax.study import Study, Trial, curves
from neocarbs_jax.study.results import describe
from neocarbs_jax.study.trials import PREDICTIONS


@dataclasses.dataclass(frozen=True)
class Record:
    """An ended trial in the terms of trackers.

    Attributes:
        id: the same whenever the trial is sent, and another one for each trial of each study; letters, digits, ".",
            "_" and "-" only.
        values: hyperparameters; what is no number, string or boolean is its JSON text.
        metrics: finite numbers: score and cost, what was predicted, seconds of wall time, numbers among the attributes.
        tags: text: study, number and status of the trial, why it failed, texts among the attributes.
        curve: (budget, score, cost) of shorter trainings that this one contains; empty where none was kept.
        failed: whether the configuration does not work.
    """

    id: str
    values: dict[str, bool | int | float | str]
    metrics: dict[str, float]
    tags: dict[str, str]
    curve: list[curves.Point]
    failed: bool


def record_of(study: Study, trial: Trial) -> Record:
    """Return what trackers are told of an ended trial."""
    started = trial.started.isoformat(timespec="seconds") if trial.started else ""
    unique = hashlib.sha256(f"{study.name} {trial.number} {started}".encode()).hexdigest()[:8]
    tags = {"study": study.name, "trial": str(trial.number), "status": trial.status}
    tags |= {"reason": trial.reason} if trial.reason else {}
    own = {name: getattr(trial, name) for name in ("score", "cost", *PREDICTIONS, "replicate")}
    if trial.started and trial.ended:
        own["seconds"] = (trial.ended - trial.started).total_seconds()
    metrics = {name: float(value) for name, value in own.items() if _is_finite(value)}
    for name, value in trial.attrs.items():
        if _is_finite(value):
            metrics.setdefault(plain_name(name), float(value))
        elif isinstance(value, str):
            tags.setdefault(plain_name(name), value)
    return Record(
        id=f"{folder_name(study.name)[:80]}-{trial.number}-{unique}",
        values={name: _plain(value) for name, value in trial.values.items()},
        metrics=metrics,
        tags=tags,
        curve=_curve(trial),
        failed=trial.status == "failed",
    )


class Tracker(abc.ABC):
    """Send the trials of a study to a tool that people look at.

    An object is a callback: give it to `Study.run` as `on_tell`. It takes trials that are completed or failed, and
    leaves out all others. A trial may be sent again; it does not count twice. A trial that cannot be sent is named in a
    warning, and the sweep goes on: `sync` sends it later.

    Args:
        study: whose trials are sent.
    """

    errors: tuple[type[Exception], ...] = (OSError,)
    """What `send` raises where the tool cannot be reached or cannot write."""

    def __init__(self, study: Study):
        self.study = study

    def __call__(self, trial: Trial) -> None:
        """Send a trial if it has ended."""
        if trial.status not in ("completed", "failed"):
            return
        try:
            self.send(record_of(self.study, trial))
        except self.errors as error:
            text = f"{type(self).__name__} did not take trial {trial.number} ({describe(error)})"
            warnings.warn(f"{text}. `sync()` sends it again.", stacklevel=2)

    def sync(self) -> None:
        """Send all trials of the study that the tool does not have, those of other workers included."""
        for trial in self.study.trials:
            self(trial)

    @abc.abstractmethod
    def send(self, record: Record) -> None:
        """Send one trial, unless the tool has it."""


def plain_name(name: str) -> str:
    """Return a name that every tracker takes: letters, digits, and "_", "-", ".", ":", "/" or blanks between them."""
    return posixpath.normpath(re.sub(r"[^\w\-. :/]", "_", name)).lstrip("./")[:200] or "_"


def missing(package: str, name: str) -> ImportError:
    """Return the error that says how to install a package."""
    return ImportError(f"`{name}` needs the package {package}: pip install {package}.")


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _curve(trial: Trial) -> list[curves.Point]:
    """Return the curve of a trial; one that somebody else wrote and that is none is empty."""
    try:
        points = curves.check(trial.attrs.get("curve") or trial.attrs.get(LEARNING_CURVE) or [])
    except ValueError:
        return []
    return [point for point in points if math.isfinite(point[1])]
