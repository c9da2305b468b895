"""What a figure reads of a study: the study itself, or a snapshot whose front is computed once for all figures."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

from neocarbs_jax.space import SearchSpace
from neocarbs_jax.study.effects import Importance
from neocarbs_jax.study.expectation import ExpectedPoint
from neocarbs_jax.study.trials import Trial


class Pictured(Protocol):
    """What has a picture; `Study` does."""

    @property
    def name(self) -> str:
        """Name of the study."""
        ...

    @property
    def trials(self) -> Sequence[Trial]:
        """All rows of the ledger, oldest first."""
        ...

    @property
    def expected_front(self) -> Sequence[ExpectedPoint]:
        """The expected front, cheapest first."""
        ...

    @property
    def importances(self) -> Sequence[Importance]:
        """What matters at points of the expected front, cheapest first."""
        ...

    @property
    def log_axes(self) -> Mapping[str, bool]:
        """For each hyperparameter whether it is best drawn on a logarithmic axis."""
        ...

    @property
    def space(self) -> SearchSpace | None:
        """What was searched; None where that is not known, and then no figure speaks of bounds."""
        ...


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A study at one moment.

    Attributes:
        name: of the study.
        trials: all rows of the ledger, oldest first.
        expected_front: cheapest first; empty where it was not computed.
        log_axes: for each hyperparameter whether it is best drawn on a logarithmic axis.
        space: what was searched, where that is known.
        importances: what matters at points of the expected front, where that was computed.
    """

    name: str
    trials: Sequence[Trial]
    expected_front: Sequence[ExpectedPoint]
    log_axes: Mapping[str, bool]
    space: SearchSpace | None = None
    importances: Sequence[Importance] = ()
