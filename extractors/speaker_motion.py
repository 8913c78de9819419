"""Whose mouth moves with the sound: motion of mouths in the glimpses, energy of the sound.

For each person and each two neighbouring glimpses of one shot, the face is cut out at the place
between its detections (linear in time), reduced to `FACE_PX` squared, and the second cut-out is
moved over the first by what the upper face has shifted (phase correlation): a nod is not speech.
Motion is the mean absolute difference of the mouth's part less that of the eyes' part, in
units of the face's own contrast; below 0 counts 0.

The sound's energy is its level in dB above the clip's floor, 0 at silence and 1 at its loudest.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from extractors.base import Glimpses
from extractors.tracks import Box, Track

FACE_PX = 48
MOUTH = np.s_[28:46, 10:38]
EYES = np.s_[8:24, 7:41]
MAX_SHIFT_PX = 6.0
MIN_FACE_PX = 12.0
"""Of a face in the glimpses: below, a mouth is some two pixels high."""

RATE_HZ = 16_000
ENVELOPE_HZ = 100
RANGE_DB = 30.0
"""Below the clip's loud parts by so much, sound counts as silence."""
LAGS_S = np.arange(-0.12, 0.121, 0.04)
"""By how much sound may lag behind the picture, or run ahead of it."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """One person's mouth between neighbouring glimpses.

    Attributes:
        time_s: (m,) middle of each pair.
        values: (m,) motion, 0 where the person is not seen.
        seen: (m,) whether the person is seen in both glimpses, in one shot.
    """

    time_s: Float[np.ndarray, "m"]
    values: Float[np.ndarray, "m"]
    seen: Bool[np.ndarray, "m"]


def boxes_at(
    track: Track,
    frame_s: Float[np.ndarray, "n"],
    frame_shot: np.ndarray,
    time_s: Float[np.ndarray, "m"],
    shot: np.ndarray,
) -> Float[np.ndarray, "m 4"]:
    """Where a track's face is at other times: linear between its frames of the same shot.

    Beyond its first and last frame of a shot it stays where it is for up to one sampling interval;
    NaN elsewhere.

    Args:
        frame_s, frame_shot: time and shot of each sampled frame.
        time_s, shot: those asked for.
    """
    out = np.full((len(time_s), 4), np.nan)
    frames = np.array(sorted(track.boxes))
    reach_s = float(np.median(np.diff(frame_s))) if len(frame_s) > 1 else np.inf
    for number in np.unique(frame_shot[frames]):
        mine = frames[frame_shot[frames] == number]
        at_s = frame_s[mine]
        wanted = (shot == number) & (time_s >= at_s[0] - reach_s) & (time_s <= at_s[-1] + reach_s)
        corners = np.stack([track.boxes[frame] for frame in mine])
        for side in range(4):
            out[wanted, side] = np.interp(time_s[wanted], at_s, corners[:, side])
    return out


def mouth_motion(glimpses: Glimpses, boxes: Float[np.ndarray, "m 4"], shot: np.ndarray) -> Motion:
    """Motion of the mouth of the face at `boxes` (pixels of the glimpses, NaN where unseen)."""
    time_s = (glimpses.time_s[1:] + glimpses.time_s[:-1]) / 2
    values, seen = np.zeros(len(time_s)), np.zeros(len(time_s), bool)
    before: np.ndarray | None = None
    for i, (frame, box) in enumerate(zip(glimpses.frames, boxes, strict=True)):
        face = None if np.isnan(box[0]) else _cut_out(frame, box)
        if face is not None and before is not None and shot[i] == shot[i - 1]:
            values[i - 1], seen[i - 1] = _motion(before, face), True
        before = face
    return Motion(time_s=time_s, values=values, seen=seen)


def _cut_out(frame: np.ndarray, box: Box) -> Float32[np.ndarray, "side side"] | None:
    """The face at a box, with subpixel steps, so that a box that moves slowly does not jerk."""
    x0, y0, x1, y1 = (float(v) for v in box)
    if min(x1 - x0, y1 - y0) < MIN_FACE_PX:
        return None
    height, width = frame.shape
    left, top = max(0, int(x0) - 2), max(0, int(y0) - 2)
    inside = frame[top : min(height, int(y1) + 3), left : min(width, int(x1) + 3)]
    shrink = max(1, int(min(x1 - x0, y1 - y0) / FACE_PX))
    if min(inside.shape) < 2 * shrink:
        return None
    if shrink > 1:  # whole pixels are averaged first: sampling a large face would flicker
        rows, columns = (side // shrink for side in inside.shape)
        inside = cv2.resize(
            inside[: rows * shrink, : columns * shrink],
            (columns, rows),
            interpolation=cv2.INTER_AREA,
        )
    step_x, step_y = (x1 - x0) / shrink / FACE_PX, (y1 - y0) / shrink / FACE_PX
    grid = np.array(
        [
            [step_x, 0.0, (x0 - left) / shrink + step_x / 2 - 0.5],
            [0.0, step_y, (y0 - top) / shrink + step_y / 2 - 0.5],
        ],
        np.float32,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    face = cv2.warpAffine(
        inside, grid, (FACE_PX, FACE_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.GaussianBlur(face.astype(np.float32), (3, 3), 0.7)


def _motion(before: np.ndarray, after: np.ndarray) -> float:
    (x, y), _ = cv2.phaseCorrelate(before[EYES], after[EYES], _WINDOW)
    if np.hypot(x, y) <= MAX_SHIFT_PX:
        back = np.array([[1.0, 0.0, x], [0.0, 1.0, y]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        after = cv2.warpAffine(
            after, back, (FACE_PX, FACE_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    change = np.abs(after - before)
    contrast = float(before.std()) + 1.0
    return max(0.0, float(change[MOUTH].mean() - change[EYES].mean()) / contrast)


_WINDOW = cv2.createHanningWindow(
    (EYES[1].stop - EYES[1].start, EYES[0].stop - EYES[0].start), cv2.CV_32F
)


def loudness(sound: Float32[np.ndarray, "samples"]) -> Float[np.ndarray, "t"]:
    """0 to 1 at `ENVELOPE_HZ`: level in dB over 40 ms, from `RANGE_DB` below the loud parts up."""
    hop = RATE_HZ // ENVELOPE_HZ
    n = len(sound) // hop
    if n < 4:
        return np.zeros(n)
    power = (sound[: n * hop].reshape(n, hop).astype(np.float64) ** 2).mean(axis=1)
    power = np.convolve(power, np.full(4, 0.25), "same")
    if not power.max() > 0:
        return np.zeros(n)
    level_db = 10 * np.log10(np.maximum(power, 1e-12))
    top_db = np.percentile(level_db, 95)
    floor_db = max(top_db - RANGE_DB, np.percentile(level_db, 5))
    return np.clip((level_db - floor_db) / max(6.0, top_db - floor_db), 0.0, 1.0)


def loudness_at(
    envelope: Float[np.ndarray, "t"], time_s: Float[np.ndarray, "m"]
) -> Float[np.ndarray, "m"]:
    """The envelope at times of the clip; 0 beyond the sound."""
    middle_s = (np.arange(len(envelope)) + 0.5) / ENVELOPE_HZ
    if not len(envelope):
        return np.zeros(len(time_s))
    return np.interp(time_s, middle_s, envelope, left=0.0, right=0.0)


def correlation(motion: Motion, envelope: Float[np.ndarray, "t"]) -> float:
    """The highest correlation of motion and loudness over `LAGS_S`, on the pairs that are seen.

    0 where fewer than six are, or one of the two does not change.
    """
    seen = motion.seen
    if seen.sum() < 6:
        return 0.0
    best = -1.0
    values = motion.values[seen] - motion.values[seen].mean()
    for lag_s in LAGS_S:
        loud = loudness_at(envelope, motion.time_s[seen] + lag_s)
        loud = loud - loud.mean()
        scale = np.sqrt((values**2).sum() * (loud**2).sum())
        best = max(best, float((values * loud).sum() / scale) if scale > 1e-9 else 0.0)
    return best
