"""Which face of a clip is the person's: detections linked over frames, one track chosen.

Linking: frame by frame, a detection joins the track whose latest box overlaps it most, by
intersection over union of at least `LINK_OVERLAP`; failing that, the nearest track whose centre is
within `LINK_DISTANCE` of the face's size and whose size is within a factor of `LINK_SIZE`. Sampled
frames are far apart, so a head may have moved out of its own box. Tracks stay open to the end of
the clip: a face comes back after a hand was over it.

Choosing: a track's score is the mean over all sampled frames of confidence × √(box area / area of
the person's region), 0 where it has no face. Duration, size and confidence thus count in one
number between 0 and 1. The highest wins; its score and the runner-up's are stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from extractors.faces import Detections

LINK_OVERLAP = 0.3
LINK_DISTANCE = 1.0
LINK_SIZE = 2.0

Box = Float[np.ndarray, "4"]


@dataclass(slots=True)
class Track:
    """One face over the frames of a clip.

    Attributes:
        boxes: frame number → x0, y0, x1, y1 in pixels.
        confidence: frame number → the detector's score.
    """

    number: int
    boxes: dict[int, Box] = field(default_factory=dict)
    confidence: dict[int, float] = field(default_factory=dict)

    @property
    def latest(self) -> Box:
        return self.boxes[max(self.boxes)]

    def add(self, frame: int, box: Box, confidence: float) -> None:
        self.boxes[frame], self.confidence[frame] = box, confidence

    def score(self, n_frames: int, area_px: float) -> float:
        """See the module's text."""
        share = [
            self.confidence[frame] * np.sqrt(min(1.0, max(0.0, _area(box)) / area_px))
            for frame, box in self.boxes.items()
        ]
        return float(np.sum(share)) / n_frames


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The chosen track; None and zeros where no frame shows a face."""

    track: Track | None
    score: float = 0.0
    runner_up: float = 0.0
    n_tracks: int = 0


def link(frames: Sequence[Detections]) -> list[Track]:
    """Tracks of the detections of consecutive frames, numbered in order of appearance."""
    tracks: list[Track] = []
    for frame, found in enumerate(frames):
        free = list(tracks)
        # Best face first, overlaps before mere nearness, so that a passer-by takes no one's track.
        joined: dict[int, Track] = {}
        for affinity in (_overlap_affinity, _near_affinity):
            for i, box in enumerate(found.boxes):
                if i in joined or not free:
                    continue
                values = [affinity(track.latest, box) for track in free]
                if max(values) > 0.0:
                    joined[i] = free.pop(int(np.argmax(values)))
        for i, box in enumerate(found.boxes):
            if i not in joined:
                joined[i] = Track(number=len(tracks))
                tracks.append(joined[i])
            joined[i].add(frame, box, float(found.scores[i]))
    return tracks


def choose(tracks: Sequence[Track], n_frames: int, area_px: float) -> Choice:
    """The track with the highest score; the earlier one where two are equal."""
    if not tracks:
        return Choice(track=None)
    scores = [track.score(n_frames, area_px) for track in tracks]
    best = int(np.argmax(scores))
    runner_up = max(scores[:best] + scores[best + 1 :], default=0.0)
    return Choice(track=tracks[best], score=scores[best], runner_up=runner_up, n_tracks=len(tracks))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = float(width * height)
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _overlap_affinity(one: Box, other: Box) -> float:
    value = overlap(one, other)
    return value if value >= LINK_OVERLAP else 0.0


def _near_affinity(one: Box, other: Box) -> float:
    """Positive where two boxes can be one head that moved, higher the nearer they are."""
    size, other_size = np.sqrt(_area(one)), np.sqrt(_area(other))
    if min(size, other_size) <= 0 or max(size, other_size) > LINK_SIZE * min(size, other_size):
        return 0.0
    shift = np.hypot(one[0] + one[2] - other[0] - other[2], one[1] + one[3] - other[1] - other[3])
    distance = float(shift) / 2 / float(np.sqrt(size * other_size))
    return max(0.0, 1.0 - distance / LINK_DISTANCE)
