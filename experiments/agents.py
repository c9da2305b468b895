"""Agents by name: those of a sweep's trials ("runs/pong#17"), which are kept and where, and masters ("master:pong")."""

import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path

from experiments import saved
from experiments.saved import Saved
from neocarbs_jax.study import Study, Trial

KEEP = ("front", "all", "none")
FOLDER = "trials"

MASTER = "master:"
"""Before the name of an environment: the trained agent that comes with the package."""

MASTERS = Path(__file__).with_name("masters")
"""Folder of these agents, a small file each, which `python -m experiments.bench.masters --ship` wrote."""


class Keeper:
    """Keep the agents of trials under `out`/trials/NUMBER.

    Args:
        out: folder of the sweep.
        keep: "front" for the trials of the measured and the expected front, "all" or "none".
    """

    def __init__(self, out: Path, keep: str = "front"):
        self.out, self.keep = out, keep

    def take(self, trial: Trial, agent: Saved, score: float) -> None:
        """Write the agent of a trial that is about to end."""
        del score
        if self.keep != "none":
            saved.save(agent_folder(self.out, trial.number), agent)

    def tidy(self, study: Study) -> None:
        """Remove the agents of trials that are on no front any more."""
        if self.keep != "front":
            return
        fronts = {trial.number for trial in study.front}
        if any(number not in fronts for number in self._held()):
            fronts |= {point.trial.number for point in study.expected_front}
        for number in self._held():
            if number not in fronts:
                shutil.rmtree(agent_folder(self.out, number), ignore_errors=True)

    def _held(self) -> Iterable[int]:
        folder = self.out / FOLDER
        return [int(path.name) for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []


def agent_folder(out: Path, number: int) -> Path:
    """Return where the agent of a trial lies."""
    return out / FOLDER / str(number)


def masters() -> dict[str, Path]:
    """Return the files of the agents that come with the package, by environment."""
    return {file.stem: file for file in sorted(MASTERS.glob(f"*{saved.PACKED}"))}


def resolve(text: str, argument: str) -> Path:
    """Return where an agent lies: a folder that `p3o train` wrote, that of a trial (runs/pong#17), or a master's file.

    Raises:
        ValueError: a trial is named whose agent was not kept, or a master that is not there.
    """
    if text.startswith(MASTER):
        name = text.removeprefix(MASTER)
        if name not in masters():
            raise ValueError(
                f"`{argument}` must name a master, {' or '.join(map(MASTER.__add__, masters()))}; got {text!r}."
            )
        return masters()[name]
    out, mark, number = text.rpartition("#")
    if not mark or Path(text).exists():
        return Path(text)
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f"`{argument}` must read FOLDER#NUMBER for a trial of a sweep; got {text!r}.")
    folder = agent_folder(Path(out), int(number))
    if not folder.is_dir():
        held = sorted(int(p.name) for p in folder.parent.glob("*") if p.name.isdigit())
        there = f"those of {', '.join(map(str, held))}" if held else "none"
        raise ValueError(
            f"`{argument}` must name a trial whose agent was kept ({there} in {out}); got {text!r}. "
            f"`p3o train {_study_of(Path(out))} --trial {int(number)}` trains it again, to the same numbers."
        )
    return folder


def _study_of(out: Path) -> str:
    """Return the options that name the study of a sweep, which its folder tells once it has reported."""
    try:
        told = tomllib.loads((out / "sweep.toml").read_text(encoding="utf-8"))
        return f"--from-trial {told['storage']} --name {told['name']}"
    except (OSError, ValueError, KeyError):  # none was written yet, or by hand
        return "--from-trial STORAGE"
