"""Who is who in a clip: detections linked over frames to tracks, tracks of one person joined.

Within a shot, frame by frame, pairs of a track and a detection that look alike
(`extractors.tracks_look`, at least `LINK_LIKENESS`) are joined in the order of their affinity:
first those whose boxes overlap by an intersection over union of at least `LINK_OVERLAP`; then those
whose centres are within `LINK_DISTANCE` of the face's size and whose sizes are within a factor of
`LINK_SIZE`. Sampled frames are far apart, so a head may have moved out of its own box. Tracks stay
open to the end of the shot: a face comes back after a hand was over it.

At a cut all tracks end, because the next shot puts another face in the same place. Tracks that are
never in one frame together are then joined, the most alike first, down to `JOIN_LIKENESS`, unless
what they do tells them apart: an utterance has one speaker, so a mouth that moves with the sound in
one shot and rests in the next is another's (`extractors.speaker_clip`).
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from extractors.faces import Detections
from extractors.tracks_look import Look, likeness, mean_look

LINK_OVERLAP = 0.3
LINK_DISTANCE = 1.0
LINK_SIZE = 2.0
LINK_LIKENESS = 0.15
JOIN_LIKENESS = 0.7

Box = Float[np.ndarray, "4"]


@dataclass(slots=True)
class Track:
    """One person's face over the frames of a clip.

    Attributes:
        number: in order of appearance, from 0.
        boxes: frame number → x0, y0, x1, y1 in pixels.
        confidence: frame number → the detector's score.
        looks: frame number → how the person looks there; empty where nobody asked.
    """

    number: int
    boxes: dict[int, Box] = field(default_factory=dict)
    confidence: dict[int, float] = field(default_factory=dict)
    looks: dict[int, Look] = field(default_factory=dict)

    @property
    def latest(self) -> Box:
        return self.boxes[max(self.boxes)]

    @property
    def look(self) -> Look | None:
        return mean_look(list(self.looks.values())) if self.looks else None

    def add(self, frame: int, box: Box, confidence: float, look: Look | None = None) -> None:
        self.boxes[frame], self.confidence[frame] = box, confidence
        if look is not None:
            self.looks[frame] = look

    def absorb(self, other: "Track") -> None:
        """Take over another track's frames."""
        self.boxes |= other.boxes
        self.confidence |= other.confidence
        self.looks |= other.looks


def link(
    frames: Sequence[Detections],
    shots: Sequence[int] | None = None,
    looks: Sequence[Sequence[Look]] | None = None,
) -> list[Track]:
    """Tracks of the detections of consecutive frames, numbered in order of appearance.

    Args:
        shots: number of the shot that each frame is in, not falling; None for one shot.
        looks: of each detection of each frame, where there may be several faces.
    """
    tracks: list[Track] = []
    shot_of = [0] * len(frames) if shots is None else list(shots)
    open_tracks: list[Track] = []
    for frame, found in enumerate(frames):
        if frame and shot_of[frame] != shot_of[frame - 1]:
            open_tracks = []
        mine = looks[frame] if looks is not None else [None] * len(found.boxes)
        joined = _match(open_tracks, found, mine)
        for i, box in enumerate(found.boxes):
            if i not in joined:
                joined[i] = Track(number=len(tracks))
                tracks.append(joined[i])
                open_tracks.append(joined[i])
            joined[i].add(frame, box, float(found.scores[i]), mine[i])
    return tracks


def join(
    tracks: Sequence[Track], apart: Callable[[Track, Track], bool] | None = None
) -> list[Track]:
    """Tracks of one person made one, by their looks; numbered anew in order of appearance.

    Args:
        apart: says of two tracks of the frames given that they are different people after all.
    """
    known_apart = {
        (one.number, other.number)
        for one in tracks
        for other in tracks
        if apart is not None and one.number < other.number and apart(one, other)
    }
    members = {track.number: [track.number] for track in tracks}
    people = list(tracks)
    looks = {id(person): person.look for person in people}
    while True:
        best, chosen = 0.0, None
        for i, one in enumerate(people):
            for other in people[i + 1 :]:
                together = itertools.product(members[one.number], members[other.number])
                if one.boxes.keys() & other.boxes.keys() or any(
                    (min(pair), max(pair)) in known_apart for pair in together
                ):
                    continue
                mine, theirs = looks[id(one)], looks[id(other)]
                alike = 0.0 if mine is None or theirs is None else likeness(mine, theirs)
                if alike >= JOIN_LIKENESS and alike > best:
                    best, chosen = alike, (one, other)
        if chosen is None:
            break
        kept, gone = chosen
        kept.absorb(gone)
        members[kept.number] += members[gone.number]
        looks[id(kept)] = kept.look
        people.remove(gone)
    people.sort(key=lambda person: (min(person.boxes), person.number))
    for number, person in enumerate(people):
        person.number = number
    return people


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = float(width * height)
    return shared / (area(one) + area(other) - shared)


def area(box: Box) -> float:
    """Of a box, in square pixels."""
    return max(0.0, float((box[2] - box[0]) * (box[3] - box[1])))


def _match(
    tracks: Sequence[Track], found: Detections, looks: Sequence[Look | None]
) -> dict[int, Track]:
    """Which track each detection goes on with; each at most once, the closest pairs first."""
    pairs = []
    for i, box in enumerate(found.boxes):
        for t, track in enumerate(tracks):
            affinity = _affinity(track, box, looks[i])
            if affinity > 0.0:
                pairs.append((-affinity, t, i))
    joined: dict[int, Track] = {}
    taken: set[int] = set()
    for _, t, i in sorted(pairs):
        if i not in joined and t not in taken:
            joined[i] = tracks[t]
            taken.add(t)
    return joined


def _affinity(track: Track, box: Box, look: Look | None) -> float:
    """Above 1 where boxes overlap, 0 to 1 where they can be one head that moved, 0 where not."""
    latest = track.looks.get(max(track.boxes))
    if look is not None and latest is not None and likeness(latest, look) < LINK_LIKENESS:
        return 0.0
    shared = overlap(track.latest, box)
    if shared >= LINK_OVERLAP:
        return 1.0 + shared
    size, other_size = np.sqrt(area(track.latest)), np.sqrt(area(box))
    if min(size, other_size) <= 0 or max(size, other_size) > LINK_SIZE * min(size, other_size):
        return 0.0
    one = track.latest
    shift = np.hypot(one[0] + one[2] - box[0] - box[2], one[1] + one[3] - box[1] - box[3])
    distance = float(shift) / 2 / float(np.sqrt(size * other_size))
    return max(0.0, 1.0 - distance / LINK_DISTANCE)
