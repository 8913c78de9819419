"""What a feature file says of its making: versions of libraries, checksums of recordings."""

import hashlib
import importlib.metadata
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import av

from amanda.store.manifest import Utterance, resolve_path

PACKAGES = (
    "torch",
    "torchvision",
    "torchaudio",
    "transformers",
    "timm",
    "av",
    "opencv-python",
    "opencv-python-headless",
    "face-alignment",
    "soxr",
    "h5py",
    "numpy",
)
HASHED_AT_ONCE = 4


def library_versions() -> dict[str, str]:
    """Versions of what decodes and computes; a package may be installed under another name."""
    versions = {
        name: ".".join(map(str, av.library_versions[name])) for name in ("libavcodec", "libswscale")
    }
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def source_checksums(manifest: Path, utterances: Sequence[Utterance]) -> list[str]:
    """SHA-256 of each row's recording, and behind a space that of a sound file of its own.

    Empty for a row without a recording; `-` stands for a file that cannot be read.
    """
    files = [
        [resolve_path(manifest, name) for name in dict.fromkeys((u.path, u.audio_path)) if name]
        for u in utterances
    ]
    hashes = _hashes({path for paths in files for path in paths})
    return [" ".join(hashes[path] for path in paths) for paths in files]


def _hashes(paths: Iterable[Path]) -> dict[Path, str]:
    ordered = sorted(paths)
    with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:  # hashing lets other threads run
        return dict(zip(ordered, pool.map(_sha256, ordered), strict=True))


def _sha256(path: Path) -> str:
    try:
        status = path.stat()
        return _sha256_of(path, status.st_size, status.st_mtime_ns)
    except OSError:
        return "-"


@lru_cache(maxsize=4096)  # a recording's rows may fall into several shards
def _sha256_of(path: Path, _n_bytes: int, _mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
