"""Reading two feature files into what one method trains on.

Labels of the target's test split come out as `TestRows`, for whatever measures; of the other labels
of the target none comes out, unless the method is trained on them (`supervised`).
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from amanda.batches import LabelledSplit, UnlabelledSplit
from amanda.methods._base import Method
from amanda.records import TestRows
from amanda.standardise import scaling_of, with_scaling
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from amanda.stored_sequences import StoredSequences
from amanda.training_data import LABELLED_PARTS, PARTS, TARGET_PARTS, TrainingData, values_file

log = logging.getLogger(__name__)


def load_training_data(
    source: FeatureFile,
    target: FeatureFile,
    modalities: Sequence[str],
    method: type[Method],
    *,
    standardise: str,
    folder: Path | None,
) -> tuple[TrainingData, TestRows, list[str]]:
    """Read what `method` trains on, of two files that `check_pair` has passed.

    Args:
        standardise: none, source or domain (`amanda.standardise`).
        folder: where to memory-map the sequences; None keeps them in memory.

    Returns:
        The data, the test rows with their labels, and sentences on rows that were left out.

    Raises:
        InputError: a split that training needs has too few usable rows, or the labelled train
            split lacks a class.
    """
    teacher = source if method.labelled == "source" else target
    stored = {
        file.path: {name: StoredSequences(file.modality(name)) for name in modalities}
        for file in (teacher, target)
    }
    notes: list[str] = []
    parts: dict[str, LabelledSplit | UnlabelledSplit] = {}
    for part in PARTS:
        file, split = (teacher if part in LABELLED_PARTS else target), part.split("_")[1]
        rows = _usable_rows(file, part, split, stored[file.path], notes)
        sequences = {
            name: each.read(rows, folder / values_file(part, name) if folder else None)
            for name, each in stored[file.path].items()
        }
        if part in LABELLED_PARTS:
            parts[part] = LabelledSplit(sequences, file.label[rows].astype(np.int64))
        else:
            parts[part] = UnlabelledSplit(sequences)
    data = TrainingData(
        label_names=source.label_names,
        shapes={
            name: (each.modality.n_layers, each.modality.width)
            for name, each in stored[target.path].items()
        },
        **parts,  # type: ignore[arg-type]
    )
    _check_trainable(data, teacher, target, method)
    for note in notes:
        log.warning(note)
    return _standardised(data, standardise), _test_rows(target), notes


def size_bytes(files: Sequence[FeatureFile], modalities: Sequence[str]) -> int:
    """Size of the sequences of all files."""
    found = [file.modality(name) for file in files for name in modalities]
    return sum(int(each.offsets[-1]) * each.n_layers * each.width * 2 for each in found)


def _test_rows(target: FeatureFile) -> TestRows:
    rows = target.rows("test")
    return TestRows(
        ids=[target.ids[row] for row in rows],
        speakers=[target.speaker[row] for row in rows],
        label=target.label[rows].astype(np.int64),
    )


def _usable_rows(
    file: FeatureFile, part: str, split: str, stored: dict[str, StoredSequences], notes: list[str]
) -> Int64[np.ndarray, "n"]:
    """The rows of a split that training can use. Every test row is predicted, as far as it goes."""
    rows = file.rows(split)
    if part == "target_test":
        return rows
    evidence = np.any([each.n_frames[rows] > 0 for each in stored.values()], axis=0)
    rows = _keep(file, split, rows, evidence, "a usable modality", notes)
    if part in LABELLED_PARTS:
        rows = _keep(file, split, rows, file.label[rows] >= 0, "a label", notes)
    return rows


def _keep(
    file: FeatureFile,
    split: str,
    rows: Int64[np.ndarray, "n"],
    keep: Bool[np.ndarray, "n"],
    needed: str,
    notes: list[str],
) -> Int64[np.ndarray, "m"]:
    if not keep.all():
        gone = rows[~keep]
        note = (
            f"{file.path}: {len(gone)} of {len(rows)} {split} utterances are without {needed} and "
            f"left out, {file.ids[gone[0]]} first"
        )
        if note not in notes:
            notes.append(note)
    return rows[keep]


def _check_trainable(
    data: TrainingData, teacher: FeatureFile, target: FeatureFile, method: type[Method]
) -> None:
    counts = np.bincount(data.labelled_train.label, minlength=len(data.label_names))
    if len(data.labelled_train) < 2:
        raise InputError(
            f"{teacher.path}: {len(data.labelled_train)} labelled utterances in split train; "
            "training needs at least 2, and some of each class"
        )
    absent = [name for name, n in zip(data.label_names, counts, strict=True) if not n]
    if absent:
        raise InputError(
            f"{teacher.path}: no '{absent[0]}' utterance in split train; a class without any "
            "cannot be learned, so give it some, or write the files with other classes"
        )
    for part, least in (("target_train", 2 if method.sees_target else 0), ("target_test", 1)):
        if len(getattr(data, part)) < least:
            raise InputError(
                f"{target.path}: {len(getattr(data, part))} usable utterances in split "
                f"{part.split('_')[1]}; at least {least} needed, with or without labels"
            )


def _standardised(data: TrainingData, mode: str) -> TrainingData:
    if mode == "none":
        return data
    by_labelled = {name: scaling_of(part) for name, part in data.labelled_train.sequences.items()}
    by_target = by_labelled
    if mode == "domain":
        by_target = {name: scaling_of(part) for name, part in data.target_train.sequences.items()}
    scaled: dict[str, Any] = {
        part: with_scaling(getattr(data, part), by_labelled) for part in LABELLED_PARTS
    }
    scaled |= {part: with_scaling(getattr(data, part), by_target) for part in TARGET_PARTS}
    return replace(data, **scaled)
