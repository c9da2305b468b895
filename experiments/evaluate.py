"""Evaluate a kept agent by the evaluation of training and sweeps.

p3o eval runs/train-pong --episodes 1000
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import jax
import tyro
from rich.console import Console

from experiments import saved
from experiments.common import user_errors
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.evaluate import Evaluation, evaluate


@dataclasses.dataclass
class Eval:
    """Evaluate a kept agent."""

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """Folder that `p3o train` wrote."""
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
    args = tyro.cli(Eval, prog="p3o eval", description=__doc__, args=arguments)
    keep_on_disk()
    with user_errors():
        run = saved.load(args.checkpoint)
        result = score(run, args.episodes, args.seed, deterministic=args.deterministic)
    Console().print(describe(result), highlight=False)


def score(run: saved.Saved, episodes: int, seed: int = 1, *, deterministic: bool = False) -> Evaluation:
    """Evaluate an agent over `episodes` episodes."""
    key = jax.random.key(seed)
    program = jax.jit(
        lambda state, key: evaluate(run.config, run.env, state, key, episodes, deterministic=deterministic)
    )
    return jax.block_until_ready(program.lower(*saved.shapes((run.state, key))).compile()(run.state, key))


def describe(result: Evaluation) -> str:
    """One line on an evaluation."""
    return (
        f"score {result.score_mean:.3f} ± {result.score_std:.3f}, return {result.return_mean:.3f}, "
        f"{result.length_mean:.0f} steps, over {int(result.num_episodes)} episodes"
    )


if __name__ == "__main__":
    main()
