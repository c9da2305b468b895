"""Watch an agent or a simple policy in its environment, on a local page or as a GIF, and play yourself.

p3o watch breakout  # by its master, the trained agent that comes with the package
p3o watch pong --policy runs/train-pong
p3o watch breakout --policy scripted --gif out.gif
p3o watch --policy runs/train-pong --steps 300

Without --gif, --png and --steps it serves a page on this machine, on which keys take over from the agent.
"""

import dataclasses
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import tyro
from jaxtyping import PRNGKeyArray
from rich.console import Console

from envs.render import save_gif, save_png
from experiments import environments
from experiments.agents import masters, resolve
from experiments.common import Assignments, check_seed, read, user_errors
from experiments.environments import constructor_arguments
from experiments.interrupts import interruptible, stoppable
from experiments.pictures import draw
from experiments.watching.game import compile_player
from experiments.watching.players import NO_HUMAN, Player, learned_player, master_player, simple_player
from neocarbs_jax.report.outputs import check_file
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.checks import check_at_least

LARGEST_FPS = 100
"""GIFs count hundredths of a second."""
LARGEST_PORT = 65535
DEFAULT_STEPS = 300


@dataclasses.dataclass(frozen=True)
class Watch:
    """Play one environment and draw it."""

    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="ENV")] = None
    """Environment, as listed above; by default the one that a folder's policy was trained on."""
    env: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The same by an option."""
    policy: str = "auto"
    """`random`, `scripted`, `master`, or a folder that `p3o train` wrote; `auto` is the master where there is one and
    no arguments are given, else random."""
    gif: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write the animation."""
    png: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write the last frame."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Steps to play for pictures and for the score in the terminal, by default 300; episodes restart."""
    every: int = 1
    """Draw every n-th step."""
    fps: int = 20
    """Frames per second of the animation, from 1 to 100; steps per second of the page at first, at most 60."""
    port: int = 8021
    """Port of the page on 127.0.0.1; 0 takes a free one."""
    browser: bool = True
    """Open the page in the browser."""
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
            if args.name is not None:
                args = dataclasses.replace(args, env=args.name, name=None)
            if args.policy == "auto":
                trained = args.env in masters() and not args.arguments
                args = dataclasses.replace(args, policy="master" if trained else "random")
            if args.gif is None and args.png is None and args.steps is None:
                serve(args, Console())
            else:
                watch(args, Console())


def check(args: Watch) -> None:
    """Raise a ValueError if a number is out of range or a file cannot be written."""
    check_at_least(1, steps=args.steps, every=args.every, fps=args.fps)
    if args.fps > LARGEST_FPS:
        raise ValueError(f"`fps` must be at most {LARGEST_FPS}; got {args.fps}.")
    check_seed(args.seed)
    if args.name is not None and args.env is not None:
        raise ValueError(f"`env` must be given once; got {args.name} and --env {args.env}.")
    if not 0 <= args.port <= LARGEST_PORT:
        raise ValueError(f"`port` must be from 0 to {LARGEST_PORT}; got {args.port}.")
    for name, suffix in (("gif", ".gif"), ("png", ".png")):
        if getattr(args, name) is not None:
            check_file(name, getattr(args, name), suffix)


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

    def advance(carry: Any, key: PRNGKeyArray) -> Any:
        carry, seen = player.advance(carry, key, NO_HUMAN)
        return carry, (seen.state, seen.obs, seen.reward, seen.info)

    scan = jax.jit(lambda carry, keys: jax.lax.scan(advance, carry, keys)[1])
    states, obs, reward, info = jax.block_until_ready(scan(player.begin(begin_key), jax.random.split(play_key, steps)))
    states = jax.tree.map(lambda x: np.asarray(x)[:, 0], states)
    return Played(states, np.asarray(obs)[:, 0], np.asarray(reward), jax.tree.map(np.asarray, info))


def choose_player(args: Watch) -> Player:
    """Return the player of `--policy`.

    Raises:
        ValueError: No environment is named, or the checkpoint is of another one.
    """
    arguments = constructor_arguments(args.arguments)
    if args.policy in ("random", "scripted", "master"):
        if args.env is None:
            raise ValueError(f"`env` must be given unless `policy` is a folder; got no env and {args.policy!r}.")
        if args.policy == "master":
            return master_player(args.env, arguments)
        return simple_player(args.env, arguments, args.policy == "scripted")
    place = resolve(args.policy, "policy")
    if not place.exists():
        rule = "`policy` must be random, scripted, master or a folder that `p3o train` wrote"
        raise ValueError(f"{rule}; got {args.policy!r}.")
    player = learned_player(place)
    if args.env not in (None, player.name):
        raise ValueError(f"`policy` must be trained on {args.env}; got one trained on {player.name}.")
    if arguments:
        raise ValueError(f"`arguments` must be empty where `policy` is a folder; got {arguments}.")
    return player


def serve(args: Watch, console: Console) -> None:
    """Serve the page until the process is stopped.

    Raises:
        ValueError: The extra is not installed, or the player cannot be made.
    """
    try:
        from experiments.watching import server  # an extra
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "websockets"):
            raise
        message = "`watch` needs an extra for its page: pip install 'neocarbs-p3o[watch]', or give --gif FILE"
        raise ValueError(f"{message}; got no {error.name}.") from error
    player = choose_player(args)
    listening = server.listen(args.port)
    console.print("compiling ...")
    program = interruptible(compile_player, player, args.seed)
    page = server.Page(program, args.policy, args.seed, min(args.fps, server.LARGEST_SPEED))
    url = f"http://{server.HOST}:{listening.getsockname()[1]}"
    console.print(f"{player.name} by {args.policy}: {url} (Ctrl-C ends it)", soft_wrap=True)
    if args.browser:
        webbrowser.open(url)
    interruptible(server.make(page).run, [listening])


def watch(args: Watch, console: Console) -> None:
    """Play, and write the pictures that were asked for."""
    player = choose_player(args)
    steps = args.steps or DEFAULT_STEPS
    played = interruptible(play, player, steps, args.seed)
    if args.gif is not None or args.png is not None:
        returns = np.cumsum(played.reward.mean(axis=1)) - played.reward.mean(axis=1)
        shown = range(0, steps, args.every)
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
