"""Pickles of arrays and plain containers, written as a stream.

An array is written block by block, so memory does not grow with it. The file names NumPy's
functions as NumPy 1 did, which NumPy 2 reads too; `pickle.dump` under NumPy 2 writes files that
NumPy before 1.26 cannot open.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class StreamedArray:
    """An array whose elements come in blocks, in C order; `dtype` is little-endian."""

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Iterable[np.ndarray]


def write_plain(file: BufferedIOBase, content: Any) -> None:
    """Pickle `content` (protocol 4) into `file`.

    Args:
        content: None, bool, int, float, str, and lists, dictionaries and arrays of numbers.

    Raises:
        ValueError: the blocks of an array are not as many bytes as its shape says.
    """
    file.write(b"\x80\x04")
    _write(file, content)
    file.write(b".")


def _write(file: BufferedIOBase, value: Any) -> None:
    if value is None or isinstance(value, bool):
        file.write({None: b"N", True: b"\x88", False: b"\x89"}[value])
    elif isinstance(value, int):
        _write_int(file, value)
    elif isinstance(value, float):
        file.write(b"G" + struct.pack(">d", value))
    elif isinstance(value, str):
        raw = value.encode("utf-8")
        file.write(b"X" + struct.pack("<I", len(raw)) + raw)
    elif isinstance(value, list):
        file.write(b"](")
        for item in value:
            _write(file, item)
        file.write(b"e")
    elif isinstance(value, dict):
        file.write(b"}(")
        for key, item in value.items():
            _write(file, key)
            _write(file, item)
        file.write(b"u")
    elif isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        _write_array(file, StreamedArray(shape=value.shape, dtype=array.dtype, blocks=[array]))
    elif isinstance(value, StreamedArray):
        _write_array(file, value)
    else:
        raise TypeError(f"{type(value).__name__} is no plain value")


def _write_int(file: BufferedIOBase, value: int) -> None:
    if -(2**31) <= value < 2**31:
        file.write(b"J" + struct.pack("<i", value))
    else:
        raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        file.write(b"\x8a" + bytes([len(raw)]) + raw)


def _write_array(file: BufferedIOBase, array: StreamedArray) -> None:
    """As NumPy reduces arrays: _reconstruct(ndarray, (0,), b'b'), then the state."""
    file.write(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n")
    file.write(b"K\x00\x85C\x01b\x87R")
    file.write(b"(K\x01")  # the state: version, shape, type, Fortran order, bytes
    file.write(b"(")
    for side in array.shape:
        _write_int(file, side)
    file.write(b"t")
    _write_dtype(file, array.dtype)
    file.write(b"\x89")
    n_bytes = math.prod(array.shape) * array.dtype.itemsize
    file.write(b"\x8e" + struct.pack("<Q", n_bytes))
    written = 0
    for block in array.blocks:
        if block.size:
            written += file.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
    if written != n_bytes:
        raise ValueError(f"{written} bytes written of an array of {n_bytes}")
    file.write(b"tb")


def _write_dtype(file: BufferedIOBase, dtype: np.dtype) -> None:
    """dtype('f4', False, True), then its state: version, order, no fields, sizes unset."""
    order = "|" if dtype.itemsize == 1 else "<"
    file.write(b"cnumpy\ndtype\n")
    _write(file, f"{dtype.kind}{dtype.itemsize}")
    file.write(b"\x89\x88\x87R")
    file.write(b"(K\x03")
    _write(file, order)
    file.write(b"NNN")
    for size in (-1, -1, 0):
        _write_int(file, size)
    file.write(b"tb")
