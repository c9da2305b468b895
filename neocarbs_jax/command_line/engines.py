"""What runs the trials of a study: this process, several processes of this machine, or the tasks of a Ray cluster."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import jax

from neocarbs_jax.adapters.trackers import all_of, named
from neocarbs_jax.command_line import slots
from neocarbs_jax.command_line.objectives import default_folder, resolve
from neocarbs_jax.programs import Program
from neocarbs_jax.study import Study, Trial
from neocarbs_jax.study.results import Result


@dataclasses.dataclass(frozen=True)
class Job:
    """Trials to be made.

    Attributes:
        study: Whose trials they are.
        storage: URL of its database.
        what: Each of them runs, as `Objective.given` says it; None for what the study keeps.
        ends: Of the study: arguments of `Study.run`.
        out: Folder of what each trial prints; None for the default one.
        track: Trackers that are told of each trial, as `trackers.named` reads them.
        say: Prints a line.
    """

    study: Study
    storage: str
    what: dict[str, Any] | None
    ends: dict[str, Any]
    out: Path | None
    track: tuple[str, ...]
    say: Callable[[str], None]

    def on_tell(self) -> Callable[[Trial], None]:
        """Return what is called with each trial that has ended.

        Raises:
            ValueError: There is no such tracker, or its package is missing.
        """
        folder = self.out.parent if self.out else default_folder(self.study.name)
        trackers = [named(self.study, text, folder) for text in self.track]
        return all_of(lambda trial: self.say(line_of(trial)), *trackers)


class Engine(Protocol):
    """Makes the trials of a job; whatever ends it, signals too, takes back what runs and leaves no process behind."""

    def run(self, job: Job) -> None:
        """Make them.

        Raises:
            Stopped: SIGTERM or SIGINT arrived.
            BrokenProgram: No trial can have a result.
        """
        ...


class InThisProcess:
    """One trial after the other."""

    def run(self, job: Job) -> None:
        """As of `Engine`."""
        on_tell = job.on_tell()
        objective = resolve(job.study, job.what, job.out)
        with slots.stoppable():
            try:
                job.study.run(objective, on_tell=on_tell, **job.ends)
            finally:
                job.study.take_back()


@dataclasses.dataclass(frozen=True)
class Processes:
    """So many trials at once, by as many `neocarbs worker`; the fields are the arguments of `slots.run`."""

    slots: int
    pin: bool
    devices: tuple[str, ...]

    def run(self, job: Job) -> None:
        """As of `Engine`.

        Raises:
            SystemExit: A worker failed, with its exit code.
        """
        resolve(job.study, job.what, job.out)  # what is wrong with it is said once, not by each
        job.on_tell()
        arguments = ["worker", job.storage, "--name", job.study.name, *(["--out", str(job.out)] if job.out else [])]
        for name, value in (job.what or {}).items():
            arguments += [f"--{name.replace('_', '-')}", str(value)]
        words = {"num_trials": "--trials", "max_cost": "--max-cost", "until_rating": "--until-rating"}
        for name, value in job.ends.items():
            arguments += [words[name], str(value)]
        arguments += ["--track", *job.track] if job.track else []
        with slots.stoppable():
            code = slots.run(arguments, self.slots, pin=self.pin, devices=self.devices)
        if code:
            raise SystemExit(code)


@dataclasses.dataclass(frozen=True)
class RayTasks:
    """As many trials at once as a Ray cluster has room for.

    Attributes:
        address: As of `ray_tasks.cluster`.
        resources: A `ray_tasks.Resources`.
        upload: Folder that Ray copies to every node; None where the current one is on every node already.
    """

    address: str
    resources: Any
    upload: Path | None

    def run(self, job: Job) -> None:
        """As of `Engine`."""
        from neocarbs_jax.adapters import ray_tasks

        jax.config.update("jax_platforms", "cpu")  # the accelerators of this machine are for the trials
        on_tell = job.on_tell()
        objective = resolve(job.study, job.what, job.out, elsewhere=True)
        check = _failures_in_a_row(objective) if isinstance(objective, Program) else lambda result: None
        place = None if self.upload else Path.cwd()
        try:
            # Twice, as Ray sets a handler of its own when it starts.
            with slots.stoppable(), ray_tasks.cluster(self.address, self.upload), slots.stoppable():
                ray_tasks.run(
                    job.study, objective, self.resources, place=place, check=check, on_tell=on_tell, **job.ends
                )
        except SystemError as error:  # as which Ray's compiled code hands on what a handler of signals raises
            raise error.__cause__ or error from None


def _failures_in_a_row(program: Program) -> Callable[[Result], None]:
    """Return what counts the failures of a program that runs elsewhere; there each trial starts at none."""

    def check(result: Result) -> None:
        failure = None if math.isfinite(result.score) else result.attrs.get("reason")
        details = f" What it printed is in {result.attrs.get('folder')}, on the node that ran it."
        program.count(failure and failure.removeprefix("it "), details)

    return check


def line_of(trial: Trial) -> str:
    """Return one line on a trial that has ended."""
    if trial.status == "completed":
        return f"trial {trial.number}: score {trial.score:.6g}, cost {trial.cost:.4g}"
    reason = trial.attrs.get("reason") or trial.reason  # the program's own words before the ledger's
    return f"trial {trial.number} {trial.status}" + (f": {reason}" if reason else "")
