"""Pictures of states as NumPy arrays, and GIF and PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from envs.drawing import Frame, with_header
from envs.painters import PAINTERS


def render(env: Any, state: Any, params: Any = None, score: float | None = None) -> Frame:
    """Draw one state.

    Args:
        env: One of our environments. It may be wrapped.
        state: Its state.
        params: Its parameters, or None for the default ones.
        score: A number to show in the header, such as the return so far.

    Raises:
        ValueError: There is no picture of this environment.
    """
    while hasattr(env, "env"):
        env, state = env.env, getattr(state, "env", state)
    painter = PAINTERS.get(type(env))
    if painter is None:
        known = ", ".join(kind.__name__ for kind in PAINTERS)
        raise ValueError(f"`env` must be one of {known} to be drawn; got {env.name}.")
    params = env.default_params if params is None else params
    picture, text = painter(env, jax.tree.map(np.asarray, state), params)
    if score is not None:
        text = f"{text}  RETURN {score:.1f}"
    return with_header(picture, text)


def save_gif(path: str | Path, frames: Sequence[Frame], frames_per_second: int = 20) -> None:
    """Write an animation."""
    images = [_image(frame).quantize(32) for frame in frames]
    duration = round(1000 / frames_per_second)
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration, loop=0, optimize=True)


def save_png(path: str | Path, frame: Frame) -> None:
    """Write one picture."""
    _image(frame).save(path)


def _image(frame: Frame) -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Pictures need Pillow: pip install pillow.", name=error.name) from error
    return Image.fromarray(frame)
