"""One game on the host: a compiled step, the picture, the score, and what the agent predicts."""

import json
import struct
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.pictures import Scale, picture
from experiments.watching.players import NO_HUMAN, Player


class Program(NamedTuple):
    """A player with its compiled functions, shared by all games.

    Attributes:
        player: The player.
        begin: key -> carry.
        advance: (carry, key, human) -> (carry, key of the next step, step).
    """

    player: Player
    begin: Any
    advance: Any


def compile_player(player: Player, seed: int) -> Program:
    """Compile a player's functions and take one step, so that a page that opens need not wait."""

    def advance(carry: Any, key: Any, human: Any) -> Any:
        key, step_key = jax.random.split(key)
        carry, seen = player.advance(carry, step_key, human)
        return carry, key, seen

    program = Program(player, jax.jit(player.begin), jax.jit(advance))
    Game(program, seed).step(NO_HUMAN)
    return program


class Game:
    """One game of a page.

    Args:
        program: What plays.
        seed: Of the first game; every restart takes the next one.
    """

    def __init__(self, program: Program, seed: int):
        self.program, self.seed = program, seed
        self.scores: list[float] = []
        self.scale = Scale()
        self.restart()

    def restart(self) -> None:
        """Begin another game."""
        begin_key, self.key = jax.random.split(jax.random.key(self.seed))
        self.carry = self.program.begin(begin_key)
        self.seed = (self.seed + 1) % 2**32
        self.steps, self.total = 0, 0.0

    def step(self, human: int) -> bytes:
        """Take one step and return it as a message for the page.

        Args:
            human: Action of the first agent, or `NO_HUMAN`.
        """
        self.carry, self.key, seen = self.program.advance(self.carry, self.key, np.int32(human))
        seen = jax.device_get(seen)
        state = jax.tree.map(lambda x: x[0], seen.state)
        shown = picture(self.program.player.env, state, seen.obs[0], self.scale, self.steps, self.total)
        facts = {"step": self.steps, "return": round(self.total, 4), "human": human != NO_HUMAN}
        facts |= self._predictions(seen)
        self._count(seen)
        return pack(facts | self._scores(), shown)

    def _predictions(self, seen: Any) -> dict[str, Any]:
        beliefs = self.program.player.beliefs
        if beliefs is None:
            return {}
        return {"mean": [round(float(value), 5) for value in beliefs.scale * seen.values[0]]}

    def _count(self, seen: Any) -> None:
        self.steps, self.total = self.steps + 1, self.total + float(seen.reward[0])
        if seen.info["done"][0]:
            self.scores.append(float(seen.info["score"][0]))
            self.steps, self.total = 0, 0.0

    def _scores(self) -> dict[str, Any]:
        if not self.scores:
            return {"episodes": 0}
        mean = sum(self.scores) / len(self.scores)
        return {"episodes": len(self.scores), "score": round(self.scores[-1], 3), "meanScore": round(mean, 3)}


def pack(facts: dict[str, Any], shown: np.ndarray) -> bytes:
    """Return a message: the length of the facts (4 bytes, little-endian), the facts as JSON, red-green-blue-alpha.

    The JSON is padded with spaces so that pixels begin at a multiple of four bytes.
    """
    height, width, _ = shown.shape
    text = json.dumps(facts | {"width": width, "height": height}).encode()
    text += b" " * (-len(text) % 4)
    alpha = np.full((height, width, 1), 255, np.uint8)
    return struct.pack("<I", len(text)) + text + np.concatenate([shown, alpha], axis=2).tobytes()
