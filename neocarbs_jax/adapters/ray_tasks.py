"""Trials of a study as tasks of a Ray cluster (extra `ray`): asked and told here, run wherever there is room.

    with cluster("auto"):
        run(study, objective, Resources(gpus=0.25), num_trials=100)

The study stays in its storage, which only this process opens. Where a node is lost, its trials are taken back, and
others are made in their place.
"""

import contextlib
import dataclasses
import logging
import math
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from neocarbs_jax.programs import BrokenProgram
from neocarbs_jax.study import Study, Trial
from neocarbs_jax.study.results import Result, describe, read_result, with_trial

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray's own imports
        import ray
        import ray.exceptions
        from ray._private.services import canonicalize_bootstrap_address
except ImportError as error:
    raise ImportError("Ray is an extra: pip install 'neocarbs-p3o[ray]'.") from error

Check = Callable[[Result], None]

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 20.0
"""What tasks have to end by themselves after they were cancelled."""
CONNECT_SECONDS = 5.0
MOST_LOSSES = 10
"""Workers lost in a row, without a trial that ended, after which the run ends."""
LOST = (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.ObjectLostError,
        ray.exceptions.OutOfMemoryError, ray.exceptions.LocalRayletDiedError)  # fmt: skip
_SHARE_OF_MEMORY = 0.9  # of an accelerator that trials share; the rest is for what each process needs besides
_QUIET = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}  # tasks without accelerators see what the node's programs see


@dataclasses.dataclass(frozen=True)
class Resources:
    """What a trial gets.

    Attributes:
        cpus: Processors; parts of one are possible.
        gpus: Accelerators; several trials share one where it is below 1.
        slots: Most trials that run at once; None is for as many as the cluster has room for.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    slots: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("cpus_per_trial", self.cpus), ("gpus_per_trial", self.gpus)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"`{name}` must be at least 0 and finite; got {value}.")
            if value > 1 and value != int(value):
                raise ValueError(f"`{name}` must be whole above 1, for Ray; got {value}.")
        if self.cpus == 0 and self.gpus == 0:
            raise ValueError("`cpus_per_trial` must be positive where `gpus_per_trial` is 0; got 0.")
        if self.slots is not None and self.slots < 1:
            raise ValueError(f"`slots` must be at least 1; got {self.slots}.")

    def room(self, nodes: list[Mapping[str, Any]]) -> int:
        """Return how many trials nodes, as `ray.nodes` lists them, have room for at once."""
        needs = {name: need for name, need in (("CPU", self.cpus), ("GPU", self.gpus)) if need}
        alive = [node["Resources"] for node in nodes if node["Alive"]]
        return sum(min(int(has.get(name, 0) / need + 1e-9) for name, need in needs.items()) for has in alive)


@contextlib.contextmanager
def cluster(address: str = "local", upload: Path | None = None) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine that ends with the context.

    Args:
        address: "local", "auto" for the one that runs on this machine or that RAY_ADDRESS names, or HOST:PORT.
        upload: Folder that Ray copies to every node, and in which trials then run.

    Raises:
        ValueError: There is no such cluster.
    """
    if address != "local":
        address = _reachable(address)
    environment: dict[str, Any] = {"env_vars": _QUIET}
    if upload is not None:
        environment["working_dir"] = str(upload)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # files that Ray leaves to the garbage collector
        options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        ray.init(address, runtime_env=environment, logging_level=logging.ERROR, log_to_driver=False, **options)
    try:
        yield
    finally:
        ray.shutdown()


def _reachable(address: str) -> str:
    """Return the address of a cluster as HOST:PORT; Ray itself waits for minutes for one that is gone."""
    rule = "`ray_address` must be local, or auto or HOST:PORT of a cluster that runs"
    try:
        found = canonicalize_bootstrap_address(address) or address
        host, _, port = found.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:  # of a name or a number that can be none, too
        reason = "none runs here" if address == "auto" else describe(error)
        raise ValueError(f"{rule}; got {address!r} ({reason}).") from error
    return found


def run(
    study: Study,
    objective: Callable[..., Any],
    resources: Resources,
    *,
    place: Path | None = None,
    check: Check = lambda result: None,
    on_tell: Callable[[Trial], None] | None = None,
    catch: tuple[type[Exception], ...] = (FloatingPointError,),
    **ends: Any,
) -> None:
    """Run trials on the cluster that this process is connected to, until the study is done.

    Whatever ends the run, Ctrl-C too, cancels the tasks and takes their trials back.

    Args:
        study: Whose trials are run.
        objective: As of `Study.run`; it is sent to the nodes, where this package is installed too.
        resources: Of each trial.
        place: Folder, on every node, in which trials run; None for the one in which Ray starts them.
        check: Called with each result before it is told; what it raises ends the run.
        on_tell: Called with each trial after it ended.
        catch: As of `Study.run`.
        **ends: `num_trials`, `max_cost` or `until_rating`, as of `Study.run`.

    Raises:
        ValueError: No node has room for a trial.
        BrokenProgram: One worker after the other was lost.
    """
    if resources.room(ray.nodes()) < 1:
        raise ValueError(
            f"`cpus_per_trial` and `gpus_per_trial` must fit a node of the cluster, which has "
            f"{_described(ray.cluster_resources())} in all; got {resources.cpus:g} and {resources.gpus:g}."
        )
    options = {"num_cpus": resources.cpus, "num_gpus": resources.gpus, "max_retries": 0}
    task = ray.remote(**options)(_run_trial)
    sent = ray.put(_Work(objective, resources.gpus, None if place is None else str(place.absolute())))
    running: dict[Any, Trial] = {}
    wanted, losses = True, 0  # whether another trial may be wanted: not asked again before one has ended
    try:
        while wanted or running:
            while wanted and len(running) < _limit(resources):
                trial = study.ask_next(**ends)
                wanted = trial is not None
                if trial is not None:
                    running[task.remote(sent, trial)] = trial
            ready, _ = ray.wait(list(running), timeout=POLL_SECONDS) if running else ([], [])
            for reference in ready:
                ended = _tell(study, running[reference], reference, check, catch)
                del running[reference]
                wanted, losses = True, losses + 1 if ended.status == "interrupted" else 0
                if on_tell:
                    on_tell(ended)
                if losses >= MOST_LOSSES:
                    raise BrokenProgram(f"Ray lost {losses} workers in a row; the last one: {ended.reason}.")
    finally:
        _cancel(list(running))
        for trial in running.values():
            with contextlib.suppress(ValueError):  # told just before
                study.interrupt(trial)


def _limit(resources: Resources) -> int:
    room = max(resources.room(ray.nodes()), 1)  # where all nodes are lost, one trial waits for the next node
    return room if resources.slots is None else min(room, resources.slots)


@dataclasses.dataclass(frozen=True)
class _Work:
    """What a node does with a trial."""

    objective: Callable[..., Any]
    gpus: float
    place: str | None


def _run_trial(work: _Work, trial: Trial) -> Result:
    """Run one trial on a node."""
    if work.place is not None:
        os.chdir(work.place)
    if 0 < work.gpus < 1:  # else the first process takes most of an accelerator that several share
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{_SHARE_OF_MEMORY * work.gpus:.3f}")
    return read_result(with_trial(work.objective)(trial))


def _tell(study: Study, trial: Trial, reference: Any, check: Check, catch: tuple[type[Exception], ...]) -> Trial:
    """Record how a task ended; what no configuration is to blame for is raised, unless a node was lost."""
    try:
        result: Any = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        if isinstance(cause, catch):
            return study.fail(trial, describe(cause))
        study.interrupt(trial, describe(cause))
        raise cause from error
    except ray.exceptions.TaskCancelledError:  # somebody stopped the program, as Ctrl-C does
        study.interrupt(trial)
        raise KeyboardInterrupt from None
    except LOST as error:
        return study.interrupt(trial, f"Ray lost its worker ({type(error).__name__})")
    check(result)
    return study.record(trial, result)


def _cancel(references: list[Any]) -> None:
    """End tasks: by Ctrl-C in each, so that its program ends too; then by force."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for reference in references:
        with contextlib.suppress(ray.exceptions.RayError, ValueError):
            ray.cancel(reference, force=False)
    if references:
        with contextlib.suppress(ray.exceptions.RayError):
            _, left = ray.wait(references, num_returns=len(references), timeout=max(deadline - time.monotonic(), 0.0))
            for reference in left:
                ray.cancel(reference, force=True)


def _described(resources: Mapping[str, float]) -> str:
    return " and ".join(f"{resources.get(name, 0):g} {word}" for name, word in (("CPU", "CPUs"), ("GPU", "GPUs")))
