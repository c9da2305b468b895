"""Shapes, letters and colours on pictures that are NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import UInt8

Frame = UInt8[np.ndarray, "height width 3"]
Colour = tuple[int, int, int]

BACKGROUND, PANEL, INK = (16, 20, 28), (36, 42, 56), (240, 240, 240)
RED, GREEN, BLUE, YELLOW = (235, 80, 80), (90, 200, 120), (80, 150, 255), (250, 200, 70)
ORANGE, PURPLE, GREY = (240, 140, 60), (180, 120, 240), (110, 118, 135)

_HEADER = 18
# A sign has five rows of three pixels, and each octal digit is one row.
_SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-.:/ "
_ROWS = (
    "7555726227717477171755711747177475771111757577571725755656563444365556746477464434553557557222711152"
    "5565544447577556555525552656442556365655342167222255557555525577555255552227124700700000020202011244"
    "00000"
)
_GLYPHS = {sign: _ROWS[5 * i : 5 * i + 5] for i, sign in enumerate(_SIGNS)}


def canvas(height: Any, width: Any) -> Frame:
    """Return an empty picture, its size rounded to whole pixels."""
    return np.full((round(height), round(width), 3), BACKGROUND, np.uint8)


def box(picture: Frame, x: Any, y: Any, width: Any, height: Any, colour: Colour) -> None:
    """Fill a rectangle, or the part of it that is inside the picture."""
    left, top, right, bottom = (max(0, round(float(v))) for v in (x, y, x + width, y + height))
    picture[top:bottom, left:right] = colour


def disc(picture: Frame, x: Any, y: Any, radius: Any, colour: Colour) -> None:
    """Fill a disc, or the part of it that is inside the picture."""
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    picture[(rows - float(y)) ** 2 + (columns - float(x)) ** 2 <= float(radius) ** 2] = colour


def cells(picture: np.ndarray, size: int, gap: int = 0) -> Frame:
    """Enlarge a picture that has one pixel per cell."""
    large = picture.repeat(size, axis=0).repeat(size, axis=1)
    if gap:
        lines = np.arange(large.shape[0])[:, None] % size < gap
        large[lines | (np.arange(large.shape[1])[None] % size < gap)] = BACKGROUND
    return large.astype(np.uint8)


def write(picture: Frame, text: str, x: int, y: int, colour: Colour = INK, scale: int = 2) -> None:
    """Write text into a picture, in place. There are capitals, digits and a few signs."""
    for i, glyph in enumerate(text.upper()):
        bits = np.array([[int(row) >> 2 & 1, int(row) >> 1 & 1, int(row) & 1] for row in _GLYPHS[glyph]], bool)
        bits = np.kron(bits, np.ones((scale, scale), bool))
        left = x + 4 * scale * i
        spot = picture[y : y + bits.shape[0], left : left + bits.shape[1]]
        spot[bits[: spot.shape[0], : spot.shape[1]]] = colour


def with_header(picture: Frame, text: str) -> Frame:
    """Return the picture below a line of text."""
    header = np.full((_HEADER, picture.shape[1], 3), PANEL, np.uint8)
    write(header, text, 4, 4)
    return np.concatenate([header, picture])
