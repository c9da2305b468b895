"""Commands that run trials: `run` begins a study, `worker` joins one, `confirm` checks its front."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from neocarbs_jax.adapters import trackers
from neocarbs_jax.command_line import slots
from neocarbs_jax.command_line.common import Name, Storage, print_json, say
from neocarbs_jax.command_line.engines import Job
from neocarbs_jax.command_line.objectives import Objective, default_folder, remember, resolve
from neocarbs_jax.command_line.options import Ends, OnRay, Slots, Track
from neocarbs_jax.programs import Program
from neocarbs_jax.report import report
from neocarbs_jax.report.lookup import find_study, storage_url
from neocarbs_jax.report.outputs import check_folder
from neocarbs_jax.report.progress import confirmed_table, front_details
from neocarbs_jax.space import from_toml
from neocarbs_jax.strategies import STRATEGIES
from neocarbs_jax.study import Study
from neocarbs_jax.study.confirm import MOST_POINTS, confirm
from neocarbs_jax.study.results import plain

ENDS = "ends"
"""Attribute of a study: when its trials end, so that a worker need not be told."""


@dataclasses.dataclass(kw_only=True)
class Run:
    """Search the settings of any program, or of a Python function. The same command goes on where it stopped."""

    space: Path
    """TOML file of what is searched; `neocarbs new` writes one."""
    what: tyro.conf.OmitArgPrefixes[Objective] = dataclasses.field(default_factory=Objective)
    ends: tyro.conf.OmitArgPrefixes[Ends] = dataclasses.field(default_factory=Ends)
    parallel: tyro.conf.OmitArgPrefixes[Slots] = dataclasses.field(default_factory=Slots)
    on_ray: tyro.conf.OmitArgPrefixes[OnRay] = dataclasses.field(default_factory=OnRay)
    track: Track = ()
    """Tools that are told of each trial: wandb[:PROJECT], mlflow[:URI], tensorboard[:FOLDER], trackio[:PROJECT],
    csv[:FILE]; several at once."""
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
        engine = self.on_ray.engine(self.parallel)
        trackers.check(self.track)
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
            engine.run(Job(study, storage, what, self.ends.given, out / "trials", self.track, say(console)))
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
    track: Track = ()
    """Tools that are told of each trial: wandb[:PROJECT], mlflow[:URI], tensorboard[:FOLDER], trackio[:PROJECT],
    csv[:FILE]; several at once."""

    def run(self, console: Console) -> None:
        engine = self.parallel.engine()
        trackers.check(self.track)
        what = self.what.given
        study = find_study(self.storage, self.name, say(console))
        ends = self.ends.given or study.optuna_study.user_attrs.get(ENDS) or {}
        if not ends:
            raise ValueError("`trials`, `max_cost` or `until_rating` must be given; got none.")
        engine.run(Job(study, storage_url(self.storage), what, ends, self.out, self.track, say(console)))


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
