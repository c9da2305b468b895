"""Trials as a table of pandas (extra `notebook`)."""

from collections.abc import Sequence
from typing import Any

from neocarbs_jax.study.lineage import line_of
from neocarbs_jax.study.trials import PREDICTIONS, Trial, pareto_front

_MEASURED = ("status", "score", "cost", "on_front")
_FURTHER = ("replicate", "reason", "started", "ended", "seconds")
_NUMBERS = ("score", "cost", *PREDICTIONS, "seconds")


def trials_dataframe(trials: Sequence[Trial], names: Sequence[str]) -> Any:
    """Return one row per trial; see `Study.trials_dataframe`.

    Args:
        trials: all rows of a ledger.
        names: of the hyperparameters, in the order of their columns.

    Raises:
        ImportError: if pandas is missing.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError("`trials_dataframe` needs the package pandas: pip install pandas.") from error
    line = line_of(trials)
    ours = {*_MEASURED, *line, *PREDICTIONS, *_FURTHER}
    column_of = {name: f"values/{name}" if name in ours else name for name in names}
    attrs = list(dict.fromkeys(name for trial in trials for name in trial.attrs))
    front = {trial.number for trial in pareto_front(trials)}
    rows = [_row(trial, front, column_of) | {name: getattr(trial, name) for name in line} for trial in trials]
    columns = [*_MEASURED, *line, *column_of.values(), *PREDICTIONS, *_FURTHER, *(f"attrs/{name}" for name in attrs)]
    index = pandas.Index([trial.number for trial in trials], name="trial")
    frame = pandas.DataFrame({column: [row.get(column) for row in rows] for column in columns}, index)
    return frame.astype(dict.fromkeys(_NUMBERS, "float64"))


def _row(trial: Trial, front: set[int], column_of: dict[str, str]) -> dict[str, Any]:
    seconds = (trial.ended - trial.started).total_seconds() if trial.started and trial.ended else None
    row = {name: getattr(trial, name) for name in ("status", "score", "cost", *PREDICTIONS, "replicate", "reason")}
    row |= {"on_front": trial.number in front, "started": trial.started, "ended": trial.ended, "seconds": seconds}
    row |= {column: trial.values.get(name) for name, column in column_of.items()}
    return row | {f"attrs/{name}": value for name, value in trial.attrs.items()}
