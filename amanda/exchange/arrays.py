"""The arrays of an npz or HDF5 file by name, read one at a time.

Nothing outside the file is opened: links and datasets that lead to other files are refused. Sizes
are compared with what the file can hold before memory is taken.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import h5py
import numpy as np

from amanda.exchange.clips import Memory
from amanda.exchange.plainpickle import load_plain_stream
from amanda.store.errors import InputError

Kind = Literal["numbers", "texts", "objects"]

_MAX_DEPTH = 16
_KINDS: dict[str, Kind] = {"U": "texts", "S": "texts", "O": "objects"}
_DAMAGE = (
    *(OSError, EOFError, ValueError, RuntimeError, KeyError, TypeError, OverflowError),
    *(zlib.error, zipfile.BadZipFile, NotImplementedError, SyntaxError),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray:
    """An array in a file; `read` loads it. Texts come as arrays of str, bytes or objects."""

    shape: tuple[int, ...]
    kind: Kind
    read: Callable[[], np.ndarray]


@contextmanager
def open_npz(path: Path, memory: Memory) -> Iterator[dict[str, StoredArray]]:
    """The arrays of an npz file; arrays of objects go through the reader of plain pickles.

    Raises:
        InputError: no npz file, a damaged one, or a name that is there twice.
    """
    found: dict[str, StoredArray] = {}
    with ExitStack() as stack:
        with one_sentence(path, "npz"):
            archive = stack.enter_context(zipfile.ZipFile(path))
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name in found:
                    raise InputError(f"{path}: '{name[:99]}' is there twice; names must be unique")
                found[name] = _npy_in_zip(path, archive, info, memory)
        yield found


def _npy_in_zip(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, memory: Memory
) -> StoredArray:
    name = info.filename[:99]
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise InputError(
                f"{path}: '{name}' is of npy version {version}; save it as a plain array"
            )
        start = file.tell()
    n_bytes = info.file_size - start
    of_objects = dtype.hasobject
    if not of_objects and (
        min(shape, default=0) < 0 or n_bytes != math.prod(shape) * dtype.itemsize
    ):
        raise ValueError(f"'{name}' is cut short, or of another shape than it says")

    def read() -> np.ndarray:
        memory.take(n_bytes)
        with one_sentence(path, "npz"), archive.open(info) as file:
            file.read(start)
            if of_objects:
                stream = cast(io.BufferedIOBase, file)
                array = load_plain_stream(stream, f"{path}: {name}", n_bytes)
                if not isinstance(array, np.ndarray) or array.shape != shape:
                    raise ValueError(f"'{name}' holds another array than it says")
                return array
            flat = np.frombuffer(bytearray(file.read(n_bytes)), dtype)
            return flat.reshape(shape, order="F" if fortran else "C")

    return StoredArray(shape=shape, kind=_KINDS.get(dtype.kind, "numbers"), read=read)


@contextmanager
def open_hdf5(path: Path, memory: Memory) -> Iterator[dict[str, StoredArray]]:
    """The datasets of an HDF5 file by their paths, as `acoustic/clip7`.

    Raises:
        InputError: no HDF5 file, a damaged one, or one that leads to other files.
    """
    found: dict[str, StoredArray] = {}
    with ExitStack() as stack:
        with one_sentence(path, "HDF5"):
            file = stack.enter_context(h5py.File(path, "r"))
            open_groups = [("", file, 0)]
            while open_groups:
                prefix, group, depth = open_groups.pop()
                if depth > _MAX_DEPTH:
                    raise InputError(
                        f"{path}: /{prefix[:99]} is more than {_MAX_DEPTH} groups deep"
                    )
                for name in group:
                    full = prefix + name
                    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                        raise InputError(
                            f"{path}: /{full[:99]} is a link; copy what it leads to into the file"
                        )
                    item = group[name]
                    if isinstance(item, h5py.Group):
                        open_groups.append((full + "/", item, depth + 1))
                    elif isinstance(item, h5py.Dataset):
                        found[full] = _dataset(path, full, item, memory)
        yield found


def _dataset(path: Path, full: str, dataset: h5py.Dataset, memory: Memory) -> StoredArray:
    name = f"/{full[:99]}"
    if dataset.is_virtual or dataset.external:
        raise InputError(f"{path}: {name} lies in other files; copy it into this one")
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    if dataset.shape is None or not (is_text or dataset.dtype.kind in "fiub"):
        raise InputError(
            f"{path}: {name} has elements of type {dataset.dtype}; write numbers or texts, "
            "one dataset an utterance where their lengths differ"
        )
    n_bytes = math.prod(dataset.shape) * max(1, dataset.dtype.itemsize)

    def read() -> np.ndarray:
        memory.take(n_bytes)
        with one_sentence(path, "HDF5"):
            if is_text:
                return np.array(dataset.asstr()[()], dtype=object)
            return np.asarray(dataset[()])

    return StoredArray(
        shape=tuple(dataset.shape), kind="texts" if is_text else "numbers", read=read
    )


@contextmanager
def one_sentence(path: Path, kind: str) -> Iterator[None]:
    """Turn what libraries raise on a damaged file into one `InputError` that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path") from error
    except MemoryError as error:
        raise InputError(f"{path}: asks for more memory than there is") from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"{path}: not an {kind} file, or a damaged one ({reason}); write it again"
        ) from error
