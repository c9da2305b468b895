"""Which trials still run: signatures of worker processes, heartbeats, and the release of dead workers' trials."""

import contextlib
import datetime
import os
import platform
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator

import optuna
from optuna.trial import FrozenTrial, TrialState

HEARTBEAT_SECONDS = 30
GRACE_SECONDS = 4 * HEARTBEAT_SECONDS
_TOKEN = uuid.uuid4().hex


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Use heartbeats, outside Optuna's own loop too, and metric names without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage", category=UserWarning)
        yield


class Pulse:
    """Beat for the trials that this process runs, from a daemon thread, until each is discarded."""

    def __init__(self, study: optuna.Study):
        self._study = study
        self._beat: Callable[[int], None] | None = getattr(study._storage, "record_heartbeat", None)
        self._trial_ids: dict[int, int] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def __reduce__(self) -> tuple[type["Pulse"], tuple[optuna.Study]]:
        return Pulse, (self._study,)  # a copy in another process beats for that process's trials

    def add(self, trial: optuna.Trial) -> None:
        """Sign the trial with this process and beat for it from now on."""
        for name, value in (("host", platform.node()), ("process", os.getpid()), ("token", _TOKEN)):
            trial.set_user_attr(name, value)
        if self._beat is None:
            return  # in-memory and journal storages have no heartbeats: only processes of this host can be told dead
        self._beat(trial._trial_id)
        with self._changed:
            self._trial_ids[trial.number] = trial._trial_id
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="neocarbs-pulse", daemon=True)
                self._thread.start()

    def discard(self, number: int) -> None:
        """Stop beating for a trial."""
        with self._changed:
            self._trial_ids.pop(number, None)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(timeout=HEARTBEAT_SECONDS)
                if not self._trial_ids:
                    self._thread = None
                    return
                trial_ids = list(self._trial_ids.values())
            for trial_id in trial_ids:
                if self._beat:
                    self._beat(trial_id)


def release_dead(study: optuna.Study) -> list[int]:
    """Mark as interrupted the running rows whose worker is gone; return their numbers.

    A worker of this host is gone when its process is; of another host, when its heartbeat is overdue.
    """
    with quiet_optuna():
        optuna.storages.fail_stale_trials(study)
    dead = [row for row in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if _is_dead(row)]
    for row in dead:
        with quiet_optuna():
            study.tell(row.number, state=TrialState.FAIL, skip_if_finished=True)
    return [row.number for row in dead]


def _is_dead(row: FrozenTrial) -> bool:
    attrs = row.user_attrs
    if "token" not in attrs:  # killed between the row's first write and its signature, or about to sign
        age = datetime.datetime.now() - (row.datetime_start or datetime.datetime.min)
        return age.total_seconds() > GRACE_SECONDS
    if attrs["host"] != platform.node() or attrs["token"] == _TOKEN:
        return False
    if attrs["process"] == os.getpid():
        return True
    try:
        os.kill(attrs["process"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
