"""Bringing weights into the cache: whole, hash-checked, safe when two processes do it at once."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import Any

from filelock import FileLock

from amanda.store.errors import InputError
from amanda.store.wording import counted
from extractors.profiles import Profile, builtin_profiles, load_profile
from extractors.weights.cache import (
    DamagedError,
    cache_dir,
    entry,
    folder_of,
    make_receipt,
    sha256_of,
    verify,
    write_receipt,
)
from extractors.weights.sources import fill
from extractors.weights.table import WEIGHTS, Weight

AT_ONCE = 4


def fetch_profile(profile: Profile) -> Iterator[str]:
    """Put every weight of a profile into the cache; yield one line before and one a weight.

    Raises:
        InputError: a weight cannot be had, or is not what the table says; nothing of it is kept.
    """
    wanted = dict.fromkeys(profile.weights())
    absent = [weight for weight in map(_absent, wanted) if weight is not None]
    if absent:
        megabytes = sum(weight.n_bytes for weight in absent) / 1e6
        yield f"fetching {counted(len(absent), 'weight')}, {megabytes:.0f} MB, into {cache_dir()}"
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(_fetch_line, name, revision) for name, revision in wanted]
        try:
            for job in jobs:
                yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    for modality in profile.modalities:
        section = profile.section(modality)
        if section and section.lacking:
            yield f"lacking   {section.lacking}"


def _absent(wanted: tuple[str, str | None]) -> Weight | None:
    """The entry of a weight that is not in the cache; None where it is, or is the user's own."""
    name, revision = wanted
    if name not in WEIGHTS and Path(name).expanduser().exists():
        return None
    weight = entry(name, revision)
    return None if folder_of(weight, cache_dir()).is_dir() else weight


def _fetch_line(name: str, revision: str | None) -> str:
    if name not in WEIGHTS and Path(name).expanduser().exists():
        return f"{'present':<8}  {name:<32}  your own path"
    start_s = time.monotonic()
    weight = entry(name, revision)
    done = fetch(weight, cache_dir())
    megabytes = sum(p.stat().st_size for p in folder_of(weight, cache_dir()).iterdir()) / 1e6
    seconds = time.monotonic() - start_s
    return f"{done:<8}  {name:<32}  {megabytes:7.1f} MB  {seconds:5.1f} s"


def fetch(weight: Weight, cache: Path) -> str:
    """Put one weight into `cache`, unless it is there and sound.

    Returns:
        "present", "fetched", or "replaced" when the copy in the cache was damaged.
    """
    folder = folder_of(weight, cache)
    if _is_sound(weight, folder):
        return "present"
    with _locked(folder) as alone:
        if _is_sound(weight, folder):  # another process has just fetched it
            return "present"
        done = "replaced" if folder.exists() else "fetched"
        if alone:
            for leftover in cache.glob(f".{folder.name}.*.tmp"):  # of a process that was killed
                shutil.rmtree(leftover, ignore_errors=True)
        _check_space(weight, cache)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=cache))
        try:
            content, scratch = temporary / "content", temporary / "scratch"
            content.mkdir()
            scratch.mkdir()
            revision = fill(weight, content, scratch)
            _check(weight, content)
            write_receipt(content, make_receipt(content, revision))
            _move_into_place(weight, content, folder, temporary / "old")
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return done


def _is_sound(weight: Weight, folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        verify(weight, folder)
    except DamagedError:
        return False
    return True


def _check(weight: Weight, content: Path) -> None:
    for relative, expected in weight.files.items():
        path = content / relative
        found = sha256_of(path) if path.is_file() else "no such file"
        if found != expected:
            raise InputError(
                f"weight '{weight.name}', {relative}: expected sha256 {expected}, found {found} "
                f"in {weight.source}; nothing was kept: fetch it from another mirror"
            )


def _move_into_place(weight: Weight, content: Path, folder: Path, old: Path) -> None:
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(content, folder)
    except OSError:
        # Without a working lock another process may have been first; its copy is as good.
        verify(weight, folder)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the lock of one weight; yields False where the file system has no locks."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f".{folder.name}.lock")
        try:
            lock.acquire()
            held = True
        except NotImplementedError:
            held = False
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"{folder.parent}: the cache cannot be written to ({error.strerror}); set AMANDA_CACHE "
            "to a folder of yours"
        ) from error
    try:
        yield held
    finally:
        if held:
            lock.release()


def _check_space(weight: Weight, cache: Path) -> None:
    free = shutil.disk_usage(cache).free
    needed = 3 * weight.n_bytes  # downloaded, joined, unpacked
    if free < needed:
        raise InputError(
            f"{cache}: {free / 1e6:.0f} MB are free and fetching '{weight.name}' takes "
            f"{needed / 1e6:.0f} MB for a while; free some, or set AMANDA_CACHE to another disk"
        )


def describe_weights(json: bool = False) -> str:
    """The table with, for each weight, which profiles use it and whether the cache has it."""
    users: dict[str, list[str]] = {name: [] for name in WEIGHTS}
    for profile in builtin_profiles():
        for name, _ in load_profile(profile).weights():
            if name in users:
                users[name].append(profile)
    rows: list[dict[str, Any]] = [
        {
            "name": weight.name,
            "profiles": users[weight.name],
            "megabytes": round(weight.n_bytes / 1e6, 1),
            "licence": weight.licence,
            "language": weight.language,
            "source": str(weight.source),
            "sha256": weight.files[weight.main],
            "state": _state(weight),
        }
        for weight in WEIGHTS.values()
    ]
    if json:
        return dumps({"cache": str(cache_dir()), "weights": rows}, indent=1)
    lines = [f"cache {cache_dir()}"]
    for row in rows:
        lines.append(
            f"{row['state']:<8}  {row['name']:<32}  {row['megabytes']:6} MB  {row['licence']:<12}  "
            f"{','.join(row['profiles']):<8}  {row['source']}  "
            f"sha256 {row['sha256'][:12]}…"
        )
    return "\n".join(lines)


def _state(weight: Weight) -> str:
    folder = folder_of(weight, cache_dir())
    if not folder.is_dir():
        return "missing"
    return "present" if _is_sound(weight, folder) else "damaged"
