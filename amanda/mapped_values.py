"""Features mapped from a file into memory: read where they lie, shared by all who map them.

HDF5 keeps an array that is neither chunked nor compressed in one piece, so the values of a feature
file that this product writes can be mapped without a copy. The system keeps in memory what is used
and drops what is not; so sequences larger than memory are streamed by it.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Float16, Int64
from torch import Tensor


@dataclass(frozen=True)
class Place:
    """Where an array of float16 lies.

    Attributes:
        offset: first byte in the file.
        shape: (frames, layers · width).
    """

    path: Path
    offset: int
    shape: tuple[int, int]


@dataclass(frozen=True)
class MappedValues:
    """An array mapped from a file."""

    place: Place
    map: mmap.mmap

    @classmethod
    def open(cls, place: Place) -> "MappedValues":
        with open(place.path, "rb") as file:
            # A private copy as far as anyone writes, which nobody does: torch wants it writable.
            return cls(place, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))

    def values(self) -> Float16[Tensor, "frames dim"]:
        n_frames, dim = self.place.shape
        flat = np.frombuffer(self.map, np.float16, n_frames * dim, self.place.offset)
        return torch.from_numpy(flat.reshape(n_frames, dim))

    def will_need(self, starts: Int64[np.ndarray, "n"], stops: Int64[np.ndarray, "n"]) -> None:
        """Have the system read these frames from disk, without waiting for them."""
        if not hasattr(mmap, "MADV_WILLNEED"):  # not on every system
            return
        frame_bytes = 2 * self.place.shape[1]
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            first = self.place.offset + start * frame_bytes
            first -= first % mmap.PAGESIZE
            last = self.place.offset + stop * frame_bytes
            if last > first:
                self.map.madvise(mmap.MADV_WILLNEED, first, last - first)


def place_of(values: h5py.Dataset) -> Place | None:
    """Where the values (frames, layers, width) of a feature file lie; None if not in one piece."""
    offset = values.id.get_offset()
    if offset is None or values.dtype != np.dtype("<f2"):
        return None
    n_frames, n_layers, width = values.shape
    path = Path(values.file.filename).resolve()
    return Place(path, int(offset), (int(n_frames), int(n_layers * width)))
