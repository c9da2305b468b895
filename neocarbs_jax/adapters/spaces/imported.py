"""What comes of a search space of another tuner."""

import dataclasses
import itertools
from typing import Any

from neocarbs_jax.space import Choice, Ordinal, SearchSpace


@dataclasses.dataclass(frozen=True)
class ImportedSpace:
    """A search space that another tuner described.

    Attributes:
        space: ours.
        notes: a sentence for each thing that has no counterpart, and for what became of it.
        metric: name of the score, where the description has one.
        direction: "maximize" or "minimize", that of the score.
    """

    space: SearchSpace
    notes: tuple[str, ...] = ()
    metric: str | None = None
    direction: str = "maximize"


def options(values: list[Any], **fields: Any) -> Any:
    """Return listed values as an axis: numbers that ascend as an order, anything else as a choice, one as it is."""
    if len(values) == 1:
        return values[0]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    ascend = numbers and all(a < b for a, b in itertools.pairwise(values))
    return Ordinal(tuple(values), **fields) if ascend else Choice(tuple(values), **fields)
