"""Sweep trainings of an environment and show the front of score against cost.

    p3o sweep --env pong --storage sqlite:///runs/pong.db --trials 24 --confirm 3
    p3o sweep --env pong --preset ppo --axes learning_rate=1e-4,1e-2 gamma
    p3o sweep --env pong breakout foraging --out runs/campaign  # one sweep of each
    p3o sweep --file sweep.toml --trials 48  # a file holds all of it; what is given here counts

Ctrl-C at any time; the same command goes on where it stopped. A killed run loses at most the trial that was running.
"""

import dataclasses
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console

from experiments import axes as axes_of
from experiments import campaign, environments, settings
from experiments.agents import Keeper
from experiments.common import user_errors
from experiments.confirmation import confirm_front
from experiments.continuing import Checkpoints
from experiments.interrupts import Stopped, graceful, interruptible, leave, stoppable
from experiments.members import Members, run_batches
from experiments.objective import Training
from experiments.sweep_options import Sweep, parse
from experiments.sweep_setup import CONFIG, prepare, space_of, write_file
from experiments.sweep_study import check_settings, keep_settings
from neocarbs_jax import sweep as core
from neocarbs_jax.adapters import trackers
from neocarbs_jax.report import report
from neocarbs_jax.report.lookup import storage_url
from neocarbs_jax.report.outputs import check_folder, folder_name
from neocarbs_jax.report.progress import Progress, confirmed_table, front_details
from neocarbs_jax.study import Study, Trial
from neocarbs_jax.study.confirm import Confirmed
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.settings import Params

DEFAULT_TRIALS = 24

STOP_SECONDS = 0.5
"""How long an interrupted sweep waits for the trial that may be ending just now."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    with stoppable():
        described = settings.describe(CONFIG, Params())
        help_text = f"{__doc__}\n{axes_of.describe()}\n\n{described}\n\n{environments.HELP}"
        args = parse(sys.argv[1:] if arguments is None else arguments, help_text)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        keep_on_disk()
        with user_errors():
            if len(args.env) > 1:
                campaign.run(args, run_one)
            else:
                run_one(args)


def run_one(args: Sweep) -> tuple[Study, Path]:
    """Run the sweep of one environment to its end; return the study and the folder of its report."""
    progress = Progress(args.trials)
    objective = prepare(args, progress)
    space = space_of(args)
    name, storage, env = args.name or args.env[0], storage_url(args.storage), objective.env_name
    out = args.out or Path("runs") / folder_name(name)
    check_folder("out", out)
    check_settings(storage, name, space, env, objective, args.strategy, args.continues)
    options = {"warp": args.warp, "resample_every": args.resample, "trial_cap": args.trial_cap}
    defaults = {field.name: field.default for field in dataclasses.fields(core.Config)}
    options = {option: value for option, value in options.items() if value != defaults[option]}
    options |= {"budget": "total_steps"} if args.curves or args.continues else {}
    options |= {"continues": True} if args.continues else {}
    study = Study.create(space, storage, name=name, seed=args.seed, strategy=args.strategy, **options)
    keep_settings(study, env, objective, args.strategy)
    sweep(study, objective, progress, args, out)
    return study, out


def sweep(study: Study, objective: Training, progress: Progress, args: Sweep, out: Path) -> None:
    """Run the study to its end and report; on Ctrl-C report what there is, and end the process."""
    progress.trials = study.trials
    held = sum(t.status != "interrupted" for t in progress.trials)
    has_end = any(end is not None for end in (args.trials, args.max_cost, args.until_rating))
    num_trials = args.trials if has_end else DEFAULT_TRIALS
    progress.num_trials = num_trials
    if progress.trials:
        progress.console.print(f"Resuming study {study.name!r} with {len(progress.trials)} trials.")
    if num_trials is not None and held >= num_trials:
        progress.console.print(f"It holds {held} of {num_trials} trials already: give a larger `--trials` to go on.")

    stopping, ended = threading.Event(), threading.Event()
    keeper = Keeper(out, args.keep)
    objective.on_agent = keeper.take
    objective.checkpoints = Checkpoints(out) if args.continues else None
    track = trackers.all_of(*(trackers.named(study, text, out) for text in args.track))

    def on_tell(trial: Trial) -> None:
        progress.finished(trial, study.trials)
        track(trial)
        keeper.tidy(study)
        if objective.checkpoints:
            objective.checkpoints.tidy(study)
        if stopping.is_set():
            raise KeyboardInterrupt

    def run() -> None:
        try:
            ends: dict[str, Any] = {"num_trials": num_trials, "on_ask": progress.started, "on_tell": on_tell}
            ends["max_cost"] = None if args.max_cost is None else args.max_cost / args.seeds
            if args.vmap > 1:
                run_batches(study, Members(objective, args.vmap), **ends)
            else:
                study.run(objective, until_rating=args.until_rating, **ends)
        finally:
            ended.set()

    confirmed: list[Confirmed] = []
    try:
        with graceful(), progress.running():
            interruptible(run)  # what it compiles and computes does not hear signals
        objective.on_agent = objective.checkpoints = None
        if args.confirm and study.front:
            with graceful():
                confirmed = interruptible(confirm_front, study, objective, args, out, progress.console)
    except Stopped as stop:
        stopping.set()
        ended.wait(STOP_SECONDS)
        study.take_back()
        summarise(study, objective, progress, out, args)
        leave(stop.signum, f"Stopped. The trials are in {args.storage}; the same command goes on from here.")
    summarise(study, objective, progress, out, args, confirmed)


def summarise(
    study: Study,
    objective: Training,
    progress: Progress,
    out: Path,
    args: Sweep,
    confirmed: Sequence[Confirmed] = (),
) -> None:
    """Print the front; write the report, the picture, the table and the sweep as a file."""
    trials = study.trials
    console: Console = progress.console
    expected = study.expected_front
    console.print(front_details(trials, expected=expected))
    if confirmed:
        console.print(confirmed_table(confirmed))
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
        confirmed=confirmed,
        space=study.space,
        importances=study.importances,
        sweep=write_file(out / "sweep.toml", args, study.space, objective, study.name),
    )
    console.print("Wrote " + ", ".join(str(path) for path in paths) + ".", soft_wrap=True)
    if study.front:
        repeat = f"p3o train --from-trial {args.storage} --name {study.name} --trial {study.front[-1].number}"
        console.print(f"To repeat a trial: {repeat}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    main()
