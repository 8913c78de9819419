"""A corpus folder: finding its root, listing it, reading its texts, and never leaving it."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from amanda.store.errors import InputError

MAX_LINE_BYTES = 1_000_000
_LEVELS_UP, _LEVELS_DOWN, _MOST_FOLDERS = 3, 2, 500


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder of a corpus. Paths are relative to it, with forward slashes.

    Ids out of label files become parts of paths, and folders hold links, so every path is
    resolved before it is read: one that ends outside the folder is refused.
    """

    root: Path
    real_root: str

    def first_file(self, *candidates: str) -> str:
        """The first of `candidates` that is a file, or ""."""
        for candidate in candidates:
            if os.path.isfile(self.root / candidate):
                self._refuse_outside(candidate)
                return candidate
        return ""

    def folders(self, pattern: str) -> list[str]:
        """Folders that match a glob pattern, sorted, hidden ones left out."""
        return [p for p in self._matches(pattern) if os.path.isdir(self.root / p)]

    def files(self, pattern: str) -> list[str]:
        """Files that match a glob pattern, sorted, hidden ones (`._x` of macOS) left out."""
        return [p for p in self._matches(pattern) if os.path.isfile(self.root / p)]

    def lines(self, file: str, *, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
        """Yield (line number from 1, text without its end) of a text file, line by line.

        Args:
            encoding: of lines that are not UTF-8.

        Raises:
            InputError: the file cannot be read, is in another encoding, or holds a NUL byte or a
                line of more than a megabyte; the message names the line.
        """
        yield from numbered_lines(self.path_of(file), encoding=encoding)

    def path_of(self, file: str) -> Path:
        """Where a file lies, for opening it. Raises `InputError` where that is outside."""
        self._refuse_outside(file)
        return self.root / file

    def _matches(self, pattern: str) -> list[str]:
        matches = sorted(p.relative_to(self.root).as_posix() for p in self.root.glob(pattern))
        shown = [m for m in matches if not any(part.startswith(".") for part in m.split("/"))]
        for match in shown:
            self._refuse_outside(match)
        return shown

    def _refuse_outside(self, path: str) -> None:
        real = os.path.realpath(self.root / path)
        if real != self.real_root and not real.startswith(self.real_root.rstrip("/") + os.sep):
            raise InputError(
                f"{self.root / path}: leads to {real}, outside {self.root}; "
                "put the file itself there, or give a root that holds both"
            )


def open_tree(root: Path, layout: str, fits: Callable[[Path], bool]) -> Tree:
    """The corpus folder `root`, once it looks like one.

    Args:
        root: what the user gave.
        layout: what is looked for, for the error, such as "Session*/dialog/EmoEvaluation/*.txt".
        fits: whether a folder is the root of such a corpus.

    Raises:
        InputError: no such folder, an empty one, or another layout; the message says what was
            looked for, what was found, and the folder above or below that fits, if any.
    """
    if not os.path.exists(root):
        end = "is a link that leads nowhere" if os.path.islink(root) else "no such folder"
        raise InputError(f"{root}: {end}; give the corpus's folder as --root")
    if not os.path.isdir(root):
        raise InputError(f"{root}: is a file; give the corpus's folder as --root")
    try:
        names = sorted(os.listdir(root))
    except OSError as error:
        raise InputError(f"{root}: cannot be listed ({error.strerror})") from error
    if not names:
        raise InputError(f"{root}: the folder is empty; it should hold {layout}")
    if not fits(root):
        found = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        other = fitting_folder(root, fits)
        hint = f"; did you mean {other}?" if other else ""
        raise InputError(f"{root}: looked for {layout}, found {found}{hint}")
    return Tree(root, os.path.realpath(root))


def fitting_folder(root: Path, fits: Callable[[Path], bool]) -> Path | None:
    """The nearest folder below or above `root` that fits."""
    for candidate in (*_below(root), *list(Path(os.path.abspath(root)).parents)[:_LEVELS_UP]):
        with suppress(InputError):  # of a link in a folder that nobody asked about
            if fits(candidate):
                return candidate
    return None


def numbered_lines(path: Path, *, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """The lines of a text file; see `Tree.lines`."""
    try:
        with open(path, "rb") as file:
            number = 0
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                yield number, _decode(path, number, raw, encoding).rstrip("\r\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _decode(path: Path, number: int, raw: bytes, encoding: str) -> str:
    where = f"{path}, line {number}"
    if len(raw) > MAX_LINE_BYTES:
        raise InputError(f"{where}: longer than {MAX_LINE_BYTES} bytes; is this a text file?")
    if number == 1 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{where}: UTF-16; save the file as UTF-8")
    if b"\0" in raw:
        raise InputError(f"{where}: a NUL byte; is this a text file?")
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            byte = raw[error.start]
            raise InputError(
                f"{where}: byte 0x{byte:02x} is not UTF-8; save it as UTF-8"
            ) from error


def _below(root: Path) -> Iterator[Path]:
    level = [root]
    for _ in range(_LEVELS_DOWN):
        level = list(islice((f for parent in level for f in _subfolders(parent)), _MOST_FOLDERS))
        yield from level


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.name[:1] != "." and os.path.isdir(p))
    except OSError:
        return []
