"""A corpus of your own: a CSV in the form of the manifest (`docs/formats.md`).

Only `id` and `path` are needed. Paths are relative to the CSV's folder.
"""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance, read_header, read_manifest
from corpora.rows import Dropped, Note


def fits(folder: Path) -> bool:
    """A CSV is given by its own name, not by a folder's."""
    return False


def read(root: Path) -> Iterator[Utterance | Dropped | Note]:
    """Yield the rows of the CSV `root`, those with no media file of theirs in place dropped."""
    if root.is_dir():
        found = sorted(p.name for p in root.glob("*.csv"))
        hint = f", as {root / found[0]}" if found else ""
        raise InputError(f"{root}: is a folder; give the CSV file itself as --root{hint}")
    has_split = "split" in read_header(root)
    for row in read_manifest(root, classes=None):
        media = [path for path in (row.path, row.audio_path) if path]
        missing = [path for path in media if not os.path.isfile(root.parent / path)]
        if media and missing == media:
            yield Dropped(id=row.id, reason="media file missing", file=missing[0])
            continue
        yield row if has_split else dataclasses.replace(row, split="")
        if missing:
            yield Note(what="a path or audio_path without its file", file=missing[0])
