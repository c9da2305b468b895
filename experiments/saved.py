"""Trained agents on disk: a folder with settings as JSON beside the whole state, so that it evaluates and resumes."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import curves
from experiments.environments import make_env
from experiments.settings import as_arrays, flat, replace
from p3o_jax import checkpoint
from p3o_jax.learner import State, init, steps_per_update
from p3o_jax.settings import Config, Params


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
    return settings


def load(folder: Path) -> Saved:
    """Read a folder.

    Raises:
        ValueError: If it is not one that `save` wrote.
    """
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
        state = checkpoint.restore(folder / "state", template, may_lack=lacking)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(
            f"`checkpoint` must be a folder that `p3o train` wrote whole; got {str(folder)!r} ({error})."
        ) from error
    return Saved(origin["env"], env, config, as_arrays(params), state, origin["seed"], origin["key"] or "")  # pyright: ignore[reportArgumentType]


def _flattened(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a folder that kept them in groups."""
    config = dict(settings["config"])
    network = {f"network.{name}": value for name, value in config.pop("network").items()}
    numbers = {name: float(str(np.float32(value))) for name, value in settings["params"].items()}
    return {"env": settings["env"]} | numbers | config | network
