"""Frames of a played episode: our environments as they look, any other one by its observations."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from envs.drawing import (
    BACKGROUND,
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    Frame,
    canvas,
    cells,
    with_header,
)
from envs.registry import ENVIRONMENTS
from envs.render import render

SIZE = 240
PALETTE = np.array([RED, GREEN, BLUE, YELLOW, ORANGE, PURPLE, INK], np.uint8)
"""Colours of the channels of an observation."""


def draw(env: Any, states: Any, observations: np.ndarray, returns: np.ndarray, shown: Sequence[int]) -> list[Frame]:
    """Return a frame of each shown step.

    Args:
        env: The environment.
        states: State before every step, stacked.
        observations: Observation of each state, stacked.
        returns: Sum of the rewards before each step.
        shown: Steps to draw.
    """
    if type(env) in ENVIRONMENTS.values():
        params = env.default_params
        return [render(env, jax.tree.map(lambda x, t=t: x[t], states), params, float(returns[t])) for t in shown]
    largest = np.abs(observations.astype(np.float32))
    scale = np.maximum(largest.max() if observations.ndim > 2 else largest.max(axis=0), 1e-6)
    return [_with_header(_picture(observations[t], scale), t, float(returns[t])) for t in shown]


class Scale:
    """Largest numbers that the observations of a game have had, which its pictures are scaled by."""

    def __init__(self) -> None:
        self.largest = np.float32(1e-6)

    def take(self, obs: np.ndarray) -> Any:
        """Return the scale, this observation included."""
        size = np.abs(obs.astype(np.float32))
        self.largest = np.maximum(self.largest, size.max() if obs.ndim > 1 else size)
        return self.largest


def picture(env: Any, state: Any, obs: np.ndarray, scale: Scale, step: int, total: float) -> Frame:
    """Return one frame of a game that goes on.

    Args:
        env: The environment.
        state: Its state.
        obs: Observation of the state.
        scale: Of the game.
        step: Steps before this one, of the episode.
        total: Sum of their rewards.
    """
    if type(env) in ENVIRONMENTS.values():
        return render(env, state, env.default_params, total)
    return _with_header(_picture(obs, scale.take(obs)), step, total)


def _picture(obs: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return an observation as a picture: channels of a grid as colours, numbers as bars from the middle line."""
    grid = obs.shape if obs.ndim in (2, 3) and min(obs.shape[:2]) > 1 else None
    if grid is None:
        return _bars((obs.astype(np.float32) / scale).ravel())
    channels = obs.reshape(*grid[:2], -1).astype(np.float32) / scale
    brightest = np.abs(channels).argmax(-1)
    level = np.abs(channels).max(-1, keepdims=True)
    colours = PALETTE[brightest % len(PALETTE)] * level + np.array(BACKGROUND) * (1 - level)
    return cells(colours.astype(np.uint8), max(1, SIZE // max(grid[:2])))


def _bars(values: np.ndarray) -> np.ndarray:
    picture = canvas(SIZE, SIZE)
    edges = np.linspace(0, SIZE, len(values) + 1).round().astype(int)
    middle = SIZE // 2
    for i, value in enumerate(values):
        end = middle - round(float(value) * (middle - 4))
        low, high = sorted((middle, end))
        picture[low : high + 1, edges[i] + 1 : max(edges[i + 1] - 1, edges[i] + 2)] = PALETTE[i % len(PALETTE)]
    return picture


def _with_header(picture: Frame, step: int, total: float) -> Frame:
    return with_header(picture, f"STEP {step}  RETURN {total:.1f}")
