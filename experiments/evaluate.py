"""Evaluate a kept agent by the evaluation of training and sweeps, and say by which protocol.

p3o eval runs/train-pong --episodes 1000
p3o eval runs/pong#17  # the agent of a trial of a sweep
p3o eval master:pong  # the trained agent that comes with the package
p3o eval runs/train-drive --scenes 1000:1256  # on other scenes than those of its training
p3o eval runs/train-drive --count all --steps 1000  # as the log of a training counts
p3o eval runs/train-CartPole-v1 --env gymnasium:CartPole-v1  # in another environment of the same shapes

The first episode of every agent counts once. With `--count all` whichever episodes end within `--steps` count, as in
the log of a training: those that end early are then counted more often.
"""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from rich.console import Console

from envs.adapters.gymnasium_env import PREFIX, HostEnvironment
from experiments import programs, saved
from experiments.agents import resolve
from experiments.common import Assignments, check_seed, read, user_errors
from experiments.environments import constructor_arguments, make_env, with_arguments
from experiments.interrupts import interruptible, stoppable
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.checks import check_at_least
from p3o_jax.distributions import from_space
from p3o_jax.evaluate import MAX_STEPS, Evaluation, Which
from p3o_jax.settings import Config

STEPS_OF_ALL = 1000


@dataclasses.dataclass
class Eval:
    """Evaluate a kept agent."""

    checkpoint: Annotated[str, tyro.conf.Positional]
    """Folder that `p3o train` wrote, a trial of a sweep, as in runs/pong#17, or a master, as in master:pong."""
    episodes: int = 256
    """Environments side by side; each agent of each has a first episode."""
    seed: int = 1
    """Of the episodes."""
    deterministic: bool = False
    """Take the most probable action instead of sampling."""
    count: Which = "first"
    """The first episode of every agent, or all that end within the steps."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Largest number of steps; by default 20000 for first episodes, 1000 for all."""
    scenes: Annotated[str | None, tyro.conf.arg(metavar="FIRST:END")] = None
    """Numbers of the scenes, END not among them, of an environment that has some; by default those of the training."""
    env: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Environment to evaluate in, with the observations and actions of the training's: one that `p3o train` takes, or
    gymnasium:NAME for any that gymnasium makes."""
    arguments: Assignments = ()
    """Constructor arguments of the environment, in place of the training's: `--arguments controlled=0.5`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    with stoppable():
        args = read(Eval, "p3o eval", __doc__, arguments)
        keep_on_disk()
        with user_errors():
            check_at_least(1, episodes=args.episodes, steps=args.steps)
            check_seed(args.seed)
            run = elsewhere(saved.load(resolve(args.checkpoint, "checkpoint")), args)
            key, options = jax.random.key(args.seed), {"deterministic": args.deterministic, "which": args.count}
            options["max_steps"] = args.steps or {"first": MAX_STEPS, "all": STEPS_OF_ALL}[args.count]
            result = interruptible(lambda: score(run, args.episodes, key, **options))
        console = Console()
        console.print(protocol(run.env, result, **options), highlight=False, soft_wrap=True)
        console.print(describe(result), highlight=False, soft_wrap=True)


def elsewhere(run: saved.Saved, args: Eval) -> saved.Saved:
    """Return the agent in the environment that it is evaluated in.

    Raises:
        ValueError: The environment has no scenes or does not take the arguments, or `scenes` reads otherwise.
    """
    changes = constructor_arguments(args.arguments)
    if args.env is not None:
        run = in_other(run, args.env, changes)
        changes = {}
    if args.scenes is not None:
        if not hasattr(run.env, "first_scene"):
            raise ValueError(f"`scenes` must be left out for an environment without scenes; got {run.env_name}.")
        first, colon, end = args.scenes.partition(":")
        if not (colon and first.isdecimal() and end.isdecimal() and int(first) < int(end)):
            raise ValueError(f"`scenes` must read FIRST:END with FIRST below END; got {args.scenes!r}.")
        changes |= {"first_scene": int(first), "num_scenes": int(end) - int(first), "subset": 0}
    if not changes:
        return run
    name = with_arguments(run.env_name, changes)
    return run._replace(env_name=name, env=make_env(name))


def in_other(run: saved.Saved, name: str, arguments: dict[str, Any]) -> saved.Saved:
    """Return the agent in another environment.

    Raises:
        ValueError: There is none of that name, or it has other observations or actions.
    """
    if name.startswith(PREFIX):
        env: Any = HostEnvironment(name.removeprefix(PREFIX), tuple(sorted(arguments.items())))
    else:
        name = with_arguments(name, arguments)
        env = make_env(name)
    shapes = [_shapes(run.config, one) for one in (run.env, env)]
    if shapes[0] != shapes[1]:
        rule = "`env` must have the observations and actions of the training"
        raise ValueError(f"{rule}, {shapes[0]}; got {name} with {shapes[1]}.")
    return run._replace(env_name=name, env=env)


def _shapes(config: Config, env: Any) -> str:
    obs = env.observation_space(env.default_params)
    actions = from_space(env.action_space(env.default_params), config.squash)
    return f"arrays of shape {getattr(obs, 'shape', None)} and {actions.num_outputs} outputs of the policy"


def score(run: saved.Saved, episodes: int, key: Any, **options: Any) -> Evaluation:
    """Evaluate an agent in `episodes` environments; the options are those of `programs.compile_score`."""
    program = programs.compile_score(run.config, run.env, run.state, episodes, **options)
    return jax.block_until_ready(program(run.state, key))


def protocol(env: Any, result: Evaluation, *, deterministic: bool, which: Which, max_steps: int) -> str:
    """Return one line on what was counted, on which scenes, with which actions."""
    actions = "most probable actions" if deterministic else "sampled actions"
    controlled, agents = int(np.sum(np.asarray(result.counted))), result.counted.size
    who = f"{controlled}" if controlled == agents else f"{controlled} of {agents}, those that are controlled,"
    counted = f"the first episode of each of {who} agents"
    if which == "all":
        counted = f"all {int(result.num_episodes)} episodes of {who} agents that ended within {max_steps} steps"
    parts = [counted, actions]
    if hasattr(env, "first_scene"):
        last = env.first_scene + env.num_scenes - 1
        drawn = f", subsets of {env.subset}" if env.subset else ""
        parts.append(f"scenes {env.first_scene} to {last} of seed {env.seed}{drawn}, drawn at random")
    return "; ".join(parts)


def describe(result: Evaluation) -> str:
    """Return one line on an evaluation."""
    counted = int(np.sum(np.asarray(result.counted)))
    unfinished = counted - int(np.sum(np.asarray(result.counted & result.finished)))
    num_episodes = max(counted, int(result.num_episodes))
    measures = "".join(f", {name} {float(value):.3f}" for name, value in sorted(result.measures.items()))
    return (
        f"score {result.score_mean:.3f} ± {result.score_std:.3f}{measures}, return {result.return_mean:.3f}, "
        f"{result.length_mean:.0f} steps, over {num_episodes} episodes"
        + (f"; {unfinished} still ran at the limit, and count with what they had reached" if unfinished else "")
    )


if __name__ == "__main__":
    main()
