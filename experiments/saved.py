"""Trained agents on disk: a folder with settings as JSON beside the whole state, so that it evaluates and resumes."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envs import registry
from p3o_jax import checkpoint
from p3o_jax.learner import State, init
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import Config, Params


class Saved(NamedTuple):
    """A training, as a folder holds it.

    Attributes:
        env_name: Name in `envs.registry`.
        env: The environment.
        config: Static settings.
        params: Traced settings.
        state: The whole state of the learner.
    """

    env_name: str
    env: Any
    config: Config
    params: Params
    state: State


def save(folder: Path, run: Saved) -> None:
    """Write a folder whole, in place of an older one of the same name."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    checkpoint.save(fresh / "state", run.state)
    numbers = {name: float(value) for name, value in vars(run.params).items()}
    settings = {"env": run.env_name, "config": dataclasses.asdict(run.config), "params": numbers}
    (fresh / "settings.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> None:
    """Give a folder that a killed `save` left under another name its own name back."""
    for left in (folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")):
        if not folder.exists() and (left / "settings.json").exists():  # written last
            left.rename(folder)


def load(folder: Path) -> Saved:
    """Read a folder.

    Raises:
        ValueError: If it is not one that `save` wrote.
    """
    recover(folder)
    try:
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"`checkpoint` must be a folder that `p3o train` wrote; got {str(folder)!r}.") from error
    network = NetworkConfig(**settings["config"].pop("network"))
    config = Config(network=network, **settings["config"])
    params = as_arrays(Params(**settings["params"]))
    env = registry.make(settings["env"])
    template = jax.eval_shape(lambda: init(config, env, jax.random.key(0), params))
    return Saved(settings["env"], env, config, params, checkpoint.restore(folder / "state", template))


def as_arrays(params: Params) -> Params:
    """The same settings as float32 arrays, so that another value is no new compilation."""
    return jax.tree.map(lambda value: jnp.asarray(value, jnp.float32), params)


def shapes(tree: Any) -> Any:
    """Shapes and types of the arrays; a program that is compiled for them is the same for a new and a restored state.

    Arrays themselves tell whether they are bound to a device, as restored ones are, which the compilation cache heeds.
    """
    return jax.eval_shape(lambda: tree)
