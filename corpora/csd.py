"""Segments and scores of a computational sequence (`.csd`), the HDF5 form of CMU's SDK.

    /<name>/data/<video>/features    (n, 7): sentiment, happy, sad, anger, surprise, disgust, fear
    /<name>/data/<video>/intervals   (n, 2): start and end in seconds
    /<name>/metadata/…               not read

After the SDK has aligned sequences, a video's segments are groups of their own, `<video>[0]`, ….
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from amanda.store.errors import InputError

# What h5py raises on files that are damaged or hold something else.
_DAMAGE = (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError)
_MOST_SEGMENTS = 100_000


class CsdEntry(NamedTuple):
    """One group of the file.

    Attributes:
        features, intervals: (n, width) and (n, 2) float64; None where the group does not hold them.
    """

    key: str
    features: np.ndarray | None
    intervals: np.ndarray | None


def read_csd(path: Path, width: int) -> Iterator[CsdEntry]:
    """Yield the groups of a file, sorted by key; `width` is that of `features`.

    Links and datasets that lead to other files are not followed.

    Raises:
        InputError: the file is damaged, or has not this layout.
    """
    try:
        with h5py.File(path, "r") as file:
            data = _data(path, file)
            for key in sorted(data):
                yield _entry(key, _group(data, key), width)
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as HDF5, or cut short ({reason})") from error


def _data(path: Path, file: h5py.File) -> h5py.Group:
    found = sorted(file)
    for name in found:
        sequence = _group(file, name)
        data = None if sequence is None else _group(sequence, "data")
        if data is not None:
            return data
    raise InputError(
        f"{path}: HDF5, but no group <name>/data in it; it has {', '.join(found[:5]) or 'nothing'}"
    )


def _group(parent: h5py.Group, name: str) -> h5py.Group | None:
    child = _child(parent, name)
    return child if isinstance(child, h5py.Group) else None


def _child(parent: h5py.Group, name: str) -> object:
    """A member of a group; None for a link, which may lead to another file."""
    link = parent.get(name, getlink=True)
    return parent.get(name) if isinstance(link, h5py.HardLink) else None


def _entry(key: str, group: h5py.Group | None, width: int) -> CsdEntry:
    if group is None:
        return CsdEntry(key, None, None)
    features, intervals = _array(group, "features", width), _array(group, "intervals", 2)
    if features is None or intervals is None or len(features) != len(intervals):
        return CsdEntry(key, None, None)
    return CsdEntry(key, features, intervals)


def _array(group: h5py.Group, name: str, width: int) -> np.ndarray | None:
    dataset = _child(group, name)
    if (
        not isinstance(dataset, h5py.Dataset)
        or dataset.dtype.kind not in "fiu"
        or dataset.shape is None
        or dataset.ndim != 2
        or dataset.shape[0] > _MOST_SEGMENTS
        or dataset.shape[1] != width
        or dataset.external
        or dataset.is_virtual
    ):
        return None
    return dataset[:].astype(np.float64)
