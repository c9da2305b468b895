"""Which hyperparameters matter along the expected front of a study, and in which direction."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from neocarbs_jax import sweep
from neocarbs_jax.study import programs
from neocarbs_jax.study.expectation import ExpectedPoint, thin
from neocarbs_jax.study.proposal import one_at_a_time
from neocarbs_jax.study.rows import Memory, collect, fitted, with_room
from neocarbs_jax.study.trials import Trial

_MOST_POINTS = programs.NUM_EFFECTS


@dataclasses.dataclass(frozen=True)
class Importance:
    """What matters at one point of the front.

    Attributes:
        point: of the expected front.
        shares: for each axis the share of the score's movement that it alone causes when it runs over its range;
            negative where the score gets worse as the value rises. Their absolute values sum to 1.
    """

    point: ExpectedPoint
    shares: dict[str, float]


def importances(
    config: sweep.Config,
    trials: Sequence[Trial],
    front: Sequence[ExpectedPoint],
    memory: Memory,
    defaults: Mapping[str, Any],
) -> list[Importance]:
    """Return the importances at up to nine points, spread over the front; see `insight.signed_importances`.

    Args:
        config: of the sweep.
        trials: of the sweep, interrupted ones left out.
        front: the expected front.
        memory: of the sweep's surrogates.
        defaults: values of axes that ended trials lack.
    """
    placed = [(p, u) for p in thin(front, _MOST_POINTS) if (u := config.space.place(p.values)) is not None]
    if not placed:
        return []
    unit = np.stack([placed[min(i, len(placed) - 1)][1] for i in range(_MOST_POINTS)])  # one shape, one program
    with one_at_a_time():
        rows = collect(config, trials, memory, defaults)
        config = with_room(config, len(rows.score))
        state = fitted(config, rows, len(trials), memory)
        shares = np.asarray(jax.device_get(programs.effects(config)(state, unit)))
    names = config.space.names
    return [
        Importance(point, dict(zip(names, row.tolist(), strict=True)))
        for (point, _), row in zip(placed, shares, strict=False)
    ]
