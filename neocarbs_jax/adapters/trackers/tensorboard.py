"""Trials as sessions of TensorBoard's HParams page (package `tensorboardX`)."""

import os
import tempfile
from pathlib import Path
from typing import Any

from neocarbs_jax.adapters.trackers.record import Record, Tracker, missing
from neocarbs_jax.report.outputs import check_folder
from neocarbs_jax.study import Study


class TensorBoard(Tracker):
    """Write a folder for each trial; `tensorboard --logdir FOLDER` shows them in a table and in parallel coordinates.

    Metrics are named trial/score, trial/cost and so on; a learning curve is the scalars curve/score and curve/cost, the
    step being the budget.

    Args:
        study: whose trials are written.
        folder: into which; it is made.

    Raises:
        ImportError: if the package tensorboardX is missing.
        ValueError: if the folder cannot be written.
    """

    def __init__(self, study: Study, folder: str | os.PathLike[str]):
        super().__init__(study)
        try:
            import tensorboardX
        except ImportError as error:
            raise missing("tensorboardX", "TensorBoard") from error
        self._package: Any = tensorboardX
        self.folder = Path(folder)
        check_folder("folder", self.folder)

    def send(self, record: Record) -> None:
        """Write the folder of a trial, unless it is there."""
        final = self.folder / record.id
        if final.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".") as started:  # a killed process leaves no half
            part = Path(started) / "part"
            self._write(record, part)
            part.rename(final)

    def _write(self, record: Record, folder: Path) -> None:
        metrics = {f"trial/{name}": value for name, value in record.metrics.items()}
        metrics["trial/failed"] = float(record.failed)
        with self._package.SummaryWriter(logdir=str(folder)) as writer:
            for summary in self._package.summary.hparams(record.values, metrics):
                writer.file_writer.add_summary(summary)
            for name, value in metrics.items():
                writer.add_scalar(name, value, 0)
            for name, text in record.tags.items():
                writer.add_text(name, text, 0)
            for budget, score, cost in record.curve:
                writer.add_scalar("curve/score", score, round(budget))
                writer.add_scalar("curve/cost", cost, round(budget))
