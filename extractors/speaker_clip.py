"""From the detections of one clip to the person who speaks: shots, tracks, mouths, the choice."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int

from extractors.base import Glimpses, VideoClip
from extractors.faces import Detections
from extractors.shots import find_cuts, shots_at
from extractors.speaker import Choice, choose, weigh_all
from extractors.speaker_fixes import fix_choice
from extractors.speaker_motion import (
    Motion,
    boxes_at,
    correlation,
    loudness,
    loudness_at,
    mouth_motion,
)
from extractors.tracks import Track, join, link
from extractors.tracks_look import Look, describe

LEAST_ACTIVITY = 0.004
"""Below, no mouth moves: all scores are low, and the contact sheets show the utterance first."""
APART_S, APART_SHARE = 0.25, 0.15
"""Two tracks heard for so long, of which one moves its mouth by less than this share of the other,
are two people."""
PRIOR_S = 0.4
"""A person's motion is averaged with so much stillness: a glance of a mouth is little evidence."""


@runtime_checkable
class ActiveSpeakerModel(Protocol):
    """Probability that a face speaks, mean over the time it is seen; see `extractors.lr_asd`.

    Attributes:
        attrs: model, sha256.
    """

    attrs: Mapping[str, Any]

    def __call__(
        self,
        glimpses: Glimpses,
        sound: Float32[np.ndarray, "samples"],
        boxes: Float[np.ndarray, "m 4"],
        shot: Int[np.ndarray, "m"],
    ) -> float: ...


def find_speaker(
    clip: VideoClip,
    found: Sequence[Detections],
    region: tuple[int, int, int, int],
    asd: ActiveSpeakerModel | None = None,
    look_of: Callable[[Path], Look] | None = None,
) -> Choice:
    """The person who speaks.

    Args:
        found: detections of each frame, in pixels of the region.
        region: x0, y0, x1, y1 in pixels of the frame.
        asd: takes the place of the mouth's motion.
        look_of: how the person on a picture looks, for a user who names one.
    """
    x0, y0, x1, y1 = region
    view = clip.frames[:, y0:y1, x0:x1]
    glimpses = _of_region(clip, region)
    frame_shot, glimpse_shot = find_shots(view, clip.time_s, glimpses)
    looks = [
        [describe(frame, box) for box in each.boxes]
        for frame, each in zip(view, found, strict=True)
    ]
    tracks = link(found, frame_shot.tolist(), looks)
    if len(tracks) < 2 or glimpses is None or clip.sound is None or len(glimpses.time_s) < 2:
        people = join(tracks)
        known = weigh_all(people, len(found))
        if clip.face is not None:
            return fix_choice(clip.face, people, known, clip.frames.shape, region, look_of)
        return choose(people, known)
    scale = np.array([glimpses.frames.shape[2] / (x1 - x0), glimpses.frames.shape[1] / (y1 - y0)])

    def place(track: Track) -> Float[np.ndarray, "m 4"]:
        at = boxes_at(track, clip.time_s, frame_shot, glimpses.time_s, glimpse_shot)
        return at * np.tile(scale, 2)

    motions = [mouth_motion(glimpses, place(track), glimpse_shot) for track in tracks]
    activity, heard_s = mouth_activity(motions, clip.sound)
    people = join(tracks, lambda one, other: _differ(activity, heard_s, one.number, other.number))
    if clip.face is not None:
        known = weigh_all(people, len(found))
        return fix_choice(clip.face, people, known, clip.frames.shape, region, look_of)
    if asd is not None:
        speaking = [asd(glimpses, clip.sound, place(person), glimpse_shot) for person in people]
        return choose(people, weigh_all(people, len(found), speaking=speaking))
    if len(people) < len(tracks):
        motions = [mouth_motion(glimpses, place(person), glimpse_shot) for person in people]
    mouth = mouth_evidence(motions, clip.sound)
    return choose(people, weigh_all(people, len(found), mouth=mouth))


def _differ(
    activity: Float[np.ndarray, "n"], heard_s: Float[np.ndarray, "n"], one: int, other: int
) -> bool:
    """Whether one mouth moves with the sound and the other rests, both seen for long enough."""
    low, high = sorted((activity[one], activity[other]))
    long_enough = min(heard_s[one], heard_s[other]) >= APART_S
    return bool(long_enough and high >= LEAST_ACTIVITY and low < APART_SHARE * high)


def find_shots(
    frames: np.ndarray, time_s: Float[np.ndarray, "n"], glimpses: Glimpses | None
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "m"]]:
    """The shot of each sampled frame and of each glimpse; by the glimpses where there are any."""
    if glimpses is None or len(glimpses.time_s) < 2:
        grey = [cv2.cvtColor(np.ascontiguousarray(f), cv2.COLOR_RGB2GRAY) for f in frames]
        cuts = find_cuts(np.stack(grey)) if len(grey) else np.zeros(0, np.int64)
        shot = shots_at(time_s, time_s[cuts])
        return shot, np.zeros(0, np.int64)
    cut_s = glimpses.time_s[find_cuts(glimpses.frames)]
    return shots_at(time_s, cut_s), shots_at(glimpses.time_s, cut_s)


def mouth_evidence(motions: Sequence[Motion], sound: Float32[np.ndarray, "samples"]) -> list[float]:
    """0 to 1 for each person: motion while there is sound, against the one whose moves most."""
    envelope = loudness(sound)
    activity, _ = mouth_activity(motions, sound)
    sync = np.array([max(0.0, correlation(motion, envelope)) for motion in motions])
    share = activity / max(activity.max(), LEAST_ACTIVITY)
    return [float(v) for v in share * (0.5 + 0.5 * sync)]


def mouth_activity(
    motions: Sequence[Motion], sound: Float32[np.ndarray, "samples"]
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Of each: mean motion weighed by loudness, and for how long it is seen, weighed likewise."""
    envelope = loudness(sound)
    activity, heard_s = np.zeros(len(motions)), np.zeros(len(motions))
    for i, motion in enumerate(motions):
        step_s = float(np.median(np.diff(motion.time_s))) if len(motion.time_s) > 1 else 0.0
        loud = loudness_at(envelope, motion.time_s) * motion.seen
        heard_s[i] = loud.sum() * step_s
        activity[i] = (loud * motion.values).sum() / (loud.sum() + PRIOR_S / max(step_s, 1e-3))
    return activity, heard_s


def _of_region(clip: VideoClip, region: tuple[int, int, int, int]) -> Glimpses | None:
    """The glimpses, cut to the region."""
    if clip.glimpses is None or clip.region is None:
        return clip.glimpses
    height, width = clip.glimpses.frames.shape[1:]
    down, across = height / clip.frames.shape[1], width / clip.frames.shape[2]
    x0, y0, x1, y1 = region
    rows = slice(round(y0 * down), max(round(y0 * down) + 1, round(y1 * down)))
    columns = slice(round(x0 * across), max(round(x0 * across) + 1, round(x1 * across)))
    return Glimpses(frames=clip.glimpses.frames[:, rows, columns], time_s=clip.glimpses.time_s)
