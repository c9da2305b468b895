"""What there is to see of a study: its trials, its fronts, figures, and what notebooks show."""

from collections.abc import Mapping
from typing import Any

import optuna
import plotly.graph_objects as go

from neocarbs_jax import sweep
from neocarbs_jax.report import plots
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.study import header, ledger
from neocarbs_jax.study.display import study_html
from neocarbs_jax.study.effects import Importance, importances
from neocarbs_jax.study.expectation import ExpectedPoint, expected_front
from neocarbs_jax.study.frames import trials_dataframe
from neocarbs_jax.study.rows import Memory
from neocarbs_jax.study.trials import Trial


class View:
    """The part of a study that reads its ledger and changes nothing; what it needs surrogates for takes seconds."""

    def __init__(self, head: header.Header, config: sweep.Config):
        self._ledger = head.study
        self._config = config
        self._defaults = head.defaults
        self._memory = Memory()
        self._reader = ledger.Reader(self._ledger, config.space, config.direction, config.continues)

    @property
    def space(self) -> SearchSpace:
        """What is searched."""
        return self._config.space

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Values of axes that were added later, for trials that had none."""
        return self._defaults

    @property
    def delta(self) -> float:
        """Largest accepted probability that a trial exceeds a limit on cost."""
        return self._config.delta

    @property
    def continues(self) -> bool:
        """Whether suggestions may go on from the checkpoints of earlier trials."""
        return self._config.continues

    @property
    def direction(self) -> str:
        """Whether scores are to "maximize" or to "minimize"."""
        return self._config.direction

    @property
    def name(self) -> str:
        """Name of the study in its storage."""
        return self._ledger.study_name

    @property
    def log_axes(self) -> dict[str, bool]:
        """For each hyperparameter whether it is best drawn on a logarithmic axis."""
        return {name: axis.is_log for name, axis in self.space.axes}

    @property
    def trials(self) -> list[Trial]:
        """All rows of the ledger, oldest first."""
        return self._reader.read()

    @property
    def _known(self) -> list[Trial]:
        """Trials that say something: those that were taken back, or wait, do not."""
        return [trial for trial in self.trials if trial.status not in ("interrupted", "queued")]

    @property
    def front(self) -> list[Trial]:
        """The measured front: completed trials that none beats at the same cost or less, cheapest first."""
        return ledger.pareto_front(self.trials)

    @property
    def expected_front(self) -> list[ExpectedPoint]:
        """The expected front, cheapest first: the mean score that fresh runs should have, with its 90% interval.

        The measured front is the best of noisy draws, and flatters; this one pools replicates and neighbours.
        """
        return expected_front(self._config, self._known, self._memory, self._defaults)

    @property
    def importances(self) -> list[Importance]:
        """Which hyperparameters matter at up to nine points of the expected front, and in which direction."""
        return importances(self._config, self._known, self.expected_front, self._memory, self._defaults)

    def figure(self, name: str, **options: Any) -> go.Figure:
        """Return a figure of the study; in a notebook it shows itself.

        Args:
            name: "front", "spend", "predictions", "hyperparameters", "order", "importances", "progress", "scaling",
                "parallel", "curves" or "compare"; see docs/guide/pictures.md.
            **options: `score_name` and `cost_name`, the labels of axes; `other`, the second study of "compare".

        Raises:
            ValueError: there is no figure of this name, or "compare" lacks its second study.
        """
        return plots.figure(self, name, **options)

    @property
    def optuna_study(self) -> optuna.Study:
        """The ledger itself, for Optuna's own tools."""
        return self._ledger

    def trials_dataframe(self) -> Any:
        """Return all trials as a pandas.DataFrame, indexed by their numbers.

        The columns are status, score, cost and on_front; parent and paid where trials go on from others; the
        hyperparameters by their names (after "values/" where the name is taken); predictions, rating, replicate,
        reason, started, ended and seconds; attributes after "attrs/".

        Raises:
            ImportError: if pandas is missing.
        """
        return trials_dataframe(self.trials, [*self.space.names, *dict(self.space.fixed)])

    def _repr_html_(self) -> str:
        """What notebooks show: counts of trials, a picture of the measured front, and its values."""
        return study_html(self.name, self.trials)

    def close(self) -> None:
        """Give the connections to the database back; the study itself stays usable."""
        storage = self._ledger._storage
        storage.remove_session()
        engine = getattr(getattr(storage, "_backend", storage), "engine", None)
        if engine is not None:
            engine.dispose()
