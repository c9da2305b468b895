"""Whether `p3o train` may use a folder: a new training, the one that is there, or neither."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich.console import Console

from experiments import programs, saved
from experiments.environments import make_env
from experiments.interrupts import interruptible
from experiments.settings import differences, replace
from neocarbs_jax.report.outputs import check_folder
from p3o_jax.learner import empty_log, num_total_updates, steps_per_update
from p3o_jax.metrics import TERMS, Failure
from p3o_jax.settings import Config, Params

ADVICE = (
    "`--resume` goes on with what is stored, `--override` goes on with the given ones where they fit, "
    "`--overwrite` starts anew, and another `--out` leaves this one alone."
)
ORIGIN = ("env", "seed", "key")


class Request(NamedTuple):
    """What the user asks for.

    Attributes:
        settings: Every setting of the training by name; those that were not given have their defaults.
        given: Names of those that were given.
        resume: Whether to go on with the stored settings.
        override: Whether to go on with the new ones.
        overwrite: Whether to start anew.
        source: Folder of the agent that a new training goes on from; None for one that starts with none.
    """

    settings: dict[str, Any]
    given: frozenset[str]
    resume: bool = False
    override: bool = False
    overwrite: bool = False
    source: Path | None = None


def begin(request: Request, folder: Path, console: Console) -> saved.Saved:
    """Return the training to go on with: a new one, or that of the folder.

    Raises:
        ValueError: An argument is out of range, the folder cannot be written, or it holds another training.
    """
    make_env(request.settings["env"])
    check_place(folder)
    saved.recover(folder)
    if not folder.exists() or not any(folder.iterdir()):
        if request.resume or request.override:
            name = "resume" if request.resume else "override"
            raise ValueError(f"`{name}` needs a folder that `p3o train` wrote; got {str(folder)!r}, which holds none.")
        return start(request, console)
    try:
        stored = saved.read_settings(folder)
    except ValueError as error:
        raise ValueError(f"`out` must be new, or a folder that `p3o train` wrote; got {str(folder)!r}.") from error
    if request.overwrite:
        return start(request, console)
    if request.resume:
        return resume(request, folder, stored, console)
    changed = {name: value for name, value in request.settings.items() if name in stored and stored[name] != value}
    if request.override:  # what was not given stays as it is
        changed = {name: value for name, value in changed.items() if name in request.given}
    if request.override and changed:
        return override(folder, stored, changed, console)
    run = saved.load(folder)
    if changed:  # and not overridden
        raise ValueError(
            f"`out` must be new or hold a training of the same settings; got {str(folder)!r}, {standing(run)}, "
            f"with {'; '.join(differences(stored, request.settings))}. {ADVICE}"
        )
    return go_on(run, folder, console)


def start(request: Request, console: Console) -> saved.Saved:
    """Return a training before its first update, or the agent that it goes on from."""
    if request.source is not None:
        return branch(request.source, request.settings, console)
    return new(request.settings)


def new(settings: dict[str, Any]) -> saved.Saved:
    """Return a training before its first update.

    Raises:
        ValueError: A setting is out of range, or the environment does not fit.
    """
    env = make_env(settings["env"])
    config, params = replace(Config(), Params(), without_origin(settings))
    programs.check(config, env)
    train_key, _ = saved.keys(settings["seed"], settings["key"])
    start = jax.jit(lambda key, params: programs.init(config, env, key, params))
    key_shape, params_shape = programs.shapes((train_key, params))
    state = interruptible(lambda: start.lower(key_shape, params_shape).compile()(train_key, params))
    return saved.Saved(settings["env"], env, config, params, state, settings["seed"], settings["key"])


def branch(source: Path, settings: dict[str, Any], console: Console) -> saved.Saved:
    """Return the agent of another folder with new settings, to train on; that folder stays as it is.

    Raises:
        ValueError: The settings are not such that a training can change on its way, or leave nothing to train.
    """
    before = saved.load(source)
    changed = {name: value for name, value in settings.items() if before.settings.get(name, value) != value}
    said = "; ".join(differences(before.settings, changed)) or "the same"
    try:
        run = saved.load_as(source, before.settings | settings)
    except ValueError as error:
        raise ValueError(f"`from` must leave the shapes of what is stored as they are; got {said}.") from error
    run = _alive(run, new_log="total_steps" in changed)
    if is_finished(run):
        steps = int(run.state.num_updates) * steps_per_update(run.config, run.env)
        total = float(run.params.total_steps)
        raise ValueError(f"`set` must give total_steps more than the {steps:,d} that `from` has had; got {total:g}.")
    console.print(f"going on from {source}, {standing(before)}, with {said}", soft_wrap=True)
    return run


def resume(request: Request, folder: Path, stored: dict[str, Any], console: Console) -> saved.Saved:
    """Return the training of the folder with its own settings.

    Raises:
        ValueError: Other settings were given.
    """
    given = {name: value for name, value in request.settings.items() if name in request.given}
    changed = differences(stored, given)
    if changed:
        raise ValueError(
            f"`resume` goes on with the stored settings; got {'; '.join(changed)}. "
            "Leave them out, or give `--override` instead."
        )
    return go_on(saved.load(folder), folder, console)


def override(folder: Path, stored: dict[str, Any], changed: dict[str, Any], console: Console) -> saved.Saved:
    """Return the training of the folder with new settings.

    Raises:
        ValueError: The settings are not such that a training can change on its way.
    """
    said = "; ".join(differences(stored, changed))
    if set(changed) & set(ORIGIN):
        raise ValueError(f"`override` must leave {', '.join(ORIGIN)} as they are; got {said}.")
    try:
        run = saved.load_as(folder, stored | changed)
    except ValueError as error:
        saved.load(folder)  # a folder that is not whole says so itself
        raise ValueError(f"`override` must leave the shapes of what is stored as they are; got {said}.") from error
    run = _alive(run, new_log="total_steps" in changed)
    console.print(f"going on with {said}", soft_wrap=True)
    return go_on(run, folder, console)


def _alive(run: saved.Saved, *, new_log: bool) -> saved.Saved:
    """Return the training without a failure, and with no metrics where intervals of another budget are others."""
    state = run.state
    if new_log:
        state = dataclasses.replace(state, log=empty_log(run.config, run.env))
    if state.failure.failed:
        alive = Failure(jnp.zeros_like(state.failure.step), jnp.full_like(state.failure.term, -1))
        state = dataclasses.replace(state, failure=alive)
    return run._replace(state=state)


def go_on(run: saved.Saved, folder: Path, console: Console) -> saved.Saved:
    """Say where the training stands and return it; exit with code 1 if it has diverged."""
    if run.state.failure.failed:
        console.print(
            f"{folder} holds a training that is {standing(run)}. `--overwrite` starts anew; `--override` with other "
            "settings, such as a lower learning rate, goes on from its last finite parameters.",
            soft_wrap=True,
        )
        raise SystemExit(1)
    steps = int(run.state.num_updates) * steps_per_update(run.config, run.env)
    if is_finished(run):
        console.print(
            f"{folder} holds this training, {standing(run)}: it is only evaluated. For more steps give "
            f"`--override --set total_steps=...`, and `--overwrite` to start anew.",
            soft_wrap=True,
        )
    else:
        console.print(
            f"going on from step {steps:,d} (update {int(run.state.num_updates)}) in {folder}", soft_wrap=True
        )
    return run


def standing(run: saved.Saved) -> str:
    """Return whether a training is finished, diverged or under way, in words."""
    steps = int(run.state.num_updates) * steps_per_update(run.config, run.env)
    if run.state.failure.failed:
        term = TERMS[int(run.state.failure.term)]
        return f"diverged ({term} not finite at step {int(run.state.failure.step):,d})"
    return f"finished at step {steps:,d}" if is_finished(run) else f"at step {steps:,d}"


def is_finished(run: saved.Saved) -> bool:
    """Return whether nothing is left to train."""
    return int(run.state.num_updates) >= int(num_total_updates(run.config, run.env, run.params))


def check_place(folder: Path) -> None:
    """Raise a ValueError unless a folder can be made, or replaced, at that path."""
    whole = folder.resolve()
    if whole == Path.cwd() or whole in Path.cwd().parents:
        raise ValueError(f"`out` must not be the current folder or one around it; got {str(folder)!r}.")
    if whole.exists() and not whole.is_dir():
        raise ValueError(f"`out` must be a folder; got {str(folder)!r}, which is a file.")
    check_folder("out", folder)
    check_folder("out", whole.parent)


def without_origin(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of `Config`, `Params` and the network alone."""
    return {name: value for name, value in settings.items() if name not in (*ORIGIN, "episodes")}
