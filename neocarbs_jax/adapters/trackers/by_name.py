"""Trackers as a command line names them: wandb, mlflow:sqlite:///runs/mlflow.db, csv:table.csv, ..."""

from collections.abc import Callable
from pathlib import Path

from neocarbs_jax.adapters.trackers.csv_table import CSV
from neocarbs_jax.adapters.trackers.mlflow_runs import MLflow
from neocarbs_jax.adapters.trackers.record import Tracker
from neocarbs_jax.adapters.trackers.tensorboard import TensorBoard
from neocarbs_jax.adapters.trackers.trackio_runs import Trackio
from neocarbs_jax.adapters.trackers.wandb_runs import WandB
from neocarbs_jax.study import Study

_MAKERS: dict[str, Callable[[Study, str, Path], Tracker]] = {
    "wandb": lambda study, where, folder: WandB(study, where or study.name),
    "mlflow": lambda study, where, folder: MLflow(study, where or None),
    "tensorboard": lambda study, where, folder: TensorBoard(study, where or folder / "tensorboard"),
    "trackio": lambda study, where, folder: Trackio(study, where or None),
    "csv": lambda study, where, folder: CSV(study, where or folder / "tracked.csv"),
}
HELP = "wandb[:PROJECT], mlflow[:URI], tensorboard[:FOLDER], trackio[:PROJECT], csv[:FILE]"


def check(texts: tuple[str, ...]) -> None:
    """Raise a ValueError unless each text begins with the name of a tracker."""
    for text in texts:
        if text.partition(":")[0] not in _MAKERS:
            raise ValueError(f"`track` must be some of {HELP}; got {text!r}.")


def named(study: Study, text: str, folder: Path) -> Tracker:
    """Return the tracker that a text names.

    Args:
        study: Whose trials are tracked.
        text: Its name; after a colon a project (wandb, trackio), a URI (mlflow), a folder (tensorboard) or a file
            (csv). By default these are the study's name, what MLflow is set to, and `tensorboard` or `tracked.csv` in
            `folder`.
        folder: Of the study's report.

    Raises:
        ValueError: There is none of that name, its package is missing, or it cannot write there.
    """
    check((text,))
    name, _, where = text.partition(":")
    try:
        return _MAKERS[name](study, where, folder)
    except ImportError as error:
        raise ValueError(str(error)) from error
