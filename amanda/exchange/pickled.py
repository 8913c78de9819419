"""What a pickle of arrays and plain containers names, and the arrays made for it.

Arrays are made here from the shape, type and bytes that a pickle gives; see `plainpickle`.
"""

import re
from enum import Enum
from typing import Any, NoReturn

import numpy as np

from amanda.store.errors import InputError

_MAX_AXES = 32
_DTYPE = re.compile(r"[<>|=]?(?:[biuf][1248]|[US][1-9]\d{0,8}|O8?)")


class Name(Enum):
    """What a pickle of arrays and containers names; stands on the stack for it."""

    RECONSTRUCT = "an empty array that BUILD fills"
    FROMBUFFER = "an array of bytes"
    SCALAR = "a NumPy number"
    NDARRAY = "the type of arrays"
    DTYPE = "an element type"
    ENCODE = "bytes, as protocols 0 to 2 write them"
    BYTES = "empty bytes, likewise"
    ORDERED_DICT = "a dictionary"
    SET = "a set"
    FROZENSET = "a frozen set"


NAMES: dict[tuple[str, str], Name] = {
    ("numpy", "ndarray"): Name.NDARRAY,
    ("numpy", "dtype"): Name.DTYPE,
    ("_codecs", "encode"): Name.ENCODE,
    ("collections", "OrderedDict"): Name.ORDERED_DICT,
}
for _core in ("numpy.core", "numpy._core"):  # NumPy 1, NumPy 2
    NAMES[f"{_core}.multiarray", "_reconstruct"] = Name.RECONSTRUCT
    NAMES[f"{_core}.multiarray", "scalar"] = Name.SCALAR
    NAMES[f"{_core}.numeric", "_frombuffer"] = Name.FROMBUFFER
for _module in ("builtins", "__builtin__"):  # Python 3, Python 2
    NAMES[_module, "bytes"] = Name.BYTES
    NAMES[_module, "set"] = Name.SET
    NAMES[_module, "frozenset"] = Name.FROZENSET


class Limits:
    """What a file may ask for, counted; and the sentence in which it is refused.

    Attributes:
        at: where in the file the operation in hand stands.
    """

    def __init__(self, where: str, size: int, max_operations: int):
        self.where, self.size, self.max_operations = where, size, max_operations
        self.n_bytes = self.n_elements = self.at = 0

    def refuse(self, what: str) -> NoReturn:
        raise InputError(
            f"{self.where}: {what} (byte {self.at}); only arrays and plain containers are read "
            "from pickles, and nothing was run: have it saved as npz"
        )

    def count_bytes(self, n: int) -> None:
        """Bytes made from others of the file; an honest file makes each once."""
        self.n_bytes += n
        if self.n_bytes > self.size:
            self.refuse("repeats its bytes until they are larger than the file")

    def count_elements(self, n: int) -> None:
        self.n_elements += n
        if self.n_elements > self.max_operations:
            self.refuse(f"repeats its elements until they are more than {self.max_operations:,}")


def element_type(text: Any, state: tuple, limits: Limits) -> np.dtype:
    """bool, integer, float, text or object elements; nothing structured."""
    text, order = _text(text), _text(state[1])
    structured = len(state) < 5 or any(part is not None for part in state[2:5])
    if structured or not _DTYPE.fullmatch(text) or order not in ("<", ">", "|", "="):
        limits.refuse(f"has array elements of type '{text[:40]}'")
    return np.dtype(text.lstrip("<>|=")).newbyteorder(order)  # type: ignore[arg-type]


def make_array(
    raw: Any,
    dtype: Any,
    shape: Any,
    order: str,
    limits: Limits,
    axes: tuple[int, ...] | None = None,
) -> np.ndarray:
    """The array of these bytes (not copied), or of this list of objects."""
    if not isinstance(dtype, np.dtype) or type(shape) is not tuple or len(shape) > _MAX_AXES:
        raise ValueError("an array without a shape or an element type")
    n = 1
    for side in shape:
        if type(side) is not int or side < 0:
            raise ValueError("an array with a side that is no count")
        n *= side
    if dtype.hasobject:
        flat = _objects(raw, n, limits)
    else:
        if isinstance(raw, str):  # Python 2's bytes, decoded one by one
            limits.count_bytes(len(raw))
            raw = raw.encode("latin1")
        if not isinstance(raw, bytes | bytearray) or len(raw) != n * dtype.itemsize:
            raise ValueError(f"an array of {n} elements with other bytes than theirs")
        flat = np.frombuffer(raw, dtype) if raw else np.zeros(n, dtype)
    if order == "K" and axes is not None:
        return flat.reshape(shape).transpose(axes)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _objects(items: Any, n: int, limits: Limits) -> np.ndarray:
    if type(items) is not list or len(items) != n:
        raise ValueError("an array of objects without its objects")
    limits.count_elements(n)
    flat = np.empty(n, object)
    for i, item in enumerate(items):
        flat[i] = item
    return flat


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)[:40]
