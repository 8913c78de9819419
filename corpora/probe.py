"""Opening media files to see that they are any: their containers and lengths, nothing decoded."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av

from amanda.store.progress import track

PAST_END_S = 0.5
"""An utterance that ends later than this after its file ends is cut short by it."""
_MOST_THREADS = 16


@dataclass(frozen=True)
class Probe:
    """What a file says of itself.

    Attributes:
        length_s: None where the container does not say.
        problem: why the file cannot be used, "" where it can.
    """

    path: Path
    length_s: float | None = None
    problem: str = ""


def probe(path: Path) -> Probe:
    """Open a file and read its headers."""
    try:
        if os.path.getsize(path) == 0:
            return Probe(path, problem="the file is empty")
        with av.open(str(path)) as container:
            streams = [s for s in container.streams if s.type in ("audio", "video")]
            if not streams:
                return Probe(path, problem="neither sound nor pictures in it")
            lengths = [
                float(s.duration * s.time_base) for s in streams if s.duration and s.time_base
            ]
            if container.duration:
                lengths.append(container.duration / av.time_base)
            # Where no length is given there may be nothing but a header.
            if not lengths and not any(packet.size for packet in islice(container.demux(), 1)):
                return Probe(path, problem="a header, and nothing after it")
            return Probe(path, length_s=max(lengths, default=None))
    except (av.FFmpegError, OSError, ValueError) as error:
        return Probe(path, problem=getattr(error, "strerror", None) or str(error))


def probe_all(paths: Sequence[Path], *, what: str) -> Iterator[Probe]:
    """Probe files, several at a time, in their order and with a progress bar.

    The library waits for disks and parses outside the interpreter's lock, so threads do.
    """
    n_threads = min(_MOST_THREADS, 2 * (os.cpu_count() or 1))
    pool = ThreadPoolExecutor(n_threads)
    try:
        yield from track(pool.map(probe, paths), total=len(paths), what=what)
    finally:
        # Interrupted, it does not go on with thousands of files.
        pool.shutdown(wait=False, cancel_futures=True)
