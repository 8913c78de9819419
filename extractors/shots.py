"""Where a video cuts from one shot to the next, from its grey frames.

Two differences between neighbouring frames are looked at, both from 0 to 1: of the pictures,
reduced to 32 × 24 (mean absolute difference of luma), and of their histograms of 32 bins (half the
sum of absolute differences, which moving things hardly change). A cut is where both are above a
floor and the first is `PEAK` times the median of its neighbours: a camera that pans, or a person
who walks through, raises them too. Two thresholds and no training.

A cut too many costs little, since tracks are joined across shots by appearance; a dissolve is no
cut, and its faces are linked by place as within a shot.
"""

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

THUMBNAIL = (32, 24)
N_BINS = 32
LEAST_PICTURE = 0.035
LEAST_HISTOGRAM = 0.08
SURE_PICTURE = 0.12
"""A picture that changes so much is cut, whatever its histogram."""
PEAK = 3.0
N_NEIGHBOURS = 4
"""Differences on each side of one that it must stand out from."""


def differences(
    frames: UInt8[np.ndarray, "n height width"],
) -> tuple[Float[np.ndarray, "n_less_1"], Float[np.ndarray, "n_less_1"]]:
    """Of each frame but the first to the one before it: of the pictures and of the histograms."""
    small = np.stack([cv2.resize(f, THUMBNAIL, interpolation=cv2.INTER_AREA) for f in frames])
    picture = np.abs(np.diff(small.astype(np.float32), axis=0)).mean(axis=(1, 2)) / 255
    bins = small.reshape(len(small), -1) // (256 // N_BINS)
    counts = np.stack([np.bincount(b, minlength=N_BINS) for b in bins]) / bins.shape[1]
    return picture, np.abs(np.diff(counts, axis=0)).sum(axis=1) / 2


def find_cuts(frames: UInt8[np.ndarray, "n height width"]) -> Int[np.ndarray, "k"]:
    """The numbers of the frames that begin a new shot, ascending, without 0."""
    if len(frames) < 2:
        return np.zeros(0, np.int64)
    picture, histogram = differences(frames)
    cuts = []
    for i in range(len(picture)):
        around = np.r_[picture[max(0, i - N_NEIGHBOURS) : i], picture[i + 1 : i + 1 + N_NEIGHBOURS]]
        stands_out = picture[i] > PEAK * np.median(around) if len(around) else True
        changed = picture[i] > LEAST_PICTURE and histogram[i] > LEAST_HISTOGRAM
        if stands_out and (changed or picture[i] > SURE_PICTURE):
            cuts.append(i + 1)
    return np.asarray(cuts, np.int64)


def shots_at(time_s: Float[np.ndarray, "n"], cut_s: Float[np.ndarray, "k"]) -> Int[np.ndarray, "n"]:
    """The number of the shot, from 0, that is on at each of `time_s`; a shot begins at its cut."""
    return np.searchsorted(cut_s, time_s + 1e-6, side="right").astype(np.int64)
