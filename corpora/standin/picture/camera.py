"""What a camera does to a picture: focus, contrast, colour and noise."""

from functools import cache

import cv2
import numpy as np

from corpora.standin.picture.ink import Image
from corpora.standin.traits import VisualTraits

_N_TILES, _SLACK = 6, 16


class Camera:
    """A camera with its own noise. Call it with a frame; it gives the frame as recorded.

    Noise comes from a few tiles at random places, which is what makes it cheap.
    """

    def __init__(self, traits: VisualTraits, width: int, height: int, rng: np.random.Generator):
        self._rng = rng
        self._blur = traits.blur_px
        self._size = (height, width)
        level = np.arange(256) / 255.0
        curve = 0.5 + (level**traits.gamma - 0.5) * traits.contrast
        table = [255 * (curve * gain * traits.brightness + traits.veil) for gain in traits.cast]
        self._table = np.clip(np.rint(np.stack(table, -1)), 0, 255).astype(np.uint8)[None]
        self._tiles = _tiles(round(traits.noise, 3), width + _SLACK, height + _SLACK)

    def __call__(self, frame: Image) -> Image:
        if self._blur > 0.2:
            frame = cv2.GaussianBlur(frame, (5, 5) if self._blur > 0.7 else (3, 3), self._blur)
        frame = cv2.LUT(frame, self._table)
        if self._tiles:
            more, less = self._tiles[int(self._rng.integers(_N_TILES))]
            y, x = self._rng.integers(_SLACK, size=2)
            height, width = self._size
            frame = cv2.add(frame, more[y : y + height, x : x + width])
            frame = cv2.subtract(frame, less[y : y + height, x : x + width])
        return frame


@cache
def _tiles(noise: float, width: int, height: int) -> list[tuple[Image, Image]]:
    """Pictures to add and to subtract: grey and colour noise of standard deviation `noise`."""
    if noise <= 0:
        return []
    rng = np.random.default_rng(0)
    tiles = []
    for _ in range(_N_TILES):
        grey = rng.normal(0, 0.9 * noise, (height, width, 1))
        tile = np.rint(grey + rng.normal(0, 0.45 * noise, (height, width, 3)))
        tiles.append(
            (np.clip(tile, 0, 255).astype(np.uint8), np.clip(-tile, 0, 255).astype(np.uint8))
        )
    return tiles
