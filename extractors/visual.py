"""Frames to features: faces found, one person's followed, cropped, and put through a network."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8

from extractors.alignment import FivePointAligner
from extractors.base import Extractor, SequenceFeatures, VideoClip
from extractors.compute import Compute
from extractors.expression import ExpressionNetwork, build_network
from extractors.faces import DETECTORS, Detections, FaceDetector
from extractors.lr_asd import load_lr_asd
from extractors.profiles import VisualSettings
from extractors.speaker import Choice
from extractors.speaker_clip import ActiveSpeakerModel, find_speaker
from extractors.speaker_fixes import FixError, read_picture
from extractors.tracks import Track, area
from extractors.tracks_look import Look, describe
from extractors.video import FRAME_RULE
from extractors.weights import Located, find

MODALITY = "visual"
TRACK_RULE = "persons by place and look, chosen by"


def build(settings: VisualSettings, *, device: str = "cpu") -> Extractor:
    """The extractor of a profile's visual section.

    Raises:
        InputError: weights are missing or damaged, or a name is not known.
    """
    where = torch.device(device)
    compute = settings.compute(where)
    detector_weights = find(settings.detector_weights)
    detector = DETECTORS[settings.detector](
        detector_weights.path, device=where, batch_size=settings.batch_size, compute=compute
    )
    network = build_network(settings, device=where)
    landmarks = find(settings.landmarks) if settings.landmarks else None
    found_by = (
        f"{settings.detector} {detector_weights.sha256[:12]} at confidence {detector.threshold:g}"
    )
    asd = load_lr_asd(settings.speaker_weights, where) if settings.speaker_weights else None
    crop = f"{_crop_note(settings, landmarks)}, {network.crop_px} px"
    attrs = {
        "extractor": settings.made_by,
        **network.attrs,
        "rate_hz": 0.0,
        "n_frames": settings.n_frames,
        "dtype": "float32",
        "compute": compute.description,
        "preprocessing": f"{settings.n_frames} frames: {FRAME_RULE}; {found_by}; "
        f"{_speaker_note(settings, asd)}; "
        f"{crop}; {network.input}{compute.precision_note}",
    }
    return VisualExtractor(
        detector=detector,
        network=network,
        margin=settings.margin,
        attrs=attrs,
        aligner=_aligner(settings, landmarks, compute),
        asd=asd,
    )


def _aligner(
    settings: VisualSettings, landmarks: Located | None, compute: Compute
) -> FivePointAligner | None:
    if landmarks is None:
        return None
    return FivePointAligner(
        landmarks.path,
        compute=compute,
        detector=settings.detector,
        batch_size=settings.batch_size,
    )


def _speaker_note(settings: VisualSettings, asd: ActiveSpeakerModel | None) -> str:
    if asd is not None:
        return f"{TRACK_RULE} {asd.attrs['model']} {asd.attrs['sha256'][:12]}, duration, size"
    if settings.glimpses_hz:
        return f"{TRACK_RULE} mouths at {settings.glimpses_hz:g} Hz with the sound, duration, size"
    return f"{TRACK_RULE} duration, size"


def _crop_note(settings: VisualSettings, landmarks: Located | None) -> str:
    if landmarks is None:
        return f"square box, margin {settings.margin:g}"
    return f"aligned by five points of FAN {landmarks.sha256[:12]}"


@dataclass(frozen=True, kw_only=True)
class FacesOfClip:
    """The chosen face of one clip.

    Attributes:
        boxes: (n, 4) x0, y0, x1, y1 in pixels of the whole frame; zeros where it is not seen.
        scores: (n,) the detector's confidence, 0 where it is not seen.
        tracks: (n,) number of the person, -1 where it is not seen.
        choice: which person, and how clear the choice was.
        runner_up_boxes: (n, 4) of the next best person, likewise.
        trouble: why a choice of the user's cannot be followed, "" where it can.
    """

    boxes: Float32[np.ndarray, "n 4"]
    scores: Float32[np.ndarray, "n"]
    tracks: np.ndarray
    choice: Choice
    runner_up_boxes: Float32[np.ndarray, "n 4"]
    trouble: str = ""

    @property
    def seen(self) -> np.ndarray:
        return self.tracks >= 0


class VisualExtractor:
    """`VideoClip`s to one vector a frame; see `extractors.base.Extractor`.

    A frame without the face has a zero vector and `valid` false; a clip without any has status
    `no_face`. `extra` holds `boxes` and `runner_up_boxes` (fractions of the whole frame), `score`
    and `track`; `row` holds `face_score`, `face_runner_up`, `face_rule`, `n_tracks` and the numbers
    `face_track` and `runner_up_track` of the choice.
    """

    modality = MODALITY

    def __init__(
        self,
        *,
        detector: FaceDetector,
        network: ExpressionNetwork,
        margin: float,
        attrs: Mapping[str, Any],
        aligner: FivePointAligner | None = None,
        asd: ActiveSpeakerModel | None = None,
    ):
        self.detector, self.network, self.asd = detector, network, asd
        self._looks: dict[Path, Look] = {}
        self.margin, self.attrs, self.width = margin, attrs, network.width
        self.n_layers, self.aligner = network.n_layers, aligner

    def __call__(self, clips: Sequence[VideoClip]) -> list[SequenceFeatures]:
        faces = self.find_faces(clips)
        crops = [self.crop(clip, face) for clip, face in zip(clips, faces, strict=True)]
        vectors = self.network(np.concatenate(crops)) if crops else None
        features: list[SequenceFeatures] = []
        start = 0
        for clip, face in zip(clips, faces, strict=True):
            values = np.zeros((len(clip.frames), self.n_layers, self.width), np.float32)
            n_seen = int(face.seen.sum())
            if vectors is not None:
                values[face.seen] = vectors[start : start + n_seen]
            start += n_seen
            features.append(_features(clip, face, values))
        return features

    def find_faces(self, clips: Sequence[VideoClip]) -> list[FacesOfClip]:
        """The chosen face of each clip; frames of one size run together, of whatever clip."""
        regions = [_region_px(clip) for clip in clips]
        views = [
            clip.frames[:, y0:y1, x0:x1]
            for clip, (x0, y0, x1, y1) in zip(clips, regions, strict=True)
        ]
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, view in enumerate(views):
            if len(view):
                by_size[view.shape[1:]].append(i)
        found: list[list[Detections]] = [[] for _ in clips]
        for members in by_size.values():
            together = np.concatenate([views[i] for i in members])
            faces = iter(self.detector(together))
            for i in members:
                found[i] = [next(faces) for _ in views[i]]
        return [
            self._one_face(clip, d, region)
            for clip, d, region in zip(clips, found, regions, strict=True)
        ]

    def look_of(self, picture: Path) -> Look:
        """How the person on a picture looks, by its largest face.

        Raises:
            FixError: no face is found on it.
        """
        if picture not in self._looks:
            image = read_picture(picture)
            [found] = self.detector(image[None])
            if not len(found.boxes):
                raise FixError(f"no face is found on {picture.name}")
            largest = max(found.boxes, key=area)
            self._looks[picture] = describe(image, largest)
        return self._looks[picture]

    def _one_face(
        self, clip: VideoClip, found: Sequence[Detections], region: tuple[int, int, int, int]
    ) -> FacesOfClip:
        """Choose within the region; boxes go back to the whole frame, cut at the region."""
        n, trouble = len(found), ""
        try:
            choice = find_speaker(clip, found, region, self.asd, self.look_of)
        except FixError as error:
            choice, trouble = Choice(track=None), str(error)
        boxes, scores, tracks = _over_frames(choice.track, n, region)
        runner_up_boxes, _, _ = _over_frames(choice.runner_up, n, region)
        return FacesOfClip(
            boxes=boxes,
            scores=scores,
            tracks=tracks,
            choice=choice,
            runner_up_boxes=runner_up_boxes,
            trouble=trouble,
        )

    def crop(
        self, clip: VideoClip, faces: FacesOfClip
    ) -> UInt8[np.ndarray, "seen side side channels"]:
        """Crops of the frames that show the face, as the network takes them."""
        if self.aligner is not None:
            aligned = self.aligner(
                [clip.frames[i] for i in np.flatnonzero(faces.seen)],
                faces.boxes[faces.seen],
                self.network.crop_px,
            )
            return _grey(aligned) if self.network.grey else aligned
        shots = [
            crop_face(frame, box, self.network.crop_px, self.margin, grey=self.network.grey)
            for frame, box, seen in zip(clip.frames, faces.boxes, faces.seen, strict=True)
            if seen
        ]
        side, channels = self.network.crop_px, 1 if self.network.grey else 3
        return np.stack(shots) if shots else np.zeros((0, side, side, channels), np.uint8)


def _grey(crops: UInt8[np.ndarray, "n h w 3"]) -> UInt8[np.ndarray, "n h w 1"]:
    grey = np.empty((*crops.shape[:3], 1), np.uint8)
    for i, crop in enumerate(crops):
        grey[i, ..., 0] = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return grey


def crop_face(
    frame: UInt8[np.ndarray, "height width 3"],
    box: Float32[np.ndarray, "4"],
    side_px: int,
    margin: float = 0.0,
    *,
    grey: bool = False,
) -> UInt8[np.ndarray, "side side channels"]:
    """The square around a face box, `margin` of its side wider on each side, scaled to `side_px`.

    Beyond the frame its edge is repeated. Shrinking averages areas, enlarging interpolates.
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    side = max(2, round(max(x1 - x0, y1 - y0) * (1 + 2 * margin)))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    height, width = frame.shape[:2]
    inside = frame[max(0, top) : top + side, max(0, left) : left + side]
    inside = np.ascontiguousarray(inside)
    if grey:
        inside = cv2.cvtColor(inside, cv2.COLOR_RGB2GRAY)
    above, before = max(0, -top), max(0, -left)
    below, after = max(0, top + side - height), max(0, left + side - width)
    if above or below or before or after:
        inside = cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_REPLICATE)
    how = cv2.INTER_AREA if side > side_px else cv2.INTER_LINEAR
    out = cv2.resize(inside, (side_px, side_px), interpolation=how)
    return np.asarray(out.reshape(side_px, side_px, -1), np.uint8)


def _features(
    clip: VideoClip, face: FacesOfClip, values: Float32[np.ndarray, "n layers width"]
) -> SequenceFeatures:
    height, width = clip.frames.shape[1:3]
    scale = np.array([width, height, width, height], np.float32)
    choice = face.choice
    status, detail = _status(face)
    return SequenceFeatures(
        values=values,
        time_s=clip.time_s,
        valid=face.seen,
        status=status,
        detail=detail,
        extra={
            "boxes": face.boxes / scale,
            "runner_up_boxes": face.runner_up_boxes / scale,
            "score": face.scores,
            "track": face.tracks,
        },
        row={
            "face_score": np.float32(choice.score),
            "face_runner_up": np.float32(choice.runner_up_score),
            "face_track": np.int16(-1 if choice.track is None else choice.track.number),
            "runner_up_track": np.int16(
                -1 if choice.runner_up is None else choice.runner_up.number
            ),
            "face_rule": choice.rule,
            "n_tracks": np.int32(choice.n_tracks),
        },
    )


def _status(face: FacesOfClip) -> tuple[str, str]:
    n_frames = len(face.tracks)
    if face.trouble:
        return "failed", face.trouble
    if face.seen.any():
        return "ok", ""
    if face.choice.rule == "nobody":
        return "no_face", "the speaker is not in the picture, as you said"
    return "no_face", f"no face in any of {n_frames} frames"


def _over_frames(
    track: Track | None, n: int, region: tuple[int, int, int, int]
) -> tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, "n"], np.ndarray]:
    """Box, confidence and number of a person in each frame; zeros and -1 where not seen."""
    x0, y0, x1, y1 = region
    boxes, scores = np.zeros((n, 4), np.float32), np.zeros(n, np.float32)
    numbers = np.full(n, -1, np.int16)
    if track is not None:
        low, high = np.array([0, 0, 0, 0]), np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])
        for frame, box in track.boxes.items():
            boxes[frame] = np.clip(box, low, high) + np.array([x0, y0, x0, y0])
            scores[frame] = track.confidence[frame]
            numbers[frame] = track.number
    return boxes, scores, numbers


def _region_px(clip: VideoClip) -> tuple[int, int, int, int]:
    height, width = clip.frames.shape[1:3]
    if clip.region is None:
        return 0, 0, width, height
    x0, y0, x1, y1 = clip.region
    left, top = min(round(x0 * width), width - 1), min(round(y0 * height), height - 1)
    return left, top, max(left + 1, round(x1 * width)), max(top + 1, round(y1 * height))
