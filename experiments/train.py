"""Train P3O, or PPO by `estimator=gae`, on an environment; keep the agent.

    p3o train --env pong --set total_steps=2e6 learning_rate=1e-2 tau=0.2
    p3o train --env pong --set estimator=gae value=.5 entropy=.01  # PPO's usual coefficients

The same command goes on from the folder that an interrupted one left.
"""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import jax
import tyro
from rich.console import Console

from experiments import saved
from experiments.common import user_errors
from experiments.objective import Training, assignments, make_env
from p3o_jax.evaluate import Evaluation, evaluate
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

    def run(self, console: Console) -> None:
        folder = self.out or Path("runs") / f"train-{self.env.replace(':', '-')}"
        with user_errors():
            run = self._begin(folder, console)
        env, config, params = run.env, run.config, run.params
        total = int(num_total_updates(config, env, params))
        chunk = -(-total // self.reports)
        step = jax.jit(lambda state, params: advance(config, env, state, params, num_updates=chunk))
        state = run.state
        console.print("compiling ...")
        step = step.lower(state, params).compile()
        while int(state.num_updates) < total:
            before, start = int(state.num_updates), time.perf_counter()
            state, metrics = jax.block_until_ready(step(state, params))
            seconds = time.perf_counter() - start
            steps = int(state.num_updates) * steps_per_update(config, env)
            rate = (steps - before * steps_per_update(config, env)) / seconds
            console.print(f"{steps:12,d} steps  {rate / 1e3:8.1f}k steps/s  {_scores(metrics)}", highlight=False)
            saved.save(folder, run.env_name, config, params, state)
            if metrics.failed:
                console.print(f"failed: {metrics.failed_term} not finite at step {int(metrics.failed_step)}")
                raise SystemExit(1)
        result = jax.jit(lambda state, key: evaluate(config, env, state, key, self.episodes))(state, jax.random.key(1))
        console.print(f"{describe(result)}\nkept in {folder}")

    def _begin(self, folder: Path, console: Console) -> saved.Saved:
        """The training in the folder, or a new one."""
        for name in ("episodes", "reports"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1; got {getattr(self, name)}.")
        env = make_env(self.env)
        config, params = Training(env, Config(), Params()).split(assignments(self.set))
        saved.recover(folder)
        if not folder.exists():
            return saved.Saved(self.env, env, config, params, init(config, env, jax.random.key(self.seed), params))
        run = saved.load(folder)
        if (run.env_name, run.config) != (self.env, config):
            raise ValueError(f"`out` must hold a training of the same environment and shapes; got {str(folder)!r}.")
        console.print(f"going on from update {int(run.state.num_updates)} in {folder}")
        state = run.state
        if params.total_steps != run.params.total_steps:  # the intervals of another budget are other intervals
            state = dataclasses.replace(state, log=init_log(config.num_buckets, config.num_values))
        return run._replace(params=params, state=state)


@dataclasses.dataclass
class Eval:
    """Evaluate a kept agent by the evaluation of training and sweeps."""

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """Folder that `p3o train` wrote."""
    episodes: int = 256
    """Episodes."""
    seed: int = 1
    """Of the episodes."""
    deterministic: bool = False
    """Take the most probable action instead of sampling."""

    def run(self, console: Console) -> None:
        with user_errors():
            run = saved.load(self.checkpoint)
            key = jax.random.key(self.seed)
            result = evaluate(run.config, run.env, run.state, key, self.episodes, deterministic=self.deterministic)
        console.print(describe(result), highlight=False)


def describe(result: Evaluation) -> str:
    """One line on an evaluation."""
    return (
        f"score {result.score_mean:.3f} ± {result.score_std:.3f}, return {result.return_mean:.3f}, "
        f"{result.length_mean:.0f} steps, over {int(result.num_episodes)} episodes"
    )


def _scores(metrics: Metrics) -> str:
    done = metrics.num_episodes > 0
    last = int(done.nonzero()[0][-1]) if done.any() else 0
    return f"score {metrics.score[last]:9.3f}  return {metrics.episode_return[last]:9.3f}"
