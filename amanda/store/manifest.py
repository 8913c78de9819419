"""The manifest: one CSV row (UTF-8) an utterance, the contract between `corpora` and `extractors`.

Times are seconds. `path` and `audio_path` are relative to the CSV's folder, or absolute. Empty
`start_s`/`end_s` mean the whole file; an empty label means unlabelled. `region` is x0,y0,x1,y1 as
fractions of the frame. When `audio_path` is given it runs on the clock of `path`, unless
`audio_start_s` says where in it the utterance begins (0 for a file of this utterance alone).
`docs/formats.md` has the same in prose.
"""

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from amanda.store.atomic import atomic_path
from amanda.store.errors import InputError
from amanda.store.manifest_rows import read_header, scan
from amanda.store.names import CLASSES
from amanda.store.utterance import OPTIONAL, REQUIRED, SHARE_PREFIX, Utterance


def read_manifest(path: Path, *, classes: Sequence[str] | None = CLASSES) -> list[Utterance]:
    """Read a manifest whole.

    Args:
        path: the CSV file.
        classes: what `label` and the `p_` columns may name; None allows any name.

    Raises:
        InputError: the file, or any row of it, breaks the contract; the message names the first
            problem, and whether there are more (`amanda check FILE` lists them all).
    """
    rows: list[Utterance] = []
    problems: list[str] = []
    for item in scan(Path(path), classes):
        if isinstance(item, Utterance):
            rows.append(item)
        else:
            problems.append(item)
    if problems:
        more = f" (and more: amanda check {path} lists them all)" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)
    return rows


def count_rows(path: Path) -> int:
    """How many rows a manifest has, in the memory of one; its cells are not looked at.

    Raises:
        InputError: the file cannot be read as CSV.
    """
    read_header(path)
    with open(path, encoding="utf-8-sig", newline="") as file:
        return sum(1 for row in csv.reader(file) if row) - 1


def check_manifest(path: Path, *, classes: Sequence[str] | None = CLASSES) -> list[str]:
    """Every problem of a manifest, one sentence each, with its line number; empty when sound."""
    try:
        return [item for item in scan(Path(path), classes) if isinstance(item, str)]
    except InputError as error:
        return [str(error)]


def write_manifest(path: Path, rows: Iterable[Utterance]) -> None:
    """Write `rows`, whole or not at all; optional columns that are empty everywhere are left out.

    Numbers keep 6 decimals: a microsecond, where they are times.
    """
    rows = list(rows)
    default = Utterance(id="", path="")
    columns = [*REQUIRED]
    columns += [c for c in OPTIONAL if any(getattr(r, c) != getattr(default, c) for r in rows)]
    shares = sorted({name for row in rows for name in row.shares}, key=_share_order)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns + [SHARE_PREFIX + name for name in shares])
        for row in rows:
            cells = [_cell(getattr(row, column)) for column in columns]
            writer.writerow(cells + [_cell(row.shares.get(name)) for name in shares])


def read_meta(manifest: Path) -> dict[str, Any]:
    """How a manifest was made: `<name>.meta.json` beside it, {} where there is none of this file.

    Keys are those of `docs/formats.md`; `labels_used` says what the labels decided.
    """
    path = Path(manifest).with_suffix(".meta.json")
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        digest = hashlib.sha256(Path(manifest).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return {}
    fits = isinstance(meta, dict) and meta.get("manifest_sha256") == digest
    return meta if fits else {}


def manifest_classes(manifest: Path) -> tuple[str, ...]:
    """The classes of a manifest's labels, in order: as the note beside it says, else the four.

    Unlike `read_meta` this holds for a manifest that was edited after it was made, too.
    """
    try:
        meta = json.loads(Path(manifest).with_suffix(".meta.json").read_text(encoding="utf-8"))
        classes = meta["classes"]
    except (OSError, ValueError, KeyError, TypeError):
        return CLASSES
    fits = isinstance(classes, list) and classes and all(isinstance(c, str) for c in classes)
    return tuple(classes) if fits else CLASSES


def rebase_from(old: Path, new: Path) -> Callable[[str], str]:
    """A function from paths relative to the folder `old` to paths relative to the folder `new`.

    Absolute paths stay, and so does "".
    """
    # `..` steps up from where a link leads, so the new folder is resolved; the old one is not, so
    # that a link to it may be pointed elsewhere.
    step = os.path.relpath(os.path.abspath(old), os.path.realpath(new))

    def rebase(path: str) -> str:
        return os.path.join(step, path) if path and step != os.curdir else path

    return rebase


def resolve_path(manifest: Path, path: str) -> Path:
    """Where a `path` or `audio_path` of this manifest lies."""
    # os.path.realpath, unlike Path.resolve, does not raise on a loop of links.
    return Path(os.path.realpath(Path(manifest).parent / path))


def _share_order(name: str) -> tuple[int, str]:
    return (CLASSES.index(name) if name in CLASSES else len(CLASSES), name)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(_cell(v) for v in value)
    if isinstance(value, float):
        return repr(round(value, 6))
    return str(value)


__all__ = [
    "OPTIONAL",
    "REQUIRED",
    "SHARE_PREFIX",
    "Utterance",
    "check_manifest",
    "manifest_classes",
    "read_header",
    "read_manifest",
    "read_meta",
    "resolve_path",
    "write_manifest",
]
