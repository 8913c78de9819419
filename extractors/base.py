"""What an extractor is: a value that turns clips of one modality into feature sequences.

An extractor knows what it makes (`attrs` become the attributes of the modality's group in the
feature file) and is called with a list of clips of any length; its answers do not depend on how
clips are put together in calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8


@dataclass(frozen=True, kw_only=True)
class SequenceFeatures:
    """Features of one clip, before storage.

    Attributes:
        values: (T, layers, width) float32.
        time_s: (T,) seconds from the clip's start; token position for text.
        valid: (T,) false where there is no evidence (no face in the frame).
        status: one of `amanda.store.names.STATUSES`.
        detail: why it is not ok, "" when it is.
        extra: more per-frame arrays to store, first axis T (boxes, scores, special-token mask).
        row: more per-clip scalars or arrays to store (the chosen track's score).
    """

    values: Float[np.ndarray, "time layers width"]
    time_s: Float[np.ndarray, "time"]
    valid: Bool[np.ndarray, "time"]
    status: str = "ok"
    detail: str = ""
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    row: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def none(
        cls,
        n_layers: int,
        width: int,
        *,
        status: str,
        detail: str,
        extra: Mapping[str, np.ndarray] | None = None,
    ) -> "SequenceFeatures":
        """No frame, and why."""
        return cls(
            values=np.zeros((0, n_layers, width), np.float32),
            time_s=np.zeros(0),
            valid=np.zeros(0, bool),
            status=status,
            detail=detail,
            extra=extra or {},
        )


@dataclass(frozen=True, kw_only=True)
class Glimpses:
    """Grey frames of an utterance, close together: for shot cuts and the motion of mouths.

    Attributes:
        frames: (m, height, width) luma; may be smaller than the sampled frames, of one shape.
        time_s: (m,) presentation time of each frame, from the clip's start; increasing.
    """

    frames: UInt8[np.ndarray, "m height width"]
    time_s: Float[np.ndarray, "m"]


@dataclass(frozen=True, kw_only=True)
class FaceFix:
    """What a user says of an utterance's face, in place of the rule; one of these is given.

    Attributes:
        nobody: the speaker is not in the picture.
        track: number of the person, as in the contact sheets.
        box: where the person is: x0, y0, x1, y1 as fractions of the frame.
        image: a picture of the person.
    """

    nobody: bool = False
    track: int | None = None
    box: tuple[float, float, float, float] | None = None
    image: Path | None = None


@dataclass(frozen=True, kw_only=True)
class VideoClip:
    """The sampled frames of one utterance.

    Attributes:
        frames: (n, height, width, 3) RGB.
        time_s: (n,) presentation time of each frame, from the clip's start.
        region: x0, y0, x1, y1 as fractions of the frame where the person is, None for anywhere.
        glimpses: more frames, for choosing the speaker; None where they are not wanted.
        sound: mono at 16 kHz from the clip's start, likewise.
        face: the user's own choice of the face.
    """

    frames: UInt8[np.ndarray, "n height width 3"]
    time_s: Float[np.ndarray, "n"]
    region: tuple[float, float, float, float] | None = None
    glimpses: Glimpses | None = None
    sound: Float32[np.ndarray, "samples"] | None = None
    face: FaceFix | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the frames and what comes with them."""
        more = 0 if self.glimpses is None else self.glimpses.frames.nbytes
        return self.frames.nbytes + more + (0 if self.sound is None else self.sound.nbytes)


@runtime_checkable
class Extractor(Protocol):
    """`clips` are texts (str), 16 kHz mono float32 waveforms, or `VideoClip`s, by modality.

    An empty clip (no text, no samples, no frames) gets no frame and a reason, and so does any other
    that cannot be used: it must not cost the clips beside it. A value that is NaN or infinite stops
    the run.

    Attributes:
        n_layers, width: shape of each frame's features.
        attrs: extractor, model, revision, sha256, layers, rate_hz, dtype, preprocessing. Files are
            paired where they agree, so every setting that changes features is in one of them.
    """

    modality: str
    n_layers: int
    width: int
    attrs: Mapping[str, Any]

    def __call__(self, clips: Sequence[Any]) -> list[SequenceFeatures]: ...
