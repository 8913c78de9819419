"""Faces turned and scaled by five points: eyes, nose tip, corners of the mouth.

Networks trained on aligned faces (APViT: RAF-DB, aligned by face.evoLVe's code) expect the five
points at fixed places of a 112 × 112 picture (those of ArcFace). The points come from the 68
landmarks of 2D-FAN (Bulat & Tzimiropoulos 2017; face-alignment's network): an eye is the mean of
its six. The turn, scale and shift are those of least squared distance, without reflection.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, UInt8

from amanda.store.errors import InputError
from extractors.compute import BatchSize, Compute
from extractors.pretrained import read_state

TEMPLATE_112 = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Where the eyes (the left of the picture first), nose tip and corners of the mouth go."""

CROP_PX, MAP_PX = 256, 64
UNIT_PX, SHIFT_UP = 200.0, 0.12
REFERENCE_PX = {"s3fd": 195.0, "retinaface": 165.0}
"""face-alignment's crop: a square of 200 × (width + height) of the box / that of the detector's
boxes, moved up a little."""

Frame = UInt8[np.ndarray, "height width 3"]


class FivePointAligner:
    """Aligned crops of faces given by their boxes.

    Args:
        detector: whose boxes they are; S3FD's are wider than RetinaFace's.

    Raises:
        InputError: the file does not hold 2D-FAN's weights.
    """

    def __init__(
        self,
        weights: Path,
        *,
        compute: Compute,
        detector: str = "s3fd",
        batch_size: int | None = None,
    ):
        from face_alignment.models import FAN

        state = read_state(weights)
        n_stages = len({name.partition(".")[0] for name in state if name.startswith("top_m_")})
        network = FAN(n_stages)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            first = str(error).strip().splitlines()[0]
            raise InputError(f"{weights}: not the weights of 2D-FAN ({first})") from error
        self.network = compute.place(network.eval().requires_grad_(False))
        self._forward = compute.compiled(self.network)
        self.compute, self.reference_px = compute, REFERENCE_PX[detector]
        self.batch = BatchSize(compute.device, asked=batch_size, cpu=8)

    def __call__(
        self, frames: Sequence[Frame], boxes: Float32[np.ndarray, "n 4"], side_px: int
    ) -> UInt8[np.ndarray, "n side side 3"]:
        """The face of each box, aligned; beyond the frame its edge is repeated."""
        points = self.landmarks(frames, boxes)
        crops = [
            align(frame, five_points(p), side_px) for frame, p in zip(frames, points, strict=True)
        ]
        return np.stack(crops) if crops else np.zeros((0, side_px, side_px, 3), np.uint8)

    def landmarks(
        self, frames: Sequence[Frame], boxes: Float32[np.ndarray, "n 4"]
    ) -> Float32[np.ndarray, "n 68 2"]:
        """The 68 landmarks of the face in each box, in pixels of the frame.

        face-alignment's `get_landmarks_from_image` without its second look at the mirrored crop,
        and without rounding to whole pixels.
        """
        faces = list(zip(frames, boxes, strict=True))
        parts = list(self.batch.over(faces, self._some_landmarks))
        return np.concatenate([np.zeros((0, 68, 2), np.float32), *parts])

    def _some_landmarks(self, faces: Sequence[tuple[Frame, np.ndarray]]) -> np.ndarray:
        squares = [fan_square(box, self.reference_px) for _, box in faces]
        crops = [_cut(frame, s) for (frame, _), s in zip(faces, squares, strict=True)]
        images = torch.from_numpy(np.stack(crops)).to(self.compute.device)
        images = rearrange(images, "n h w c -> n c h w").float() / 255.0
        with self.compute.running():
            heat = self._forward(self.compute.images(images))[-1].float().cpu().numpy()
        points = [peaks(h) for h in heat]
        return np.stack(
            [
                (np.array([x, y]) + p * side / MAP_PX).astype(np.float32)
                for p, (x, y, side) in zip(points, squares, strict=True)
            ]
        )


def fan_square(box: Float[np.ndarray, "4"], reference_px: float) -> tuple[float, float, float]:
    """Left, top and side of the square that FAN looks at, in pixels of the frame."""
    x0, y0, x1, y1 = (float(v) for v in box)
    side = UNIT_PX * (x1 - x0 + y1 - y0) / reference_px
    x, y = (x0 + x1) / 2, (y0 + y1) / 2 - SHIFT_UP * (y1 - y0)
    return x - side / 2, y - side / 2, side


def _cut(frame: Frame, square: tuple[float, float, float]) -> UInt8[np.ndarray, "256 256 3"]:
    """The square of a frame at FAN's size; black beyond the frame, as FAN was trained."""
    x, y, side = square
    left, top = int(x + side / CROP_PX), int(y + side / CROP_PX)  # from its first whole pixel
    right, bottom = max(left + 1, int(x + side)), max(top + 1, int(y + side))
    out = np.zeros((bottom - top, right - left, 3), np.uint8)
    height, width = frame.shape[:2]
    a, b, c, d = max(0, left), min(right, width), max(0, top), min(bottom, height)
    if a < b and c < d:
        out[c - top : d - top, a - left : b - left] = frame[c:d, a:b]
    resized = cv2.resize(out, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def peaks(heat: Float32[np.ndarray, "points h w"]) -> Float[np.ndarray, "points 2"]:
    """x, y of each map's highest place, a quarter towards the higher neighbour, centred on it."""
    n, height, width = heat.shape
    best = heat.reshape(n, -1).argmax(axis=1)
    row, column = best // width, best % width
    points = np.stack([column, row], axis=1).astype(np.float64)
    inner = (column > 0) & (column < width - 1) & (row > 0) & (row < height - 1)
    k, r, c = np.flatnonzero(inner), row[inner], column[inner]
    points[inner, 0] += 0.25 * np.sign(heat[k, r, c + 1] - heat[k, r, c - 1])
    points[inner, 1] += 0.25 * np.sign(heat[k, r + 1, c] - heat[k, r - 1, c])
    return points + 0.5


def five_points(landmarks: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "5 2"]:
    """Eyes, nose tip and corners of the mouth, of the 68 landmarks of iBUG 300-W."""
    eyes = [landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)]
    return np.stack([*eyes, landmarks[30], landmarks[48], landmarks[54]])


def similarity(
    source: Float[np.ndarray, "n 2"], target: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "2 3"]:
    """Turn, scale and shift that bring `source` nearest to `target` (least squares).

    As complex numbers: z → a z + b, with a = Σ conj(s) t / Σ |s|² over centred points.
    """
    s = source[:, 0] + 1j * source[:, 1]
    t = target[:, 0] + 1j * target[:, 1]
    s0, t0 = s - s.mean(), t - t.mean()
    spread = float((np.abs(s0) ** 2).sum())
    a = (np.conj(s0) * t0).sum() / spread if spread else 0j
    b = t.mean() - a * s.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def align(
    frame: Frame, points: Float[np.ndarray, "5 2"], side_px: int
) -> UInt8[np.ndarray, "side side 3"]:
    """The face whose five points are given, as `TEMPLATE_112` scaled to `side_px` has it."""
    matrix = similarity(points.astype(np.float64), TEMPLATE_112 * side_px / 112)
    shrink = int(1 / max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-3))
    if shrink > 1:
        # Interpolation alone would skip pixels of a large face.
        height, width = frame.shape[:2]
        smaller = (max(1, width // shrink), max(1, height // shrink))
        frame = cv2.resize(frame, smaller, interpolation=cv2.INTER_AREA)
        across, down = width / smaller[0], height / smaller[1]
        # From the smaller picture's pixel centres to the frame's.
        back = [[across, 0.0, (across - 1) / 2], [0.0, down, (down - 1) / 2], [0.0, 0.0, 1.0]]
        matrix = matrix @ np.array(back)
    warped = cv2.warpAffine(
        frame,
        matrix,
        (side_px, side_px),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8)
