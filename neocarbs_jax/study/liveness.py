"""Which trials still run: signatures of worker processes, heartbeats, and the release of dead workers' trials.

A worker is looked up by its process number only where that number means the same: on the same host since the same
boot, in the same space of process numbers (containers have their own), and with the same start time. Of any other
worker only its heartbeat tells. Either may be wrong for once, when a clock jumps; hence a result that comes after its
trial was released is taken all the same (`Study.tell`).
"""

import contextlib
import datetime
import functools
import os
import platform
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
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


def signature() -> dict[str, Any]:
    """What tells this process from all others."""
    return {**_place(), "process": os.getpid(), "born": _born(os.getpid()), "token": _TOKEN}


@functools.cache
def _place() -> dict[str, str]:
    """Where process numbers mean the same; what a system does not tell is an empty text."""
    boot, namespace = "", ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with contextlib.suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return {"host": platform.node(), "boot": boot, "namespace": namespace}


def _born(process: int) -> int | None:
    """When a process started, in ticks since boot; 0 for one that has ended, None where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return 0 if fields[0] in "ZX" else int(fields[19])


class Pulse:
    """Beat for the trials that this process runs, from a daemon thread, until each is discarded.

    A database keeps the time of the last beat by its own clock. Other storages keep this host's, as an attribute.
    """

    def __init__(self, study: optuna.Study):
        self._study = study
        self._beat: Callable[[int], None] | None = getattr(study._storage, "record_heartbeat", None)
        if self._beat is None and not isinstance(study._storage, InMemoryStorage):
            self._beat = self._note_time
        self._trial_ids: dict[int, int] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def __reduce__(self) -> tuple[type["Pulse"], tuple[optuna.Study]]:
        return Pulse, (self._study,)  # a copy in another process beats for that process's trials

    def add(self, number: int, trial_id: int) -> None:
        """Beat for a trial from now on."""
        if self._beat is None:
            return
        self._beat(trial_id)
        with self._changed:
            self._trial_ids[number] = trial_id
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="neocarbs-pulse", daemon=True)
                self._thread.start()

    def discard(self, number: int) -> None:
        """Stop beating for a trial."""
        with self._changed:
            self._trial_ids.pop(number, None)
            self._changed.notify()

    def _note_time(self, trial_id: int) -> None:
        self._study._storage.set_trial_user_attr(trial_id, "beat", time.time())

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(timeout=HEARTBEAT_SECONDS)
                if not self._trial_ids:
                    self._thread = None
                    return
                trial_ids = list(self._trial_ids.values())
            for trial_id in trial_ids:
                with contextlib.suppress(Exception):  # a storage that is out of reach may be back at the next beat
                    if self._beat:
                        self._beat(trial_id)


def release_dead(study: optuna.Study) -> list[int]:
    """Mark as interrupted the running rows whose worker is gone; return their numbers."""
    with quiet_optuna():
        optuna.storages.fail_stale_trials(study)
    dead = [row for row in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if _is_dead(row)]
    for row in dead:
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # it ended, or somebody was faster
            study._storage.set_trial_state_values(row._trial_id, TrialState.FAIL)
    return [row.number for row in dead]


def is_own(row: FrozenTrial) -> bool:
    """Whether this process runs a row."""
    worker = row.user_attrs.get("worker", {})
    return (worker.get("token"), worker.get("process")) == (_TOKEN, os.getpid())


def _is_dead(row: FrozenTrial) -> bool:
    worker = row.user_attrs.get("worker")
    if worker is None and "token" in row.user_attrs:  # of version 0.1.0
        worker = {name: row.user_attrs[name] for name in ("host", "process", "token")}
    if worker is None:  # killed between the row's first write and its signature, or about to sign
        age = datetime.datetime.now() - (row.datetime_start or datetime.datetime.min)
        return age.total_seconds() > GRACE_SECONDS
    here = _place()
    if any(worker.get(name, here[name]) != here[name] for name in here):
        beat = row.user_attrs.get("beat")  # databases judge theirs by themselves
        return beat is not None and time.time() - beat > GRACE_SECONDS
    if worker["process"] == os.getpid():
        return worker["token"] != _TOKEN
    try:
        os.kill(worker["process"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    born = _born(worker["process"])
    return born is not None and born != worker.get("born", born or None)
