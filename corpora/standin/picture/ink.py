"""Antialiased drawing in face units with OpenCV, at a sixteenth of a pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from corpora.standin.picture.identity import Colour

Points = Float[np.ndarray, "_ 2"]
Corners = Sequence[tuple[float | int, float | int]]
"""Where a line goes through, in face units."""
Image = UInt8[np.ndarray, "_ _ 3"]
_SHIFT = 4
_TURN = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], 1)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where face units lie on a canvas: pixel = unit * scale + origin."""

    scale: float
    origin_x: float
    origin_y: float
    width: int
    height: int

    def pixels(self, points: Points) -> Float[np.ndarray, "n 2"]:
        return points * self.scale + (self.origin_x, self.origin_y)

    def fixed(self, points: Points) -> np.ndarray:
        """Fixed-point pixel coordinates as OpenCV takes them with `shift`."""
        unit = 1 << _SHIFT
        offset = (self.origin_x * unit + 0.5, self.origin_y * unit + 0.5)
        return np.floor(points * (self.scale * unit) + offset).astype(np.int32)

    def mesh(self) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
        """Face-unit x and y of every pixel's middle."""
        x, y = self.axes()
        return np.broadcast_arrays(x[None, :], y[:, None])  # type: ignore[return-value]

    def axes(self) -> tuple[Float[np.ndarray, "w"], Float[np.ndarray, "h"]]:
        """Face-unit x of every column and y of every row."""
        x = (np.arange(self.width) - self.origin_x) / self.scale
        y = (np.arange(self.height) - self.origin_y) / self.scale
        return x, y


def fill(image: np.ndarray, grid: Grid, points: Points, colour: Colour | int) -> None:
    """Fill a closed shape."""
    cv2.fillPoly(image, [grid.fixed(points)], colour, cv2.LINE_AA, _SHIFT)


def stroke(
    image: np.ndarray,
    grid: Grid,
    points: Points,
    colour: Colour | int,
    width: float,
    *,
    closed: bool = False,
) -> None:
    """Draw a line of `width` face units (at least one pixel) through `points`."""
    pixels = max(1, round(width * grid.scale))
    cv2.polylines(image, [grid.fixed(points)], closed, colour, pixels, cv2.LINE_AA, _SHIFT)


def dot(
    image: np.ndarray,
    grid: Grid,
    x: float | int,
    y: float,
    rx: float,
    ry: float,
    colour: Colour | int,
) -> None:
    """Fill an upright ellipse."""
    fill(image, grid, _CIRCLE * (rx, ry) + (x, y), colour)


def curve(points: Corners, n: int = 16) -> Points:
    """A smooth line (uniform Catmull-Rom) of `n` samples through `points`."""
    return _spline(len(points), n) @ np.asarray(points, float)


@cache
def _spline(n_points: int, n: int) -> Float[np.ndarray, "n n_points"]:
    """The matrix that takes control points to samples; ends are extended by reflection."""
    if n_points < 3:
        return np.linspace([1.0, 0.0], [0.0, 1.0], n)
    padded = np.zeros((n_points + 2, n_points))
    padded[1:-1] = np.eye(n_points)
    padded[0] = 2 * padded[1] - padded[2]
    padded[-1] = 2 * padded[-2] - padded[-3]
    position = np.linspace(0, n_points - 1, n)
    i = np.minimum(position.astype(int), n_points - 2)
    t = (position - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
