"""A long study: memory, time per suggestion, and what each trial reads of its ledger.

    python -m experiments.bench.tuner.soak --trials 2000 --strategy random
    python -m experiments.bench.tuner.soak --trials 400

Trials of a millisecond, one after the other, in one process and one SQLite file. The table has a row for each tenth of
the trials: the memory that the process holds, the median and the largest time of a suggestion (with reading the
ledger), and of telling. At the end every row must be there, completed, with the score that was told.
"""

import dataclasses
import gc
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console

from experiments.bench import harness
from experiments.common import user_errors
from neocarbs_jax.space import Integer, Linear, Log, SearchSpace
from neocarbs_jax.study import Study

SPACE = SearchSpace(rate=Log(1e-5, 1e-1), epochs=Integer(1, 64), clip=Linear(0, 1))


@dataclasses.dataclass
class Args:
    """Run a long study."""

    trials: int = 2000
    """How many."""
    strategy: str = "random"
    """Of the study."""
    out: Path = harness.RESULTS
    """Folder of the page."""

    def __post_init__(self) -> None:
        if self.trials < 20:
            raise ValueError(f"`trials` must be at least 20; got {self.trials}.")


def memory() -> float:
    """Megabytes that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def soak(args: Args, folder: Path) -> list[tuple[object, ...]]:
    """Run the study; a row for each tenth of it."""
    study = Study.create(SPACE, folder / "soak.db", strategy=args.strategy)
    ask, tell, told, rows = [], [], [], []
    for number in range(1, args.trials + 1):
        begin = time.perf_counter()
        [trial] = study.ask()
        asked = time.perf_counter()
        time.sleep(1e-3)
        score = -((np.log10(trial.values["rate"]) + 3) ** 2) - (trial.values["clip"] - 0.3) ** 2
        ended = time.perf_counter()
        study.tell(trial, float(score), float(trial.values["epochs"]))
        ask.append(asked - begin)
        tell.append(time.perf_counter() - ended)
        told.append(float(score))
        if number % (args.trials // 10) == 0:
            times = [f"{1e3 * f(part):.0f}" for part in (ask, tell) for f in (np.median, np.max)]
            rows.append((number, f"{memory():.0f}", *times))
            ask, tell = [], []
    kept = Study.load(folder / "soak.db").trials
    if [trial.score for trial in kept] != told:
        raise AssertionError("The ledger does not hold what was told.")
    return rows


def main() -> None:
    """Entry point."""
    with user_errors():
        args = tyro.cli(Args, description=__doc__)
    measured = harness.stamp("optuna")
    with tempfile.TemporaryDirectory() as folder:
        rows = soak(args, Path(folder))
    columns = ("trials", "MB", "ask, median ms", "ask, largest ms", "tell, median ms", "tell, largest ms")
    text = harness.page("Soak", measured, harness.table(columns, rows))
    harness.write_text(args.out / f"soak_{args.strategy}.md", text)
    Console().print(text, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
