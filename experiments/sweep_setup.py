"""What the options of `p3o sweep` stand for: the objective, the search space, and the file that says it all."""

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from experiments import axes as axes_of
from experiments import environments, programs, settings, sweep_file
from experiments.axes import AXES, PRESETS, Preset
from experiments.environments import make_env
from experiments.objective import Training
from experiments.settings import assignments
from experiments.sweep_options import Sweep, check, of_one_line
from neocarbs_jax.report.progress import Progress
from neocarbs_jax.space import Axis, Bounded, Choice, Options, SearchSpace
from p3o_jax.params import STABLE
from p3o_jax.settings import Config, Params

CONFIG = Config(**PRESETS["p3o"].settings)
"""Static settings where neither a preset nor `--set` names others."""


def prepare(args: Sweep, progress: Progress) -> Training:
    """Return the objective of the sweep.

    Raises:
        ValueError: If an argument is out of range; nothing has been written then.
    """
    check(args)
    fixed = fixed_settings(args)
    env_name = environments.with_arguments(environments.full_name(args.env[0]), settings.arguments_of(fixed))
    env, space = make_env(env_name), space_of(args)
    config, params = settings.replace(CONFIG, Params(), fixed)
    for name in of_one_line(args):
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


def fixed_settings(args: Sweep) -> dict[str, Any]:
    """Return the settings of all trials: the preset's, the schedule of options, those of `--set` in their place."""
    return {**PRESETS[args.preset].settings, **_schedule(args), **assignments(args.set)}


def _schedule(args: Sweep) -> Mapping[str, Any]:
    """Return the settings that make a training the beginning of longer ones, where an option takes it for that."""
    return STABLE if of_one_line(args) else {}


def _say_what_has_no_effect(args: Sweep, fixed: Mapping[str, Any], console: Console) -> None:
    named = space_of(args).names if args.axes else PRESETS[args.preset].axes
    dead = axes_of.without_effect([name for name in named if name not in assignments(args.set)], fixed)
    if dead:
        verb, left_out = "has" if len(dead) == 1 else "have", "" if args.axes else " and left out"
        why = f"estimator {fixed.get('estimator', 'p3o')}{left_out}"
        console.print(f"Note: {' and '.join(dead)} {verb} no effect with these settings ({why}).", soft_wrap=True)


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
    """Return the axes, by default the preset's, but those that are fixed; with other bounds for some: "AXIS=LOW,HIGH".

    Raises:
        ValueError: Bounds read otherwise, are out of range, or belong to no axis.
    """
    axes = default_axes() if axes is None else axes
    left = {name: axis for name, axis in axes.items() if name not in fixed}
    for name, text in settings.pairs(bounds, "bounds").items():
        if name not in left:
            known = f"must name one of {', '.join(left)}" if left else "must be empty where every axis is set"
            raise ValueError(f"`bounds` {known}; got '{name}={text}'.")
        left[name] = axes_of.with_range(name, left[name], text, "bounds")
    if not left:
        raise ValueError("`set` must leave an axis to search; got all of them.")
    return SearchSpace(**left)


INTERACTING = (
    *("num_envs", "segment_length", "horizon", "bands", "num_minibatches", "minibatches_of", "estimator", "precision"),
    *("tau_rule", "evidence"),
)
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


def write_file(file: Path, args: Sweep, space: SearchSpace, objective: Training, name: str | None = None) -> str:
    """Write the sweep with all that it resolved to, so that `--file` runs it again; return the text."""
    own = (*sweep_file.TABLES, "file", "out", "env", "name")
    options = {field.name: getattr(args, field.name) for field in dataclasses.fields(Sweep) if field.name not in own}
    options["track"] = args.track or None
    axes = {name: axes_of.text_of(axis) for name, axis in space.axes}
    fixed = settings.flat(objective.config, objective.params)
    base = settings.flat(Config(), Params())
    given = fixed_settings(args)
    changed = {
        setting: str(value) if isinstance(value, float) and not np.isfinite(value) else value
        for setting, value in fixed.items()
        if setting in given or (value != base[setting] and setting not in objective.config.fitted)
        if setting not in axes and value is not None
    }
    named = {"env": [objective.env_name], "name": name or args.name}
    return sweep_file.write(file, {**named, **options}, {"axes": axes, "set": changed})
