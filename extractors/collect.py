"""Clips of one modality in, that modality's part of a feature file out.

Clips wait until there are enough for a batch, whichever source they come from, so that a model is
not called once an utterance; results are kept as float16, as they are stored.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from amanda.store.errors import AmandaError
from amanda.store.features import ModalityTable, Ragged
from amanda.store.names import USABLE_STATUSES
from extractors.base import Extractor, SequenceFeatures, VideoClip
from extractors.media import Clip, DecodedClip
from extractors.stages import LOADING, Stages

MAX_CLIPS = 32
MAX_BYTES = 256 << 20
"""Clips wait for a batch up to this many, or this much memory."""

EMPTY_CLIPS: Mapping[str, Clip] = {
    "lexical": "",
    "acoustic": np.zeros(0, np.float32),
    "visual": VideoClip(frames=np.zeros((0, 8, 8, 3), np.uint8), time_s=np.zeros(0)),
}
"""What an extractor answers to these fills the rows that have no clip."""

GOOD_CLIPS: Mapping[str, Clip] = {
    "lexical": "A sentence.",
    "acoustic": np.sin(np.arange(16_000, dtype=np.float32) / 10),
    "visual": VideoClip(frames=np.zeros((2, 128, 128, 3), np.uint8), time_s=np.arange(2.0)),
}
"""What every model can take: tells a model that fails from clips that it cannot take."""


class Collector:
    """Runs one extractor over the clips of a shard's rows, in batches, and keeps what it makes.

    Args:
        build: makes the extractor; called when the first clip arrives, or at the end.
        ids: the id of each row, for messages.
        stages: counts the time of loading and of the model.
    """

    def __init__(
        self,
        modality: str,
        build: Callable[[], Extractor],
        rows: Sequence[int],
        ids: Sequence[str],
        stages: Stages | None = None,
    ):
        self.modality, self._build = modality, build
        self._stages = stages or Stages()
        self.rows, self.ids = list(rows), ids
        self._waiting: list[DecodedClip] = []
        self._waiting_bytes = 0
        self._done: dict[int, SequenceFeatures] = {}
        self._reason: dict[int, DecodedClip] = {}

    def put(self, decoded: DecodedClip) -> None:
        """Take one row's clip, or the reason why it has none."""
        if decoded.clip is None:
            self._reason[decoded.row] = decoded
            return
        self._waiting.append(decoded)
        self._waiting_bytes += decoded.n_bytes
        if len(self._waiting) >= MAX_CLIPS or self._waiting_bytes >= MAX_BYTES:
            self.flush()

    def flush(self) -> None:
        """Run the extractor on the clips that wait."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            for decoded, features in zip(waiting, self._extract(waiting), strict=True):
                if isinstance(features, DecodedClip):
                    self._reason[decoded.row] = features
                else:
                    self._done[decoded.row] = _stored(self.ids[decoded.row], decoded, features)

    def table(self) -> ModalityTable:
        """Everything collected, in the order of the rows.

        Raises:
            ValueError: a row was never put (a mistake of the caller).
        """
        self.flush()
        extractor = self._build()
        [empty] = extractor([EMPTY_CLIPS[self.modality]])
        features: list[SequenceFeatures] = []
        for row in self.rows:
            if row in self._done:
                features.append(self._done[row])
            elif row in self._reason:
                features.append(_without_clip(empty, self._reason[row]))
            else:
                raise ValueError(f"{self.modality}: row {row} was never read")
        lengths = [len(f.values) for f in features]
        none = np.zeros((0, extractor.n_layers, extractor.width), np.float16)
        return ModalityTable(
            data=Ragged(
                values=np.concatenate([none, *(f.values for f in features)]),
                offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
                valid=np.concatenate([np.zeros(0, bool), *(f.valid for f in features)]),
            ),
            time_s=np.concatenate([np.zeros(0), *(f.time_s for f in features)]),
            status=[f.status for f in features],
            detail=[f.detail for f in features],
            attrs=extractor.attrs,
            extra={
                name: np.concatenate([array[:0], *(f.extra[name] for f in features)])
                for name, array in empty.extra.items()
            },
            rows={name: _column(value, name, features) for name, value in empty.row.items()},
        )

    def _extract(self, clips: Sequence[DecodedClip]) -> list[SequenceFeatures | DecodedClip]:
        """Features of each clip; a clip that a model cannot take costs itself and no other.

        Raises:
            AmandaError: it is the model that fails, not a clip.
        """
        with self._stages.timing(LOADING):
            extractor = self._build()
        with self._stages.timing(f"{self.modality} model"):
            return self._run(extractor, clips)

    def _run(
        self, extractor: Extractor, clips: Sequence[DecodedClip]
    ) -> list[SequenceFeatures | DecodedClip]:
        results: list[SequenceFeatures | DecodedClip] = []
        try:
            results += extractor([decoded.clip for decoded in clips])
        except AmandaError:
            raise
        except Exception as error:
            for clip in clips:
                try:
                    results += extractor([clip.clip])
                except Exception as own_error:
                    results.append(_failed(clip, own_error))
            if all(isinstance(r, DecodedClip) for r in results):
                self._refuse_broken(extractor, clips[0], error)
        return results

    def _refuse_broken(self, extractor: Extractor, first: DecodedClip, error: Exception) -> None:
        """Raise `AmandaError` where the model fails on a good clip too."""
        try:
            extractor([GOOD_CLIPS[self.modality]])
        except Exception:
            raise AmandaError(
                f"{self.modality}: the model fails on every clip, the first is "
                f"{self.ids[first.row]} ({_one_line(error)})"
            ) from error


def _failed(clip: DecodedClip, error: Exception) -> DecodedClip:
    return DecodedClip(row=clip.row, clip=None, status="failed", detail=_one_line(error))


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _stored(name: str, decoded: DecodedClip, features: SequenceFeatures) -> SequenceFeatures:
    """As it goes into the file: float16, and told when the recording cut the clip short."""
    with np.errstate(over="ignore"):
        values = features.values.astype(np.float16)
    if not np.isfinite(values).all():
        kind = "NaN" if np.isnan(values).any() else "values above float16's 65504"
        raise AmandaError(f"{name}: the model gave {kind}, which cannot be stored")
    status, detail = features.status, features.detail
    if status in USABLE_STATUSES and decoded.status != "ok":
        status, detail = decoded.status, "; ".join(filter(None, (decoded.detail, detail)))
    return SequenceFeatures(
        values=values,
        time_s=features.time_s,
        valid=features.valid,
        status=status,
        detail=detail,
        extra=features.extra,
        row=features.row,
    )


def _without_clip(empty: SequenceFeatures, reason: DecodedClip) -> SequenceFeatures:
    return SequenceFeatures(
        values=empty.values[:0].astype(np.float16),
        time_s=empty.time_s[:0],
        valid=empty.valid[:0],
        status=reason.status,
        detail=reason.detail,
        extra={name: array[:0] for name, array in empty.extra.items()},
        row=empty.row,
    )


def _column(value: Any, name: str, features: Sequence[SequenceFeatures]) -> np.ndarray:
    """One per-utterance dataset, with the type of `value` even when there is no row."""
    if isinstance(value, str):  # an array of texts would cut them to the length of this one
        return np.array([f.row[name] for f in features], object)
    like = np.asarray(value)
    stacked = [np.asarray(f.row[name], like.dtype)[None] for f in features]
    return np.concatenate([np.zeros((0, *like.shape), like.dtype), *stacked])
