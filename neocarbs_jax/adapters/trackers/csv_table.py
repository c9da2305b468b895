"""Trials as a CSV file that is always up to date."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from neocarbs_jax.adapters.trackers.record import Record, Tracker
from neocarbs_jax.report.outputs import check_file
from neocarbs_jax.report.report import write_csv
from neocarbs_jax.study import Study

STALE_SECONDS = 10.0
"""Age of a draft that nobody writes any more: writing one takes milliseconds."""


class CSV(Tracker):
    """Write all trials of a study into a CSV file, each time that one ends.

    The file has the columns of `neocarbs report`'s trials.csv, and `neocarbs import` reads it. It is replaced as a
    whole, so that who reads it never sees half a table.

    Args:
        study: whose trials are written.
        file: whose name ends in .csv; its folder is made.

    Raises:
        ValueError: if it cannot be written.
    """

    def __init__(self, study: Study, file: str | os.PathLike[str]):
        super().__init__(study)
        self.file = Path(file)
        check_file("file", self.file, ".csv")

    def send(self, record: Record) -> None:
        """Write the file anew."""
        self.sync()

    def sync(self) -> None:
        """Write the file anew."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{self.file.name}."
        for left in self.file.parent.glob(f"{prefix}*"):  # of a process that was killed while it wrote
            with contextlib.suppress(OSError):  # another worker was first
                if time.time() - left.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=self.file.parent, prefix=prefix) as folder:  # renaming stays on one disk
            write_csv(Path(folder) / "table.csv", self.study.trials)
            (Path(folder) / "table.csv").replace(self.file)
