"""Train P3O, or PPO by `estimator=gae`, on an environment; keep the agent.

    p3o train --env pong --set total_steps=2e6 learning_rate=1e-2 tau=0.2
    p3o train --env pong --set estimator=gae value=.5 entropy=.01 kl_limit=inf  # PPO's usual coefficients
    p3o train --file experiments/presets/breakout.toml  # the settings of its tables [set] and [best]
    p3o train --from-trial sqlite:///runs/pong.db --trial 15  # repeats a trial of a sweep
    p3o train --from runs/pong#15 --set total_steps=1e7  # goes on from its agent

Ctrl-C at any time: the same command goes on from the folder. A folder of other settings is not touched, unless
--resume (go on with the stored settings), --override (go on with the given ones) or --overwrite (start anew) is given.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro
from rich.console import Console

from experiments import environments, saved, settings, sweep_file
from experiments.agents import resolve
from experiments.common import Assignments, check_seed, read, user_errors
from experiments.evaluate import describe, score
from experiments.folder import Request, begin
from experiments.interrupts import graceful, interruptible, stoppable
from experiments.repeat import Repeated, find_trial, wanted
from experiments.sweep_options import Sweep
from experiments.training import train
from neocarbs_jax.report.outputs import folder_name
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.checks import check_at_least
from p3o_jax.settings import Config, Params


@dataclasses.dataclass
class Train:
    """Train an agent and keep it."""

    env: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Environment; by default pong, or that of the folder or trial to go on from."""
    set: Assignments = ()
    """Settings, as listed above: total_steps=2e6 num_envs=64 estimator=gae network.width=128."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of the agent; by default runs/train-ENV, or runs/STUDY-TRIAL."""
    seed: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Of network and environments, at least 0; by default 0, or that of the folder or trial."""
    episodes: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Evaluation episodes at the end; by default 256, or those of the trial."""
    devices: int = 1
    """Devices of this machine that share the environments; the result is the same, but for rounding."""
    reports: int = 10
    """How often to report and to save on the way."""
    from_trial: Annotated[str | None, tyro.conf.arg(metavar="STORAGE")] = None
    """Take every setting and the random key of a trial of this study's storage; --set changes some of them."""
    from_agent: Annotated[str | None, tyro.conf.arg(name="from", metavar="AGENT")] = None
    """Go on from this agent, in another folder: a folder, or a trial of a sweep (runs/pong#17). --set changes some."""
    file: Annotated[Path | None, tyro.conf.arg(metavar="TOML")] = None
    """Take environment and settings of this file of a sweep, its tables [set] and [best]; --set changes some."""
    name: Annotated[str | None, tyro.conf.arg(metavar="STUDY")] = None
    """Study of --from-trial; by default the only one of the storage."""
    trial: Annotated[int | None, tyro.conf.arg(metavar="NUMBER")] = None
    """Number of the trial of --from-trial."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with the training in the folder and the settings that are stored there."""
    override: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with the training in the folder and the given settings, where they fit what is stored."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Start anew, in place of the training in the folder."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    with stoppable():
        help_text = f"{__doc__}\n{settings.describe(Config(), Params())}\n\n{environments.HELP}"
        args = read(Train, "p3o train", help_text, arguments)
        console = Console()
        keep_on_disk()
        with user_errors():
            repeated = check(args, console)
            folder = args.out or Path("runs") / default_folder(args, repeated)
            request = request_of(args, repeated)
            run = begin(request, folder, console)
            episodes = args.episodes or (repeated.settings["episodes"] if repeated else 256)
            with graceful():
                run = train(run, folder, args.reports, console, args.devices)
            result = interruptible(score, run, episodes, saved.keys(run.seed, run.key)[1])
            console.print(f"{describe(result)}\nkept in {folder}", soft_wrap=True)
            if repeated:
                console.print(repeated.compare(run, episodes, float(result.score_mean)), soft_wrap=True)


def request_of(args: Train, repeated: Repeated | None) -> Request:
    """Return what is asked for.

    Raises:
        ValueError: A setting is unknown or out of range, or there is no such agent.
    """
    source = resolve(args.from_agent, "from") if args.from_agent else None
    if source is not None and source.suffix == saved.PACKED:
        raise ValueError(f"`from` must be a folder or a trial, which hold the whole state; got {args.from_agent!r}.")
    stored = repeated.settings if repeated else saved.read_settings(source) if source else {}
    if args.file is not None:
        stored = settings_of(args.file)
    chosen = wanted(args.env, args.seed, args.set, stored)
    return Request(*chosen, args.resume, args.override, args.overwrite, source)


def settings_of(file: Path) -> dict[str, Any]:
    """Return environment and settings of a file of a sweep, those of [best] in place of those of [set].

    Raises:
        ValueError: The file cannot be read, or a setting is unknown or out of range.
    """
    env, entries = sweep_file.read_best(file, [field.name for field in dataclasses.fields(Sweep)])
    values = settings.assignments(entries, "file")
    return {**values, "env": environments.with_arguments(env, settings.arguments_of(values))}


def check(args: Train, console: Console) -> Repeated | None:
    """Return the trial that is repeated, if one is.

    Raises:
        ValueError: An argument is out of range or needs another.
    """
    check_at_least(1, episodes=args.episodes, reports=args.reports, devices=args.devices)
    if args.devices > jax.local_device_count():
        raise ValueError(f"`devices` must be at most {jax.local_device_count()} on this machine; got {args.devices}.")
    check_seed(args.seed)
    chosen = [f"--{name}" for name in ("resume", "override", "overwrite") if getattr(args, name)]
    if len(chosen) > 1:
        raise ValueError(f"`{chosen[0][2:]}` must be given alone; got {' and '.join(chosen)}.")
    if args.from_agent is not None:
        for name in ("env", "seed", "from_trial"):
            if getattr(args, name) is not None:
                raise ValueError(f"`from` must be given without `{name.replace('_', '-')}`; got both.")
    if args.file is not None and (args.from_agent is not None or args.from_trial is not None):
        raise ValueError("`file` must be given without `from` and `from-trial`; got both.")
    if args.from_trial is None:
        for name in ("trial", "name"):
            if getattr(args, name) is not None:
                raise ValueError(f"`{name}` must come with `from-trial`; got {getattr(args, name)!r} alone.")
        return None
    return find_trial(args.from_trial, args.name, args.trial, lambda line: console.print(line, soft_wrap=True))


def default_folder(args: Train, repeated: Repeated | None) -> str:
    """Return the name of the agent's folder where none is given."""
    if args.from_agent is not None:
        return folder_name(f"train-from-{args.from_agent.removeprefix('runs/')}")
    if repeated:
        return folder_name(f"{repeated.study}-trial-{repeated.number}")
    return folder_name(f"train-{args.env or (args.file.stem if args.file else 'pong')}")


if __name__ == "__main__":
    main()
