"""What the report says of a corpus: counts, durations, coverage. No names, texts or pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amanda.provenance import describe_rows, describe_speakers
from amanda.result_schema import CorpusInfo, SplitInfo
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from amanda.store.names import SPLITS, USABLE_STATUSES


@dataclass(frozen=True)
class Durations:
    """Lengths of the utterances of a split, in seconds, and their sum in hours."""

    median_s: float
    shortest_s: float
    longest_s: float
    total_h: float


@dataclass(frozen=True)
class ModalityStatistics:
    """One modality.

    Attributes:
        status: utterances by status.
        coverage: share of frames with evidence (a face found) in usable utterances; None when only
            the result file is known.
        model: what made the features, for a caption.
    """

    status: dict[str, int]
    coverage: float | None
    model: str

    @property
    def usable(self) -> int:
        return sum(self.status.get(status, 0) for status in USABLE_STATUSES)


@dataclass(frozen=True)
class CorpusStatistics:
    """One corpus; `durations` is empty when only the result file is known."""

    corpus: str
    origin: str
    label_names: tuple[str, ...]
    split_rule: str
    shared_speakers: int
    splits: dict[str, SplitInfo]
    durations: dict[str, Durations]
    modalities: dict[str, ModalityStatistics]
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return sum(split.n for split in self.splits.values())


@dataclass(frozen=True)
class Used:
    """A corpus as a training used it.

    Attributes:
        info: of the result file.
        split, split_seed, folds: the settings that drew its splits, "file" for those of the feature
            file; of several folds the first is described.
    """

    info: CorpusInfo
    label_names: tuple[str, ...]
    split: str
    split_seed: int
    folds: int

    @property
    def hashes(self) -> tuple[str, ...]:
        return tuple(self.info.splits[split].ids_sha256 for split in SPLITS)


def gather(used: Sequence[Used], files: Sequence[Path]) -> list[CorpusStatistics]:
    """Statistics of the corpora that results name, from their feature files where given.

    A corpus is listed once for each way in which it was split.

    Args:
        files: feature files; one of a corpus that no result names is described too.

    Raises:
        InputError: two files of a corpus, or a file without the utterances that results are from.
    """
    by_corpus: dict[str, Path] = {}
    for path in files:
        with FeatureFile(path) as features:
            corpus = features.corpus
        if corpus in by_corpus:
            raise InputError(f"{path}: another feature file of corpus '{corpus}' is given already")
        by_corpus[corpus] = path
    found: dict[tuple[str, ...], CorpusStatistics] = {}
    for one in used:
        key = (one.info.corpus, *one.hashes)
        if key in found:
            continue
        given = by_corpus.get(one.info.corpus)
        if given is None:
            found[key] = _from_result(one.info, one.label_names)
            continue
        found[key] = _from_features(given, one.split, one.split_seed, one.folds)
        if tuple(found[key].splits[split].ids_sha256 for split in SPLITS) != one.hashes:
            raise InputError(
                f"{given}: does not hold the utterances and splits of '{one.info.corpus}' that the "
                "results were made from; give the file they were made from"
            )
    named = {one.info.corpus for one in used}
    others = [_from_features(p, "file", 0) for c, p in by_corpus.items() if c not in named]
    return sorted([*found.values(), *others], key=lambda corpus: corpus.corpus)


def _from_result(info: CorpusInfo, label_names: Sequence[str]) -> CorpusStatistics:
    return CorpusStatistics(
        corpus=info.corpus,
        origin=info.origin,
        label_names=tuple(label_names),
        split_rule=info.split_rule,
        shared_speakers=info.shared_speakers,
        splits=dict(info.splits),
        durations={},
        modalities={
            name: ModalityStatistics(status=m.status, coverage=None, model=_model(m.model_dump()))
            for name, m in info.modalities.items()
        },
        notes=("Durations and coverage need its feature file: --features.",),
    )


def _from_features(
    path: Path, split_rule: str, split_seed: int, folds: int = 0
) -> CorpusStatistics:
    with FeatureFile(path) as features:
        features.resplit(split_rule, split_seed, folds=folds)
        speakers, shared = describe_speakers(features)
        splits, durations = {}, {}
        for split in SPLITS:
            rows = features.rows(split)
            splits[split] = SplitInfo(
                **describe_rows(features, rows), n_speakers=len(speakers[split])
            )
            length_s = (features.end_s - features.start_s)[rows]
            length_s = length_s[np.isfinite(length_s)]
            if len(length_s):
                durations[split] = Durations(
                    median_s=float(np.median(length_s)),
                    shortest_s=float(length_s.min()),
                    longest_s=float(length_s.max()),
                    total_h=float(length_s.sum() / 3600),
                )
        return CorpusStatistics(
            corpus=features.corpus,
            origin=features.origin,
            label_names=features.label_names,
            split_rule=str(features.attrs.get("split_rule", "")),
            shared_speakers=shared,
            splits=splits,
            durations=durations,
            modalities={name: _modality(features, name) for name in features.modalities},
        )


def _modality(features: FeatureFile, name: str) -> ModalityStatistics:
    modality = features.modality(name)
    statuses, counts = np.unique(np.asarray(modality.status, str), return_counts=True)
    valid = modality.group["valid"][:].astype(bool)
    frames = np.repeat(modality.usable, np.diff(modality.offsets))
    return ModalityStatistics(
        status=dict(zip(statuses.tolist(), counts.tolist(), strict=True)),
        coverage=float(valid[frames].mean()) if frames.any() else None,
        model=_model(modality.attrs),
    )


def _model(attrs: dict[str, Any]) -> str:
    layers = attrs.get("layers")
    listed = ", ".join(map(str, layers)) if isinstance(layers, list | tuple) else str(layers or "")
    name = str(attrs.get("model") or attrs.get("extractor") or "")
    return f"{name}, layers {listed}" if listed else name
