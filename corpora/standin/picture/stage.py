"""Where people sit: backdrops, shoulders and clothes, and heads put into the frame."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from corpora.standin.picture.expression import Expression
from corpora.standin.picture.features import draw_features, jaw_level
from corpora.standin.picture.head import NECK_FOOT_Y, NECK_HALF, Head
from corpora.standin.picture.identity import Colour, Look, mix, shade
from corpora.standin.picture.ink import Grid, Image, curve, dot, fill, stroke
from corpora.standin.picture.paint import HEAD_GRID

BACKDROPS = ("wall", "lab", "studio", "curtain", "shelves", "window")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where a head rests: the middle between the ears and half the face's width, in pixels."""

    x: float
    y: float
    half_face: float

    def affine(self, e: Expression, dx: float = 0.0, dy: float = 0.0) -> Float[np.ndarray, "2 3"]:
        """From `HEAD_GRID` pixels to frame pixels; the head tilts about the foot of the neck."""
        scale = self.half_face / HEAD_GRID.scale
        c, s = np.cos(e.roll) * scale, np.sin(e.roll) * scale
        pivot = np.array([HEAD_GRID.origin_x, HEAD_GRID.origin_y + NECK_FOOT_Y * HEAD_GRID.scale])
        at = np.array([self.x + dx, self.y + dy + NECK_FOOT_Y * self.half_face])
        turn = np.array([[c, -s], [s, c]])
        return np.hstack([turn, (at - turn @ pivot)[:, None]])

    def box(
        self, units: tuple[float, float, float, float], affine: Float[np.ndarray, "2 3"]
    ) -> tuple[float, float, float, float]:
        """The upright pixel box round a box in face units."""
        x0, y0, x1, y1 = units
        corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        at = HEAD_GRID.pixels(corners) @ affine[:, :2].T + affine[:, 2]
        return (*at.min(0).tolist(), *at.max(0).tolist())  # type: ignore[return-value]


def head_patch(
    shape: tuple[int, ...],
    head: Head,
    e: Expression,
    affine: Float[np.ndarray, "2 3"],
    develop: Callable[[Image], Image],
) -> tuple[Image, Float[np.ndarray, "h w"], int, int]:
    """The head as it lies in a frame of `shape`: picture, cover, and the corner it goes to.

    `develop` is what the camera does to colours; what is behind the head has had it already.
    """
    left, top, right, bottom = head.window
    view = np.s_[top:bottom, left:right]
    affine = affine.copy()
    affine[:, 2] += affine[:, :2] @ (left, top)
    w, h = right - left, bottom - top
    at = np.array([(0, 0), (w, 0), (w, h), (0, h)]) @ affine[:, :2].T + affine[:, 2]
    x0, y0 = np.maximum(np.floor(at.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(at.max(0)).astype(int), (shape[1], shape[0]))
    affine[:, 2] -= (x0, y0)
    size = (int(x1 - x0), int(y1 - y0))
    lit = cv2.multiply(draw_features(head, e)[view], head.light[view], scale=1 / 128)
    patch = cv2.warpAffine(
        lit, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    alpha = cv2.warpAffine(head.alpha[jaw_level(e)][view], affine, size, flags=cv2.INTER_LINEAR)
    return develop(patch), alpha, int(x0), int(y0)


def put_patch(
    frame: Image, patch: Image, alpha: Float[np.ndarray, "h w"], x0: int, y0: int
) -> None:
    """Lay a patch over the frame, in place."""
    view = frame[y0 : y0 + patch.shape[0], x0 : x0 + patch.shape[1]]
    view[:] = cv2.blendLinear(patch, np.ascontiguousarray(view), alpha, 1 - alpha)


def paint_backdrop(
    kind: str, width: int, height: int, colour: Colour, rng: np.random.Generator
) -> Image:
    """A blurred room behind one person or more."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = colour
    {
        "wall": _wall,
        "lab": _lab,
        "studio": _studio,
        "curtain": _curtain,
        "shelves": _shelves,
        "window": _window,
    }[kind](image, colour, rng)
    return cv2.GaussianBlur(image, (0, 0), 2.2)


def _rectangle(
    image: Image, x: float | int, y: float | int, w: float | int, h: float | int, colour: Colour
) -> None:
    cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)


def _wall(image: Image, colour: Colour, rng: np.random.Generator) -> None:
    width = image.shape[1]
    for _ in range(max(1, width // 320)):
        x, y = rng.uniform(0, width), rng.uniform(10, 60)
        w, h = rng.uniform(40, 80), rng.uniform(40, 70)
        _rectangle(image, x - 3, y - 3, w + 6, h + 6, shade(colour, 0.7))
        _rectangle(image, x, y, w, h, mix(colour, (210, 200, 180), 0.4))


def _lab(image: Image, colour: Colour, rng: np.random.Generator) -> None:
    """A plain room with a door and a white board."""
    height, width = image.shape[:2]
    for left in range(0, width, 320):
        x = left + rng.uniform(-20, 40)
        _rectangle(image, x, 30, 62, height, shade(colour, 0.82))
        _rectangle(image, x + 50, 120, 6, 10, shade(colour, 0.5))
        x = left + rng.uniform(190, 230)
        _rectangle(image, x, 26, 90, 84, mix(colour, (250, 250, 250), 0.6))
    _rectangle(image, 0, height - 14, width, 14, shade(colour, 0.6))


def _studio(image: Image, colour: Colour, rng: np.random.Generator) -> None:
    """A dark booth with a pool of light on the wall."""
    height, width = image.shape[:2]
    x = (np.arange(width) - width * rng.uniform(0.35, 0.65)) / (0.45 * width)
    y = (np.arange(height) - 0.4 * height) / (0.6 * height)
    pool = np.exp(-(x[None] ** 2) - y[:, None] ** 2)[..., None]
    image[:] = np.clip(image * (0.55 + 0.65 * pool), 0, 255).astype(np.uint8)


def _curtain(image: Image, colour: Colour, rng: np.random.Generator) -> None:
    x = np.arange(image.shape[1])
    folds = 1 + 0.16 * np.sin(x / rng.uniform(7, 12)) + 0.08 * np.sin(x / 19 + rng.uniform(0, 6))
    image[:] = np.clip(image * folds[None, :, None], 0, 255).astype(np.uint8)


def _shelves(image: Image, colour: Colour, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    for top in range(8, height, 62):
        _rectangle(image, 0, top + 52, width, 6, shade(colour, 0.55))
        x = 0.0
        while x < width:
            w, h = rng.uniform(6, 14), rng.uniform(30, 50)
            spine = mix(
                colour,
                (int(rng.integers(256)), int(rng.integers(200)), int(rng.integers(200))),
                0.35,
            )
            _rectangle(image, x, top + 52 - h, w, h, spine)
            x += w + 1


def _window(image: Image, colour: Colour, rng: np.random.Generator) -> None:
    width = image.shape[1]
    for left in range(0, width, 320):
        x = left + rng.uniform(20, 200)
        _rectangle(image, x, 16, 100, 130, mix(colour, (225, 238, 250), 0.75))
        _rectangle(image, x + 47, 16, 6, 130, shade(colour, 0.8))
        _rectangle(image, x, 78, 100, 6, shade(colour, 0.8))


def paint_body(image: Image, look: Look, seat: Seat) -> None:
    """Neck, shoulders and clothes under a head at `seat`, in place."""
    height, width = image.shape[:2]
    grid = Grid(seat.half_face, seat.x, seat.y, width, height)
    broad = 1.85 if look.sex == "F" else 2.15
    foot = NECK_FOOT_Y
    right = [
        (NECK_HALF, 1.2),
        (0.62, foot - 0.02),
        (1.2, foot + 0.2),
        (broad - 0.15, foot + 0.42),
        (broad, foot + 1.0),
        (broad + 0.05, foot + 2.4),
    ]
    side = curve(right, 30)
    body = np.concatenate([side, (side * (-1, 1))[::-1]])
    fill(image, grid, body, look.clothes)
    for sign in (-1, 1):
        crease = curve([(sign * (broad - 0.5), foot + 0.6), (sign * (broad - 0.62), foot + 1.2)], 6)
        stroke(image, grid, crease, shade(look.clothes, 0.72), 0.05)
    skin = shade(look.skin, 0.78)
    if look.collar == "round":
        dot(image, grid, 0, foot + 0.02, 0.68, 0.26, shade(look.clothes, 0.8))
        dot(image, grid, 0, foot - 0.02, 0.62, 0.22, skin)
    elif look.collar == "vee":
        fill(
            image,
            grid,
            np.array([(-0.66, foot - 0.12), (0.66, foot - 0.12), (0, foot + 0.75)]),
            shade(look.clothes, 0.75),
        )
        fill(
            image, grid, np.array([(-0.6, foot - 0.14), (0.6, foot - 0.14), (0, foot + 0.64)]), skin
        )
    elif look.collar == "shirt":
        fill(
            image, grid, np.array([(-0.5, foot - 0.15), (0.5, foot - 0.15), (0, foot + 0.5)]), skin
        )
        for sign in (-1, 1):
            flap = np.array(
                [
                    (sign * 0.5, foot - 0.2),
                    (sign * 0.82, foot + 0.1),
                    (sign * 0.42, foot + 0.46),
                    (0, foot + 0.42),
                ]
            )
            fill(image, grid, flap, mix(look.clothes, (250, 250, 250), 0.35))
            stroke(image, grid, flap, shade(look.clothes, 0.7), 0.02, closed=True)
    else:
        dot(image, grid, 0, foot + 0.05, 0.9, 0.42, shade(look.clothes, 0.72))
        dot(image, grid, 0, foot - 0.02, 0.6, 0.24, skin)
        for sign in (-1, 1):
            cord = np.array([(sign * 0.3, foot + 0.35), (sign * 0.34, foot + 1.1)])
            stroke(image, grid, cord, mix(look.clothes, (240, 240, 240), 0.7), 0.035)


def light_frame(image: Image, light: Float[np.ndarray, "3"], ambient: float) -> Image:
    """The same light on what stands still: brighter on the side it comes from."""
    height, width = image.shape[:2]
    x = np.linspace(-1, 1, width)[None, :]
    y = np.linspace(-1, 1, height)[:, None]
    gain = ambient + np.clip(0.75 * light[2] + 0.35 * light[0] * x + 0.35 * light[1] * y, 0, None)
    return np.clip(image * gain[..., None], 0, 255).astype(np.uint8)
