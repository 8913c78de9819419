"""Hair and beard: what lies behind the face, before the forehead and round the mouth."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from corpora.standin.picture.identity import Look, mix, shade
from corpora.standin.picture.ink import Corners, Image, Points, curve, dot, fill, stroke
from corpora.standin.picture.paint import HEAD_GRID, Mask, Paint, mirror, tint

_LONG_BACK: dict[str, Corners] = {
    "long": [
        *[(0, -1.5), (0.75, -1.33), (1.14, -0.7), (1.16, 0.2)],
        *[(1.2, 0.9), (1.14, 1.5), (0.74, 1.62), (0.5, 1.3)],
    ],
    "bob": [(0, -1.52), (0.8, -1.34), (1.22, -0.6), (1.32, 0.3), (1.12, 0.92)],
}
_CROWN = {"crew": 1.38, "receding": 1.31, "short": 1.5, "side": 1.52, "curly": 1.5}


def _both(right: Corners) -> Corners:
    """Left temple to right temple, from the middle to the right temple."""
    return [*((-x, y) for x, y in right[:0:-1]), *right]


# The lower edge of the hair in front, from the left temple to the right one.
_HAIRLINE: dict[str, Corners] = {
    "long": [
        *[(-1.06, 0.5), (-0.97, -0.2), (-0.72, -0.72), (-0.08, -1.06)],
        *[(0.5, -0.85), (0.95, -0.25), (1.06, 0.5)],
    ],
    "side": [
        *[(-1.03, 0.0), (-0.94, -0.5), (-0.62, -0.92), (-0.1, -0.82)],
        *[(0.5, -0.72), (0.92, -0.5), (1.03, 0.0)],
    ],
    "bob": _both([(0.0, -0.72), (0.7, -0.68), (0.93, -0.4), (1.04, 0.35)]),
    "bun": _both([(0.0, -0.98), (0.5, -0.92), (0.9, -0.62), (1.03, -0.1)]),
    "curly": _both([(0.0, -0.84), (0.55, -0.8), (0.9, -0.55), (1.04, -0.05)]),
    "short": _both([(0.0, -0.88), (0.76, -0.8), (0.93, -0.45), (1.02, 0.0)]),
    "crew": _both([(0.0, -1.0), (0.72, -0.92), (0.93, -0.55), (1.01, -0.12)]),
    "receding": _both([(0.0, -1.27), (0.9, -0.75), (0.96, -0.5), (1.01, -0.05)]),
}


def back_hair(rgb: Image, mask: Mask, look: Look, rng: np.random.Generator) -> None:
    """Hair that lies behind the face."""
    colour = shade(look.hair, 0.72)
    shapes: list[Points] = []
    if look.hair_style in _LONG_BACK:
        shapes.append(mirror(_LONG_BACK[look.hair_style]))
    elif look.hair_style == "bun":
        turn = np.linspace(0, 2 * np.pi, 40)
        shapes.append(np.stack([0.42 * np.cos(turn), -1.52 + 0.34 * np.sin(turn)], 1))
        shapes.append(mirror([(0, -1.42), (0.72, -1.26), (1.06, -0.6), (1.02, 0.0)]))
    elif look.hair_style == "curly":
        reach = 1.0 if look.sex == "F" else 0.35
        half = 1.9 * reach + 0.5
        for angle in np.linspace(-half, half, 34) - 0.5 * np.pi:
            x, y = 1.07 * np.cos(angle), -0.22 + 1.22 * np.sin(angle)
            turn = np.linspace(0, 2 * np.pi, 18)
            r = rng.uniform(0.15, 0.24)
            shapes.append(np.stack([x + r * np.cos(turn), y + r * np.sin(turn)], 1))
    elif look.hair_style != "receding":
        shapes.append(mirror([(0, -1.46), (0.7, -1.3), (1.07, -0.62), (1.04, -0.05)]))
    else:
        shapes.append(mirror([(0, -1.1), (0.95, -0.8), (1.08, -0.4), (1.05, 0.05)]))
    for points in shapes:
        fill(rgb, HEAD_GRID, points, colour)
        fill(mask, HEAD_GRID, points, 255)
    if look.hair_style in ("long", "bob", "curly"):
        _strands(
            rgb, mask, look, rng, 70, lambda: (rng.uniform(-1.25, 1.25), rng.uniform(-1.2, 1.1))
        )


def front_hair(look: Look, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Hair before the forehead and on top, and where it lies."""
    line = curve(_HAIRLINE[look.hair_style], 60)
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
    tint(paint, gloss.astype(np.float32), mix(look.hair, (255, 240, 220), 0.45))
    hair = np.clip(paint, 0, 255).astype(np.uint8)
    _strands(hair, shape, look, rng, 110, lambda: (rng.uniform(-1.1, 1.1), rng.uniform(-1.5, -0.4)))
    return hair, shape


def _strands(
    rgb: Image,
    mask: Mask,
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
        end = (x + lean * length, y + length)
        bend = (x + 0.3 * lean * length, y + 0.4 * length)
        stroke(layer, HEAD_GRID, curve([(x, y), bend, end], 6), tone, 0.012)
    rgb[inside] = layer[inside]


def beard(face: Paint, look: Look, drop: float, grain: Float32[np.ndarray, "h w"]) -> None:
    """Darken the lower face of who has a beard, in place."""
    if not look.beard:
        return
    x, y = HEAD_GRID.mesh()
    cheek = 0.12 + 0.5 * np.clip(1 - np.abs(x), 0, 1) ** 0.45  # the beard's upper edge
    edge = np.clip((y - cheek) / 0.16, 0, 1)
    lips = np.exp(-((x / 0.34) ** 2) - ((y - look.mouth_y - drop / 2) / 0.17) ** 2)
    share = look.beard * edge * (1 - np.clip(1.3 * lips, 0, 1)) * (0.85 + 0.5 * grain)
    tint(face, np.clip(share, 0, 1).astype(np.float32), shade(look.hair, 0.9))
