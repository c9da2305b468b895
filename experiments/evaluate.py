"""Evaluate a kept agent by the evaluation of training and sweeps.

p3o eval runs/train-pong --episodes 1000
p3o eval runs/pong#17  # the agent of a trial of a sweep
"""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import jax
import tyro
from rich.console import Console

from experiments import programs, saved
from experiments.agents import resolve
from experiments.common import check_at_least, check_seed, read, user_errors
from experiments.interrupts import interruptible, stoppable
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.evaluate import Evaluation


@dataclasses.dataclass
class Eval:
    """Evaluate a kept agent."""

    checkpoint: Annotated[str, tyro.conf.Positional]
    """Folder that `p3o train` wrote, or a trial of a sweep, as in runs/pong#17."""
    episodes: int = 256
    """Episodes."""
    seed: int = 1
    """Of the episodes."""
    deterministic: bool = False
    """Take the most probable action instead of sampling."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    with stoppable():
        args = read(Eval, "p3o eval", __doc__, arguments)
        keep_on_disk()
        with user_errors():
            check_at_least(1, episodes=args.episodes)
            check_seed(args.seed)
            run = saved.load(resolve(args.checkpoint, "checkpoint"))
            key = jax.random.key(args.seed)
            result = interruptible(lambda: score(run, args.episodes, key, deterministic=args.deterministic))
        Console().print(describe(result), highlight=False)


def score(run: saved.Saved, episodes: int, key: Any, *, deterministic: bool = False) -> Evaluation:
    """Evaluate an agent over `episodes` episodes."""
    program = programs.compile_score(run.config, run.env, run.state, episodes, deterministic=deterministic)
    return jax.block_until_ready(program(run.state, key))


def describe(result: Evaluation) -> str:
    """Return one line on an evaluation."""
    num_episodes = result.finished.size
    unfinished = num_episodes - int(result.num_episodes)
    return (
        f"score {result.score_mean:.3f} ± {result.score_std:.3f}, return {result.return_mean:.3f}, "
        f"{result.length_mean:.0f} steps, over {num_episodes} episodes"
        + (f"; {unfinished} still ran at the limit, and count with what they had reached" if unfinished else "")
    )


if __name__ == "__main__":
    main()
