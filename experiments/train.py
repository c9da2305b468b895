"""Train P3O, or PPO by `estimator=gae`, on an environment; keep the agent.

    p3o train --env pong --set total_steps=2e6 learning_rate=1e-2 tau=0.2
    p3o train --env pong --set estimator=gae value=.5 entropy=.01  # PPO's usual coefficients

The same command goes on from the folder that an interrupted one left.
"""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import jax
import tyro
from rich.console import Console

from experiments import saved
from experiments.common import user_errors
from experiments.evaluate import describe, score
from experiments.objective import Training, assignments, make_env
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.learner import init, num_total_updates, steps_per_update
from p3o_jax.metrics import Metrics, init_log
from p3o_jax.settings import Config, Params
from p3o_jax.train import advance


@dataclasses.dataclass
class Train:
    """Train an agent and keep it."""

    env: str = "pong"
    """Environment, as in `envs.registry`; "gymnax:NAME" for gymnax's own."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    """Any field of Params, Config or the network: total_steps=2e6 num_envs=64 estimator=gae network.width=128."""
    out: Path | None = None
    """Folder of the agent; by default runs/train-ENV. If it exists, the training in it goes on."""
    seed: int = 0
    """Of network and environments; a training that goes on keeps its own."""
    episodes: int = 256
    """Evaluation episodes at the end."""
    reports: int = 10
    """How often to report and to save on the way."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    args = tyro.cli(Train, prog="p3o train", description=__doc__, args=arguments)
    console = Console()
    keep_on_disk()
    folder = args.out or Path("runs") / f"train-{args.env.replace(':', '-')}"
    with user_errors():
        run = begin(args, folder, console)
    run = train(run, folder, args.reports, console)
    console.print(f"{describe(score(run, args.episodes))}\nkept in {folder}")


def begin(args: Train, folder: Path, console: Console) -> saved.Saved:
    """The training in the folder, or a new one.

    Raises:
        ValueError: If an argument is out of range, or the folder holds another training.
    """
    for name in ("episodes", "reports"):
        if getattr(args, name) < 1:
            raise ValueError(f"`{name}` must be at least 1; got {getattr(args, name)}.")
    env = make_env(args.env)
    config, params = Training(env, Config(), Params()).split(assignments(args.set))
    saved.recover(folder)
    if not folder.exists():
        return saved.Saved(args.env, env, config, params, init(config, env, jax.random.key(args.seed), params))
    run = saved.load(folder)
    if (run.env_name, run.config) != (args.env, config):
        raise ValueError(f"`out` must hold a training of the same environment and shapes; got {str(folder)!r}.")
    console.print(f"going on from update {int(run.state.num_updates)} in {folder}")
    state = run.state
    if params.total_steps != run.params.total_steps:  # the intervals of another budget are other intervals
        state = dataclasses.replace(state, log=init_log(config.num_buckets, config.num_values))
    return run._replace(params=params, state=state)


def train(run: saved.Saved, folder: Path, reports: int, console: Console) -> saved.Saved:
    """Train to the end of the budget, reporting and saving on the way; exit code 1 if the training diverges."""
    env, config, params = run.env, run.config, run.params
    total = int(num_total_updates(config, env, params))
    chunk = -(-total // reports)
    console.print("compiling ...")
    step = jax.jit(lambda state, params: advance(config, env, state, params, num_updates=chunk))
    step = step.lower(*saved.shapes((run.state, params))).compile()
    while (before := int(run.state.num_updates)) < total:
        start = time.perf_counter()
        state, metrics = jax.block_until_ready(step(run.state, params))
        seconds = time.perf_counter() - start
        run = run._replace(state=state)
        num_updates = int(state.num_updates)
        rate = (num_updates - before) * steps_per_update(config, env) / seconds
        steps = num_updates * steps_per_update(config, env)
        console.print(f"{steps:12,d} steps  {rate / 1e3:8.1f}k steps/s  {_scores(metrics)}", highlight=False)
        saved.save(folder, run)
        if metrics.failed:
            console.print(f"failed: {metrics.failed_term} not finite at step {int(metrics.failed_step)}")
            raise SystemExit(1)
    return run


def _scores(metrics: Metrics) -> str:
    done = metrics.num_episodes > 0
    last = int(done.nonzero()[0][-1]) if done.any() else 0
    return f"score {metrics.score[last]:9.3f}  return {metrics.episode_return[last]:9.3f}"


if __name__ == "__main__":
    main()
