"""Where the front leans on a bound of the search, so that better settings may lie beyond it."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from neocarbs_jax.space import Options, SearchSpace
from neocarbs_jax.study.expectation import ExpectedPoint

_NEAR = 0.05  # of the axis
_FEWEST_POINTS = 3


@dataclasses.dataclass(frozen=True)
class Lean:
    """A bound that at least half of the points of a front lie on.

    Attributes:
        name: of the axis.
        side: which bound.
        bound: its value.
        points: points of the front that lie within 5% of the axis from the bound.
        total: points of the front.
    """

    name: str
    side: Literal["upwards", "downwards"]
    bound: float
    points: int
    total: int

    @property
    def advice(self) -> str:
        """What to do, in three words."""
        return f"extend {self.name} {self.side}"


def leaning(space: SearchSpace, front: Sequence[ExpectedPoint]) -> list[Lean]:
    """Return the bounds that half of the front or more lies on; none for a front of fewer than three points.

    A whole number or a power of two lies on a bound when it has its value.
    """
    found = []
    for name, axis in space.axes if len(front) >= _FEWEST_POINTS else ():
        if isinstance(axis, Options):
            continue
        values = [point.values[name] for point in front if name in point.values]
        unit = axis.to_unit(np.asarray(values, float))
        sides = {
            "downwards": (unit <= _NEAR) | (np.asarray(values) <= axis.low),
            "upwards": (unit >= 1 - _NEAR) | (np.asarray(values) >= axis.high),
        }
        for side, near in sides.items():
            count = int(np.sum(near))
            if 2 * count >= len(front) and count >= 2:
                bound = axis.high if side == "upwards" else axis.low
                found.append(Lean(name, side, bound, count, len(front)))  # pyright: ignore[reportArgumentType]
    return found
