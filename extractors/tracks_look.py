"""How a person looks, in a few numbers: enough to know again after a cut, no more.

Not a face recognition model: the mean colour (CIE L*a*b*, lightness counted 0.6) of four places
in and around the face's box: hair, forehead and eyes, cheeks and mouth, and clothes below the chin.
In one video the light and the clothes stay, so people differ in these more than one person does
between shots. Between videos, and for a picture of a person, only hair and face are compared.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

# x0, y0, x1, y1 of each place, as shares of the face's box.
PLACES = {
    "hair": (0.1, -0.22, 0.9, 0.04),
    "eyes": (0.2, 0.2, 0.8, 0.5),
    "mouth": (0.2, 0.55, 0.8, 0.92),
    "clothes": (-0.25, 1.3, 1.25, 1.75),
}
LIGHTNESS = 0.6
"""Weight of L*: light and exposure change it more than colour."""
SCALE = 8.0
"""Distance in L*a*b* at which two looks are alike by exp(-1/2)."""

Look = Float[np.ndarray, "places channels"]


def describe(frame: UInt8[np.ndarray, "height width 3"], box: Float[np.ndarray, "4"]) -> Look:
    """Mean L*, a*, b* of each of `PLACES`; NaN for a place that lies outside the frame."""
    x0, y0, x1, y1 = (float(v) for v in box)
    height, width = frame.shape[:2]
    look = np.full((len(PLACES), 3), np.nan, np.float32)
    for i, (left, top, right, bottom) in enumerate(PLACES.values()):
        columns = np.clip([x0 + left * (x1 - x0), x0 + right * (x1 - x0)], 0, width).round()
        rows = np.clip([y0 + top * (y1 - y0), y0 + bottom * (y1 - y0)], 0, height).round()
        patch = frame[int(rows[0]) : int(rows[1]), int(columns[0]) : int(columns[1])]
        if patch.shape[0] > 1 and patch.shape[1] > 1:
            mean = patch.mean(axis=(0, 1), dtype=np.float64)
            pixel = (mean / 255).astype(np.float32).reshape(1, 1, 3)
            look[i] = cv2.cvtColor(pixel, cv2.COLOR_RGB2LAB)[0, 0]
    return look


def mean_look(looks: list[Look]) -> Look:
    """The mean of several, place by place, over those that show the place."""
    stacked = np.stack(looks)
    known = ~np.isnan(stacked)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return (total / np.where(known.any(axis=0), known.sum(axis=0), np.nan)).astype(np.float32)


def likeness(one: Look, other: Look, places: tuple[str, ...] = tuple(PLACES)) -> float:
    """1 for the same look, towards 0 for others; 0.5 where no place is known of both."""
    rows = [i for i, name in enumerate(PLACES) if name in places]
    apart = (one[rows] - other[rows]) * np.array([LIGHTNESS, 1.0, 1.0])
    distance = np.sqrt((apart**2).sum(axis=1))
    distance = distance[np.isfinite(distance)]
    if not len(distance):
        return 0.5
    return float(np.exp(-0.5 * np.mean((distance / SCALE) ** 2)))
