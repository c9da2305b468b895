"""Options that `run` and `worker` share: when a study ends, and what runs its trials."""

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Any

import tyro

from neocarbs_jax.command_line.engines import Engine, InThisProcess, Processes, RayTasks

Track = Annotated[tuple[str, ...], tyro.conf.arg(metavar="TRACKER")]


@dataclasses.dataclass(kw_only=True)
class Ends:
    """Options that say when a study ends."""

    trials: int | None = None
    """Trials of the study, those of all workers together."""
    max_cost: float | None = None
    """Cost that all trials together may have."""
    until_rating: float | None = None
    """Stop once no further trial is expected to gain this share of the front's area."""

    @property
    def given(self) -> dict[str, Any]:
        """Arguments of `Study.run`."""
        ends = {"num_trials": self.trials, "max_cost": self.max_cost, "until_rating": self.until_rating}
        return {name: value for name, value in ends.items() if value is not None}


@dataclasses.dataclass(kw_only=True)
class Slots:
    """Options of several trials at once."""

    slots: int | None = None
    """Trials that run at once, each in a process of its own; by default 1, and with `--ray` as many as the cluster has
    room for."""
    pin: bool = False
    """Give each slot processors of its own."""
    devices: tuple[str, ...] = ()
    """Accelerators that the slots share in turns, as CUDA_VISIBLE_DEVICES names them: 0 1 2 3."""

    def engine(self) -> Engine:
        """Return what runs the trials.

        Raises:
            ValueError: There is no slot, or it cannot be pinned.
        """
        slots = 1 if self.slots is None else self.slots
        if slots < 1:
            raise ValueError(f"`slots` must be at least 1; got {slots}.")
        if self.pin and not hasattr(os, "sched_setaffinity"):
            raise ValueError("`pin` must be left out where the system cannot pin processes; got it.")
        return Processes(slots, self.pin, self.devices) if slots > 1 else InThisProcess()


@dataclasses.dataclass(kw_only=True)
class OnRay:
    """Options of a Ray cluster."""

    ray: bool = False
    """Run the trials as tasks of a Ray cluster (extra `ray`), as many at once as it has room for."""
    ray_address: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Cluster: "auto" for the one that runs here, or HOST:PORT. By default one of this machine alone is started."""
    ray_upload: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder that Ray copies to every node, and in which trials then run. By default they run in the current folder,
    which must be on every node."""
    cpus_per_trial: float | None = None
    """Processors of a trial; by default 1."""
    gpus_per_trial: float | None = None
    """Accelerators of a trial: .25 lets four trials share one; by default 0."""

    def engine(self, slots: Slots) -> Engine:
        """Return what runs the trials.

        Raises:
            ValueError: Options do not go together, no trial can have such resources, or Ray is missing.
        """
        given = [field.name for field in dataclasses.fields(self) if getattr(self, field.name) not in (None, False)]
        if not self.ray:
            if given:
                raise ValueError(f"`ray` must be given where `{given[0]}` is; got only the latter.")
            return slots.engine()
        for name in ("pin", "devices"):
            if getattr(slots, name):
                raise ValueError(f"`{name}` must be left out where `ray` is given, which shares resources; got both.")
        if self.ray_upload is not None and not self.ray_upload.is_dir():
            raise ValueError(f"`ray_upload` must be a folder; got {str(self.ray_upload)!r}.")
        try:
            from neocarbs_jax.adapters.ray_tasks import Resources
        except ImportError as error:
            raise ValueError("`ray` needs an extra: pip install 'neocarbs-p3o[ray]'.") from error
        amounts = {"cpus": self.cpus_per_trial, "gpus": self.gpus_per_trial, "slots": slots.slots}
        resources = Resources(**{name: amount for name, amount in amounts.items() if amount is not None})
        return RayTasks(self.ray_address or "local", resources, self.ray_upload)
