"""Sweep P3O trainings of an environment and show the front of score against cost.

    p3o sweep --env pong --storage sqlite:///runs/pong.db --trials 24

Ctrl-C at any time; the same command goes on where it stopped. A killed run loses at most the trial that was running.
"""

import dataclasses
import threading
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import optuna
import tyro
from rich.console import Console

from experiments import environments, programs, settings, sweep_study
from experiments.common import Assignments, Repeated, check_at_least, check_seed, read, user_errors
from experiments.interrupts import Stopped, graceful, interruptible, leave, stoppable
from experiments.objective import Training, assignments, make_env
from experiments.sweep_study import check_settings, keep_settings
from neocarbs_jax.report import report
from neocarbs_jax.report.lookup import storage_url
from neocarbs_jax.report.outputs import check_folder, folder_name
from neocarbs_jax.report.progress import Progress, front_details
from neocarbs_jax.space import Bounded, Integer, Linear, Log, Pow2, SearchSpace
from neocarbs_jax.strategies import STRATEGIES
from neocarbs_jax.study import Study, Trial
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.settings import Config, Params

AXES: dict[str, Bounded] = {
    "total_steps": Log(1e5, 4e6),
    "num_envs": Pow2(64, 256),
    "learning_rate": Log(1e-3, 5e-2),
    "update_epochs": Integer(1, 4),
    "entropy": Log(1e-4, 1e-1),
    "clip": Linear(0.05, 0.5),
    "value": Log(0.01, 1.0),
    "max_grad_norm": Log(0.1, 4.0),
    "tau": Log(0.02, 0.8),
    "floor": Linear(0.05, 1.0),
}
"""What is searched by default; only `num_envs` changes a shape, so that a sweep compiles three trainings."""

CONFIG = Config(segment_length=64, horizon=32)
"""Static settings where `--set` names no others."""


STOP_SECONDS = 0.5
"""How long an interrupted sweep waits for the trial that may be ending just now."""


@dataclasses.dataclass
class Sweep:
    """Sweep trainings of an environment."""

    env: str = "pong"
    """Environment, as listed above."""
    storage: str = "sqlite:///runs/sweep.db"
    """Database that holds the trials: a URL, or the path of a SQLite file."""
    trials: int = 24
    """Trials that the study shall hold in the end, earlier ones included."""
    name: Annotated[str | None, tyro.conf.arg(metavar="STUDY")] = None
    """Name of the study; by default the environment's."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of report.html, front.png and trials.csv; by default runs/NAME."""
    seed: int = 0
    """Of suggestions and trainings, at least 0."""
    strategy: str = "neocarbs"
    """How trials are suggested: neocarbs, protein, carbs, pareto_genetic or random."""
    bounds: Annotated[Repeated, tyro.conf.UseAppendAction, tyro.conf.arg(metavar="AXIS=LOW,HIGH ...")] = ()
    """Other bounds of axes, such as total_steps=1e5,1e6."""
    set: Assignments = ()
    """Settings of all trials, as listed above; an axis that is set is not searched."""
    episodes: int = 256
    """Evaluation episodes of a trial."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    with stoppable():
        axes = "\n".join(f"  {name:<20} {axis.low:g} to {axis.high:g}" for name, axis in AXES.items())
        searched = f"Searched by default, with bounds that --bounds changes:\n{axes}"
        described = settings.describe(CONFIG, Params())
        help_text = f"{__doc__}\n{searched}\n\n{described}\n\n{environments.HELP}"
        args = read(Sweep, "p3o sweep", help_text, arguments)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        keep_on_disk()
        with user_errors():
            progress = Progress(args.trials)
            objective = prepare(args, progress)
            space = search_space(args.bounds, assignments(args.set))
            name, storage = args.name or args.env, storage_url(args.storage)
            out = args.out or Path("runs") / folder_name(name)
            check_folder("out", out)
            check_settings(storage, name, space, args.env, objective, args.strategy)
            study = Study.create(space, storage, name=name, seed=args.seed, strategy=args.strategy)
            keep_settings(study, args.env, objective, args.strategy)
            sweep(study, objective, progress, args, out)


def prepare(args: Sweep, progress: Progress) -> Training:
    """Return the objective of the sweep.

    Raises:
        ValueError: If an argument is out of range; nothing has been written then.
    """
    check_at_least(1, trials=args.trials, episodes=args.episodes)
    check_seed(args.seed)
    if args.strategy not in STRATEGIES:
        raise ValueError(f"`strategy` must be one of {', '.join(STRATEGIES)}; got {args.strategy!r}.")
    env, fixed = make_env(args.env), assignments(args.set)
    space = search_space(args.bounds, fixed)
    config, params = settings.replace(CONFIG, Params(), fixed)
    training = Training(
        env, config, params, env_name=args.env, seed=args.seed, num_episodes=args.episodes, progress=progress
    )
    for corner in (np.zeros, np.ones):  # the extreme shapes of the space must be possible
        programs.check(training.split(space.from_unit(corner(space.size)))[0], env)
    return training


def search_space(bounds: Iterable[str | Iterable[str]] = (), fixed: Collection[str] = ()) -> SearchSpace:
    """Return the default axes but those that are fixed, with other bounds for some: "AXIS=LOW,HIGH"."""
    return sweep_study.search_space(AXES, bounds, fixed)


def sweep(study: Study, objective: Training, progress: Progress, args: Sweep, out: Path) -> None:
    """Run the study to its end and report; on Ctrl-C report what there is, and end the process."""
    progress.trials = study.trials
    held = sum(t.status != "interrupted" for t in progress.trials)
    if progress.trials:
        progress.console.print(f"Resuming study {study.name!r} with {len(progress.trials)} trials.")
    if held >= args.trials:
        progress.console.print(f"It holds {held} of {args.trials} trials already: give a larger `--trials` to go on.")

    stopping, ended = threading.Event(), threading.Event()

    def on_tell(trial: Trial) -> None:
        progress.finished(trial, study.trials)
        if stopping.is_set():
            raise KeyboardInterrupt

    def run() -> None:
        try:
            study.run(objective, num_trials=args.trials, on_ask=progress.started, on_tell=on_tell)
        finally:
            ended.set()

    try:
        with graceful(), progress.running():
            interruptible(run)  # what it compiles and computes does not hear signals
    except Stopped as stop:
        stopping.set()
        ended.wait(STOP_SECONDS)
        study.take_back()
        summarise(study, progress, out, args)
        leave(stop.signum, f"Stopped. The trials are in {args.storage}; the same command goes on from here.")
    summarise(study, progress, out, args)


def summarise(study: Study, progress: Progress, out: Path, args: Sweep) -> None:
    """Print the front; write the report, the picture and the table."""
    trials = study.trials
    console: Console = progress.console
    expected = study.expected_front
    console.print(front_details(trials, expected=expected))
    failed = sum(t.status == "failed" for t in trials)
    console.print(f"{sum(t.status == 'completed' for t in trials)} trials completed, {failed} failed.")
    console.print(progress.clocks(), soft_wrap=True)
    paths = report.write(
        out,
        trials,
        study.log_axes,
        title=f"{study.name}: score against cost",
        cost_name="training time (s)",
        expected=expected,
    )
    console.print("Wrote " + ", ".join(str(path) for path in paths) + ".", soft_wrap=True)
    if study.front:
        repeat = f"p3o train --from-trial {args.storage} --name {study.name} --trial {study.front[-1].number}"
        console.print(f"To repeat a trial: {repeat}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    main()
