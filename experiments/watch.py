"""Play an environment by an agent or a simple policy, and draw it.

p3o watch --env breakout --policy scripted --gif out.gif
p3o watch --policy runs/train-pong --gif out.gif
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import tyro
from jaxtyping import PRNGKeyArray
from rich.console import Console

from envs.players import scripted
from envs.registry import ENVIRONMENTS
from envs.render import save_gif, save_png
from experiments import environments, saved
from experiments.agents import resolve
from experiments.common import Assignments, check_at_least, check_seed, read, user_errors
from experiments.environments import constructor_arguments, make_env
from experiments.interrupts import interruptible, stoppable
from experiments.pictures import draw
from neocarbs_jax.report.outputs import check_file
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax import rollout
from p3o_jax.vector import VectorEnvironment

LARGEST_FPS = 100
"""GIFs count hundredths of a second."""


@dataclasses.dataclass(frozen=True)
class Watch:
    """Play one environment and draw it."""

    env: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Environment, as listed above; by default the one that a folder's policy was trained on."""
    policy: str = "random"
    """`random`, `scripted`, or a folder that `p3o train` wrote."""
    gif: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write the animation."""
    png: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write the last frame."""
    steps: int = 300
    """Steps to play; episodes restart."""
    every: int = 1
    """Draw every n-th step."""
    fps: int = 20
    """Frames per second of the animation, from 1 to 100."""
    seed: int = 0
    """Seed of the episode and of the policy."""
    arguments: Assignments = ()
    """Constructor arguments of the environment: `--arguments num_snakes=16 width=60`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    with stoppable():
        args = read(Watch, "p3o watch", f"{__doc__}\n{environments.HELP}", arguments)
        keep_on_disk()
        with user_errors():
            check(args)
            watch(args, Console())


def check(args: Watch) -> None:
    """Raise a ValueError if a number is out of range or a file cannot be written."""
    check_at_least(1, steps=args.steps, every=args.every, fps=args.fps)
    if args.fps > LARGEST_FPS:
        raise ValueError(f"`fps` must be at most {LARGEST_FPS}; got {args.fps}.")
    check_seed(args.seed)
    for name, suffix in (("gif", ".gif"), ("png", ".png")):
        if getattr(args, name) is not None:
            check_file(name, getattr(args, name), suffix)


class Player(NamedTuple):
    """A policy in its environment, as two pure functions.

    Attributes:
        name: The environment's, for `envs.registry`.
        env: The environment.
        begin: key -> carry.
        advance: (carry, key) -> (carry, (state and observation before the step, reward, info)).
    """

    name: str
    env: Any
    begin: Callable[[PRNGKeyArray], Any]
    advance: Callable[[Any, PRNGKeyArray], tuple[Any, tuple[Any, Any, Any, dict[str, Any]]]]


def simple_player(name: str, arguments: dict[str, Any], scripted_policy: bool) -> Player:
    """Return the random or the scripted player of an environment.

    Raises:
        ValueError: There is no such environment, or no scripted player of it.
    """
    env = make_env(name, arguments)
    if scripted_policy and type(env) not in ENVIRONMENTS.values():
        raise ValueError(
            f"`policy` must be random or a folder, as only {environments.NAMES} have a script; got {name}."
        )
    vector, params = VectorEnvironment(env, 1), env.default_params
    policy = scripted(env) if scripted_policy else None
    space = env.action_space(params)

    def advance(carry, key):
        obs, state = carry
        action_key, step_key = jax.random.split(key)
        if policy is None:
            action = jax.vmap(space.sample)(jax.random.split(action_key, vector.batch_size))
        else:
            action = policy(action_key, jax.tree.map(lambda x: x[0], state.env), params)
            action = action if vector.num_agents > 1 else action[None]
        next_obs, after, reward, _, _, info = vector.step(step_key, state, action, params)
        return (next_obs, after), (state.env, obs, reward, info)

    return Player(name, env, lambda key: vector.reset(key, params), advance)


def learned_player(folder: Path) -> Player:
    """Return the agent that `p3o train` left in a folder, acting as in training."""
    agent = saved.load(folder)
    params = agent.env.default_params
    actor = rollout.make_actor(agent.config, agent.env, params, 1)

    def advance(position, key):
        action_key, step_key = jax.random.split(key)
        outputs, memory = rollout.policy_outputs(actor, agent.state.trainable, agent.state.obs_moments, position)
        action = actor.distribution.sample(action_key, outputs)
        after, (reward, _, _, info) = rollout.step(actor, step_key, position, memory, action, params)
        return after, (position.env_state.env, position.obs, reward, info)

    return Player(agent.env_name, agent.env, lambda key: rollout.start(actor, key, params), advance)


class Played(NamedTuple):
    """What was played.

    Attributes:
        states: State before every step, stacked.
        observations: What the first agent saw of it.
        reward: Of every step and agent.
        info: Of every step and agent.
    """

    states: Any
    observations: np.ndarray
    reward: np.ndarray
    info: dict[str, np.ndarray]


def play(player: Player, steps: int, seed: int) -> Played:
    """Play an environment for a number of steps."""
    begin_key, play_key = jax.random.split(jax.random.key(seed))
    scan = jax.jit(lambda carry, keys: jax.lax.scan(player.advance, carry, keys)[1])
    states, obs, reward, info = jax.block_until_ready(scan(player.begin(begin_key), jax.random.split(play_key, steps)))
    states = jax.tree.map(lambda x: np.asarray(x)[:, 0], states)
    return Played(states, np.asarray(obs)[:, 0], np.asarray(reward), jax.tree.map(np.asarray, info))


def choose_player(args: Watch) -> Player:
    """Return the player of `--policy`.

    Raises:
        ValueError: No environment is named, or the checkpoint is of another one.
    """
    arguments = constructor_arguments(args.arguments)
    if args.policy in ("random", "scripted"):
        if args.env is None:
            raise ValueError(f"`env` must be given unless `policy` is a folder; got no env and {args.policy!r}.")
        return simple_player(args.env, arguments, args.policy == "scripted")
    folder = resolve(args.policy, "policy")
    if not folder.is_dir():
        raise ValueError(f"`policy` must be random, scripted or a folder that `p3o train` wrote; got {args.policy!r}.")
    player = learned_player(folder)
    if args.env not in (None, player.name):
        raise ValueError(f"`policy` must be trained on {args.env}; got one trained on {player.name}.")
    if arguments:
        raise ValueError(f"`arguments` must be empty where `policy` is a folder; got {arguments}.")
    return player


def watch(args: Watch, console: Console) -> None:
    """Play, and write the pictures that were asked for."""
    player = choose_player(args)
    played = interruptible(play, player, args.steps, args.seed)
    if args.gif is not None or args.png is not None:
        returns = np.cumsum(played.reward.mean(axis=1)) - played.reward.mean(axis=1)
        shown = range(0, args.steps, args.every)
        write(args, draw(player.env, played.states, played.observations, returns, shown), console)
    scores = played.info["score"][played.info["done"]]
    ended = f"{len(scores)} episodes, mean score {scores.mean():.2f}" if len(scores) else "no episode ended"
    total = played.reward.sum(0).mean()
    console.print(f"{player.name} by {args.policy}: {ended}, reward {total:.2f} per agent", soft_wrap=True)


def write(args: Watch, frames: list[Any], console: Console) -> None:
    """Write frames to the files that were asked for."""
    for path in (args.gif, args.png):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if args.gif is not None:
        save_gif(args.gif, frames, args.fps)
        console.print(f"wrote {args.gif} ({args.gif.stat().st_size / 1e3:.0f} kB)", soft_wrap=True)
    if args.png is not None:
        save_png(args.png, frames[-1])
        console.print(f"wrote {args.png}", soft_wrap=True)


if __name__ == "__main__":
    main()
