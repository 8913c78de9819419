"""Drawing on a face that turns: a pen that knows the picture and the expression."""

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from corpora.standin.picture.expression import Expression
from corpora.standin.picture.identity import Colour, Look
from corpora.standin.picture.ink import Corners, Image, Points, curve, dot, fill, stroke
from corpora.standin.picture.paint import HEAD_GRID


@dataclass(frozen=True, slots=True)
class Pen:
    """Draws on `image` (`HEAD_GRID`) the face of `look` as `e` has it.

    Corners are where things are on a face seen from the front; `side` -1 mirrors them; `out` is
    how far they stand out of the face, as the nose's tip does.
    """

    image: Image
    look: Look
    e: Expression

    def turned(self, points: Points, out: float = 0.0) -> Points:
        """Where points of the face lie when the head turns and nods."""
        x, y = points[:, 0], points[:, 1]
        depth = out + np.sqrt(np.maximum(1.1 - (x * (1 / 1.15)) ** 2 - (y * (1 / 1.5)) ** 2, 0.1))
        turned = np.empty_like(points)
        turned[:, 0] = x * cos(self.e.yaw) + depth * sin(self.e.yaw)
        turned[:, 1] = y * cos(self.e.pitch) + depth * sin(self.e.pitch)
        return turned

    def point(self, x: float | int, y: float, out: float = 0.0) -> tuple[float, float]:
        """Where one point of the face lies."""
        at = self.turned(np.array([[x, y]]), out)[0]
        return float(at[0]), float(at[1])

    def bend(self, corners: Corners, n: int, side: int = 1, out: float = 0.0) -> Points:
        """A smooth line of `n` samples through corners."""
        return self.turned(curve([(side * x, y) for x, y in corners], n), out)

    def line(
        self,
        corners: Corners,
        n: int,
        colour: Colour,
        width: float,
        *,
        side: int = 1,
        out: float = 0.0,
    ) -> None:
        """Draw a smooth line through corners."""
        self.trace(self.bend(corners, n, side, out), colour, width)

    def trace(self, points: Points, colour: Colour, width: float, *, closed: bool = False) -> None:
        """Draw a line through points that are turned already."""
        stroke(self.image, HEAD_GRID, points, colour, width, closed=closed)

    def shape(self, *lines: Points, colour: Colour) -> None:
        """Fill what lines, turned already, enclose one after another."""
        fill(self.image, HEAD_GRID, np.concatenate(lines), colour)

    def dot(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """Fill an ellipse at a place that is turned already."""
        dot(self.image, HEAD_GRID, x, y, rx, ry, colour)
