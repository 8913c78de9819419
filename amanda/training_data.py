"""What a training sees, in memory or in memory-mapped files that several workers share.

It has no place for labels of the target, except that the labelled splits of `supervised` are the
target's own.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from amanda.batches import LabelledSplit, Scaling, Sequences, UnlabelledSplit
from amanda.mapped_values import MappedValues, Place

LABELLED_PARTS = ("labelled_train", "labelled_val")
TARGET_PARTS = ("target_train", "target_val", "target_test")
PARTS = (*LABELLED_PARTS, *TARGET_PARTS)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Everything that a training sees.

    Attributes:
        shapes: modality to (layers, width) of its features.
        labelled_train, labelled_val: the source's (`supervised`: the target's own) labelled rows.
        target_train, target_val, target_test: the target's rows, without labels.
    """

    label_names: tuple[str, ...]
    shapes: Mapping[str, tuple[int, int]]
    labelled_train: LabelledSplit
    labelled_val: LabelledSplit
    target_train: UnlabelledSplit
    target_val: UnlabelledSplit
    target_test: UnlabelledSplit

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.shapes)

    @property
    def label_share(self) -> Float[torch.Tensor, "classes"]:
        """(classes,) shares in the labelled train split (Eq. 6)."""
        counts = np.bincount(self.labelled_train.label, minlength=len(self.label_names))
        return torch.from_numpy(counts / counts.sum()).float()

    def missing_in_training(self, *, sees_target: bool) -> tuple[str, ...]:
        """Modalities that an utterance which is trained on lacks."""
        trained = [self.labelled_train.sequences]
        if sees_target:
            trained.append(self.target_train.sequences)
        return tuple(
            name for name in self.shapes if any((part[name].lengths == 0).any() for part in trained)
        )

    @property
    def n_bytes(self) -> int:
        """Of all sequences."""
        return sum(
            sequences.n_bytes
            for part in PARTS
            for sequences in getattr(self, part).sequences.values()
        )

    def to(self, device: torch.device) -> "TrainingData":
        """The same with all sequences in memory of `device`."""
        moved = {}
        for part in PARTS:
            split = getattr(self, part)
            sequences = {name: each.to(device) for name, each in split.sequences.items()}
            moved[part] = replace(split, sequences=sequences)
        return replace(self, **moved)


def values_file(part: str, modality: str) -> str:
    """The name of one memory-mapped array in the folder."""
    return f"{part}.{modality}.npy"


def save_mapped(data: TrainingData, folder: Path) -> None:
    """Write what `load_mapped` needs beside the sequences, which lie in `folder` or are mapped."""
    arrays: dict[str, np.ndarray] = {}
    places: dict[str, dict[str, Any]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        split = getattr(data, part)
        if isinstance(split, LabelledSplit):
            arrays[f"{part}/label"] = split.label
        for name, sequences in split.sequences.items():
            arrays[f"{part}/{name}/offsets"] = sequences.offsets
            if sequences.mapping is not None:
                arrays[f"{part}/{name}/first"] = sequences.starts
                place = sequences.mapping.place
                places[f"{part}/{name}"] = asdict(place) | {"path": str(place.path)}
            if sequences.scaling is not None:
                arrays[f"{part}/{name}/mean"] = sequences.scaling.mean.numpy()
                arrays[f"{part}/{name}/scale"] = sequences.scaling.scale.numpy()
    np.savez(folder / "columns.npz", **arrays)  # type: ignore[arg-type]
    about = {"label_names": data.label_names, "shapes": data.shapes, "places": places}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def load_mapped(folder: Path) -> TrainingData:
    """The data that `save_mapped` left in `folder`; pages are shared with every other reader."""
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    parts: dict[str, LabelledSplit | UnlabelledSplit] = {}
    opened: dict[Place, MappedValues] = {}
    with np.load(folder / "columns.npz") as arrays:
        for part in PARTS:
            sequences = {}
            for name, (layers, width) in about["shapes"].items():
                scaling = None
                if f"{part}/{name}/mean" in arrays:
                    scaling = Scaling(
                        torch.from_numpy(arrays[f"{part}/{name}/mean"]),
                        torch.from_numpy(arrays[f"{part}/{name}/scale"]),
                    )
                offsets, first, mapping = arrays[f"{part}/{name}/offsets"], None, None
                if f"{part}/{name}" in about["places"]:
                    mapping = _opened(opened, about["places"][f"{part}/{name}"])
                    values, first = mapping.values(), arrays[f"{part}/{name}/first"]
                elif offsets[-1]:
                    # Copy on write: torch refuses read-only arrays, and nothing writes to them.
                    stored = np.load(folder / values_file(part, name), mmap_mode="c")
                    values = torch.from_numpy(stored)
                else:
                    values = torch.empty((0, layers * width), dtype=torch.float16)
                sequences[name] = Sequences(values, offsets, scaling, first, mapping)
            if part in LABELLED_PARTS:
                parts[part] = LabelledSplit(sequences, arrays[f"{part}/label"])
            else:
                parts[part] = UnlabelledSplit(sequences)
    shapes = {name: (layers, width) for name, (layers, width) in about["shapes"].items()}
    return TrainingData(label_names=tuple(about["label_names"]), shapes=shapes, **parts)  # type: ignore[arg-type]


def _opened(opened: dict[Place, MappedValues], place: Mapping[str, Any]) -> MappedValues:
    """Each array is mapped once, whatever splits lie in it."""
    key = Place(Path(place["path"]), place["offset"], (place["shape"][0], place["shape"][1]))
    if key not in opened:
        opened[key] = MappedValues.open(key)
    return opened[key]
