"""Play an environment by an agent or a simple policy, and draw it.

p3o watch --env breakout --policy scripted --gif out.gif
p3o watch --policy runs/train-pong --gif out.gif
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import tyro
from jaxtyping import PRNGKeyArray
from rich.console import Console

from envs.players import scripted
from envs.registry import make
from envs.render import render, save_gif, save_png
from experiments import saved
from experiments.common import user_errors
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax import rollout
from p3o_jax.vector import VectorEnvironment


@dataclass(frozen=True)
class Watch:
    """Play one environment and draw it."""

    env: str | None = None
    """Name of the environment; by default the one that a folder's policy was trained on."""
    policy: str = "random"
    """`random`, `scripted`, or a folder that `p3o train` wrote."""
    gif: Path | None = None
    """Where to write the animation."""
    png: Path | None = None
    """Where to write the last frame."""
    steps: int = 300
    """Steps to play; episodes restart."""
    every: int = 1
    """Draw every n-th step."""
    fps: int = 20
    """Frames per second of the animation."""
    seed: int = 0
    """Seed of the episode and of the policy."""
    arguments: dict[str, str] = field(default_factory=dict)
    """Constructor arguments of the environment: `--arguments num_snakes 16 width 60`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    args = tyro.cli(Watch, prog="p3o watch", description=__doc__, args=arguments)
    keep_on_disk()
    watch(args, Console())


class Player(NamedTuple):
    """A policy in its environment, as two pure functions.

    Attributes:
        name: The environment's, for `envs.registry`.
        env: The environment.
        begin: key -> carry.
        advance: (carry, key) -> (carry, (state before the step, reward, info)).
    """

    name: str
    env: Any
    begin: Callable[[PRNGKeyArray], Any]
    advance: Callable[[Any, PRNGKeyArray], tuple[Any, tuple[Any, Any, dict[str, Any]]]]


def simple_player(name: str, arguments: dict[str, Any], scripted_policy: bool) -> Player:
    """The random or the scripted player of an environment."""
    env = make(name, **arguments)
    vector, params = VectorEnvironment(env, 1), env.default_params
    policy = scripted(env) if scripted_policy else None
    space = env.action_space(params)

    def advance(state, key):
        action_key, step_key = jax.random.split(key)
        if policy is None:
            action = jax.vmap(space.sample)(jax.random.split(action_key, vector.batch_size))
        else:
            action = policy(action_key, jax.tree.map(lambda x: x[0], state.env), params)
            action = action if vector.num_agents > 1 else action[None]
        _, after, reward, _, _, info = vector.step(step_key, state, action, params)
        return after, (state.env, reward, info)

    return Player(name, env, lambda key: vector.reset(key, params)[1], advance)


def learned_player(folder: Path) -> Player:
    """The agent that `p3o train` left in a folder, acting as in training."""
    agent = saved.load(folder)
    params = agent.env.default_params
    actor = rollout.make_actor(agent.config, agent.env, params, 1)

    def advance(position, key):
        action_key, step_key = jax.random.split(key)
        outputs, memory = rollout.policy_outputs(actor, agent.state.trainable, agent.state.obs_moments, position)
        action = actor.distribution.sample(action_key, outputs)
        after, (reward, _, _, info) = rollout.step(actor, step_key, position, memory, action, params)
        return after, (position.env_state.env, reward, info)

    return Player(agent.env_name, agent.env, lambda key: rollout.start(actor, key, params), advance)


def play(player: Player, steps: int, seed: int) -> tuple[Any, np.ndarray, dict[str, np.ndarray]]:
    """Play: the state before every step, and reward and info of every step, each stacked."""
    begin_key, play_key = jax.random.split(jax.random.key(seed))
    scan = jax.jit(lambda carry, keys: jax.lax.scan(player.advance, carry, keys)[1])
    states, reward, info = scan(player.begin(begin_key), jax.random.split(play_key, steps))
    states = jax.tree.map(lambda x: np.asarray(x)[:, 0], states)
    return states, np.asarray(reward), jax.tree.map(np.asarray, info)


def choose_player(args: Watch) -> Player:
    """The player of `--policy`.

    Raises:
        ValueError: No environment is named, or the checkpoint is of another one.
    """
    arguments = {key: json.loads(value) for key, value in args.arguments.items()}
    if args.policy in ("random", "scripted"):
        if args.env is None:
            raise ValueError(f"`env` must be given unless `policy` is a folder; got no env and {args.policy!r}.")
        return simple_player(args.env, arguments, args.policy == "scripted")
    player = learned_player(Path(args.policy))
    if args.env not in (None, player.name):
        raise ValueError(f"`policy` must be trained on {args.env}; got one trained on {player.name}.")
    if arguments:
        raise ValueError(f"`arguments` must be empty where `policy` is a folder; got {args.arguments}.")
    return player


def watch(args: Watch, console: Console) -> None:
    """Play, and write the pictures that were asked for."""
    with user_errors():
        player = choose_player(args)
    states, reward, info = play(player, args.steps, args.seed)
    with user_errors():
        frames = draw(player, states, reward, args.every) if args.gif is not None or args.png is not None else []
    for path in (args.gif, args.png):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if args.gif is not None:
        save_gif(args.gif, frames, args.fps)
        console.print(f"wrote {args.gif} ({args.gif.stat().st_size / 1e3:.0f} kB)")
    if args.png is not None:
        save_png(args.png, frames[-1])
        console.print(f"wrote {args.png}")
    scores = info["score"][info["done"]]
    ended = f"{len(scores)} episodes, mean score {scores.mean():.2f}" if len(scores) else "no episode ended"
    console.print(f"{player.name} by {args.policy}: {ended}, reward {reward.sum(0).mean():.2f} per agent")


def draw(player: Player, states: Any, reward: np.ndarray, every: int) -> list[Any]:
    """A frame of every `every`-th state, with the return so far."""
    params = player.env.default_params
    returns = np.cumsum(reward.mean(axis=1)) - reward.mean(axis=1)
    shown = range(0, len(reward), every)
    return [render(player.env, jax.tree.map(lambda x, t=t: x[t], states), params, returns[t].item()) for t in shown]


if __name__ == "__main__":
    main()
