"""Hands on the keys: which key is which action, and whether the person or the agent acts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from envs import breakout, connect4, drive, pong, snake
from experiments.watching.players import NO_HUMAN, is_discrete


@dataclass(frozen=True)
class Keys:
    """How a person plays an environment.

    Attributes:
        labels: What the buttons on the page say, each with its action.
        keys: Names of keys, as browsers give them, each with its action.
        rest: Action of a person who holds no key and has not given back yet; None repeats the last one.
        turns: Whether the environment waits for the person's move.
        seconds: How long after the last key the agent goes on.
    """

    labels: Mapping[str, int]
    keys: Mapping[str, int]
    rest: int | None = 0
    turns: bool = False
    seconds: float = 1.0


COLUMNS = {str(column + 1): column for column in range(7)}
KEYS: dict[type, Keys] = {
    pong.Pong: Keys({"↑": 1, "↓": 2}, {"ArrowUp": 1, "ArrowDown": 2, "w": 1, "s": 2}),
    breakout.Breakout: Keys({"←": 1, "→": 2}, {"ArrowLeft": 1, "ArrowRight": 2, "a": 1, "d": 2}),
    snake.Snake: Keys(
        {"←": 2, "↑": 0, "↓": 1, "→": 3},
        {"ArrowUp": 0, "ArrowDown": 1, "ArrowLeft": 2, "ArrowRight": 3, "w": 0, "s": 1, "a": 2, "d": 3},
        rest=None,
    ),
    drive.Drive: Keys(
        {"←": 22, "↑": 15, "↓": 12, "→": 6},  # 4 * steer + acceleration; see `envs.drive`
        {"ArrowUp": 15, "ArrowDown": 12, "ArrowLeft": 22, "ArrowRight": 6, "w": 15, "s": 12, "a": 22, "d": 6},
        rest=14,
    ),
    connect4.Connect4: Keys(COLUMNS, COLUMNS, rest=None, turns=True, seconds=5.0),
}
"""Environments that a person can play, by class."""


def keys_of(env: Any) -> Keys | None:
    """Return how a person plays an environment; None where nobody can by keys."""
    return KEYS.get(type(env)) if is_discrete(env.action_space(env.default_params)) else None


@dataclass
class Hands:
    """Whether the person or the agent acts, and how; times are in seconds of one clock.

    Attributes:
        keys: How the environment is played; None where nobody can.
        held: Action of the key that is down.
        last: Action of the last key.
        until: When the agent goes on.
        fresh: Whether a key came that no step has used yet.
    """

    keys: Keys | None
    held: int | None = None
    last: int = 0
    until: float = field(default=0.0)
    fresh: bool = False

    def press(self, action: int, now: float) -> None:
        """A key or a button went down; an action that the environment does not have is ignored."""
        if self.keys is not None and action in self.keys.labels.values():
            self.held, self.last, self.fresh = action, action, True
            self.until = now + self.keys.seconds

    def release(self, now: float) -> None:
        """No key is down any more."""
        if self.keys is not None and self.held is not None:
            self.held, self.until = None, now + self.keys.seconds

    def are_on(self, now: float) -> bool:
        """Return whether the person acts."""
        holds = self.held is not None and self.keys is not None and not self.keys.turns
        return holds or self.fresh or now < self.until

    def wait(self, now: float) -> bool:
        """Return whether the environment waits for the person's move."""
        return self.keys is not None and self.keys.turns and self.are_on(now) and not self.fresh

    def take(self, now: float) -> int:
        """Return the action of the next step, or `NO_HUMAN` where the agent acts."""
        if self.keys is None or not self.are_on(now):
            return NO_HUMAN
        self.fresh, fresh = False, self.fresh
        if fresh or self.held is not None or self.keys.rest is None:
            return self.last
        return self.keys.rest
