"""A new HDF5 file, whole or not at all, that survives a full disk.

When a write fails inside HDF5, the library tries it again at close and, where small blocks are
concerned, ends the process with a segmentation fault (seen with h5py 3 on a file system of 16 kB).
So HDF5 writes here through a Python file that remembers the first failure and takes the rest
quietly; the failure is raised when HDF5 is done. It is as fast: HDF5 makes few, large writes. What
it took without writing it gives back when asked, as far as it is small: HDF5 reads its own heaps of
texts again while it fills them, and would take other bytes for addresses.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from amanda.store.atomic import atomic_path

KEPT_BYTES = 1 << 20
"""Writes up to this are kept in memory after the failure; larger ones are features, never read."""


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to fill; it appears as `path` when the block ends well, else not at all.

    Raises:
        InputError: the folder cannot be written to.
        OSError: the disk is full or fails; it names `path`.
    """
    with atomic_path(path) as temporary, _PatientFile(temporary) as raw:
        try:
            with h5py.File(raw, "w") as file:
                yield file
        except Exception:
            raw.raise_failure(path)
            raise
        raw.raise_failure(path)


class _PatientFile(io.RawIOBase):
    """A file opened for writing that never fails while written to; see `raise_failure`."""

    def __init__(self, path: Path):
        self._descriptor = os.open(path, os.O_RDWR | os.O_TRUNC)
        self._at = 0
        self._failure: OSError | None = None
        self._unwritten: list[tuple[int, bytes]] = []

    def raise_failure(self, path: Path) -> None:
        """Raise the first failure, if there was one, as one of `path`."""
        if self._failure is not None:
            number = self._failure.errno or 0
            raise OSError(number, os.strerror(number), str(path)) from self._failure

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        self._at = offset + (os.fstat(self._descriptor).st_size if start is None else start)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        n = os.preadv(self._descriptor, [view], self._at)
        if self._failure is not None:
            view[n:] = bytes(len(view) - n)
            n = len(view)
            for start, data in self._unwritten:
                first = max(self._at, start)
                last = min(self._at + n, start + len(data))
                if first < last:
                    view[first - self._at : last - self._at] = data[first - start : last - start]
        self._at += n
        return n

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while left and self._failure is None:
            try:
                n = os.pwrite(self._descriptor, left, self._at)
            except OSError as error:
                self._failure = error
            else:
                left, self._at = left[n:], self._at + n
        if left and len(left) <= KEPT_BYTES:
            self._unwritten.append((self._at, bytes(left)))
        self._at += len(left)
        return size

    def truncate(self, size: int | None = None) -> int:
        size = self._at if size is None else size
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            self._failure = self._failure or error
        return size

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
