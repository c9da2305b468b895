"""Sweep P3O trainings of an environment and show the front of score against cost.

    p3o sweep --env pong --storage sqlite:///runs/pong.db --trials 24

Ctrl-C at any time; the same command goes on where it stopped. A killed run loses at most the trial that was running.
"""

import dataclasses
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import optuna
import tyro
from rich.console import Console

from experiments.common import user_errors
from experiments.objective import Training, assignments, make_env
from neocarbs_jax.report import report
from neocarbs_jax.report.progress import Progress, front_details
from neocarbs_jax.space import Bounded, Integer, Linear, Log, Pow2, SearchSpace
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


@dataclasses.dataclass
class Sweep:
    """Sweep trainings of an environment."""

    env: str = "pong"
    """Environment, as in `envs.registry`; "gymnax:NAME" for gymnax's own."""
    storage: str = "sqlite:///runs/sweep.db"
    """Database that holds the trials."""
    trials: int = 24
    """Trials that the study shall hold in the end, earlier ones included."""
    name: str | None = None
    """Name of the study; by default the environment's."""
    out: Path | None = None
    """Directory of report.html, front.png and trials.csv; by default runs/NAME."""
    seed: int = 0
    """Of suggestions and trainings."""
    strategy: str = "neocarbs"
    """How trials are suggested: neocarbs, protein, carbs, pareto_genetic or random."""
    bounds: Annotated[tuple[str, ...], tyro.conf.arg(metavar="AXIS=LOW,HIGH ...")] = ()
    """Other bounds of axes, such as total_steps=1e5,1e6."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    """Settings of all trials, any field of Params, Config or the network; an axis that is set is not searched."""
    episodes: int = 256
    """Evaluation episodes of a trial."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    args = tyro.cli(Sweep, prog="p3o sweep", description=__doc__, args=arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    keep_on_disk()
    with user_errors():
        progress = Progress(args.trials)
        objective = prepare(args, progress)
        space = search_space(args.bounds, assignments(args.set))
        study = Study.create(space, args.storage, name=args.name or args.env, seed=args.seed, strategy=args.strategy)
        keep_settings(study, args.env, objective)
    sweep(study, objective, progress, args)


def prepare(args: Sweep, progress: Progress) -> Training:
    """The objective of the sweep.

    Raises:
        ValueError: If an argument is out of range; nothing has been written then.
    """
    if args.trials < 1:
        raise ValueError(f"`trials` must be at least 1; got {args.trials}.")
    if args.episodes < 1:
        raise ValueError(f"`episodes` must be at least 1; got {args.episodes}.")
    env, fixed = make_env(args.env), assignments(args.set)
    space = search_space(args.bounds, fixed)
    config, params = Training(env, CONFIG, Params()).split(fixed)
    training = Training(env, config, params, seed=args.seed, num_episodes=args.episodes, progress=progress)
    for corner in (np.zeros, np.ones):
        training.split(space.from_unit(corner(space.size)))  # the extreme shapes of the space must be possible
    return training


def search_space(bounds: Sequence[str] = (), fixed: Collection[str] = ()) -> SearchSpace:
    """The default axes but those that are fixed, with other bounds for some: "AXIS=LOW,HIGH"."""
    axes = {name: axis for name, axis in AXES.items() if name not in fixed}
    for entry in bounds:
        name, _, pair = entry.partition("=")
        if name not in axes:
            raise ValueError(f"`bounds` must name one of {', '.join(axes)}; got {entry!r}.")
        try:
            low, high = (float(end) for end in pair.split(","))
        except ValueError:
            raise ValueError(f"`bounds` must read AXIS=LOW,HIGH; got {entry!r}.") from None
        try:
            axes[name] = dataclasses.replace(axes[name], low=low, high=high)
        except ValueError as error:
            raise ValueError(f"`bounds` of {name}: {error}") from error
    return SearchSpace(**axes)


def keep_settings(study: Study, env: str, training: Training) -> None:
    """Enter what all trials share into the study; settings that are newer than the study count as unchanged.

    Raises:
        ValueError: If the study was made with something else.
    """
    static, traced = dataclasses.asdict(training.config), vars(training.params)
    network = {f"network.{name}": value for name, value in static.pop("network").items()}
    numbers = {name: float(f"{value:.6g}") for name, value in traced.items()}
    shared = {"env": env, "episodes": training.num_episodes} | static | network | numbers
    searched = [name for name, _ in study.space.axes]
    shared = {name: value for name, value in shared.items() if name not in searched}
    if "settings" not in study.optuna_study.user_attrs:
        study.optuna_study.set_user_attr("settings", shared)
    kept = study.optuna_study.user_attrs["settings"]  # another worker's, if it was first
    changed = [f"{k}={kept[k]} there, {v} now" for k, v in shared.items() if kept.get(k, v) != v]
    if changed:
        raise ValueError(
            f"`set` and the like must be as study {study.name!r} was made; got {'; '.join(changed)}. "
            "Choose another `name`."
        )


def sweep(study: Study, objective: Training, progress: Progress, args: Sweep) -> None:
    """Run the study to its end and report; on Ctrl-C report what there is."""
    progress.trials = study.trials
    if progress.trials:
        progress.console.print(f"Resuming study {study.name!r} with {len(progress.trials)} trials.")

    def on_tell(trial: Trial) -> None:
        progress.finished(trial, study.trials)

    interrupted = False
    try:
        with progress.running():
            study.run(objective, num_trials=args.trials, on_ask=progress.started, on_tell=on_tell)
    except KeyboardInterrupt:
        interrupted = True
    summarise(study, progress, args.out or Path("runs") / study.name)
    if interrupted:
        progress.console.print("Stopped. The same command goes on from here.")
        sys.stdout.flush()
        os._exit(130)  # a training that still computes in another thread is left behind


def summarise(study: Study, progress: Progress, out: Path) -> None:
    """Print the front; write the report, the picture and the table."""
    trials = study.trials
    console: Console = progress.console
    console.print(front_details(trials))
    failed = sum(t.status == "failed" for t in trials)
    console.print(f"{sum(t.status == 'completed' for t in trials)} trials completed, {failed} failed.")
    console.print(progress.clocks(), soft_wrap=True)
    paths = report.write(
        out, trials, study.log_axes, title=f"{study.name}: score against cost", cost_name="training time (s)"
    )
    console.print("Wrote " + ", ".join(str(path) for path in paths) + ".", soft_wrap=True)


if __name__ == "__main__":
    main()
