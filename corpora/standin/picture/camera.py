"""What a camera does to a picture: focus, contrast, colour and noise."""

from functools import cache

import cv2
import numpy as np

from corpora.standin.picture.ink import Image
from corpora.standin.traits import VisualTraits

_N_TILES, _SLACK = 6, 16


class Camera:
    """A camera with its own noise.

    What it does to still things is done once: `develop` takes a scene's still picture, and each
    moving patch, through lens and tone curve; `expose` adds the noise of one frame. Noise comes
    from a few tiles at random places, which is what makes it cheap.
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

    def develop(self, picture: Image) -> Image:
        """Lens and tone curve; no noise."""
        if self._blur > 0.2:
            size = (5, 5) if self._blur > 0.7 else (3, 3)
            picture = cv2.GaussianBlur(picture, size, self._blur)
        return cv2.LUT(picture, self._table)

    def expose(self, frame: Image) -> Image:
        """A developed frame with the sensor's noise."""
        if not self._tiles:
            return frame
        more, less = self._tiles[int(self._rng.integers(_N_TILES))]
        y, x = self._rng.integers(_SLACK, size=2)
        height, width = self._size
        frame = cv2.add(frame, more[y : y + height, x : x + width])
        return cv2.subtract(frame, less[y : y + height, x : x + width])


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
