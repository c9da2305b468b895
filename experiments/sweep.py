"""Sweep trainings of an environment and show the front of score against cost.

    p3o sweep --env pong --storage sqlite:///runs/pong.db --trials 24 --confirm 3
    p3o sweep --env pong --axes learning_rate=1e-4,1e-2 gamma --set estimator=gae
    p3o sweep --env pong breakout foraging --out runs/campaign  # one sweep of each
    p3o sweep --file sweep.toml --trials 48  # a file holds all of it; what is given here counts

Ctrl-C at any time; the same command goes on where it stopped. A killed run loses at most the trial that was running.
"""

import dataclasses
import itertools
import sys
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import optuna
import tyro
from rich.console import Console

from experiments import axes as axes_of
from experiments import environments, programs, settings, sweep_file, sweep_study
from experiments.agents import KEEP, Keeper
from experiments.axes import AXES, PRESETS, Preset
from experiments.common import Assignments, Repeated, check_at_least, check_seed, read, user_errors
from experiments.confirmation import confirm_front
from experiments.interrupts import Stopped, graceful, interruptible, leave, stoppable
from experiments.members import Members, run_batches
from experiments.objective import Training, assignments, make_env
from experiments.sweep_study import check_settings, keep_settings
from neocarbs_jax import sweep as core
from neocarbs_jax.gp.warping import WARPS
from neocarbs_jax.report import report
from neocarbs_jax.report.lookup import storage_url
from neocarbs_jax.report.outputs import check_folder, folder_name
from neocarbs_jax.report.progress import Progress, confirmed_table, front_details
from neocarbs_jax.space import Axis, Bounded, Choice, SearchSpace
from neocarbs_jax.strategies import STRATEGIES
from neocarbs_jax.study import Study, Trial
from neocarbs_jax.study.confirm import Confirmed
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.settings import Config, Params

CONFIG = Config(segment_length=64, horizon=32)
"""Static settings where neither a preset nor `--set` names others."""

DEFAULT_TRIALS = 24

STOP_SECONDS = 0.5
"""How long an interrupted sweep waits for the trial that may be ending just now."""


@dataclasses.dataclass
class Sweep:
    """Sweep trainings of an environment."""

    env: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ("pong",)
    """Environment, as listed above; several for one sweep of each."""
    file: Annotated[Path | None, tyro.conf.arg(metavar="TOML")] = None
    """File that holds options by name, and tables [axes] and [set]; what the command line gives counts."""
    storage: str = "sqlite:///runs/sweep.db"
    """Database that holds the trials: a URL, or the path of a SQLite file."""
    trials: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Trials that the study shall hold in the end, earlier ones included; by default 24 where no other end is given."""
    max_cost: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Budget of all trials together, in seconds of training: none is started that is likely to exceed it."""
    until_rating: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None
    """Stop once the latest trials are expected to add less than this share of the front's area."""
    trial_cap: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Largest cost of a single trial."""
    name: Annotated[str | None, tyro.conf.arg(metavar="STUDY")] = None
    """Name of the study; by default the environment's."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of report.html, front.png, trials.csv and the agents; by default runs/NAME."""
    seed: int = 0
    """Of suggestions and trainings, at least 0."""
    seeds: int = 1
    """Trainings of each trial: its score is their mean, its cost that of one. A budget counts them all."""
    strategy: str = "neocarbs"
    """How trials are suggested: neocarbs, protein, carbs, pareto_genetic or random."""
    warp: str = "auto"
    """Transform of scores that the surrogates see: auto, linear, aggression, log, winsor or rank."""
    resample: Annotated[int, tyro.conf.arg(metavar="INT")] = 0
    """Every so many trials, run a front point again; 0 for never. NeoCARBS does so by itself where it pays."""
    preset: str = "p3o"
    """Axes and settings to start from: p3o, or ppo."""
    axes: Annotated[Repeated, tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME[=LOW,HIGH] ...")] = ()
    """What is searched, in place of the preset's axes; total_steps stays, unless --set fixes it."""
    bounds: Annotated[Repeated, tyro.conf.UseAppendAction, tyro.conf.arg(metavar="AXIS=LOW,HIGH ...")] = ()
    """Other bounds of axes, such as total_steps=1e5,1e6."""
    set: Assignments = ()
    """Settings of all trials, as listed above; an axis that is set is not searched."""
    episodes: int = 256
    """Evaluation episodes of a trial."""
    vmap: Annotated[int, tyro.conf.arg(metavar="Q")] = 1
    """Trials that are trained at once as one program. A trial costs what it would have cost alone."""
    confirm: Annotated[int, tyro.conf.arg(metavar="SEEDS")] = 0
    """In the end, train the settings of the front again with so many fresh seeds each."""
    confirm_points: int = 6
    """Points of the front that are trained again, spread over the costs."""
    keep: str = "front"
    """Trials whose agents are kept: front, all or none. `p3o eval FOLDER#NUMBER` evaluates one."""


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
                from experiments import campaign  # it needs what is below

                campaign.run(args)
            else:
                run_one(args)


def parse(arguments: Sequence[str], help_text: str | None = None) -> Sweep:
    """Return the options of a command line, and of the file that it names.

    Raises:
        SystemExit: With code 2, after one line, if they cannot be read.
    """
    args = read(Sweep, "p3o sweep", help_text, arguments)
    if args.file is None:
        return args
    with user_errors():
        options, tables = sweep_file.read(args.file, [field.name for field in dataclasses.fields(Sweep)])
        given = {word.partition("=")[0] for word in arguments if word.startswith("--")}
        kept = {name: value for name, value in options.items() if f"--{name.replace('_', '-')}" not in given}
        args = read(Sweep, "p3o sweep", help_text, [*sweep_file.arguments(kept), *arguments])
        merged = {
            name: tuple(sweep_file.merge(tables.get(name, ()), getattr(args, name))) for name in sweep_file.TABLES
        }
        return dataclasses.replace(args, **merged)


def run_one(args: Sweep) -> tuple[Study, Path]:
    """Run the sweep of one environment to its end; return the study and the folder of its report."""
    progress = Progress(args.trials)
    objective = prepare(args, progress)
    space = space_of(args)
    name, storage, env = args.name or args.env[0], storage_url(args.storage), objective.env_name
    out = args.out or Path("runs") / folder_name(name)
    check_folder("out", out)
    check_settings(storage, name, space, env, objective, args.strategy)
    options = {"warp": args.warp, "resample_every": args.resample, "trial_cap": args.trial_cap}
    defaults = {field.name: field.default for field in dataclasses.fields(core.Config)}
    options = {option: value for option, value in options.items() if value != defaults[option]}
    study = Study.create(space, storage, name=name, seed=args.seed, strategy=args.strategy, **options)
    keep_settings(study, env, objective, args.strategy)
    sweep(study, objective, progress, args, out)
    return study, out


def prepare(args: Sweep, progress: Progress) -> Training:
    """Return the objective of the sweep.

    Raises:
        ValueError: If an argument is out of range; nothing has been written then.
    """
    check_at_least(1, trials=args.trials, episodes=args.episodes, seeds=args.seeds, confirm_points=args.confirm_points)
    check_at_least(1, vmap=args.vmap)
    if args.vmap > 1 and (args.seeds > 1 or args.until_rating is not None):
        other = "seeds" if args.seeds > 1 else "until_rating"
        raise ValueError(f"`vmap` must be 1 where `{other}` is given; got {args.vmap}.")
    check_at_least(0, resample=args.resample, confirm=args.confirm)
    check_seed(args.seed)
    for name in ("max_cost", "until_rating", "trial_cap"):
        value = getattr(args, name)
        if value is not None and not (value > 0 and np.isfinite(value)):
            raise ValueError(f"`{name}` must be positive and finite; got {value}.")
    for name, known in (("strategy", STRATEGIES), ("warp", ("auto", *WARPS)), ("keep", KEEP), ("preset", PRESETS)):
        if getattr(args, name) not in known:
            raise ValueError(f"`{name}` must be one of {', '.join(known)}; got {getattr(args, name)!r}.")
    if (
        args.until_rating
        and args.trials is None
        and args.max_cost is None
        and not STRATEGIES[args.strategy].uses_surrogates
    ):
        rule = "`until_rating` needs `trials` or `max_cost` beside a strategy that does not rate its suggestions"
        raise ValueError(f"{rule}; got {args.strategy}.")
    if not args.env:
        raise ValueError("`env` must name an environment; got none.")
    fixed = fixed_settings(args)
    env_name = environments.with_arguments(environments.full_name(args.env[0]), settings.arguments_of(fixed))
    env, space = make_env(env_name), space_of(args)
    config, params = settings.replace(CONFIG, Params(), fixed)
    training = Training(
        env,
        config,
        params,
        env_name=env_name,
        seed=args.seed,
        num_episodes=args.episodes,
        progress=progress,
        num_seeds=args.seeds,
    )
    check_shapes(training, space)
    _say_what_has_no_effect(args, fixed, progress.console)
    return training


def _say_what_has_no_effect(args: Sweep, fixed: Mapping[str, Any], console: Console) -> None:
    named = space_of(args).names if args.axes else PRESETS[args.preset].axes
    dead = axes_of.without_effect([name for name in named if name not in assignments(args.set)], fixed)
    if dead:
        verb, left_out = "has" if len(dead) == 1 else "have", "" if args.axes else " and left out"
        why = f"estimator {fixed.get('estimator', 'p3o')}{left_out}"
        console.print(f"Note: {' and '.join(dead)} {verb} no effect with these settings ({why}).", soft_wrap=True)


INTERACTING = ("num_envs", "segment_length", "horizon", "num_minibatches", "minibatches_of", "estimator", "precision")
"""Settings that must fit one another, beside the kind of the network and the environment's arguments."""


def check_shapes(training: Training, space: SearchSpace) -> None:
    """Raise a ValueError unless each extreme of the space is possible, those that must fit together in all ways."""
    center, ends = space.from_unit(space.center), {name: _ends(axis) for name, axis in space.axes}
    points = [{**center, name: end} for name, both in ends.items() for end in both]
    together = [name for name in ends if name in (*INTERACTING, "network.kind") or name.startswith(settings.ENV)]
    points += [
        {**center, **dict(zip(together, p, strict=True))} for p in itertools.product(*(ends[name] for name in together))
    ]
    made: dict[str, Any] = {training.env_name: training.env}
    for values in {repr(sorted(point.items())): point for point in points}.values():
        env_name = environments.with_arguments(training.env_name, settings.arguments_of(values))
        if env_name not in made:
            made[env_name] = make_env(env_name)
        programs.check(training.split(values)[0], made[env_name])


def _ends(axis: Axis) -> tuple[Any, ...]:
    return axis.options if isinstance(axis, Choice) else (axis.low, axis.high)


def fixed_settings(args: Sweep) -> dict[str, Any]:
    """Return the settings of all trials: the preset's, and those of `--set` in their place."""
    return {**PRESETS[args.preset].settings, **assignments(args.set)}


def space_of(args: Sweep) -> SearchSpace:
    """Return the search space that the options stand for.

    Raises:
        ValueError: An axis or its bounds cannot be, or nothing is left to search.
    """
    preset, given = PRESETS[args.preset], assignments(args.set)
    if args.axes:
        chosen = axes_of.parse(args.axes, args.env[0])
        for name in chosen:
            if name in given:
                raise ValueError(f"`axes` must name settings that `set` does not fix; got {name} in both.")
        chosen = {"total_steps": AXES["total_steps"], **chosen}
    else:
        chosen = default_axes(preset)
        for name in axes_of.without_effect(chosen, fixed_settings(args)):
            del chosen[name]
    return search_space(args.bounds, given, chosen)


def default_axes(preset: Preset = PRESETS["p3o"]) -> dict[str, Bounded | Choice]:
    """Return the axes of a preset."""
    return {name: AXES[name] for name in preset.axes}


def search_space(
    bounds: Iterable[str | Iterable[str]] = (),
    fixed: Collection[str] = (),
    axes: Mapping[str, Bounded | Choice] | None = None,
) -> SearchSpace:
    """Return the axes, by default the preset's, but those that are fixed; with other bounds for some."""
    return sweep_study.search_space(default_axes() if axes is None else axes, bounds, fixed)


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

    def on_tell(trial: Trial) -> None:
        progress.finished(trial, study.trials)
        keeper.tidy(study)
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
        objective.on_agent = None
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
        sweep=write_file(out / "sweep.toml", args, study.space, objective, study.name),
    )
    console.print("Wrote " + ", ".join(str(path) for path in paths) + ".", soft_wrap=True)
    if study.front:
        repeat = f"p3o train --from-trial {args.storage} --name {study.name} --trial {study.front[-1].number}"
        console.print(f"To repeat a trial: {repeat}", soft_wrap=True, highlight=False)


def write_file(file: Path, args: Sweep, space: SearchSpace, objective: Training, name: str | None = None) -> str:
    """Write the sweep with all that it resolved to, so that `--file` runs it again; return the text."""
    own = (*sweep_file.TABLES, "file", "out", "env", "name")
    options = {field.name: getattr(args, field.name) for field in dataclasses.fields(Sweep) if field.name not in own}
    axes = {name: axes_of.text_of(axis) for name, axis in space.axes}
    fixed = settings.flat(objective.config, objective.params)
    base = settings.flat(Config(), Params())
    own_of_preset = PRESETS[args.preset].settings
    changed = {
        setting: str(value) if isinstance(value, float) and not np.isfinite(value) else value
        for setting, value in fixed.items()
        if setting not in axes and value is not None and (value != base[setting] or setting in own_of_preset)
    }
    named = {"env": [objective.env_name], "name": name or args.name}
    return sweep_file.write(file, {**named, **options}, {"axes": axes, "set": changed})


if __name__ == "__main__":
    main()
