"""Shards of an extraction on disk: named by their place, kept when an interrupted run goes on.

A shard that is there is whole (files are renamed into place) and is used again when its
`extraction_key` is the run's (the same manifest, profile, program stage and options) and it holds
the utterances that are due there.
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from amanda.store.errors import InputError
from amanda.store.features import FeatureFile

KEY_ATTR = "extraction_key"
KEPT = "finished.h5"


def shard_path(folder: Path, index: int, count: int) -> Path:
    """`<folder>/003-of-008.h5`, counted from 0."""
    return folder / f"{index:03d}-of-{count:03d}.h5"


def is_finished(path: Path, key: str, ids: Sequence[str]) -> bool:
    """Whether this file was written by a run with this key and holds these utterances."""
    if not path.is_file():
        return False
    try:
        with FeatureFile(path) as features:
            return features.attrs.get(KEY_ATTR) == key and features.ids == list(ids)
    except InputError:
        return False


def keep_finished(out: Path) -> None:
    """Give `out` a second name in its shards' folder, from where `take_kept` gets it back.

    For a workflow that deletes the output of a job whose exit code is not 0, as when too many clips
    have failed. Costs no space while `out` is there.
    """
    folder = _folder(out)
    folder.mkdir(exist_ok=True)
    kept = folder / KEPT
    kept.unlink(missing_ok=True)
    try:
        os.link(out, kept)
    except OSError:  # a file system without links
        shutil.copyfile(out, kept)


def take_kept(out: Path, key: str, ids: Sequence[str]) -> bool:
    """Put a file kept by `keep_finished` in its place, where it is this run's; whether it was."""
    kept = _folder(out) / KEPT
    found = is_finished(kept, key, ids)
    if found:
        os.replace(kept, out)
        shutil.rmtree(_folder(out))
    return found


def _folder(out: Path) -> Path:
    return out.with_name(out.name + ".shards")


@contextmanager
def shard_folder(out: Path) -> Iterator[Path]:
    """The folder of the shards of `out`, for this process alone; removed when the block ends well.

    Raises:
        InputError: another process writes the same file, or the folder cannot be made.
    """
    folder = _folder(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written to ({error.strerror}); choose another output"
        ) from error
    try:
        _lock(lock, out)
        remove_leftovers(folder)
        yield folder
        shutil.rmtree(folder)
    finally:
        os.close(lock)


def remove_leftovers(folder: Path, stem: str = "") -> None:
    """Delete temporary files that a killed process left (`amanda.store.atomic` names them so)."""
    name = re.escape(stem) if stem else r".+"
    pattern = re.compile(rf"\.{name}\.[a-z0-9_]{{8}}\.tmp\.h5")
    if folder.is_dir():
        for path in folder.iterdir():
            if pattern.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _lock(handle: int, out: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{out}: another process is extracting it; wait for it to end") from None
    except OSError:
        return  # a file system without locks
