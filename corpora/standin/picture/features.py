"""The moving part of a head, drawn on a copy of the painted skin: all of it, nose and folds."""

import numpy as np

from corpora.standin.picture.expression import Expression
from corpora.standin.picture.eyes import draw_brow, draw_eye, draw_glasses
from corpora.standin.picture.head import JAW_DROPS, Head
from corpora.standin.picture.identity import mix, shade
from corpora.standin.picture.ink import Image
from corpora.standin.picture.mouth import draw_mouth
from corpora.standin.picture.surface import Pen

FRINGED = ("bob", "curly", "side")  # the hair covers the forehead's lines


def jaw_level(expression: Expression) -> int:
    """Which of `JAW_DROPS` fits the mouth's opening."""
    return int(np.argmin(np.abs(np.asarray(JAW_DROPS) - 0.2 * expression.open)))


def draw_features(head: Head, expression: Expression) -> Image:
    """The head with its face on, unlit; on `HEAD_GRID`."""
    image = head.skins[jaw_level(expression)].copy()
    pen = Pen(image, head.look, expression)
    _folds(pen)
    for side in (-1, 1):
        draw_eye(pen, side)
        draw_brow(pen, side)
    _nose(pen)
    draw_mouth(pen)
    if head.look.glasses:
        draw_glasses(pen)
    return image


def _nose(pen: Pen) -> None:
    skin, y, w = pen.look.skin, pen.look.nose_y, pen.look.nose_width
    dark, soft, light = shade(skin, 0.56), shade(skin, 0.78), shade(skin, 1.13)
    tip_x, tip_y = pen.point(0, y - 0.06, 0.22)
    pen.dot(tip_x, tip_y + 0.04, 0.8 * w, 0.11, shade(skin, 0.93))
    bridge = [(0.1, -0.22), (0.075, 0.02), (0.12, y - 0.12)]
    wing = [(w - 0.03, y - 0.1), (w + 0.02, y), (w - 0.03, y + 0.06), (0.09, y + 0.055)]
    for side in (-1, 1):
        pen.line(bridge, 8, mix(soft, skin, 0.55), 0.03, side=side, out=0.1)
        pen.line(wing, 10, soft, 0.022, side=side, out=0.1)
        hole_x, hole_y = pen.point(side * 0.52 * w, y + 0.045, 0.14)
        pen.dot(hole_x, hole_y, 0.052, 0.026, dark)
    pen.line([(0, -0.1), (0, 0.05), (0, y - 0.14)], 6, light, 0.04, out=0.16)
    pen.dot(tip_x - 0.02, tip_y - 0.02, 0.05, 0.04, light)


def _folds(pen: Pen) -> None:
    """Lines from nose to mouth in a smile or a frown, and between lowered or raised brows."""
    look, e = pen.look, pen.e
    dark, smile = shade(look.skin, 0.6), max(e.smile, 0)
    depth = max(0.75 * smile * (0.5 + 0.5 * e.squint), 0.45 * max(-e.smile, 0), 0.5 * e.press)
    cheek = [
        (0.24, look.nose_y - 0.06),
        (0.36 + 0.05 * e.smile, look.nose_y + 0.13),
        (look.mouth_width * (1.12 + 0.25 * smile) + 0.04, look.mouth_y - 0.1 * e.smile),
    ]
    y = look.brow_y
    furrow = [(0.065, y - 0.06), (0.05, y + 0.05), (0.075, y + 0.15)]
    for side in (-1, 1):
        if depth > 0.08 and not look.beard:
            pen.line(cheek, 10, mix(look.skin, dark, depth), 0.028, side=side)
        if e.brow_low > 0.2:
            colour = mix(look.skin, dark, min(0.9, 0.9 * e.brow_low))
            pen.line(furrow, 6, colour, 0.024, side=side)
    lines = max(e.brow_inner, e.brow_raise)
    if lines > 0.3 and look.hair_style not in FRINGED:
        colour = mix(look.skin, dark, 0.55 * (lines - 0.2))
        for y in (look.brow_y - 0.2, look.brow_y - 0.3):
            arch = y - 0.035 - 0.03 * e.brow_inner
            pen.line([(-0.36, y), (0, arch), (0.36, y)], 8, colour, 0.018)
