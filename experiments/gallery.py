"""Write a page with an animation of every environment, played by trained agents, by masters or by scripts.

p3o gallery --out runs/gallery
p3o gallery runs/train-pong "runs/foraging#17"

An environment that no given agent was trained on is played by its master, the trained agent that comes with the
package, or by its script where there is none.
"""

import dataclasses
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import tyro
from rich.console import Console

from envs.registry import ENVIRONMENTS
from envs.render import save_gif
from experiments.agents import masters, resolve
from experiments.common import check_seed, read, user_errors
from experiments.interrupts import interruptible, stoppable
from experiments.pictures import draw
from experiments.watch import LARGEST_FPS, play
from experiments.watching.players import Player, learned_player, master_player, simple_player
from neocarbs_jax.report.outputs import check_folder
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.checks import check_at_least

ARGUMENTS = {
    "snake": {"width": 72, "height": 48, "num_snakes": 12, "num_food": 60},
    "drive": {"num_scenes": 4},
}
"""Constructor arguments of masters and scripts, for pictures that are small and quickly made."""

STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 1100px; padding: 16px; font: 16px/1.45 system-ui, sans-serif; }
main { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); }
figure { margin: 0; padding: 12px; border: 1px solid #8886; border-radius: 8px; min-width: 0; }
img { width: 100%; height: 260px; object-fit: contain; image-rendering: pixelated; background: #10141c; }
figcaption { overflow-wrap: anywhere; } h1 { font-size: 1.3rem; }
"""


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Write a page of animations."""

    agents: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="AGENT ...")] = ()
    """Folders that `p3o train` wrote, trials of sweeps, as in runs/pong#17, or masters, as in master:pong."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/gallery")
    """Folder of the page and its pictures."""
    envs: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Environments that masters and scripts play; by default all of ours that no agent plays."""
    scripted: bool = False
    """Let scripts play these, also where there is a master."""
    steps: int = 200
    """Steps of each animation."""
    fps: int = 20
    """Frames per second, from 1 to 100."""
    seed: int = 0
    """Seed of the episodes and policies."""


class Card(NamedTuple):
    """One picture of the page.

    Attributes:
        title: The environment.
        text: Who plays, and what was reached.
        file: Name of the picture.
    """

    title: str
    text: str
    file: str


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    with stoppable():
        args = read(Gallery, "p3o gallery", __doc__, arguments)
        keep_on_disk()
        with user_errors():
            check(args)
            page = write(args, Console())
        Console().print(f"wrote {page}", soft_wrap=True)


def check(args: Gallery) -> None:
    """Raise a ValueError if an option is out of range or the folder cannot be written."""
    check_at_least(1, steps=args.steps, fps=args.fps)
    check_seed(args.seed)
    if args.fps > LARGEST_FPS:
        raise ValueError(f"`fps` must be at most {LARGEST_FPS}; got {args.fps}.")
    for name in args.envs:
        if name not in ENVIRONMENTS:
            raise ValueError(f"`envs` must be some of {', '.join(sorted(ENVIRONMENTS))}; got {name!r}.")
    for agent in args.agents:
        if not resolve(agent, "agents").exists():
            raise ValueError(f"`agents` must be folders that `p3o train` wrote; got {agent!r}.")
    check_folder("out", args.out)


def write(args: Gallery, console: Console) -> Path:
    """Play, write the pictures and the page, and return the page."""
    args.out.mkdir(parents=True, exist_ok=True)
    cards, shown = [], set()
    for number, agent in enumerate(args.agents):
        player = learned_player(resolve(agent, "agents"))
        shown.add(player.name.partition("?")[0])
        cards.append(card(args, player, f"by {agent}", f"agent-{number}.gif"))
        console.print(f"{cards[-1].title}: {cards[-1].text}", soft_wrap=True)
    for name in args.envs or sorted(set(ENVIRONMENTS) - shown):
        trained, arguments = name in masters() and not args.scripted, ARGUMENTS.get(name, {})
        player = master_player(name, arguments) if trained else simple_player(name, arguments, True)
        cards.append(card(args, player, f"by its {'master' if trained else 'script'}", f"{name}.gif"))
        console.print(f"{cards[-1].title}: {cards[-1].text}", soft_wrap=True)
    page = args.out / "index.html"
    page.write_text(page_of(cards), encoding="utf-8")
    return page


def card(args: Gallery, player: Player, who: str, file: str) -> Card:
    """Play an environment, write its animation, and return its card."""
    played = interruptible(play, player, args.steps, args.seed)
    rewards = played.reward.mean(axis=1)
    frames = draw(player.env, played.states, played.observations, np.cumsum(rewards) - rewards, range(args.steps))
    save_gif(args.out / file, frames, args.fps)
    return Card(player.name, f"{who}, reward {rewards.sum():.2f} per agent in {args.steps} steps", file)


def page_of(cards: list[Card]) -> str:
    """Return the page as HTML; its pictures lie beside it."""
    figures = "\n".join(
        f'<figure><img src="{html.escape(card.file)}" alt="{html.escape(f"{card.title}, played {card.text}")}">'
        f"<figcaption><b>{html.escape(card.title)}</b> {html.escape(card.text)}</figcaption></figure>"
        for card in cards
    )
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>Agents</title><style>{STYLE}</style></head>\n'
        f"<body><h1>Agents</h1><main>\n{figures}\n</main></body></html>\n"
    )


if __name__ == "__main__":
    main()
