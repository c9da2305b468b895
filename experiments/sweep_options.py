"""The options of `p3o sweep`: read, checked, and what they stand for."""

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console

from experiments import axes as axes_of
from experiments import environments, programs, settings, sweep_file, sweep_study
from experiments.agents import KEEP
from experiments.axes import AXES, PRESETS, Preset
from experiments.common import Assignments, Repeated, check_at_least, check_seed, read, user_errors
from experiments.objective import Training, assignments, make_env
from neocarbs_jax.adapters import trackers
from neocarbs_jax.gp.warping import WARPS
from neocarbs_jax.report.progress import Progress
from neocarbs_jax.space import Axis, Bounded, Choice, Options, SearchSpace
from neocarbs_jax.strategies import STRATEGIES
from p3o_jax.params import STABLE
from p3o_jax.settings import Config, Params

CONFIG = Config(segment_length=64, horizon=32)
"""Static settings where neither a preset nor `--set` names others."""


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
    curves: bool = False
    """Take what each training was before its final decay as data on shorter ones; anneals as `anneal=stable` does."""
    continues: bool = False
    """Let longer trainings go on from checkpoints of shorter ones, and pay the difference; anneals as
    `anneal=stable` does."""
    keep: str = "front"
    """Trials whose agents are kept: front, all or none. `p3o eval FOLDER#NUMBER` evaluates one."""
    track: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TRACKER ...")] = ()
    """Tools that are told of each trial: wandb[:PROJECT], mlflow[:URI], tensorboard[:FOLDER], trackio[:PROJECT],
    csv[:FILE]; several at once."""


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
        given_tables = {name: getattr(args, name) for name in sweep_file.TABLES}
        return dataclasses.replace(args, **sweep_file.merge(tables, given_tables))


def prepare(args: Sweep, progress: Progress) -> Training:
    """Return the objective of the sweep.

    Raises:
        ValueError: If an argument is out of range; nothing has been written then.
    """
    _check(args)
    fixed = fixed_settings(args)
    env_name = environments.with_arguments(environments.full_name(args.env[0]), settings.arguments_of(fixed))
    env, space = make_env(env_name), space_of(args)
    config, params = settings.replace(CONFIG, Params(), fixed)
    for name in _of_one_line(args):
        if "total_steps" not in space.names:
            steps = fixed["total_steps"]
            raise ValueError(f"`set` must leave total_steps to search where `{name}` is given; got {steps}.")
        if not params.decay < 1:
            raise ValueError(f"`decay` must be below 1 where `{name}` is given; got {params.decay}.")
    training = Training(
        env,
        config,
        params,
        env_name=env_name,
        seed=args.seed,
        num_episodes=args.episodes,
        progress=progress,
        num_seeds=args.seeds,
        curves=args.curves,
    )
    check_shapes(training, space)
    _say_what_has_no_effect(args, fixed, progress.console)
    return training


def _check(args: Sweep) -> None:
    """Raise a ValueError if an option is out of range, or does not go with another."""
    check_at_least(1, trials=args.trials, episodes=args.episodes, seeds=args.seeds, confirm_points=args.confirm_points)
    check_at_least(1, vmap=args.vmap)
    if args.vmap > 1 and (args.seeds > 1 or args.until_rating is not None):
        other = "seeds" if args.seeds > 1 else "until_rating"
        raise ValueError(f"`vmap` must be 1 where `{other}` is given; got {args.vmap}.")
    for name in _of_one_line(args):
        if args.seeds > 1:
            raise ValueError(f"`seeds` must be 1 where `{name}` is given; got {args.seeds}.")
    strategy = STRATEGIES.get(args.strategy)
    if args.curves and strategy and not strategy.uses_surrogates:
        raise ValueError(f"`strategy` must have surrogates where `curves` is given; got {args.strategy}.")
    if args.continues and strategy and not strategy.continues:
        raise ValueError(f"`strategy` must be neocarbs where `continues` is given; got {args.strategy}.")
    if args.continues and args.vmap > 1:
        raise ValueError(f"`vmap` must be 1 where `continues` is given; got {args.vmap}.")
    check_at_least(0, resample=args.resample, confirm=args.confirm)
    check_seed(args.seed)
    trackers.check(args.track)
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


def _of_one_line(args: Sweep) -> list[str]:
    """Return the options that take a training for the beginning of longer ones."""
    return [name for name in ("curves", "continues") if getattr(args, name)]


def _schedule(args: Sweep) -> Mapping[str, Any]:
    """Return the settings that make a training the beginning of longer ones, where an option takes it for that."""
    return STABLE if _of_one_line(args) else {}


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
    return axis.options if isinstance(axis, Options) else (axis.low, axis.high)


def fixed_settings(args: Sweep) -> dict[str, Any]:
    """Return the settings of all trials: the preset's, the schedule of options, those of `--set` in their place."""
    return {**PRESETS[args.preset].settings, **_schedule(args), **assignments(args.set)}


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


def write_file(file: Path, args: Sweep, space: SearchSpace, objective: Training, name: str | None = None) -> str:
    """Write the sweep with all that it resolved to, so that `--file` runs it again; return the text."""
    own = (*sweep_file.TABLES, "file", "out", "env", "name")
    options = {field.name: getattr(args, field.name) for field in dataclasses.fields(Sweep) if field.name not in own}
    options["track"] = args.track or None
    axes = {name: axes_of.text_of(axis) for name, axis in space.axes}
    fixed = settings.flat(objective.config, objective.params)
    base = settings.flat(Config(), Params())
    own_of_preset = {**PRESETS[args.preset].settings, **_schedule(args)}
    changed = {
        setting: str(value) if isinstance(value, float) and not np.isfinite(value) else value
        for setting, value in fixed.items()
        if setting not in axes and value is not None and (value != base[setting] or setting in own_of_preset)
    }
    named = {"env": [objective.env_name], "name": name or args.name}
    return sweep_file.write(file, {**named, **options}, {"axes": axes, "set": changed})
