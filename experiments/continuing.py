"""Checkpoints of a sweep's trainings from before their final decay, from which longer trainings go on."""

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax

from neocarbs_jax.study import Study, Trial, lineage
from neocarbs_jax.study.trials import merit, pareto_front
from p3o_jax import checkpoint
from p3o_jax.learner import State, empty_log, init
from p3o_jax.settings import Config, Params

FOLDER = "checkpoints"
REMOVED = "removed-"
"""Before the number of a folder that is being removed, so that nobody reads a part of it."""
MOST = 16
"""Checkpoints that a sweep keeps: of the trials that are the least short of the front."""


class Begun(NamedTuple):
    """A training as its parent left it.

    Attributes:
        state: before the parent's decay, without metrics: intervals of another budget are others.
        key: of the first training of the line, in hexadecimal.
    """

    state: State
    key: str


class Checkpoints:
    """Keep states of trials under `out`/checkpoints/NUMBER.

    Args:
        out: folder of the sweep, which all its workers share.
        most: that are kept.
    """

    def __init__(self, out: Path, most: int = MOST):
        self.folder, self.most = out / FOLDER, most

    def keep(self, trial: Trial, state: State, key: str) -> None:
        """Write the state of a running trial, in place of one that a killed worker left."""
        folder = self._of(trial.number)
        shutil.rmtree(folder, ignore_errors=True)
        checkpoint.save(folder / "state", state)
        (folder / "key.json").write_text(json.dumps(key), encoding="utf-8")  # written last

    def restore(self, trial: Trial, config: Config, env: Any, params: Params) -> Begun | None:
        """Return what a trial goes on from; None where that is not there, and the trial is told to start afresh.

        Args:
            trial: that goes on from its parent.
            config: static settings, which are the parent's.
            env: the environment.
            params: traced settings.
        """
        folder = self._of(trial.parent)
        template = jax.eval_shape(lambda key: init(config, env, key, params), jax.eval_shape(lambda: jax.random.key(0)))
        try:
            key = json.loads((folder / "key.json").read_text(encoding="utf-8"))
            state = checkpoint.restore(folder / "state", template)
        except (OSError, ValueError):
            trial.start_afresh()
            return None
        return Begun(dataclasses.replace(state, log=empty_log(config, env)), key)

    def tidy(self, study: Study) -> None:
        """Remove checkpoints that no trial goes on from, and those furthest below the front, beyond the most."""
        trials = study.trials
        held = {int(path.name) for path in self.folder.glob("*") if path.name.isdigit()}
        ended = [trial for trial in trials if trial.number in held and trial.status != "running"]
        cost_until = lineage.checkpoints(trials)
        usable = [trial for trial in ended if cost_until[trial.number] > 0]
        front = pareto_front(trials)

        def shortfall(trial: Trial) -> float:
            reached = [merit(point) for point in front if (point.cost or 0.0) <= (trial.cost or 0.0)]
            return max(reached) - merit(trial)

        usable.sort(key=lambda trial: (shortfall(trial), -trial.number))
        for trial in usable[self.most :]:
            study.drop_checkpoint(trial)  # before it is gone
        kept = {trial.number for trial in usable[: self.most]}
        for trial in ended:
            if trial.number not in kept:
                with contextlib.suppress(OSError):  # another worker was first
                    self._of(trial.number).rename(self.folder / f"{REMOVED}{trial.number}")
        for path in self.folder.glob(f"{REMOVED}*"):  # those of a worker that was killed meanwhile, too
            shutil.rmtree(path, ignore_errors=True)

    def _of(self, number: int | None) -> Path:
        return self.folder / str(number)
