"""Features in memory: packed sequences, and the tables that a feature file is written from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float16, Int, Int8, Int64

from amanda.store.names import CLASSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Ragged:
    """Sequences of several utterances, packed end to end.

    Attributes:
        values: (sum T, layers, width), float16 as stored.
        offsets: (n + 1,); utterance i is values[offsets[i]:offsets[i + 1]].
        valid: (sum T,); false where there is no evidence (a frame without a face).
    """

    values: Float16[np.ndarray, "frames layers width"]
    offsets: Int64[np.ndarray, "n_plus_1"]
    valid: Bool[np.ndarray, "frames"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[np.ndarray, "n"]:
        return np.diff(self.offsets)

    def take(self, rows: Int[np.ndarray, "m"]) -> "Ragged":
        """The utterances `rows`, in that order, packed anew."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        frames = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Ragged(values=self.values[frames], offsets=offsets, valid=self.valid[frames])


@dataclass(frozen=True, kw_only=True)
class ModalityTable:
    """What an extractor hands over for one modality of N utterances.

    Attributes:
        data: the features; float16.
        time_s: (sum T,) seconds from the clip's start (token position for text).
        status: N of `STATUSES`; the sequence of a row that is not usable may be empty.
        detail: N texts, "" when ok.
        attrs: extractor, model, revision, sha256, layers, rate_hz, dtype, preprocessing.
        extra: further datasets stored beside, first axis sum T (`boxes` of faces).
        rows: further datasets, first axis N (the chosen track's score).
    """

    data: Ragged
    time_s: Float[np.ndarray, "frames"]
    status: list[str]
    detail: list[str]
    attrs: Mapping[str, Any]
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class UtteranceTable:
    """The columns of `/utterances` and `/targets`, N rows each.

    `label` is an index into `label_names`, -1 for none; `source_sha256` the recording's checksum,
    and behind a space that of a sound file of its own; `vad` is valence, arousal, dominance with
    NaN for none; `label_dist` the share of raters a class with NaN rows for none.
    """

    id: list[str]
    label: Int8[np.ndarray, "n"]
    split: list[str]
    speaker: list[str]
    group: list[str]
    text: list[str]
    start_s: Float[np.ndarray, "n"]
    end_s: Float[np.ndarray, "n"]
    source: list[str]
    label_names: Sequence[str] = CLASSES
    source_sha256: list[str] | None = None
    vad: Float[np.ndarray, "n 3"] | None = None
    label_dist: Float[np.ndarray, "n classes"] | None = None
    n_raters: Int[np.ndarray, "n"] | None = None

    def __len__(self) -> int:
        return len(self.id)


_BLOCK_FRAMES = 256
_EXPONENT = np.uint16(0x7C00)


def first_non_finite(values: Float16[np.ndarray, "frames layers width"]) -> int | None:
    """The first frame that holds NaN or inf, or None.

    Looks at the exponent bits in blocks that stay in the cache: seven times as fast as
    `np.isfinite` on float16, and without an array of the size of `values`.
    """
    bits = values.view(np.uint16)
    for start in range(0, len(bits), _BLOCK_FRAMES):
        bad = (bits[start : start + _BLOCK_FRAMES] & _EXPONENT) == _EXPONENT
        if bad.any():
            return start + int(np.flatnonzero(bad.any(axis=(1, 2)))[0])
    return None
