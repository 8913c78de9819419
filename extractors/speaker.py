"""Which person of a clip speaks: the evidence for each, weighed, and what a user says instead.

Evidence for a person, each from 0 to 1:

    size        √(mean area of the face ÷ that of the person with the largest)
    confidence  the detector's, mean over the frames that show the face
    duration    share of the sampled frames that show it
    mouth       how its mouth moves while there is sound, ÷ that of the person whose moves most,
                and half of it only with a positive correlation of motion and loudness
    speaking    an active speaker model's probability, mean over the face's time, where weights of
                one are given (`extractors.lr_asd`); it takes the place of `mouth`

The score is the mean by `WEIGHTS` of what is known: without sound or glimpses, size, confidence and
duration decide, as far as they can. The person with the highest score is chosen, the earlier where
two are equal, and the next one is kept as runner-up. With one person in the clip there is nothing
to choose, and a speaker who is not in the picture cannot be told from one who is: that is what
overrides are for (`extractors.speaker_fixes`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from extractors.tracks import Track, area

WEIGHTS: Mapping[str, float] = {
    "size": 0.1,
    "confidence": 0.1,
    "duration": 0.15,
    "mouth": 0.65,
    "speaking": 0.65,
}
"""Chosen on stand-in scenes of other seeds than the published table's (docs/speaker.md)."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The person chosen; None and zeros where no frame shows a face.

    Attributes:
        runner_up: the person who was next.
        score, runner_up_score: from 0 to 1, by `WEIGHTS`.
        n_tracks: persons in the clip.
        rule: what decided: none (no face), only (one person), evidence, or the user's nobody,
            track, box or image.
        evidence: of the chosen one, by name, as far as it is known.
    """

    track: Track | None
    runner_up: Track | None = None
    score: float = 0.0
    runner_up_score: float = 0.0
    n_tracks: int = 0
    rule: str = "none"
    evidence: Mapping[str, float] = field(default_factory=dict)


def weigh(evidence: Mapping[str, float]) -> float:
    """The mean by `WEIGHTS` of what is known of one person."""
    total = sum(WEIGHTS[name] for name in evidence)
    return sum(WEIGHTS[name] * value for name, value in evidence.items()) / total


def weigh_all(
    tracks: Sequence[Track],
    n_frames: int,
    *,
    mouth: Sequence[float] | None = None,
    speaking: Sequence[float] | None = None,
) -> list[dict[str, float]]:
    """What is known of each person, by the names of `WEIGHTS`.

    Args:
        n_frames: sampled frames of the clip.
        mouth, speaking: of each track, where known; see the module's text.
    """
    areas = [float(np.mean([area(box) for box in track.boxes.values()])) for track in tracks]
    largest = max([*areas, 1e-9])
    found: list[dict[str, float]] = []
    for i, track in enumerate(tracks):
        known = {
            "size": float(np.sqrt(areas[i] / largest)),
            "confidence": float(np.mean(list(track.confidence.values()))),
            "duration": len(track.boxes) / n_frames,
        }
        if speaking is not None:
            known["speaking"] = speaking[i]
        elif mouth is not None:
            known["mouth"] = mouth[i]
        found.append(known)
    return found


def choose(tracks: Sequence[Track], evidence: Sequence[Mapping[str, float]]) -> Choice:
    """The person with the highest score; the earlier one where two are equal."""
    if not tracks:
        return Choice(track=None)
    scores = [weigh(known) for known in evidence]
    order = sorted(range(len(tracks)), key=lambda i: -scores[i])
    rule = "only" if len(tracks) == 1 else "evidence"
    return _choice(tracks, evidence, order, rule)


def choose_as_told(
    tracks: Sequence[Track],
    evidence: Sequence[Mapping[str, float]],
    wanted: int | None,
    rule: str,
) -> Choice:
    """A user's choice: the track at place `wanted`, None for nobody; the best other is second."""
    if wanted is None:
        return Choice(track=None, n_tracks=len(tracks), rule=rule)
    scores = [weigh(known) for known in evidence]
    others = sorted((i for i in range(len(tracks)) if i != wanted), key=lambda i: -scores[i])
    return _choice(tracks, evidence, [wanted, *others], rule)


def _choice(
    tracks: Sequence[Track],
    evidence: Sequence[Mapping[str, float]],
    order: Sequence[int],
    rule: str,
) -> Choice:
    best, second = order[0], order[1] if len(order) > 1 else None
    return Choice(
        track=tracks[best],
        runner_up=None if second is None else tracks[second],
        score=weigh(evidence[best]),
        runner_up_score=0.0 if second is None else weigh(evidence[second]),
        n_tracks=len(tracks),
        rule=rule,
        evidence=evidence[best],
    )
