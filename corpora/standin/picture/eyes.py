"""Eyes, brows and glasses."""

from dataclasses import replace

import cv2
import numpy as np

from corpora.standin.picture.identity import mix, shade
from corpora.standin.picture.ink import Points, dot, fill, stroke
from corpora.standin.picture.paint import HEAD_GRID
from corpora.standin.picture.surface import Pen

EYE_Y = -0.12
WHITE, LID_SHADOW, PUPIL, GLINT = (232, 228, 224), (150, 138, 136), (16, 14, 16), (250, 250, 250)
LINER = (26, 20, 22)
_N_TOP = 14


def draw_eye(pen: Pen, side: int) -> None:
    """One eye with its lids; `side` is -1 on the left of the picture, 1 on the right."""
    look, e = pen.look, pen.e
    x, y, w = look.eye_x, EYE_Y, look.eye_size
    up = w * 0.56 * e.lid
    low = w * 0.36 * (1 - 0.75 * e.squint) * min(1.0, 0.35 + 0.65 * e.lid)
    inner, outer = (x - w, y + 0.03), (x + w, y - 0.03 * (1 - e.brow_inner))
    upper = [inner, (x - 0.45 * w, y - 0.8 * up), (x + 0.15 * w, y - up), outer]
    lower = [outer, (x + 0.2 * w, y + low), (x - 0.5 * w, y + 0.85 * low), inner]
    top, bottom = pen.bend(upper, _N_TOP, side), pen.bend(lower, 12, side)
    lid = top - np.array([0, 0.055 - 0.02 * e.lid])
    pen.shape(lid, top[::-1], colour=shade(look.skin, 0.84))
    _eyeball(pen, side, np.concatenate([top, bottom]))
    pen.trace(lid, shade(look.skin, 0.62), 0.014)
    female = look.sex == "F"
    lash = LINER if female else shade(look.hair, 0.5)
    pen.trace(top, lash, 0.036 if female else 0.026)
    pen.trace(bottom, shade(look.skin, 0.66), 0.014)
    if female and e.lid > 0.3:
        wing = top[-1] + np.array([[0, 0], [side * 0.045, -0.035]])
        pen.trace(wing, lash, 0.02)
    if e.squint > 0.25:
        bag = mix(look.skin, shade(look.skin, 0.6), 0.8 * e.squint)
        pen.line([(x - w, y + 0.13), (x, y + 0.19), (x + w, y + 0.1)], 8, bag, 0.016, side=side)


def _eyeball(pen: Pen, side: int, outline: Points) -> None:
    """White, iris and pupil, seen through the opening of the lids."""
    pixels = HEAD_GRID.pixels(outline)
    x0, y0 = np.floor(pixels.min(0)).astype(int) - 2
    x1, y1 = np.ceil(pixels.max(0)).astype(int) + 3
    view = pen.image[y0:y1, x0:x1]
    grid = replace(
        HEAD_GRID,
        origin_x=HEAD_GRID.origin_x - x0,
        origin_y=HEAD_GRID.origin_y - y0,
        width=int(x1 - x0),
        height=int(y1 - y0),
    )
    ball = np.empty_like(view)
    ball[:] = WHITE
    x, y = pen.point(side * pen.look.eye_x, EYE_Y - 0.01)
    x, y = x + 0.09 * pen.e.gaze_x, y + 0.06 * pen.e.gaze_y
    r = 0.56 * pen.look.eye_size
    dot(ball, grid, x, y, r, r, shade(pen.look.eye, 0.55))
    dot(ball, grid, x, y, 0.84 * r, 0.84 * r, pen.look.eye)
    dot(ball, grid, x, y, 0.46 * r, 0.46 * r, PUPIL)
    dot(ball, grid, x - 0.3 * r, y - 0.34 * r, 0.2 * r, 0.2 * r, GLINT)
    stroke(ball, grid, outline[:_N_TOP] + np.array([0, 0.025]), LID_SHADOW, 0.03)
    opening = np.zeros(view.shape[:2], np.uint8)
    fill(opening, grid, outline, 255)
    share = cv2.merge([opening] * 3)
    view[:] = cv2.add(
        cv2.multiply(view, 255 - share, scale=1 / 255), cv2.multiply(ball, share, scale=1 / 255)
    )


def draw_brow(pen: Pen, side: int) -> None:
    """One eyebrow."""
    look, e = pen.look, pen.e
    y = look.brow_y - 0.12 * e.brow_raise + 0.07 * e.brow_low
    x_in = 0.17 - 0.045 * e.brow_low + 0.01 * e.brow_inner
    y_in = y + 0.14 * e.brow_low - 0.15 * e.brow_inner
    y_out = y + 0.05 - 0.05 * e.brow_low + 0.09 * e.brow_inner
    arch = y - 0.06 + 0.03 * e.brow_low - 0.01 * e.brow_inner
    t = look.brow_thick
    top = [(x_in, y_in - 0.5 * t), (0.42, arch - 0.5 * t), (0.72, y_out)]
    low = [(0.72, y_out + 0.1 * t), (0.42, arch + 0.5 * t), (x_in, y_in + 0.55 * t)]
    colour = mix(look.hair, (40, 30, 28), 0.35)
    pen.shape(pen.bend(top, 12, side), pen.bend(low, 12, side), colour=mix(colour, look.skin, 0.12))
    middle = [(x_in + 0.03, y_in), (0.42, arch), (0.62, y_out - 0.02)]
    pen.line(middle, 8, shade(colour, 0.8), 0.4 * t, side=side)


def draw_glasses(pen: Pen) -> None:
    """Frames and bridge; the lenses are clear."""
    x, frame = pen.look.eye_x, shade(pen.look.hair, 0.5)
    power = 2 / (2.2 if pen.look.glasses == "round" else 4.5)
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    c, s = np.cos(turn), np.sin(turn)
    c, s = (np.sign(v) * np.abs(v) ** power for v in (c, s))
    lens = np.stack([0.31 * c, 0.25 * s], 1)
    for side in (-1, 1):
        rim = lens + np.array([side * (x + 0.01), -0.1])
        pen.trace(pen.turned(rim, 0.1), frame, 0.022, closed=True)
        pen.line([(x + 0.32, -0.16), (0.98, -0.12)], 2, frame, 0.02, side=side, out=0.05)
    pen.line([(0.3 - x, -0.14), (0, -0.19), (x - 0.3, -0.14)], 8, frame, 0.022, out=0.14)
