"""What a file of features made elsewhere holds, before it is checked against a manifest."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from amanda.store.errors import InputError
from amanda.store.utterance import Utterance

MODALITY_NAMES = {
    "acoustic": ("acoustic", "audio"),
    "visual": ("visual", "vision"),
    "lexical": ("lexical", "text"),
}
"""How files call each modality; the first is ours, the second MMSA's."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = ("utterances", "targets", "id", "attrs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One modality of one utterance, as the file has it.

    Attributes:
        values: (T, width) or (T, layers, width), any real type.
        time_s: (T,) seconds from the clip's start, None when the file does not say.
        valid: (T,) where there is evidence, None when the file does not say.
        status, detail: as in a feature file; "" when the file does not say.
    """

    values: np.ndarray
    time_s: np.ndarray | None = None
    valid: np.ndarray | None = None
    status: str = ""
    detail: str = ""


@dataclass(kw_only=True)
class Found:
    """What one file holds.

    Attributes:
        clips: by modality, then by id.
        extra: by modality, ids that the manifest does not have; their clips are not kept.
        attrs: by modality, extractor, model and the like, where the file carries them.
        rows: the utterances, where the file describes them itself.
        notes: what a person should know of how it was read.
    """

    clips: dict[str, dict[str, Clip]] = field(default_factory=dict)
    extra: dict[str, list[str]] = field(default_factory=dict)
    attrs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rows: list[Utterance] | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a file is to be read.

    Attributes:
        modality: what the file holds, "" where it says so itself.
        wanted: ids of the manifest, None for all of the file.
        rename: from an id of the file to one of the manifest.
        padding: the side of padded arrays that the padding is on, "end" or "start".
        memory_bytes: arrays larger than this together are refused.
    """

    modality: str = ""
    wanted: Collection[str] | None = None
    rename: Callable[[str], str] = str
    padding: str = "end"
    memory_bytes: int = 1 << 40


def check_modality(name: str, where: str) -> str:
    """Return `name` if it can name a modality, else raise `InputError`."""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise InputError(
            f"{where}: '{name[:60]}' cannot name a modality; use acoustic, visual, lexical, or "
            "another word of lower-case letters, digits and underscores"
        )
    return name


class ClipTable:
    """Collects the clips of one modality of one file: ids made plain, unwanted ones set apart."""

    def __init__(self, where: str, reading: Reading):
        self.where, self.reading = where, reading
        self.clips: dict[str, Clip] = {}
        self.extra: list[str] = []

    def wants(self, file_id: str) -> str | None:
        """The manifest's id for an id of the file; None where the manifest has none.

        Raises:
            InputError: the id was there already.
        """
        utterance_id = self.reading.rename(file_id)
        if utterance_id in self.clips:
            raise InputError(
                f"{self.where}: id '{utterance_id[:100]}' is there twice; ids must be unique"
            )
        if self.reading.wanted is not None and utterance_id not in self.reading.wanted:
            self.extra.append(utterance_id)
            return None
        return utterance_id


class Memory:
    """Counts the bytes of the arrays read, and refuses before they are more than allowed."""

    def __init__(self, where: str, limit_bytes: int):
        self.where, self.limit_bytes, self.taken_bytes = where, limit_bytes, 0

    def take(self, n_bytes: int) -> None:
        self.taken_bytes += n_bytes
        if self.taken_bytes > self.limit_bytes:
            raise InputError(
                f"{self.where}: its arrays take more than {self.limit_bytes / 1e9:.1f} GB; allow "
                "more with --memory-gb, or import fewer modalities at once"
            )


def frames(array: Any, where: str) -> np.ndarray:
    """`array` as (T, width) or (T, layers, width); a single vector is one frame.

    Raises:
        InputError: it holds no real numbers, or has another number of axes.
    """
    if not isinstance(array, np.ndarray):
        array = _array_of(array, where)
    if array.dtype.kind == "O" and all(type(item) in (int, float, bool) for item in array.flat):
        array = array.astype(np.float64)  # NumPy makes this of clips of one length
    if array.dtype.kind not in "fiub":
        raise InputError(f"{where}: elements of type {array.dtype}; features are real numbers")
    if array.ndim not in (1, 2, 3):
        raise InputError(
            f"{where}: an array of shape {array.shape}; features of a clip are (time, width) or "
            "(time, layers, width)"
        )
    return array.reshape(1, -1) if array.ndim == 1 else array


def _array_of(value: Any, where: str) -> np.ndarray:
    """A list of numbers, or of lists of numbers, as an array."""
    rows = value if isinstance(value, list | tuple) else None
    if rows is None:
        raise InputError(f"{where}: holds {type(value).__name__}; features are arrays of numbers")
    for row in rows:
        items = row if isinstance(row, list | tuple) else [row]
        if not all(isinstance(item, int | float) for item in items):
            raise InputError(f"{where}: a list of other things than numbers; features are arrays")
    try:
        return np.array(rows, dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}: its rows differ in length; features are arrays") from error


def texts(value: Any, where: str) -> list[str]:
    """A list or array of texts, given as str, as UTF-8 bytes, or each in an array of its own."""
    if isinstance(value, np.ndarray):
        try:
            value = value.tolist()
        except ValueError as error:  # code points that are none
            raise InputError(f"{where}: holds no text ({error})") from error
    if not isinstance(value, list | tuple):
        raise InputError(f"{where}: holds {type(value).__name__} where a list of texts is due")
    return [_text(item, where) for item in value]


def _text(item: Any, where: str) -> str:
    if isinstance(item, np.ndarray) and item.size == 1:
        item = item.reshape(1)[0]
    if isinstance(item, list | tuple) and len(item) == 1:
        item = item[0]
    if isinstance(item, bytes):
        try:
            item = item.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: {item[:40]!r} is not UTF-8 text") from error
    if isinstance(item, float) and math.isnan(item):  # how pandas writes "none"
        return ""
    if not isinstance(item, str):
        raise InputError(f"{where}: holds {type(item).__name__} where a text is due")
    try:
        item.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: {item[:40]!a} is not text") from error
    return item


def numbers(value: Any, where: str, n: int) -> np.ndarray:
    """A list or array of `n` numbers, one axis; trailing axes of one element are dropped."""
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: holds other things than numbers") from error
    if array.dtype.kind not in "fiub" or array.size != n:
        raise InputError(f"{where}: {array.size} elements of type {array.dtype}; {n} numbers due")
    return array.reshape(n)


def lengths(value: Any, where: str, n: int, longest: int) -> np.ndarray:
    """`n` counts of frames, each at most `longest`."""
    given = numbers(value, where, n)
    wrong = np.flatnonzero(~((given >= 0) & (given <= longest) & (given == np.floor(given))))
    if len(wrong):
        raise InputError(
            f"{where}: row {int(wrong[0])} has length {given[wrong[0]]}, but the array has "
            f"{longest} frames a row"
        )
    return given.astype(np.int64)


def unpad(
    array: np.ndarray, given: np.ndarray | None, padding: str
) -> Iterator[tuple[slice, np.ndarray]]:
    """For each row of a padded array, which frames are its own, and those.

    Without lengths, frames that are all zero at the padded side are taken as padding.
    """
    longest = array.shape[1]
    for i, row in enumerate(array):
        if given is not None:
            n = int(given[i])
        else:
            filled = np.flatnonzero(row.any(axis=tuple(range(1, row.ndim))))
            if padding == "end":
                n = int(filled[-1]) + 1 if len(filled) else 0
            else:
                n = longest - int(filled[0]) if len(filled) else 0
        part = slice(0, n) if padding == "end" else slice(longest - n, longest)
        yield part, row[part]


def first_few(ids: Iterable[str], n: int = 3) -> str:
    """The first ids of many, quoted, for a sentence."""
    chosen: Sequence[str] = list(ids)
    shown = ", ".join(f"'{item[:60]}'" for item in chosen[:n])
    return shown + (", …" if len(chosen) > n else "")
