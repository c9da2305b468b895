"""The ledger of trials: rows of an Optuna study, opened, read and written.

Optuna owns durability (SQLite, PostgreSQL, MySQL, journal files), so its command line and dashboards read the same
rows. A row is complete, failed (data: the configuration does not work) or interrupted (no data: the worker died, the
user pressed Ctrl-C); Optuna knows only the state FAIL for the last two, so a failure carries a `reason`.
"""

import dataclasses
import datetime
import math
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
import sqlalchemy.exc
from optuna.trial import FrozenTrial, TrialState

from neocarbs_jax import pareto
from neocarbs_jax.space import SearchSpace, to_optuna
from neocarbs_jax.study.liveness import GRACE_SECONDS, HEARTBEAT_SECONDS, quiet_optuna

PREDICTIONS = ("predicted_score", "predicted_score_std", "predicted_cost", "predicted_cost_std", "rating")
_INTERNAL = (*PREDICTIONS, "reason", "cost", "host", "process", "token", "fixed")

Status = Literal["running", "completed", "failed", "interrupted"]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One experiment: what was asked, what was predicted, what was measured.

    Attributes:
        number: position in the ledger, from 0.
        values: hyperparameter values by name, in the user's units.
        status: "running", "completed", "failed" (it is data) or "interrupted" (it is not).
        score: measured score, higher is better; None unless completed.
        cost: measured cost (> 0, the user's unit); None where unknown.
        predicted_score, predicted_score_std, predicted_cost, predicted_cost_std: the surrogate's prediction when the
            trial was suggested; None for trials that no surrogate suggested.
        rating: expected gain in hypervolume of this trial, as a share of the front's, when it was suggested.
        reason: why it failed; None unless failed.
        started, ended: wall-clock times.
        attrs: what the objective recorded besides.
    """

    number: int
    values: dict[str, Any]
    status: Status
    score: float | None = None
    cost: float | None = None
    predicted_score: float | None = None
    predicted_score_std: float | None = None
    predicted_cost: float | None = None
    predicted_cost_std: float | None = None
    rating: float | None = None
    reason: str | None = None
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    attrs: dict[str, Any] = dataclasses.field(default_factory=dict)


def open_storage(
    storage: str | optuna.storages.BaseStorage, *, must_exist: bool = False
) -> optuna.storages.BaseStorage:
    """Open a database URL, such as "sqlite:///runs/sweep.db", with heartbeats on.

    Args:
        storage: the URL, or an Optuna storage, which is returned as it is.
        must_exist: whether a missing SQLite file is an error rather than made.

    Raises:
        ValueError: if the database cannot be opened.
    """
    if not isinstance(storage, str):
        return storage
    file = Path(storage.removeprefix("sqlite:///")) if storage.startswith("sqlite:///") else None
    if must_exist and file and not file.is_file():
        raise ValueError(f"`storage` must exist; got {storage!r}.")
    try:
        if file:
            file.parent.mkdir(exist_ok=True)  # one level: further ones are more likely mistyped than meant
        return _open_database(storage)
    except ImportError as error:
        hint = "pip install 'neocarbs-p3o[postgres]'" if storage.startswith("postgres") else str(error)
        raise ValueError(f"`storage` needs a driver that is not installed; got {_shown(storage)} ({hint}).") from error
    except (sqlalchemy.exc.SQLAlchemyError, OSError, RuntimeError) as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        rule = "must name a database that can be opened"
        raise ValueError(f"`storage` {rule}; got {_shown(storage)} ({cause}).") from error


def _open_database(url: str) -> optuna.storages.RDBStorage:
    """The database; workers that start together race to make its tables, and all but one wait for them."""
    for pause in (0.5, 1.0, 2.0, 4.0, None):
        try:
            with quiet_optuna():
                return optuna.storages.RDBStorage(url, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS)
        except sqlalchemy.exc.DBAPIError as error:
            if pause is None or not ("already exists" in str(error) or "duplicate key" in str(error)):
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")


def _shown(url: str) -> str:
    """The URL without its password."""
    return repr(re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url))


def new_row(study: optuna.Study) -> optuna.Trial:
    """A new running row, without values yet; its number is this caller's alone."""
    with quiet_optuna():
        return study.ask()


def enter(study: optuna.Study, row: optuna.Trial, space: SearchSpace, suggestion: Trial) -> None:
    """Write the suggested values and their predictions into a row just made."""
    storage, trial_id = study._storage, row._trial_id
    for name, distribution in to_optuna(space).items():
        internal = distribution.to_internal_repr(suggestion.values[name])
        storage.set_trial_param(trial_id, name, internal, distribution)
    for name in PREDICTIONS:
        row.set_user_attr(name, getattr(suggestion, name))
    if space.fixed:
        row.set_user_attr("fixed", dict(space.fixed))


def end(
    study: optuna.Study,
    row: FrozenTrial,
    state: TrialState,
    values: Sequence[float] | None,
    attrs: Mapping[str, Any],
) -> None:
    """End a running row; its attributes are written before its state, so that an ended row is whole."""
    for name, value in attrs.items():
        study._storage.set_trial_user_attr(row._trial_id, name, value)
    with quiet_optuna():
        study.tell(row.number, values, state=state)


def read(study: optuna.Study) -> list[Trial]:
    """All rows, in order of their numbers."""
    return [from_frozen(row) for row in study.get_trials(deepcopy=False)]


def from_frozen(row: FrozenTrial) -> Trial:
    """A row as a Trial."""
    attrs = row.user_attrs
    completed = row.state == TrialState.COMPLETE
    score, cost = row.values if completed else (None, attrs.get("cost"))
    return Trial(
        number=row.number,
        values={**row.params, **attrs.get("fixed", {})},
        status=_status(row),
        score=score,
        cost=cost,
        **{name: attrs.get(name) for name in PREDICTIONS},
        reason=attrs.get("reason"),
        started=row.datetime_start,
        ended=row.datetime_complete,
        attrs={name: value for name, value in attrs.items() if name not in _INTERNAL},
    )


def _status(row: FrozenTrial) -> Status:
    if row.state == TrialState.COMPLETE:
        return "completed"
    if row.state in (TrialState.RUNNING, TrialState.WAITING):
        return "running"
    return "failed" if "reason" in row.user_attrs else "interrupted"


def completed(trials: Sequence[Trial]) -> list[Trial]:
    """Trials with a measured score and cost, oldest first."""
    return [trial for trial in trials if trial.status == "completed"]


def pareto_front(trials: Sequence[Trial]) -> list[Trial]:
    """Return the completed trials that no other beats in score at the same cost or less, cheapest first."""
    done = completed(trials)
    score, log_cost = (np.array([f(t) for t in done], float) for f in (lambda t: t.score, lambda t: math.log(t.cost)))
    on_front = pareto.non_dominated(score, log_cost, np.ones(len(done), bool))
    return sorted((t for t, is_on in zip(done, on_front, strict=True) if is_on), key=lambda t: t.cost or 0.0)


def differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> Sequence[str]:
    """Names of the axes that two described search spaces do not share."""
    return sorted(name for name in {*stored, *given} if stored.get(name) != given.get(name))
