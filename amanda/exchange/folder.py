"""One npy file a clip: `<modality>/<name>.npy`, with `index.csv` and `attrs.json` beside them.

Names of files are made from ids so that none leads outside the folder, whatever the id holds.
"""

import csv
import hashlib
import os
import shutil
import string
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from amanda.exchange.arrays import one_sentence
from amanda.exchange.clips import (
    MODALITY_NAMES,
    Clip,
    ClipTable,
    Found,
    Memory,
    Reading,
    check_modality,
    frames,
)
from amanda.exchange.layouts import parse_carried
from amanda.store.errors import InputError

INDEX, ATTRS = "index.csv", "attrs.json"
INDEX_COLUMNS = ("modality", "id", "file", "n_frames", "status", "detail")

_PLAIN = frozenset(string.ascii_letters + string.digits + "_-.")
_LONGEST_NAME = 150


class SafeNames:
    """File names for ids: one each, of plain characters, different on every file system."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def __call__(self, utterance_id: str) -> str:
        """`Ses01F_impro01` stays; `../x y` becomes `%2E.%2Fx%20y`."""
        name = "".join(c if c in _PLAIN else _percent(c) for c in utterance_id)
        if name.startswith("."):
            name = "%2E" + name[1:]
        digest = hashlib.sha256(utterance_id.encode("utf-8", "surrogatepass")).hexdigest()
        if len(name) > _LONGEST_NAME or not name:
            name = f"{name[:_LONGEST_NAME]}-{digest[:16]}"
        while name.casefold() in self._used:  # Ab and ab are one file on some systems
            name = f"{name}-{digest[:8]}"
        self._used.add(name.casefold())
        return name


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `final`; rename it to `final` when the block ends well.

    Raises:
        InputError: `final` is there already and not an empty folder, or cannot be made.
    """
    final = Path(final)
    if final.is_symlink() or (final.exists() and not (final.is_dir() and not any(final.iterdir()))):
        raise InputError(f"{final}: is there already; give a new folder")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix=f".{final.name[:100]}.", suffix=".tmp", dir=final.parent)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"{final}: the folder cannot be made ({error.strerror}); choose another output"
        ) from error
    temporary = Path(name)
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o777 & ~umask)
    try:
        yield temporary
        os.replace(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_folder(path: Path, reading: Reading) -> Found:
    """What a folder of npy files holds: one with an index, or of files named by their ids.

    Raises:
        InputError: an index that leads elsewhere, a file that is no array, or no file at all.
    """
    memory = Memory(str(path), reading.memory_bytes)
    if (path / INDEX).is_file():
        found = _read_indexed(path, reading, memory)
    else:
        found = Found()
        folders = _modality_folders(path, reading)
        for modality, folder in folders.items():
            table = ClipTable(f"{path}: {modality}", reading)
            for file in sorted(folder.glob("*.npy")):
                utterance_id = table.wants(file.stem)
                if utterance_id is not None:
                    table.clips[utterance_id] = Clip(values=_read_npy(file, path, memory))
            found.clips[modality], found.extra[modality] = table.clips, table.extra
    if not any(found.clips.values()) and not any(found.extra.values()):
        raise InputError(f"{path}: no npy files; one a clip is due, named by its id")
    return found


def _modality_folders(path: Path, reading: Reading) -> dict[str, Path]:
    inside = {
        modality: path / name
        for modality, names in MODALITY_NAMES.items()
        for name in names[::-1]
        if (path / name).is_dir()
    }
    if reading.modality:
        return {reading.modality: inside.get(reading.modality, path)}
    if not inside:
        raise InputError(
            f"{path}: no folder named acoustic, visual or lexical in it; say which modality it "
            f"holds, as acoustic={path}"
        )
    return inside


def _read_indexed(path: Path, reading: Reading, memory: Memory) -> Found:
    found = Found()
    tables: dict[str, ClipTable] = {}
    if (path / ATTRS).is_file():
        with one_sentence(path / ATTRS, "JSON"):
            text = (path / ATTRS).read_text(encoding="utf-8")
        found.attrs = parse_carried(text, str(path / ATTRS))
    for line, row in _index_rows(path / INDEX):
        where = f"{path / INDEX}, line {line}"
        modality = check_modality(row["modality"], where)
        if reading.modality and modality != reading.modality:
            continue
        table = tables.setdefault(modality, ClipTable(f"{path}: {modality}", reading))
        utterance_id = table.wants(row["id"])
        if utterance_id is None:
            continue
        values = np.zeros((0, 0), np.float16)
        if row["file"]:
            values = _read_npy(_inside(path, row["file"], where), path, memory)
        table.clips[utterance_id] = Clip(values=values, status=row["status"], detail=row["detail"])
    for modality, table in tables.items():
        found.clips[modality], found.extra[modality] = table.clips, table.extra
    return found


def _index_rows(index: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with one_sentence(index, "CSV"), open(index, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True, restkey="more")
        rows = [(reader.line_num, row) for row in reader]
    for line, row in rows:
        missing = [name for name in INDEX_COLUMNS if row.get(name) is None]
        if missing or "more" in row:
            raise InputError(
                f"{index}, line {line}: the columns are {', '.join(INDEX_COLUMNS)}, in every row"
            )
        yield line, row


def _inside(folder: Path, name: str, where: str) -> Path:
    """The file `name` of `folder`, which must lie in it, links followed."""
    file = folder / name
    if "\0" in name or not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder)):
        raise InputError(f"{where}: {name[:99]!a} lies outside the folder; it is not read")
    return file


def _read_npy(file: Path, folder: Path, memory: Memory) -> np.ndarray:
    with one_sentence(file, "npy"):
        inside = Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))
        if not inside:
            raise ValueError("a link that leads outside the folder")
        memory.take(file.stat().st_size)
        with open(file, "rb") as content:
            array = np.lib.format.read_array(content, allow_pickle=False)
            if content.read(1):
                raise ValueError("more bytes than its shape says")
    return frames(array, str(file))
