"""Rows of one modality of a feature file, as a model takes them: valid frames, packed."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from amanda.batches import Sequences
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
            path: where to memory-map them; None keeps them in memory.

        Raises:
            InputError: a value is NaN or inf.
        """
        offsets = np.concatenate([[0], np.cumsum(self.n_frames[rows])]).astype(np.int64)
        shape = (int(offsets[-1]), self.n_inputs)
        if path is None or not shape[0]:  # an empty file cannot be mapped
            values = np.empty(shape, np.float16)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            block = rows[start : start + _ROWS_AT_ONCE]
            read = self.modality.read(block[self.n_frames[block] > 0])
            kept = read.values[read.valid]
            values[offsets[start] : offsets[start] + len(kept)] = kept.reshape(len(kept), self.n_inputs)
        return Sequences(torch.from_numpy(values), offsets)
