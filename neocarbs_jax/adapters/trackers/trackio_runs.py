"""Trials as runs of Trackio (package `trackio`)."""

import contextlib
import contextvars
import io
import sqlite3
from typing import Any

from neocarbs_jax.adapters.trackers.record import Record, Tracker, missing
from neocarbs_jax.report.outputs import folder_name
from neocarbs_jax.study import Study


class Trackio(Tracker):
    """Write each trial as a run, in a group of the study's name; `trackio show` opens the page.

    Trackio keeps its files in its own folder, which the environment variable TRACKIO_DIR names. A run of your own, if
    your program has one, goes on beside them.

    Args:
        study: whose trials are written.
        project: that holds the runs; the name of the study by default, with "-" for what is no letter or digit.
        **options: of `trackio.init`, such as `space_id` or `server_url`.

    Raises:
        ImportError: if the package trackio is missing.
    """

    errors = (OSError, sqlite3.Error)

    def __init__(self, study: Study, project: str | None = None, **options: Any):
        super().__init__(study)
        try:
            import trackio
        except ImportError as error:
            raise missing("trackio", "Trackio") from error
        self._package: Any = trackio
        self.project = folder_name(project or study.name)
        quiet = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        self._options = {"group": study.name, **quiet, **options, "project": self.project}

    def send(self, record: Record) -> None:
        """Write the run of a trial, unless this machine has it."""
        if record.id not in self._known():
            contextvars.Context().run(
                self._write, record
            )  # where Trackio sees no run of the user's, which it would end

    def _write(self, record: Record) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints nine lines for each run
            run = self._package.init(name=record.id, config={**record.tags, **record.values}, **self._options)
            for step, point in enumerate(record.curve):
                run.log({f"curve/{n}": v for n, v in zip(("budget", "score", "cost"), point, strict=True)}, step=step)
            run.log(record.metrics, step=len(record.curve))
            run.finish()

    def _known(self) -> set[str]:
        try:
            return {run.name for run in self._package.Api().runs(self.project)}
        except ValueError:  # there is no such project yet
            return set()
