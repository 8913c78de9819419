"""The still part of a head: skin with its shading, ears, hair and beard, painted once a person.

`paint_head` gives a `Head` at several openings of the jaw; `picture/features.py` draws eyes,
brows, nose and mouth on a copy of it for each frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from corpora.standin.picture.hair import back_hair, beard, front_hair
from corpora.standin.picture.identity import Look, mix, shade
from corpora.standin.picture.ink import Image, Points, dot, fill
from corpora.standin.picture.paint import HEAD_GRID, Mask, Paint, mirror, over, spot, tint

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
    back_hair(behind, behind_mask, look, rng)
    _neck(behind, behind_mask, look)
    _ears(behind, behind_mask, look)
    skin = _skin(look, rng)
    hair, hair_mask = front_hair(look, rng)
    hair_cover = cv2.GaussianBlur(hair_mask, (5, 5), 0)
    stubble = np.asarray(rng.normal(size=behind_mask.shape), np.float32)
    grain = cv2.GaussianBlur(stubble, (0, 0), 0.8)
    skins, alphas = [], []
    for drop in JAW_DROPS:
        face = _chin(skin, look, drop)
        shape = np.zeros_like(behind_mask)
        fill(shape, HEAD_GRID, face_outline(look, drop), 255)
        beard(face, look, drop, grain)
        rgb = over(behind, np.clip(face, 0, 255).astype(np.uint8), shape)
        skins.append(over(rgb, hair, hair_cover))
        mask: np.ndarray = np.maximum(np.maximum(behind_mask, shape), hair_mask)
        alphas.append(cv2.GaussianBlur(mask, (3, 3), 0).astype(np.float32) / 255)
    return Head(look, tuple(skins), tuple(alphas), _light(light, ambient), _window(alphas))


def _window(alphas: Sequence[np.ndarray]) -> tuple[int, int, int, int]:
    cover = np.max(np.stack(alphas), axis=0) > 0
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


def _skin(look: Look, rng: np.random.Generator) -> Paint:
    """The face's colours from forehead to mouth."""
    face = np.empty((HEAD_GRID.height, HEAD_GRID.width, 3), np.float32)
    face[:] = look.skin
    dark, rosy = shade(look.skin, 0.62), mix(look.skin, (206, 84, 74), 0.5)
    light = shade(look.skin, 1.12)
    shadow = cheek = glow = np.zeros(face.shape[:2], np.float32)
    for side in (-1, 1):
        shadow = shadow + spot(side * look.eye_x, -0.2, 0.26, 0.17, 0.34)
        shadow = shadow + spot(side * 1.02, 0.35, 0.22, 0.9, 0.45)
        cheek = cheek + spot(side * 0.55, 0.36, 0.27, 0.22, 0.34)
        glow = glow + spot(side * 0.5, 0.16, 0.2, 0.1, 0.2)
    shadow = shadow + spot(0, look.nose_y + 0.16, 0.2, 0.07, 0.26)
    tint(face, shadow, dark)
    tint(face, cheek, rosy)
    tint(face, glow + spot(0, -0.68, 0.5, 0.25, 0.28), light)
    grain = rng.normal(0, 14, face.shape[:2]).astype(np.float32)
    face += cv2.GaussianBlur(grain, (0, 0), 2.0)[..., None]
    return face


def _chin(skin: Paint, look: Look, drop: float) -> Paint:
    """The face with its chin's light and shadow where the jaw has it."""
    face = skin.copy()
    tint(
        face,
        spot(0, look.mouth_y + 0.2 + drop, 0.22, 0.06, 0.36)
        + spot(0, look.chin_y + 0.05 + drop, 0.6, 0.13, 0.5),
        shade(look.skin, 0.62),
    )
    tint(face, spot(0, look.chin_y - 0.14 + drop, 0.2, 0.1, 0.22), shade(look.skin, 1.1))
    return face


def _ears(rgb: Image, mask: Mask, look: Look) -> None:
    if look.hair_style in ("long", "bob"):
        return
    for side in (-1, 1):
        x = side * 1.01
        for image, colour in ((rgb, shade(look.skin, 0.86)), (mask, 255)):
            dot(image, HEAD_GRID, x, 0.06, 0.13, 0.25, colour)
        dot(rgb, HEAD_GRID, x + side * 0.015, 0.04, 0.06, 0.14, shade(look.skin, 0.66))


def _neck(rgb: Image, mask: Mask, look: Look) -> None:
    """The neck goes with the head; its foot lies under the collar (`picture/stage.py`)."""
    shape = mirror([(NECK_HALF, 0.7), (NECK_HALF, 1.2), (NECK_HALF + 0.03, NECK_FOOT_Y)])
    fill(rgb, HEAD_GRID, shape, shade(look.skin, 0.74))
    fill(mask, HEAD_GRID, shape, 255)
