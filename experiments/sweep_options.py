"""The options of `p3o sweep`: read from the command line and from a file, and checked."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from experiments import sweep_file
from experiments.agents import KEEP
from experiments.axes import PRESETS
from experiments.common import Assignments, Repeated, check_seed, read, user_errors
from neocarbs_jax.adapters import trackers
from neocarbs_jax.gp.warping import WARPS
from neocarbs_jax.strategies import STRATEGIES
from p3o_jax.checks import check_at_least


@dataclasses.dataclass
class Sweep:
    """Sweep trainings of an environment."""

    env: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ("pong",)
    """Environment, as listed above; several for one sweep of each."""
    file: Annotated[Path | None, tyro.conf.arg(metavar="TOML")] = None
    """File that holds options by name, and tables [axes] and [set]; the command line has precedence."""
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
    """Use what each training was before its final decay as data on shorter ones; anneals as `anneal=stable` does."""
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


def check(args: Sweep) -> None:
    """Raise a ValueError if an option is out of range, or does not go with another."""
    check_at_least(1, trials=args.trials, episodes=args.episodes, seeds=args.seeds, vmap=args.vmap)
    check_at_least(1, confirm_points=args.confirm_points)
    if args.vmap > 1 and (args.seeds > 1 or args.until_rating is not None):
        other = "seeds" if args.seeds > 1 else "until_rating"
        raise ValueError(f"`vmap` must be 1 where `{other}` is given; got {args.vmap}.")
    for name in of_one_line(args):
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


def of_one_line(args: Sweep) -> list[str]:
    """Return the options that take a training for the beginning of longer ones."""
    return [name for name in ("curves", "continues") if getattr(args, name)]
