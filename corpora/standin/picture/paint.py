"""Painting a head's still parts: soft tints in floating point, pictures laid over each other."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from corpora.standin.picture.identity import Colour
from corpora.standin.picture.ink import Corners, Grid, Image, Points, curve

Paint = Float32[np.ndarray, "height width 3"]
Mask = UInt8[np.ndarray, "height width"]

HEAD_GRID = Grid(scale=88.0, origin_x=154.0, origin_y=176.0, width=308, height=344)


def tint(picture: Paint, spot: Float32[np.ndarray, "h w"], colour: Colour) -> None:
    """Move `picture` towards `colour` by the share `spot` of each pixel, in place."""
    share = spot[..., None]
    picture *= 1 - share
    picture += share * np.asarray(colour, np.float32)


def spot(x0: float | int, y0: float, rx: float, ry: float, strength: float) -> np.ndarray:
    """A soft round patch: a Gaussian of radii `rx`, `ry`."""
    x, y = HEAD_GRID.axes()
    across = np.exp(-(((x - x0) / rx) ** 2))
    down = strength * np.exp(-(((y - y0) / ry) ** 2))
    return np.outer(down, across).astype(np.float32)


def over(below: Image, above: Image, cover: Mask) -> Image:
    """`above` laid on `below` where `cover` (0 to 255) has it."""
    share = cover.astype(np.float32) / 255
    return cv2.blendLinear(above, below, share, 1 - share)


def mirror(right: Corners) -> Points:
    """A shape symmetric about x = 0 from the line of its right side, top to bottom."""
    side = curve(right, 30)
    return np.concatenate([side, (side * (-1, 1))[::-1]])
