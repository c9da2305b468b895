"""Trials as runs of Weights & Biases (package `wandb`)."""

from typing import Any

from neocarbs_jax.adapters.trackers.record import Record, Tracker, missing
from neocarbs_jax.study import Study


class WandB(Tracker):
    """Write each trial as a run of its own, in a group of the study's name: W&B's sweep pages read such groups.

    Values are the config, numbers the summary, and a learning curve is the history. A run of your own, if your program
    has one, goes on beside them. With `mode="offline"` nothing leaves the machine until `wandb sync`.

    Args:
        study: whose trials are written.
        project: that holds the runs.
        **options: of `wandb.init`, such as `entity`, `mode`, `dir` or `tags`.

    Raises:
        ImportError: if the package wandb is missing.
        ValueError: if an option is one that this class sets.
    """

    def __init__(self, study: Study, project: str, **options: Any):
        super().__init__(study)
        try:
            import wandb
        except ImportError as error:
            raise missing("wandb", "WandB") from error
        taken = sorted({"id", "name", "config", "reinit", "resume"} & options.keys())
        if taken:
            raise ValueError(f"`options` must not hold {', '.join(taken)}, which belong to each trial; got it.")
        self._package: Any = wandb
        self.errors = (OSError, wandb.Error)
        quiet = wandb.Settings(
            silent=True, console="off", x_disable_stats=True
        )  # the trial has ended: nothing to watch
        self._options = {"group": study.name, "job_type": "trial", "settings": quiet, **options, "project": project}

    def send(self, record: Record) -> None:
        """Write the run of a trial; one that is there is written over."""
        run = self._package.init(
            id=record.id, name=record.id, config=record.values, reinit="create_new", resume="allow", **self._options
        )
        run.define_metric("curve/*", step_metric="curve/budget")
        for point in record.curve:
            run.log({f"curve/{name}": value for name, value in zip(("budget", "score", "cost"), point, strict=True)})
        run.summary.update({**record.tags, **record.metrics})
        run.finish(exit_code=int(record.failed))
