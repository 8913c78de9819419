"""The moving part of a head: eyes, brows, nose and mouth, drawn on a copy of the painted skin."""

from math import cos, sin

import cv2
import numpy as np

from corpora.standin.picture.expression import Expression
from corpora.standin.picture.head import HEAD_GRID, JAW_DROPS, Head
from corpora.standin.picture.identity import Look, mix, shade
from corpora.standin.picture.ink import Image, Points, curve, dot, fill, stroke

MOUTH_INSIDE = (70, 26, 30)
TEETH = (236, 230, 222)
TONGUE = (176, 84, 88)
FRINGED = ("bob", "curly", "side")  # the hair covers the forehead's lines


def jaw_level(expression: Expression) -> int:
    """Which of `JAW_DROPS` fits the mouth's opening."""
    return int(np.argmin(np.abs(np.asarray(JAW_DROPS) - 0.2 * expression.open)))


def draw_features(head: Head, expression: Expression) -> Image:
    """The head with its face on, unlit; on `HEAD_GRID`."""
    look, e = head.look, expression
    rgb = head.skins[jaw_level(e)].copy()
    _folds(rgb, look, e)
    for side in (-1, 1):
        _eye(rgb, look, e, side)
        _brow(rgb, look, e, side)
    _nose(rgb, look, e)
    _mouth(rgb, look, e)
    if look.glasses:
        _glasses(rgb, look, e)
    return rgb


def _turn(points: Points, e: Expression, out: float = 0.0) -> Points:
    """Move points of the face as they go when the head turns and nods; `out` is how far they
    stand out of the face (the nose's tip)."""
    x, y = points[:, 0], points[:, 1]
    depth = out + np.sqrt(np.maximum(1.1 - (x * (1 / 1.15)) ** 2 - (y * (1 / 1.5)) ** 2, 0.1))
    turned = np.empty_like(points)
    turned[:, 0] = x * cos(e.yaw) + depth * sin(e.yaw)
    turned[:, 1] = y * cos(e.pitch) + depth * sin(e.pitch)
    return turned


def _side(points: list[tuple[float, float]], side: int) -> list[tuple[float, float]]:
    return [(side * x, y) for x, y in points]


def _eye(rgb: Image, look: Look, e: Expression, side: int) -> None:
    x0, y0, w = look.eye_x, -0.12, look.eye_size
    up = w * 0.56 * e.lid
    low = w * 0.36 * (1 - 0.75 * e.squint) * min(1.0, 0.35 + 0.65 * e.lid)
    tilt = 0.03 * (1 - e.brow_inner)
    # inner corner, upper lid, outer corner; for the right-hand eye, mirrored by `side`
    upper = [(x0 - w, y0 + 0.03), (x0 - 0.45 * w, y0 - 0.8 * up), (x0 + 0.15 * w, y0 - up), (x0 + w, y0 - tilt)]
    lower = [(x0 + w, y0 - tilt), (x0 + 0.2 * w, y0 + low), (x0 - 0.5 * w, y0 + 0.85 * low), (x0 - w, y0 + 0.03)]
    top = _turn(curve(_side(upper, side), 14), e)
    bottom = _turn(curve(_side(lower, side), 12), e)
    outline = np.concatenate([top, bottom])
    crease = shade(look.skin, 0.62)
    lid = top - (0, 0.055 - 0.02 * e.lid)
    fill(rgb, HEAD_GRID, np.concatenate([lid, top[::-1]]), shade(look.skin, 0.84))
    _eyeball(rgb, look, e, side, outline)
    stroke(rgb, HEAD_GRID, lid, crease, 0.014)
    lash = shade(look.hair, 0.5) if look.sex == "M" else (26, 20, 22)
    stroke(rgb, HEAD_GRID, top, lash, 0.036 if look.sex == "F" else 0.026)
    stroke(rgb, HEAD_GRID, bottom, shade(look.skin, 0.66), 0.014)
    if look.sex == "F" and e.lid > 0.3:
        corner = top[-1]
        stroke(rgb, HEAD_GRID, np.stack([corner, corner + (side * 0.045, -0.035)]), lash, 0.02)
    if e.squint > 0.25:
        bag = _turn(curve(_side([(x0 - w, y0 + 0.13), (x0, y0 + 0.19), (x0 + w, y0 + 0.1)], side), 8), e)
        stroke(rgb, HEAD_GRID, bag, mix(look.skin, shade(look.skin, 0.6), 0.8 * e.squint), 0.016)


def _eyeball(rgb: Image, look: Look, e: Expression, side: int, outline: Points) -> None:
    """White, iris and pupil, seen through the opening of the lids."""
    pixels = HEAD_GRID.pixels(outline)
    x0, y0 = np.floor(pixels.min(0)).astype(int) - 2
    x1, y1 = np.ceil(pixels.max(0)).astype(int) + 3
    view = rgb[y0:y1, x0:x1]
    whole = np.empty_like(rgb[y0:y1, x0:x1])
    whole[:] = (232, 228, 224)
    opening = np.zeros(whole.shape[:2], np.uint8)
    grid = type(HEAD_GRID)(
        HEAD_GRID.scale, HEAD_GRID.origin_x - x0, HEAD_GRID.origin_y - y0, x1 - x0, y1 - y0
    )
    fill(opening, grid, outline, 255)
    middle = _turn(np.array([[side * look.eye_x, -0.13]]), e)[0]
    x = middle[0] + 0.09 * e.gaze_x
    y = middle[1] + 0.06 * e.gaze_y
    r = 0.56 * look.eye_size
    dot(whole, grid, x, y, r, r, shade(look.eye, 0.55))
    dot(whole, grid, x, y, 0.84 * r, 0.84 * r, look.eye)
    dot(whole, grid, x, y, 0.46 * r, 0.46 * r, (16, 14, 16))
    dot(whole, grid, x - 0.3 * r, y - 0.34 * r, 0.2 * r, 0.2 * r, (250, 250, 250))
    shadow = outline[:14]  # the upper lid's shadow on the ball
    stroke(whole, grid, shadow + (0, 0.025), (150, 138, 136), 0.03)
    share = cv2.merge([opening] * 3)
    view[:] = cv2.add(
        cv2.multiply(view, 255 - share, scale=1 / 255), cv2.multiply(whole, share, scale=1 / 255)
    )


def _brow(rgb: Image, look: Look, e: Expression, side: int) -> None:
    y0 = look.brow_y - 0.12 * e.brow_raise + 0.07 * e.brow_low
    inner_x = 0.17 - 0.045 * e.brow_low + 0.01 * e.brow_inner
    inner_y = y0 + 0.14 * e.brow_low - 0.15 * e.brow_inner
    outer_y = y0 + 0.05 - 0.05 * e.brow_low + 0.09 * e.brow_inner
    arch_y = y0 - 0.06 + 0.03 * e.brow_low - 0.01 * e.brow_inner
    t = look.brow_thick
    top = [(inner_x, inner_y - 0.5 * t), (0.42, arch_y - 0.5 * t), (0.72, outer_y)]
    low = [(0.72, outer_y + 0.1 * t), (0.42, arch_y + 0.5 * t), (inner_x, inner_y + 0.55 * t)]
    shape = np.concatenate([curve(_side(top, side), 12), curve(_side(low, side), 12)])
    colour = mix(look.hair, (40, 30, 28), 0.35)
    fill(rgb, HEAD_GRID, _turn(shape, e), mix(colour, look.skin, 0.12))
    middle = curve(_side([(inner_x + 0.03, inner_y), (0.42, arch_y), (0.62, outer_y - 0.02)], side), 8)
    stroke(rgb, HEAD_GRID, _turn(middle, e), shade(colour, 0.8), 0.4 * t)


def _nose(rgb: Image, look: Look, e: Expression) -> None:
    y, w = look.nose_y, look.nose_width
    dark, soft = shade(look.skin, 0.56), shade(look.skin, 0.78)
    light = shade(look.skin, 1.13)
    tip = _turn(np.array([[0.0, y - 0.06]]), e, 0.22)[0]
    dot(rgb, HEAD_GRID, tip[0], tip[1] + 0.04, 0.8 * w, 0.11, shade(look.skin, 0.93))
    for side in (-1, 1):
        bridge = curve([(side * 0.1, -0.22), (side * 0.075, 0.02), (side * 0.12, y - 0.12)], 8)
        stroke(rgb, HEAD_GRID, _turn(bridge, e, 0.1), mix(soft, look.skin, 0.55), 0.03)
        wing = curve(
            [(side * (w - 0.03), y - 0.1), (side * (w + 0.02), y), (side * (w - 0.03), y + 0.06), (side * 0.09, y + 0.055)],
            10,
        )
        stroke(rgb, HEAD_GRID, _turn(wing, e, 0.1), soft, 0.022)
        hole = _turn(np.array([[side * 0.52 * w, y + 0.045]]), e, 0.14)[0]
        dot(rgb, HEAD_GRID, hole[0], hole[1], 0.052, 0.026, dark)
    stroke(rgb, HEAD_GRID, _turn(curve([(0, -0.1), (0, 0.05), (0, y - 0.14)], 6), e, 0.16), light, 0.04)
    dot(rgb, HEAD_GRID, tip[0] - 0.02, tip[1] - 0.02, 0.05, 0.04, light)


def _mouth(rgb: Image, look: Look, e: Expression) -> None:
    gap = 0.27 * e.open + 0.035 * e.teeth  # between the lips' inner edges, in the middle
    half = look.mouth_width * (1 + 0.24 * max(e.smile, 0) - 0.06 * e.open - 0.08 * e.press)
    corner = look.mouth_y - 0.13 * e.smile + 0.05 * e.open
    mid = look.mouth_y + 0.035 * e.smile
    thick = look.lip_thick * (1 - 0.55 * e.press)
    bow = mid - 0.25 * gap
    floor = mid + 0.75 * gap
    rise = 0.035 * max(-e.smile, 0)  # a frown's middle stands higher
    top_in = [(-half, corner), (-0.5 * half, bow + 0.35 * (corner - mid)), (0, bow - rise), (0.5 * half, bow + 0.35 * (corner - mid)), (half, corner)]
    low_in = [(half, corner), (0.5 * half, floor + 0.3 * (corner - mid)), (0, floor - rise), (-0.5 * half, floor + 0.3 * (corner - mid)), (-half, corner)]
    top_out = [(half, corner), (0.42 * half, bow - thick + 0.3 * (corner - mid)), (0.12 * half, bow - 1.12 * thick - rise), (0, bow - 0.9 * thick - rise),
               (-0.12 * half, bow - 1.12 * thick - rise), (-0.42 * half, bow - thick + 0.3 * (corner - mid)), (-half, corner)]  # fmt: skip
    low_out = [(-half, corner), (-0.45 * half, floor + 1.15 * thick + 0.25 * (corner - mid)), (0, floor + 1.35 * thick - rise),
               (0.45 * half, floor + 1.15 * thick + 0.25 * (corner - mid)), (half, corner)]  # fmt: skip
    inner_top, inner_low = _turn(curve(top_in, 17), e, 0.04), _turn(curve(low_in, 17), e, 0.04)
    inside = np.concatenate([inner_top, inner_low])
    upper, lower = _turn(curve(top_out, 22), e, 0.04), _turn(curve(low_out, 17), e, 0.04)
    if look.moustache:
        _moustache(rgb, look, e, bow - thick - rise, half)
    fill(rgb, HEAD_GRID, np.concatenate([inner_low[::-1], lower[::-1]]), look.lip)
    fill(rgb, HEAD_GRID, np.concatenate([inner_top, upper]), shade(look.lip, 0.86))
    shine = mix(look.lip, (255, 226, 220), 0.35)
    stroke(rgb, HEAD_GRID, 0.55 * inner_low[5:12] + 0.45 * lower[5:12][::-1], shine, 0.02)
    if gap > 0.02:
        _open_mouth(rgb, e, inside, inner_top, inner_low, gap)
    else:
        stroke(rgb, HEAD_GRID, inner_top, shade(look.lip, 0.45), 0.022)
    dimple = shade(look.skin, 0.6 if not look.beard else 0.4)
    for side, end in ((-1, inner_top[0]), (1, inner_top[-1])):
        tail = end + (side * 0.05, -0.05 * e.smile + 0.015)
        stroke(rgb, HEAD_GRID, np.stack([end, tail]), dimple, 0.022)
    if e.press > 0.4 and not look.beard:
        chin = _turn(curve([(-0.16, look.mouth_y + 0.24), (0, look.mouth_y + 0.2), (0.16, look.mouth_y + 0.24)], 8), e)
        stroke(rgb, HEAD_GRID, chin, mix(look.skin, shade(look.skin, 0.6), 0.7 * e.press), 0.02)


def _open_mouth(
    rgb: Image, e: Expression, inside: Points, top: Points, low: Points, gap: float
) -> None:
    fill(rgb, HEAD_GRID, inside, MOUTH_INSIDE)
    if gap > 0.12:
        centre = 0.35 * top[8] + 0.65 * low[8]
        dot(rgb, HEAD_GRID, centre[0], centre[1] + 0.1 * gap, 0.15, 0.24 * gap, TONGUE)
    if e.teeth > 0.05:
        share = min(0.9, 0.28 + 0.6 * e.teeth) if gap < 0.16 else 0.3 + 0.25 * e.teeth
        edge = top[2:-2] + (low[::-1][2:-2] - top[2:-2]) * share
        fill(rgb, HEAD_GRID, np.concatenate([top[2:-2], edge[::-1]]), TEETH)
    stroke(rgb, HEAD_GRID, top, (70, 30, 34), 0.014)


def _moustache(rgb: Image, look: Look, e: Expression, y: float, half: float) -> None:
    top = [(-1.05 * half, y + 0.1), (-0.5 * half, y - 0.1), (0, y - 0.11), (0.5 * half, y - 0.1), (1.05 * half, y + 0.1)]
    low = [(1.0 * half, y + 0.13), (0.5 * half, y + 0.03), (0, y - 0.005), (-0.5 * half, y + 0.03), (-1.0 * half, y + 0.13)]
    shape = np.concatenate([curve(top, 14), curve(low, 14)])
    fill(rgb, HEAD_GRID, _turn(shape, e, 0.05), mix(look.skin, shade(look.hair, 0.9), look.moustache))


def _folds(rgb: Image, look: Look, e: Expression) -> None:
    """Lines from nose to mouth in a smile or a frown, and between lowered or raised brows."""
    dark = shade(look.skin, 0.6)
    depth = max(0.75 * max(e.smile, 0) * (0.5 + 0.5 * e.squint), 0.45 * max(-e.smile, 0), 0.5 * e.press)
    if depth > 0.08 and not look.beard:
        colour = mix(look.skin, dark, depth)
        reach = look.mouth_width * (1.12 + 0.25 * max(e.smile, 0))
        for side in (-1, 1):
            fold = [(0.24, look.nose_y - 0.06), (0.36 + 0.05 * e.smile, look.nose_y + 0.13), (reach + 0.04, look.mouth_y - 0.1 * e.smile)]
            stroke(rgb, HEAD_GRID, _turn(curve(_side(fold, side), 10), e), colour, 0.028)
    if e.brow_low > 0.2:
        colour = mix(look.skin, dark, min(0.9, 0.9 * e.brow_low))
        for side in (-1, 1):
            furrow = [(0.065, look.brow_y - 0.06), (0.05, look.brow_y + 0.05), (0.075, look.brow_y + 0.15)]
            stroke(rgb, HEAD_GRID, _turn(curve(_side(furrow, side), 6), e), colour, 0.024)
    lines = max(e.brow_inner, e.brow_raise)
    if lines > 0.3 and look.hair_style not in FRINGED:
        colour = mix(look.skin, dark, 0.55 * (lines - 0.2))
        for k in range(2):
            y = look.brow_y - 0.2 - 0.1 * k
            line = curve([(-0.36, y), (0, y - 0.035 - 0.03 * e.brow_inner), (0.36, y)], 8)
            stroke(rgb, HEAD_GRID, _turn(line, e), colour, 0.018)


def _glasses(rgb: Image, look: Look, e: Expression) -> None:
    power = 2.2 if look.glasses == "round" else 4.5
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    c, s = np.cos(turn), np.sin(turn)
    x = np.sign(c) * np.abs(c) ** (2 / power) * 0.31
    y = np.sign(s) * np.abs(s) ** (2 / power) * 0.25
    frame = shade(look.hair, 0.5)
    for side in (-1, 1):
        lens = np.stack([side * (look.eye_x + 0.01) + x, -0.1 + y], 1)
        stroke(rgb, HEAD_GRID, _turn(lens, e, 0.1), frame, 0.022, closed=True)
        arm = np.array([[side * (look.eye_x + 0.32), -0.16], [side * 0.98, -0.12]])
        stroke(rgb, HEAD_GRID, _turn(arm, e, 0.05), frame, 0.02)
    bridge = curve([(-look.eye_x + 0.3, -0.14), (0, -0.19), (look.eye_x - 0.3, -0.14)], 8)
    stroke(rgb, HEAD_GRID, _turn(bridge, e, 0.14), frame, 0.022)

