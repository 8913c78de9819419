"""The still part of a head: skin with its shading, ears, hair and beard, painted once a person.

`paint_head` gives a `Head` at several openings of the jaw; `picture/features.py` draws eyes,
brows, nose and mouth on a copy of it for each frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from corpora.standin.picture.identity import Colour, Look, mix, shade
from corpora.standin.picture.ink import Grid, Image, Points, curve, dot, fill, stroke

Paint = Float32[np.ndarray, "height width 3"]

HEAD_GRID = Grid(scale=88.0, origin_x=154.0, origin_y=176.0, width=308, height=344)
JAW_DROPS = (0.0, 0.05, 0.1, 0.15)  # how far the chin sinks, face units
SKULL_TOP_Y = -1.3
NECK_HALF, NECK_FOOT_Y = 0.5, 1.5


@dataclass(frozen=True)
class Head:
    """A painted head on `HEAD_GRID`.

    Attributes:
        look: whose.
        skins: one unlit picture a value of `JAW_DROPS`.
        alpha: (height, width) 0 to 1, where the head covers what is behind it.
        light: (height, width, 3) 128 where the light leaves a colour as it is.
        window: x0, y0, x1, y1 of the part of the grid that the head covers.
    """

    look: Look
    skins: tuple[Image, ...]
    alpha: tuple[Float[np.ndarray, "height width"], ...]
    light: UInt8[np.ndarray, "height width 3"]
    window: tuple[int, int, int, int]


def face_outline(look: Look, drop: float = 0.0) -> Points:
    """The closed line of forehead, cheeks and chin."""
    chin = look.chin_y + drop
    y = np.concatenate([np.linspace(SKULL_TOP_Y, 0, 24), np.linspace(0, chin, 40)[1:]])
    up = np.clip(1 - (y / SKULL_TOP_Y) ** 2, 0, 1) ** 0.5
    t = np.clip(y / chin, 0, 1)
    square = look.jaw_square
    low = (1 - t**square) ** (1 / square) * (1 - look.jaw_taper * t**1.6)
    half = np.where(y < 0, up, low)
    return np.concatenate([np.stack([half, y], 1), np.stack([-half, y], 1)[::-1]])


def head_box(look: Look) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of the face from hairline to chin, ear to ear, in face units."""
    return (-1.0, -0.95, 1.0, look.chin_y)


def paint_head(look: Look, light: Float[np.ndarray, "3"], ambient: float) -> Head:
    """Paint a person's head.

    Args:
        look: the person.
        light: direction to the light (x right, y down, z to the camera); its length is its
            strength.
        ambient: light from everywhere; 1 with no directed light leaves colours as they are.
    """
    rng = np.random.default_rng(look.seed)
    behind = np.empty((HEAD_GRID.height, HEAD_GRID.width, 3), np.uint8)
    behind[:] = look.hair
    behind_mask = np.zeros(behind.shape[:2], np.uint8)
    _back_hair(behind, behind_mask, look, rng)
    _neck(behind, behind_mask, look)
    _ears(behind, behind_mask, look)
    skin = _skin(look, rng)
    hair, hair_mask = _front_hair(look, rng)
    hair_cover = cv2.GaussianBlur(hair_mask, (5, 5), 0)
    grain = cv2.GaussianBlur(rng.normal(0, 1, behind_mask.shape).astype(np.float32), (0, 0), 0.8)
    skins, alphas = [], []
    for drop in JAW_DROPS:
        face = _chin(skin, look, drop)
        shape = np.zeros_like(behind_mask)
        fill(shape, HEAD_GRID, face_outline(look, drop), 255)
        _beard(face, look, drop, grain)
        rgb = _over(behind, np.clip(face, 0, 255).astype(np.uint8), shape)
        skins.append(_over(rgb, hair, hair_cover))
        mask = np.maximum(np.maximum(behind_mask, shape), hair_mask)
        alphas.append((cv2.GaussianBlur(mask, (3, 3), 0) / np.float32(255)).astype(np.float32))
    return Head(look, tuple(skins), tuple(alphas), _light(light, ambient), _window(alphas))


def _window(alphas: Sequence[np.ndarray]) -> tuple[int, int, int, int]:
    cover = np.max(alphas, axis=0) > 0
    rows, columns = np.flatnonzero(cover.any(1)), np.flatnonzero(cover.any(0))
    return (
        max(0, int(columns[0]) - 2),
        max(0, int(rows[0]) - 2),
        int(columns[-1]) + 3,
        int(rows[-1]) + 3,
    )


def _light(direction: Float[np.ndarray, "3"], ambient: float) -> UInt8[np.ndarray, "h w 3"]:
    """Lambert's law on an egg-shaped head."""
    x, y = HEAD_GRID.mesh()
    z = np.sqrt(np.clip(1.25 - (x / 1.18) ** 2 - ((y + 0.05) / 1.55) ** 2, 0.04, None))
    normal = np.stack([x / 1.18**2, (y + 0.05) / 1.55**2, z], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    facing = np.clip(normal @ direction, 0, None)
    map_ = np.clip(128 * (ambient + facing), 0, 255).astype(np.uint8)
    return np.repeat(map_[..., None], 3, axis=2)


def _tint(picture: Paint, spot: Float32[np.ndarray, "h w"], colour: Colour) -> None:
    """Move `picture` towards `colour` by the share `spot` of each pixel, in place."""
    share = spot[..., None]
    picture *= 1 - share
    picture += share * np.asarray(colour, np.float32)


def _spot(x0: float, y0: float, rx: float, ry: float, strength: float) -> np.ndarray:
    """A soft round patch: a Gaussian of radii `rx`, `ry`."""
    x, y = HEAD_GRID.axes()
    across = np.exp(-(((x - x0) / rx) ** 2))
    down = strength * np.exp(-(((y - y0) / ry) ** 2))
    return np.outer(down, across).astype(np.float32)


def _skin(look: Look, rng: np.random.Generator) -> Paint:
    """The face's colours from forehead to mouth."""
    face = np.empty((HEAD_GRID.height, HEAD_GRID.width, 3), np.float32)
    face[:] = look.skin
    dark, rosy = shade(look.skin, 0.62), mix(look.skin, (206, 84, 74), 0.5)
    light = shade(look.skin, 1.12)
    shadow = cheek = glow = np.zeros(face.shape[:2], np.float32)
    for side in (-1, 1):
        shadow = shadow + _spot(side * look.eye_x, -0.2, 0.26, 0.17, 0.34)
        shadow = shadow + _spot(side * 1.02, 0.35, 0.22, 0.9, 0.45)
        cheek = cheek + _spot(side * 0.55, 0.36, 0.27, 0.22, 0.34)
        glow = glow + _spot(side * 0.5, 0.16, 0.2, 0.1, 0.2)
    shadow = shadow + _spot(0, look.nose_y + 0.16, 0.2, 0.07, 0.26)
    _tint(face, shadow, dark)
    _tint(face, cheek, rosy)
    _tint(face, glow + _spot(0, -0.68, 0.5, 0.25, 0.28), light)
    grain = rng.normal(0, 14, face.shape[:2]).astype(np.float32)
    face += cv2.GaussianBlur(grain, (0, 0), 2.0)[..., None]
    return face


def _chin(skin: Paint, look: Look, drop: float) -> Paint:
    """The face with its chin's light and shadow where the jaw has it."""
    face = skin.copy()
    _tint(
        face,
        _spot(0, look.mouth_y + 0.2 + drop, 0.22, 0.06, 0.36)
        + _spot(0, look.chin_y + 0.05 + drop, 0.6, 0.13, 0.5),
        shade(look.skin, 0.62),
    )
    _tint(face, _spot(0, look.chin_y - 0.14 + drop, 0.2, 0.1, 0.22), shade(look.skin, 1.1))
    return face


def _over(below: Image, above: Image, cover: np.ndarray) -> Image:
    share = cover.astype(np.float32) / 255
    return cv2.blendLinear(above, below, share, 1 - share)


def _ears(rgb: Image, mask: np.ndarray, look: Look) -> None:
    if look.hair_style in ("long", "bob"):
        return
    for side in (-1, 1):
        x = side * 1.01
        for image, colour in ((rgb, shade(look.skin, 0.86)), (mask, 255)):
            dot(image, HEAD_GRID, x, 0.06, 0.13, 0.25, colour)
        dot(rgb, HEAD_GRID, x + side * 0.015, 0.04, 0.06, 0.14, shade(look.skin, 0.66))


def _neck(rgb: Image, mask: np.ndarray, look: Look) -> None:
    """The neck goes with the head; its foot lies under the collar (`picture/stage.py`)."""
    shape = _mirror([(NECK_HALF, 0.7), (NECK_HALF, 1.2), (NECK_HALF + 0.03, NECK_FOOT_Y)])
    fill(rgb, HEAD_GRID, shape, shade(look.skin, 0.74))
    fill(mask, HEAD_GRID, shape, 255)


def _back_hair(rgb: Image, mask: np.ndarray, look: Look, rng: np.random.Generator) -> None:
    """Hair that lies behind the face."""
    colour = shade(look.hair, 0.72)
    shapes: list[Points] = []
    if look.hair_style == "long":
        shapes.append(_mirror([(0, -1.5), (0.75, -1.33), (1.14, -0.7), (1.16, 0.2), (1.2, 0.9), (1.14, 1.5), (0.74, 1.62), (0.5, 1.3)]))
    elif look.hair_style == "bob":
        shapes.append(_mirror([(0, -1.52), (0.8, -1.34), (1.22, -0.6), (1.32, 0.3), (1.12, 0.92)]))
    elif look.hair_style == "bun":
        turn = np.linspace(0, 2 * np.pi, 40)
        shapes.append(np.stack([0.42 * np.cos(turn), -1.52 + 0.34 * np.sin(turn)], 1))
        shapes.append(_mirror([(0, -1.42), (0.72, -1.26), (1.06, -0.6), (1.02, 0.0)]))
    elif look.hair_style == "curly":
        reach = 1.0 if look.sex == "F" else 0.35
        for angle in np.linspace(-0.5 * np.pi - 1.9 * reach - 0.5, -0.5 * np.pi + 1.9 * reach + 0.5, 34):
            x, y = 1.07 * np.cos(angle), -0.22 + 1.22 * np.sin(angle)
            turn = np.linspace(0, 2 * np.pi, 18)
            r = rng.uniform(0.15, 0.24)
            shapes.append(np.stack([x + r * np.cos(turn), y + r * np.sin(turn)], 1))
    elif look.hair_style != "receding":
        shapes.append(_mirror([(0, -1.46), (0.7, -1.3), (1.07, -0.62), (1.04, -0.05)]))
    else:
        shapes.append(_mirror([(0, -1.1), (0.95, -0.8), (1.08, -0.4), (1.05, 0.05)]))
    for points in shapes:
        fill(rgb, HEAD_GRID, points, colour)
        fill(mask, HEAD_GRID, points, 255)
    if look.hair_style in ("long", "bob", "curly"):
        _strands(rgb, mask, look, rng, 70, lambda: (rng.uniform(-1.25, 1.25), rng.uniform(-1.2, 1.1)))


def _mirror(right: list[tuple[float, float]]) -> Points:
    """A shape symmetric about x = 0 from the line of its right side, top to bottom."""
    side = curve(right, 30)
    return np.concatenate([side, (side * (-1, 1))[::-1]])


def _hairline(look: Look) -> list[tuple[float, float]]:
    """The lower edge of the hair in front, from the left temple to the right one."""
    return {
        "long": [(-1.06, 0.5), (-0.97, -0.2), (-0.72, -0.72), (-0.08, -1.06), (0.5, -0.85), (0.95, -0.25), (1.06, 0.5)],
        "bob": [(-1.04, 0.35), (-0.93, -0.4), (-0.7, -0.68), (0.0, -0.72), (0.7, -0.68), (0.93, -0.4), (1.04, 0.35)],
        "bun": [(-1.03, -0.1), (-0.9, -0.62), (-0.5, -0.92), (0.0, -0.98), (0.5, -0.92), (0.9, -0.62), (1.03, -0.1)],
        "curly": [(-1.04, -0.05), (-0.9, -0.55), (-0.55, -0.8), (0.0, -0.84), (0.55, -0.8), (0.9, -0.55), (1.04, -0.05)],
        "side": [(-1.03, 0.0), (-0.94, -0.5), (-0.62, -0.92), (-0.1, -0.82), (0.5, -0.72), (0.92, -0.5), (1.03, 0.0)],
        "short": [(-1.02, 0.0), (-0.93, -0.45), (-0.76, -0.8), (0.0, -0.88), (0.76, -0.8), (0.93, -0.45), (1.02, 0.0)],
        "crew": [(-1.01, -0.12), (-0.93, -0.55), (-0.72, -0.92), (0.0, -1.0), (0.72, -0.92), (0.93, -0.55), (1.01, -0.12)],
        "receding": [(-1.01, -0.05), (-0.96, -0.5), (-0.9, -0.75), (0.0, -1.27), (0.9, -0.75), (0.96, -0.5), (1.01, -0.05)],
    }[look.hair_style]  # fmt: skip


_CROWN = {"crew": 1.38, "receding": 1.31, "short": 1.5, "side": 1.52, "curly": 1.5}


def _front_hair(look: Look, rng: np.random.Generator) -> tuple[Image, np.ndarray]:
    """Hair before the forehead and on top, and where it lies."""
    line = curve(_hairline(look), 60)
    top_y = -_CROWN.get(look.hair_style, 1.48)
    turn = np.linspace(0, np.pi, 50)
    wide = abs(line[0, 0]) + (0.06 if look.hair_style in ("long", "bob") else 0.02)
    base_y = min(line[0, 1], 0.0)
    arc = np.stack([wide * np.cos(turn), base_y + (top_y - base_y) * np.sin(turn) ** 0.85], 1)
    shape = np.zeros((HEAD_GRID.height, HEAD_GRID.width), np.uint8)
    fill(shape, HEAD_GRID, np.concatenate([line, arc]), 255)
    if look.hair_style == "curly":
        for x, y in line[4:-4:3]:
            r = rng.uniform(0.09, 0.14)
            dot(shape, HEAD_GRID, x, y - 0.02, r, r, 255)
    x, y = HEAD_GRID.mesh()
    gloss = np.exp(-(((y + 1.12 - 0.18 * x**2) / 0.13) ** 2)) * 0.35 * np.exp(-((x / 0.8) ** 2))
    paint = np.empty((*shape.shape, 3), np.float32)
    paint[:] = look.hair
    _tint(paint, gloss.astype(np.float32), mix(look.hair, (255, 240, 220), 0.45))
    hair = np.clip(paint, 0, 255).astype(np.uint8)
    _strands(hair, shape, look, rng, 110, lambda: (rng.uniform(-1.1, 1.1), rng.uniform(-1.5, -0.4)))
    return hair, shape


def _strands(
    rgb: Image,
    mask: np.ndarray,
    look: Look,
    rng: np.random.Generator,
    n: int,
    place: Callable[[], tuple[float, float]],
) -> None:
    """Thin lighter and darker hairs where `mask` allows."""
    inside = mask > 128
    layer = rgb.copy()
    for _ in range(n):
        x, y = place()
        tone = shade(look.hair, float(rng.uniform(0.7, 1.35)))
        lean = 0.5 * x + rng.normal(0, 0.06)
        length = rng.uniform(0.25, 0.5)
        stroke(
            layer,
            HEAD_GRID,
            curve([(x, y), (x + 0.3 * lean * length, y + 0.4 * length), (x + lean * length, y + length)], 6),
            tone,
            0.012,
        )
    rgb[inside] = layer[inside]


def _beard(face: Paint, look: Look, drop: float, grain: Float32[np.ndarray, "h w"]) -> None:
    if not look.beard:
        return
    x, y = HEAD_GRID.mesh()
    cheek = 0.12 + 0.5 * np.clip(1 - np.abs(x), 0, 1) ** 0.45  # the beard's upper edge
    edge = np.clip((y - cheek) / 0.16, 0, 1)
    lips = np.exp(-((x / 0.34) ** 2) - ((y - look.mouth_y - drop / 2) / 0.17) ** 2)
    share = look.beard * edge * (1 - np.clip(1.3 * lips, 0, 1)) * (0.85 + 0.5 * grain)
    _tint(face, np.clip(share, 0, 1).astype(np.float32), shade(look.hair, 0.9))
