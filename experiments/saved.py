"""Trained agents on disk: a folder with settings as JSON beside the whole state, so that it evaluates and resumes.

An agent that is only to act is one small file: settings, and the arrays that it acts and is watched by.
"""

import dataclasses
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import curves
from experiments.environments import make_env
from experiments.settings import BEFORE, as_arrays, flat, replace
from p3o_jax import checkpoint
from p3o_jax.learner import State, init, steps_per_update
from p3o_jax.settings import Config, Params

PACKED = ".npz"
"""How the name of an agent's file ends that `pack` wrote."""

ACTS = ("trainable", "obs_moments", "spread", "reward_scaler.moments")
"""What an agent acts by, and what it predicts by, among the fields of `State`."""


class Saved(NamedTuple):
    """A training, as a folder holds it.

    Attributes:
        env_name: Name in `envs.registry`.
        env: The environment.
        config: Static settings.
        params: Traced settings.
        state: The whole state of the learner.
        seed: That the training began with; None where an older folder does not say.
        key: Data of the random key of the trial that the training repeats, in hexadecimal; "" where it repeats none.
    """

    env_name: str
    env: Any
    config: Config
    params: Params
    state: State
    seed: int | None = 0
    key: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting by name as plain values."""
        origin = {"env": self.env_name, "key": self.key} | ({} if self.seed is None else {"seed": self.seed})
        return origin | flat(self.config, self.params)


def keys(seed: int | None, key: str) -> tuple[Any, Any]:
    """Return the keys of training and evaluation: those of the trial whose key is given, else those of the seed."""
    if key:
        return tuple(jax.random.split(to_key(key)))  # pyright: ignore[reportReturnType]
    return jax.random.key(seed or 0), jax.random.key(1)


def to_text(key: Any) -> str:
    """Return the data of a random key in hexadecimal."""
    return np.asarray(jax.random.key_data(key)).astype(">u4").tobytes().hex()


def to_key(text: str) -> Any:
    """Return the random key whose data `to_text` wrote."""
    return jax.random.wrap_key_data(jnp.asarray(np.frombuffer(bytes.fromhex(text), ">u4").astype(np.uint32)))


def save(folder: Path, run: Saved) -> None:
    """Write a folder whole, in place of an older one of the same name."""
    folder = folder.resolve()
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    checkpoint.save(fresh / "state", run.state)
    steps = steps_per_update(run.config, run.env)
    (fresh / curves.FILE).write_text(curves.curves(run.state, steps), encoding="utf-8")
    (fresh / "settings.json").write_text(json.dumps(run.settings, indent=2) + "\n", encoding="utf-8")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> None:
    """Give a folder that a killed `save` left under another name its own name back."""
    folder = folder.resolve()
    for left in (folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")):
        if not folder.exists() and (left / "settings.json").exists():  # written last
            left.rename(folder)


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of a folder by name.

    Raises:
        ValueError: If it is not one that `save` wrote.
    """
    try:
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        if "config" in settings:  # in groups, as folders were at first
            settings = _flattened(settings)
        settings["env"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"`checkpoint` must be a folder that `p3o train` wrote; got {str(folder)!r}.") from error
    return BEFORE | settings


def load(folder: Path) -> Saved:
    """Read a folder.

    Args:
        folder: That `save` wrote, or the file that `pack` wrote.

    Raises:
        ValueError: If it is neither.
    """
    if folder.suffix == PACKED:
        return unpack(folder)
    recover(folder)
    return load_as(folder, read_settings(folder))


def load_as(folder: Path, settings: dict[str, Any]) -> Saved:
    """Read the state of a folder for the given settings.

    Raises:
        ValueError: If the folder holds no state of the shapes that the settings make.
    """
    origin = {name: settings.get(name) for name in ("env", "seed", "key")}
    others = {name: value for name, value in settings.items() if name not in origin}
    try:
        config, params = replace(Config(), Params(), others)
        env = make_env(origin["env"])  # pyright: ignore[reportArgumentType]
        template = jax.eval_shape(lambda: init(config, env, jax.random.key(0), params))
        # Older folders were written before the log had the environment's own measures, and weights.
        lacking = ("log.episodes.measures.", "log.weights", "log.signal_to_noise")
        state = _with_later_sums(checkpoint.restore(folder / "state", template, may_lack=lacking))
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(
            f"`checkpoint` must be a folder that `p3o train` wrote whole; got {str(folder)!r} ({error})."
        ) from error
    return Saved(origin["env"], env, config, as_arrays(params), state, origin["seed"], origin["key"] or "")  # pyright: ignore[reportArgumentType]


def _with_later_sums(state: State) -> State:
    """Return the state with sums that an older log lacks unknown for past intervals alone, so that later ones count."""
    past = np.asarray(state.log.num_updates) > 0

    def begun(total: Any) -> Any:
        lacks = np.isnan(total) & ~past.reshape(-1, *(1,) * (total.ndim - 1))
        return jnp.asarray(np.where(lacks, np.zeros_like(total), total)) if lacks.any() else total

    return dataclasses.replace(state, log=jax.tree.map(begun, state.log))


def pack(file: Path, run: Saved) -> None:
    """Write what an agent acts by to one file; a training cannot go on from it as it would have."""
    arrays = {name: np.asarray(x) for name, x in _by_name(run.state).items() if name.startswith(ACTS)}
    file.parent.mkdir(parents=True, exist_ok=True)
    settings = np.array(json.dumps(run.settings))
    np.savez_compressed(file, **arrays, settings=settings)  # pyright: ignore[reportArgumentType]


def unpack(file: Path) -> Saved:
    """Read the file that `pack` wrote; what it does not hold is as before the first update.

    Raises:
        ValueError: If it is not one that `pack` wrote, or its arrays are of other shapes than the settings make.
    """
    try:
        with file.open("rb") as data, np.load(data) as arrays:
            stored = {name: arrays[name] for name in arrays.files if name != "settings"}
            settings = BEFORE | json.loads(str(arrays["settings"]))
        origin = {name: settings.pop(name, None) for name in ("env", "seed", "key")}
        config, params = replace(Config(), Params(), settings)
        env = make_env(origin["env"])
        state = init(config, env, jax.random.key(0), params)
        named = _by_name(state)
        wanted = {name: x.shape for name, x in named.items() if name.startswith(ACTS)}
        if wanted != {name: x.shape for name, x in stored.items()}:
            raise ValueError("arrays of other names or shapes")
    except (OSError, EOFError, zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"`checkpoint` must be a file that `pack` wrote; got {str(file)!r} ({error}).") from error
    paths, tree = jax.tree_util.tree_flatten_with_path(state)
    leaves = [jnp.asarray(stored[name], x.dtype) if (name := _name(at)) in stored else x for at, x in paths]
    state = tree.unflatten(leaves)
    return Saved(origin["env"], env, config, as_arrays(params), state, origin["seed"], origin["key"] or "")


def _by_name(tree: Any) -> dict[str, Any]:
    """Return every array by its dotted name."""
    return {_name(at): x for at, x in jax.tree_util.tree_leaves_with_path(tree)}


def _name(at: Any) -> str:
    return jax.tree_util.keystr(at, simple=True, separator=".")


def _flattened(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a folder that kept them in groups."""
    config = dict(settings["config"])
    network = {f"network.{name}": value for name, value in config.pop("network").items()}
    numbers = {name: float(str(np.float32(value))) for name, value in settings["params"].items()}
    return {"env": settings["env"]} | numbers | config | network
