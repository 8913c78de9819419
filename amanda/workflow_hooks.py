"""What the workflow does when a run ends: the errors once more, and no shard left behind."""

from collections.abc import Iterator
from pathlib import Path

_TAIL_BYTES = 16_384
_ERROR = "Error: "


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
