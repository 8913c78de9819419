"""What the workflow does around a run.

Before: folders that can be written to, no file from the future. After: the errors once more, and no
shard left behind.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from amanda.store.errors import InputError

_MADE = ("data/*/STANDIN.txt", "manifests/*", "features/**/*", "results/**/*")
"""What the workflow makes and reads again; a corpus in data/ may be the user's own."""
_SLACK_S = 1.0
_TAIL_BYTES = 16_384
_ERROR = "Error: "


def refuse_read_only(files: Iterable[Path]) -> None:
    """Raise `InputError` when a folder that files are to be written to, or made in, is read-only.

    Else a job would work for hours and find it out at the end.
    """
    for folder in dict.fromkeys(path.parent for path in files):
        there = next((p for p in (folder, *folder.parents) if p.exists()), Path("."))
        if not os.access(there, os.W_OK | os.X_OK):
            raise InputError(
                f"{there.resolve()}: cannot be written to; make that possible, or work in another "
                "folder (snakemake --directory)"
            )


def file_clock_s(work: Path) -> float:
    """The time that a file written in `work` gets now: on a network, that of the file server."""
    with tempfile.TemporaryFile(dir=work) as file:
        return os.fstat(file.fileno()).st_mtime


def mend_future_times(work: Path, now_s: float) -> list[Path]:
    """Set the time of files that the workflow made to `now_s` where it is later; returns them.

    A clock that was ahead leaves such files. Snakemake takes what is made from one for outdated as
    soon as it is written, and deletes it. All get one time, so that none is older than another.
    """
    made = (path for pattern in _MADE for path in sorted(work.glob(pattern)))
    future = [path for path in made if path.is_file() and _ahead_s(path, now_s) > _SLACK_S]
    for path in future:
        os.utime(path, (now_s, now_s))
    return future


def refuse_future_files(files: Iterable[Path], now_s: float) -> None:
    """Raise `InputError` when a file of the user's is later than `now_s`, see above."""
    for path in files:
        ahead_s = _ahead_s(path, now_s) if path.is_file() else 0.0
        if ahead_s > _SLACK_S:
            raise InputError(
                f"{path}: its time lies {_duration(ahead_s)} in the future, so all that is made "
                f"from it would count as outdated; set the clocks right, then: touch {path}"
            )


def _ahead_s(path: Path, now_s: float) -> float:
    return path.stat().st_mtime - now_s


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def last_errors(logs: Path, since_s: float) -> list[str]:
    """The sentence that each failed job ended with, none twice.

    Args:
        logs: folder of the jobs' logs, in folders of any depth.
        since_s: when the run started, in seconds of the system's clock; older logs are of others.
    """
    found = (_last_error(log) for log in sorted(logs.rglob("*.log")) if _is_since(log, since_s))
    return list(dict.fromkeys(sentence for sentence in found if sentence))


def remove_merged_shards(features: Path) -> list[Path]:
    """Delete shards whose feature file is there and newer; returns them.

    A run that ends between the renaming of the merged file and the deletion of its shards leaves
    them, and no rule would ask for them again.
    """
    gone = list(_merged_shards(features))
    for shard in gone:
        shard.unlink(missing_ok=True)
    for folder in {shard.parent for shard in gone}:
        if not any(folder.iterdir()):
            folder.rmdir()
    return gone


def _merged_shards(features: Path) -> Iterator[Path]:
    for shard in sorted(features.glob("shards/*/*.h5")):
        merged = features / f"{shard.parent.name}.h5"
        if merged.is_file() and shard.stat().st_mtime_ns < merged.stat().st_mtime_ns:
            yield shard


def _is_since(log: Path, since_s: float) -> bool:
    try:
        return log.stat().st_mtime >= since_s
    except OSError:
        return False


def _last_error(log: Path) -> str:
    with open(log, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.startswith(_ERROR)), "")
