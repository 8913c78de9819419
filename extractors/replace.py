"""Rows of a finished feature file exchanged for the same rows extracted again."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from amanda.store.hdf5 import new_hdf5

COPY_BYTES = 16 << 20


def replace_rows(path: Path, again: Path) -> int:
    """Write the feature file at `path` anew, with the rows that `again` has taken from there.

    The order of rows stays. Memory does not grow with the files.

    Returns:
        How many rows were exchanged.

    Raises:
        InputError: a file cannot be read, or the two differ in what they store.
    """
    with FeatureFile(path) as old, FeatureFile(again) as new:
        _refuse_other_layout(old, new)
        found = {utterance_id: i for i, utterance_id in enumerate(new.ids)}
        picks = [
            (1, found[utterance_id]) if utterance_id in found else (0, i)
            for i, utterance_id in enumerate(old.ids)
        ]
        with new_hdf5(path) as out:
            for key, value in old.file.attrs.items():
                out.attrs[key] = value
            for name in old.file:
                _copy_group(out.create_group(name), (old.file[name], new.file[name]), picks)
    return len(found)


def _copy_group(
    out: h5py.Group, groups: tuple[h5py.Group, h5py.Group], picks: Sequence[tuple[int, int]]
) -> None:
    for key, value in groups[0].attrs.items():
        out.attrs[key] = value
    by_row = [(which, row, row + 1) for which, row in picks]
    by_frame: list[tuple[int, int, int]] = []
    if "offsets" in groups[0]:
        offsets = [group["offsets"][:] for group in groups]
        by_frame = [
            (which, int(offsets[which][row]), int(offsets[which][row + 1])) for which, row in picks
        ]
    for name, dataset in groups[0].items():
        if name == "offsets":
            lengths = [stop - start for _, start, stop in by_frame]
            out[name] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            continue
        per_frame = name in ("values", "valid", "time_s") or dataset.attrs.get("per") == "frame"
        spans = list(_joined(by_frame if per_frame and by_frame else by_row))
        shape = (sum(stop - start for _, start, stop in spans), *dataset.shape[1:])
        copy = out.create_dataset(name, shape=shape, dtype=dataset.dtype)
        for key, value in dataset.attrs.items():
            copy.attrs[key] = value
        at = 0
        for which, start, stop in spans:
            for block in _blocks(groups[which][name], start, stop):
                copy[at : at + len(block)] = block
                at += len(block)


def _joined(spans: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Spans (file, start, stop), those that follow one another in one file made one."""
    open_span: tuple[int, int, int] | None = None
    for which, start, stop in spans:
        if open_span and open_span[0] == which and open_span[2] == start:
            open_span = (which, open_span[1], stop)
        else:
            if open_span:
                yield open_span
            open_span = (which, start, stop)
    if open_span:
        yield open_span


def _blocks(dataset: h5py.Dataset, start: int, stop: int) -> Iterator[np.ndarray]:
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64)))
    step = max(1, COPY_BYTES // row_bytes)
    for at in range(start, stop, step):
        yield dataset[at : min(stop, at + step)]


def _refuse_other_layout(old: FeatureFile, new: FeatureFile) -> None:
    mine = {f"{group}/{name}" for group in old.file for name in old.file[group]}
    other = {f"{group}/{name}" for group in new.file for name in new.file[group]}
    if mine != other:
        name = sorted(mine ^ other)[0]
        raise InputError(
            f"{old.path}: /{name} is only in the file or only in the rows extracted again; "
            "delete the file and extract it anew"
        )
