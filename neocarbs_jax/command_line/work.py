"""Commands that run trials: `run` begins a study, `worker` joins one, `confirm` checks its front."""

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from neocarbs_jax.command_line import slots
from neocarbs_jax.command_line.common import Name, Storage, print_json, say
from neocarbs_jax.command_line.objectives import Objective, default_folder, remember, resolve
from neocarbs_jax.programs import Program
from neocarbs_jax.report import report
from neocarbs_jax.report.lookup import find_study, storage_url
from neocarbs_jax.report.outputs import check_folder
from neocarbs_jax.report.progress import confirmed_table, front_details
from neocarbs_jax.space import from_toml
from neocarbs_jax.strategies import STRATEGIES
from neocarbs_jax.study import Study, Trial
from neocarbs_jax.study.confirm import MOST_POINTS, confirm
from neocarbs_jax.study.results import plain

ENDS = "ends"
"""Attribute of a study: when its trials end, so that a worker need not be told."""


@dataclasses.dataclass(kw_only=True)
class Ends:
    """Options that say when a study ends."""

    trials: int | None = None
    """Trials of the study, those of all workers together."""
    max_cost: float | None = None
    """Cost that all trials together may have."""
    until_rating: float | None = None
    """Stop once no further trial is expected to gain this share of the front's area."""

    @property
    def given(self) -> dict[str, Any]:
        """Arguments of `Study.run`."""
        ends = {"num_trials": self.trials, "max_cost": self.max_cost, "until_rating": self.until_rating}
        return {name: value for name, value in ends.items() if value is not None}


@dataclasses.dataclass(kw_only=True)
class Slots:
    """Options of several workers on one machine."""

    slots: int = 1
    """Trials that run at once, each in a process of its own."""
    pin: bool = False
    """Give each slot processors of its own."""
    devices: tuple[str, ...] = ()
    """Accelerators that the slots share in turns, as CUDA_VISIBLE_DEVICES names them: 0 1 2 3."""

    def check(self) -> None:
        """Raise a ValueError unless there is a slot, and it can be pinned where it shall be."""
        if self.slots < 1:
            raise ValueError(f"`slots` must be at least 1; got {self.slots}.")
        if self.pin and not hasattr(os, "sched_setaffinity"):
            raise ValueError("`pin` must be left out where the system cannot pin processes; got it.")

    def run_workers(self, arguments: list[str]) -> None:
        """Run `neocarbs worker` in each slot.

        Raises:
            SystemExit: One of them failed.
        """
        if code := slots.run(["worker", *arguments], self.slots, pin=self.pin, devices=self.devices):
            raise SystemExit(code)


@dataclasses.dataclass(kw_only=True)
class Run:
    """Search the settings of any program, or of a Python function. The same command goes on where it stopped."""

    space: Path
    """TOML file of what is searched; `neocarbs new` writes one."""
    what: tyro.conf.OmitArgPrefixes[Objective] = dataclasses.field(default_factory=Objective)
    ends: tyro.conf.OmitArgPrefixes[Ends] = dataclasses.field(default_factory=Ends)
    parallel: tyro.conf.OmitArgPrefixes[Slots] = dataclasses.field(default_factory=Slots)
    name: str | None = None
    """Of the study; by default that of the space's file."""
    storage: str | None = None
    """Database: a URL, or the path of a SQLite file; by default runs/NAME.db."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of the report, and of what each trial prints; by default runs/NAME."""
    seed: int | None = None
    """Of the suggestions."""
    strategy: str | None = None
    """How trials are suggested: neocarbs, or a simpler one to compare with."""
    direction: Literal["maximize", "minimize"] | None = None
    """Whether a high score is good (the default), or a low one, such as a loss."""
    trial_cap: float | None = None
    """Most that a single trial should cost."""

    def run(self, console: Console) -> None:
        self.parallel.check()
        if not self.ends.given:
            raise ValueError("`trials`, `max_cost` or `until_rating` must be given; got none.")
        if self.strategy is not None and self.strategy not in STRATEGIES:
            raise ValueError(f"`strategy` must be one of {', '.join(STRATEGIES)}; got {self.strategy!r}.")
        if (what := self.what.given) is None:
            raise ValueError("`command` or `objective` must be given; got neither.")
        name = self.name or self.space.stem
        out = self.out or default_folder(name)
        storage = storage_url(self.storage or str(Path("runs") / f"{out.name}.db"))
        space = from_toml(self.space)
        check_folder("out", out)
        if self.what.command is not None:
            left = Program(self.what.command, out).check([*space.names, *dict(space.fixed)])
            if left:
                variables = "the environment alone tells it"
                say(console)(f"Note: the command does not mention {', '.join(left)}; {variables}.")
        given = {"direction": self.direction, "seed": self.seed, "strategy": self.strategy, "trial_cap": self.trial_cap}
        if storage.startswith("sqlite:///"):
            Path(storage.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        study = Study.create(space, storage, name=name, **{key: x for key, x in given.items() if x is not None})
        remember(study, what)
        study.optuna_study.set_user_attr(ENDS, self.ends.given)
        try:
            work(study, what, self.ends.given, self.parallel, out / "trials", storage, console)
        finally:
            if study.front:
                paths = report.write(
                    out, study.trials, study.log_axes, title=name, expected=study.expected_front, space=study.space,
                    importances=study.importances,
                )  # fmt: skip
                say(console)("Wrote " + ", ".join(map(str, paths)) + ".")
        console.print(front_details(study.trials, cost_unit="", expected=study.expected_front))


@dataclasses.dataclass(kw_only=True)
class Worker:
    """Run trials of a study that exists, beside all other workers of it, on this machine or on others.

    SIGTERM, which clusters send before they take a machine back, ends the program and takes the trial back. A worker
    that is killed loses nothing either: its trial is taken back when it is found dead.
    """

    storage: Storage
    """Database of the study: a URL such as postgresql://host/db, or the path of a SQLite file."""
    name: Name = None
    """The study; by default the only one of the storage."""
    what: tyro.conf.OmitArgPrefixes[Objective] = dataclasses.field(default_factory=Objective)
    """What is run; by default what `neocarbs run` was given."""
    ends: tyro.conf.OmitArgPrefixes[Ends] = dataclasses.field(default_factory=Ends)
    parallel: tyro.conf.OmitArgPrefixes[Slots] = dataclasses.field(default_factory=Slots)
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of what each trial prints; by default runs/NAME/trials."""

    def run(self, console: Console) -> None:
        self.parallel.check()
        what = self.what.given
        study = find_study(self.storage, self.name, say(console))
        ends = self.ends.given or study.optuna_study.user_attrs.get(ENDS) or {}
        if not ends:
            raise ValueError("`trials`, `max_cost` or `until_rating` must be given; got none.")
        work(study, what, ends, self.parallel, self.out, storage_url(self.storage), console)


def work(
    study: Study,
    what: dict[str, Any] | None,
    ends: dict[str, Any],
    parallel: Slots,
    out: Path | None,
    storage: str,
    console: Console,
) -> None:
    """Run trials in this process, or in several others; a signal takes back what runs.

    Raises:
        Stopped: SIGTERM or SIGINT arrived.
    """
    objective = resolve(study, what, out)
    with slots.stoppable():
        if parallel.slots > 1:
            words = {"num_trials": "--trials", "max_cost": "--max-cost", "until_rating": "--until-rating"}
            arguments = [storage, "--name", study.name, *(["--out", str(out)] if out else [])]
            for name, value in (what or {}).items():
                arguments += [f"--{name.replace('_', '-')}", str(value)]
            for name, value in ends.items():
                arguments += [words[name], str(value)]
            parallel.run_workers(arguments)
            return

        def on_tell(trial: Trial) -> None:
            say(console)(line_of(trial))

        try:
            study.run(objective, on_tell=on_tell, **ends)
        finally:
            study.take_back()


def line_of(trial: Trial) -> str:
    """Return one line on a trial that has ended."""
    if trial.status == "completed":
        return f"trial {trial.number}: score {trial.score:.6g}, cost {trial.cost:.4g}"
    reason = trial.attrs.get("reason") or trial.reason  # the program's own words before the ledger's
    return f"trial {trial.number} {trial.status}" + (f": {reason}" if reason else "")


@dataclasses.dataclass(kw_only=True)
class Confirm:
    """Run the settings of the expected front again, afresh; print what was claimed, expected and confirmed."""

    storage: Storage
    """Database of the study: a URL such as sqlite:///runs/pong.db, or the path of a SQLite file."""
    name: Name = None
    """The study; by default the only one of the storage."""
    what: tyro.conf.OmitArgPrefixes[Objective] = dataclasses.field(default_factory=Objective)
    """What is run; by default what `neocarbs run` was given. A function takes the values, and `trial` as well if it
    draws at random: `trial.replicate` is another number for each run, as {replicate} is for a program."""
    seeds: int = 5
    """Fresh runs of each point."""
    points: int = MOST_POINTS
    """Points of the front that are run, spread over the costs."""
    json: bool = False
    """Print JSON."""

    def run(self, console: Console) -> None:
        for name, value in (("seeds", self.seeds), ("points", self.points)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1; got {value}.")
        what = self.what.given
        study = find_study(self.storage, self.name, (lambda _: None) if self.json else say(console))
        objective = resolve(study, what, None)
        with slots.stoppable():
            confirmed = confirm(study, objective, self.seeds, self.points)
        if self.json:
            print_json([plain(point.as_row())[0] for point in confirmed])
        elif not confirmed:
            console.print(f"No trial of {len(study.trials)} has completed: there is no front to confirm.")
        else:
            console.print(confirmed_table(confirmed, cost_unit=""))
