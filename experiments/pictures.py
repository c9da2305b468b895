"""Frames of a played episode: our environments as they look, any other one by its observations."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from envs.registry import ENVIRONMENTS
from envs.render import Frame, render, write

SIZE, HEADER = 240, 18
BACKGROUND, INK = (16, 20, 28), (240, 240, 240)
PALETTE = np.array(
    [(235, 80, 80), (90, 200, 120), (80, 150, 255), (250, 200, 70), (240, 140, 60), (180, 120, 240), INK], np.uint8
)
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
    size = max(1, SIZE // max(grid[:2]))
    return colours.astype(np.uint8).repeat(size, axis=0).repeat(size, axis=1)


def _bars(values: np.ndarray) -> np.ndarray:
    picture = np.full((SIZE, SIZE, 3), BACKGROUND, np.uint8)
    edges = np.linspace(0, SIZE, len(values) + 1).round().astype(int)
    middle = SIZE // 2
    for i, value in enumerate(values):
        end = middle - round(float(value) * (middle - 4))
        low, high = sorted((middle, end))
        picture[low : high + 1, edges[i] + 1 : max(edges[i + 1] - 1, edges[i] + 2)] = PALETTE[i % len(PALETTE)]
    return picture


def _with_header(picture: np.ndarray, step: int, total: float) -> Frame:
    header = np.full((HEADER, picture.shape[1], 3), (36, 42, 56), np.uint8)
    write(header, f"STEP {step}  RETURN {total:.1f}", 4, 4)
    return np.concatenate([header, picture])
