"""Where a result comes from: the feature files, the program, the machine."""

import datetime
import hashlib
import platform
from importlib import metadata
from typing import Any

import numpy as np
from jaxtyping import Int

from amanda import __version__
from amanda.predictions import file_sha256
from amanda.result_schema import CorpusInfo
from amanda.store.features import FeatureFile
from amanda.store.names import SPLITS

PACKAGES = ("h5py", "numpy", "safetensors", "scikit-learn", "torch")


def describe_features(features: FeatureFile) -> CorpusInfo:
    """What a result file keeps of a feature file: hashes, counts, makers; no transcript, no name.

    Take it when the file is read for training, so that the hash is of what was read.
    """
    speakers, shared = describe_speakers(features)
    path = features.path
    return CorpusInfo(
        corpus=features.corpus,
        file=path.name if path.is_absolute() else path.as_posix(),
        profile=features.profile,
        origin=features.origin,
        file_sha256=file_sha256(path),
        manifest_sha256=str(features.attrs.get("manifest_sha256", "")),
        split_rule=str(features.attrs.get("split_rule", "")),
        splits={
            split: {
                **describe_rows(features, features.rows(split)),
                "n_speakers": len(speakers[split]),
            }
            for split in SPLITS
        },
        shared_speakers=shared,
        modalities={name: _describe_modality(features, name) for name in features.modalities},
    )


def describe_program() -> dict[str, Any]:
    """When, by which versions and on what system this is written; differs from run to run."""
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "code_version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }


def describe_speakers(features: FeatureFile) -> tuple[dict[str, set[str]], int]:
    """The known speakers of each split, and how many of the test split's are in train too."""
    speakers = {
        split: {features.speaker[row] for row in features.rows(split)} - {""} for split in SPLITS
    }
    return speakers, len(speakers["train"] & speakers["test"])


def describe_rows(features: FeatureFile, rows: Int[np.ndarray, "m"]) -> dict[str, Any]:
    """Counts and the hash of the ids of some rows, as `SplitInfo` has them."""
    label = features.label[rows]
    ids = "\n".join(sorted(features.ids[row] for row in rows))
    return {
        "n": len(rows),
        "ids_sha256": hashlib.sha256(ids.encode()).hexdigest(),
        "classes": {
            name: int((label == number).sum()) for number, name in enumerate(features.label_names)
        },
        "unlabelled": int((label < 0).sum()),
    }


def _describe_modality(features: FeatureFile, name: str) -> dict[str, Any]:
    modality = features.modality(name)
    statuses, counts = np.unique(np.asarray(modality.status, str), return_counts=True)
    return {
        **modality.identity(),
        "sha256": str(modality.attrs.get("sha256", "")),
        "status": dict(zip(statuses.tolist(), counts.tolist(), strict=True)),
    }
