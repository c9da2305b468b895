"""Whether what is solved is kept, with and without `Params.kl_limit`, on a task that is solved within 2e4 steps.

    python -m experiments.bench.learner.solved --seeds 10

The task is `Room`, whose observations are numbers up to 10, and the learner is small. Measured are the mean score of
the whole training and of its last tenth.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console

from experiments.bench import harness
from experiments.bench.learner.probe_tasks import Room
from experiments.bench.learner.runs import train_all
from experiments.common import user_errors
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.settings import Config, Params

LEARNERS: dict[str, dict[str, Any]] = {"16 lags": {"horizon": 16, "bands": 0}, "8 bands": {"bands": 8}}
SMALL: dict[str, Any] = {"num_envs": 32, "segment_length": 32, "num_minibatches": 2}
LIMITS = (math.inf, 0.2, 0.1)


@dataclasses.dataclass
class Args:
    """Train on what is soon solved."""

    seeds: int = 10
    """Trainings of each learner and limit."""
    seed: int = 0
    """Where their random keys come from."""
    steps: float = 2e5
    """Environment steps of a training."""
    learners: tuple[str, ...] = tuple(LEARNERS)
    """Names of learners."""
    out: Path = harness.RESULTS / "learning" / "solved.md"
    """File of the table."""

    def __post_init__(self) -> None:
        if unknown := {*self.learners} - {*LEARNERS}:
            raise ValueError(f"`learners` must be among {', '.join(LEARNERS)}; got {', '.join(sorted(unknown))}.")
        if self.seeds < 1:
            raise ValueError(f"`seeds` must be at least 1; got {self.seeds}.")


def row_of(name: str, limit: float, scores: np.ndarray) -> tuple[str, ...]:
    """Return the cells of one learner and limit, of scores with one row per seed."""
    last = np.nanmean(scores[:, -max(1, scores.shape[1] // 10) :], axis=1)
    kept = f"{np.sum(last > 0.95)} of {len(last)}"
    return name, f"{limit:g}", f"{np.nanmean(scores):.3f}", f"{np.mean(last):.2f}", kept


def main() -> None:
    """Entry point."""
    with user_errors():
        args = tyro.cli(Args, description=__doc__)
    keep_on_disk()
    measured, cells, text = harness.stamp(), [], ""
    for name in args.learners:
        params = [Params(total_steps=args.steps, kl_limit=limit) for limit in LIMITS]
        metrics = train_all(Room(), Config(**SMALL, **LEARNERS[name]), params, args.seeds, args.seed)
        cells += [row_of(name, limit, scores) for limit, scores in zip(LIMITS, np.asarray(metrics.score), strict=True)]
        table = harness.table(("values", "kl_limit", "area", "last tenth", "ends above .95"), cells)
        text = harness.page("Whether what is solved is kept", measured, f"* `{harness.command()}`", table)
        harness.write_text(args.out, text)  # a run that is stopped keeps what it has finished
    Console().print(text, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
