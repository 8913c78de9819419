"""Rows of one modality of a feature file, as a model takes them: valid frames, packed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float16, Int64

from amanda.batches import Sequences
from amanda.mapped_values import MappedValues, Place, place_of
from amanda.store.features import ModalityData

_ROWS_AT_ONCE = 256


class StoredSequences:
    """One modality of an open file, and how many valid frames each utterance has of it.

    Attributes:
        n_frames: (N,) valid frames; 0 where the modality is missing.
        n_inputs: layers · width of a frame.
    """

    def __init__(self, modality: ModalityData):
        self.modality = modality
        before = np.concatenate([[0], np.cumsum(modality.group["valid"][:].astype(np.int64))])
        self.n_frames = np.where(modality.usable, np.diff(before[modality.offsets]), 0)

    @property
    def n_inputs(self) -> int:
        return self.modality.n_layers * self.modality.width

    def read(self, rows: Int64[np.ndarray, "n"], path: Path | None = None) -> Sequences:
        """The valid frames of `rows`, block by block.

        Args:
            path: None keeps them in memory. Else they are mapped: from the feature file where it
                holds them in one piece and all frames are valid, from a copy at `path` otherwise.

        Raises:
            InputError: a value is NaN or inf.
        """
        offsets = np.concatenate([[0], np.cumsum(self.n_frames[rows])]).astype(np.int64)
        place = self._place(rows) if path is not None and offsets[-1] else None
        if place is not None:
            for _ in self._blocks(rows):  # refuses what is not finite; what fits stays in memory
                pass
            mapping = MappedValues.open(place)
            first = self.modality.offsets[:-1][rows]
            return Sequences(mapping.values(), offsets, first=first, mapping=mapping)
        shape = (int(offsets[-1]), self.n_inputs)
        if path is None or not shape[0]:  # an empty file cannot be mapped
            values = np.empty(shape, np.float16)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        at = 0
        for kept in self._blocks(rows):
            values[at : at + len(kept)] = kept
            at += len(kept)
        return Sequences(torch.from_numpy(values), offsets)

    def _place(self, rows: Int64[np.ndarray, "n"]) -> Place | None:
        """Where the file holds the rows, if it does so without frames that are not valid."""
        lengths = np.diff(self.modality.offsets)[rows]
        if ((self.n_frames[rows] != lengths) & (self.n_frames[rows] != 0)).any():
            return None
        return place_of(self.modality.group["values"])

    def _blocks(self, rows: Int64[np.ndarray, "n"]) -> Iterator[Float16[np.ndarray, "frames dim"]]:
        """The valid frames of `rows`, some utterances at a time."""
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            block = rows[start : start + _ROWS_AT_ONCE]
            read = self.modality.read(block[self.n_frames[block] > 0])
            kept = read.values if read.valid.all() else read.values[read.valid]
            yield kept.reshape(len(kept), self.n_inputs)
