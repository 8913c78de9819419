"""How well the extraction went: coverage, lengths, norms, reasons. No faces and no words."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from amanda.store.feature_reader import ModalityData
from amanda.store.feature_schema import plain
from amanda.store.features import FeatureFile
from amanda.store.names import SPLITS

SAMPLE = 400
"""Utterances whose values are read for the norms, evenly spread over the file."""
CLOSE = 0.1
"""A choice of face with a smaller margin over the runner-up is called close."""
MAX_REASONS = 8


@dataclass(frozen=True)
class Spread:
    """Median, and the 5th and 95th percentile; of nothing, NaN."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class FaceQuality:
    """Faces of one split.

    Attributes:
        n: utterances with frames.
        found: share of them with the face in at least one frame.
        coverage: share of their frames that show the face.
        several: share of them with more than one person; None where the file does not say.
        close: of those, share whose choice is close; None where there is none.
    """

    n: int
    found: float
    coverage: float
    several: float | None
    close: float | None


@dataclass(frozen=True)
class CorpusQuality:
    """One feature file.

    Attributes:
        faces: by split; empty without visual features.
        seconds: length of the utterances, by split.
        lengths: by modality and split, frames (tokens, for text) of usable utterances.
        norms: by modality and layer, Euclidean norm of a frame that is evidence.
        reasons: (modality, status, reason) to how many utterances, the most frequent first.
        n: utterances.
    """

    corpus: str
    n: int
    faces: Mapping[str, FaceQuality]
    seconds: Mapping[str, Spread]
    lengths: Mapping[str, Mapping[str, Spread]]
    norms: Mapping[str, Mapping[str, Spread]]
    reasons: Mapping[tuple[str, str, str], int]


def measure(path: Path) -> CorpusQuality:
    """The figures of a feature file; splits are those it was written with."""
    with FeatureFile(path) as features:
        rows = {split: features.rows(split) for split in SPLITS}
        rows = {split: mine for split, mine in rows.items() if len(mine)}
        modalities = {name: features.modality(name) for name in features.modalities}
        visual = modalities.get("visual")
        seconds = features.end_s - features.start_s
        return CorpusQuality(
            corpus=features.corpus,
            n=len(features),
            faces={s: _faces(visual, mine) for s, mine in rows.items()} if visual else {},
            seconds={split: spread(seconds[mine]) for split, mine in rows.items()},
            lengths={
                name: {split: _lengths(modality, mine) for split, mine in rows.items()}
                for name, modality in modalities.items()
            },
            norms={name: _norms(modality) for name, modality in modalities.items()},
            reasons=_reasons(modalities),
        )


def spread(values: Float[np.ndarray, "n"]) -> Spread:
    """Of the finite ones."""
    values = np.asarray(values, float)[np.isfinite(values)]
    if not len(values):
        return Spread(np.nan, np.nan, np.nan)
    low, median, high = np.percentile(values, [5, 50, 95])
    return Spread(float(median), float(low), float(high))


def _faces(visual: ModalityData, rows: Int64[np.ndarray, "m"]) -> FaceQuality:
    valid = np.concatenate([[0], np.cumsum(visual.group["valid"][:].astype(np.int64))])
    lengths = np.diff(visual.offsets)
    seen = valid[visual.offsets[1:]] - valid[visual.offsets[:-1]]
    mine = rows[lengths[rows] > 0]
    if not len(mine):
        return FaceQuality(0, np.nan, np.nan, None, None)
    several = close = None
    if "n_tracks" in visual.group and "face_score" in visual.group:
        n_persons = visual.group["n_tracks"][:][mine]
        several = float((n_persons > 1).mean())
        margin = (visual.group["face_score"][:] - visual.group["face_runner_up"][:])[mine]
        chosen = (n_persons > 1) & (seen[mine] > 0)
        close = float((margin[chosen] < CLOSE).mean()) if chosen.any() else None
    return FaceQuality(
        n=len(mine),
        found=float((seen[mine] > 0).mean()),
        coverage=float(seen[mine].sum() / lengths[mine].sum()),
        several=several,
        close=close,
    )


def _lengths(modality: ModalityData, rows: Int64[np.ndarray, "m"]) -> Spread:
    usable = rows[modality.usable[rows]]
    return spread(np.diff(modality.offsets)[usable].astype(float))


def _norms(modality: ModalityData) -> dict[str, Spread]:
    """By layer, as its file calls them."""
    usable = np.flatnonzero(modality.usable)
    if not len(usable):
        return {}
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, SAMPLE).round().astype(int))]
    data = modality.read(chosen)
    values = data.values[data.valid].astype(np.float32)
    norms = np.sqrt((values**2).sum(axis=-1))
    layers = plain(modality.attrs.get("layers"))
    named = layers if isinstance(layers, list) and len(layers) == norms.shape[1] else None
    names = [str(layer) for layer in named] if named else [str(i) for i in range(norms.shape[1])]
    return {name: spread(norms[:, i]) for i, name in enumerate(names)}


def _reasons(modalities: Mapping[str, ModalityData]) -> dict[tuple[str, str, str], int]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for name, modality in modalities.items():
        for status, detail in zip(modality.status, modality.detail, strict=True):
            if status != "ok":
                counts[name, status, plain_reason(detail)] += 1
    return dict(counts.most_common(MAX_REASONS))


def plain_reason(detail: str) -> str:
    """A reason without what is the utterance's own: numbers, and what stands behind a colon.

    >>> plain_reason("no such file: /corpus/Ses01/a.avi")
    'no such file'
    >>> plain_reason("3 of 16 frames missing: the clip ends at 8.00 s, the video at 4.00 s")
    'n of n frames missing'
    """
    return re.sub(r"\d+(?:\.\d+)?", "n", detail.partition(":")[0].partition("(")[0]).strip()
