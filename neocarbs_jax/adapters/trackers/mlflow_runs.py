"""Trials as runs of MLflow (package `mlflow` or `mlflow-skinny`)."""

import time
from typing import Any

from neocarbs_jax.adapters.trackers.record import Record, Tracker, missing
from neocarbs_jax.study import Study

_ID = "neocarbs.id"  # tag by which a run is found again
_LONGEST_TAG = 5000  # characters: MLflow refuses longer ones
_LONGEST_VALUE = 6000


class MLflow(Tracker):
    """Write each trial as a run: its values are parameters, its numbers metrics, its texts tags.

    Your own active run, if your program has one, is not touched.

    Args:
        study: whose trials are written.
        uri: of the tracking server or database, such as "sqlite:///runs/mlflow.db"; None for what MLflow is set to.
        experiment: that holds the runs; the name of the study by default. It is made if it does not exist.

    Raises:
        ImportError: if MLflow is missing.
    """

    def __init__(self, study: Study, uri: str | None = None, experiment: str | None = None):
        super().__init__(study)
        try:
            import mlflow
        except ImportError as error:
            raise missing("mlflow", "MLflow") from error
        self._package: Any = mlflow
        self.errors = (OSError, mlflow.MlflowException)
        self.uri, self.experiment = uri, experiment or study.name
        self._client: Any = None

    def send(self, record: Record) -> None:
        """Write the run of a trial, unless it is there."""
        client, entities = self._connected(), self._package.entities
        experiment = self._experiment()
        found = client.search_runs([experiment], f"tags.`{_ID}` = '{record.id}'", max_results=1)
        if found and found[0].info.status in ("FINISHED", "FAILED"):
            return
        now = int(time.time() * 1000)
        begin = now - int(record.metrics.get("seconds", 0) * 1000)
        tags = {_ID: record.id} | {name: text[:_LONGEST_TAG] for name, text in record.tags.items()}
        run = found[0] if found else client.create_run(experiment, begin, tags, record.id)
        points = [
            entities.Metric(f"curve/{name}", value, now, step)
            for step, point in enumerate(record.curve)
            for name, value in zip(("budget", "score", "cost"), point, strict=True)
        ]
        metrics = [entities.Metric(name, value, now, 0) for name, value in record.metrics.items()]
        params = [entities.Param(name, str(value)[:_LONGEST_VALUE]) for name, value in record.values.items()]
        client.log_batch(run.info.run_id, [*metrics, *points], params)
        client.set_terminated(run.info.run_id, "FAILED" if record.failed else "FINISHED", now)

    def _connected(self) -> Any:
        """The client; made late, since making it may open the database."""
        if self._client is None:
            self._client = self._package.MlflowClient(self.uri)
        return self._client

    def _experiment(self) -> str:
        """Return the identifier of the experiment, which another worker may have made meanwhile."""
        client = self._connected()
        known = client.get_experiment_by_name(self.experiment)
        if known is not None:
            return known.experiment_id
        try:
            return client.create_experiment(self.experiment)
        except self._package.MlflowException:
            known = client.get_experiment_by_name(self.experiment)
            if known is None:
                raise
            return known.experiment_id
