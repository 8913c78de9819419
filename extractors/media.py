"""What pictures and sound have in common: opening a recording, its clock, what came of a clip.

The clock of a recording starts at its container's start time, as in players and as `ffmpeg -ss`
counts: a file whose first timestamp is 1.4 s (or −0.1 s) starts at 0 s like any other, and its
pictures and its sound share one clock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from extractors.base import VideoClip

MAX_DEMUX_ERRORS = 100
"""Damaged places in a file after which the rest counts as lost."""

Clip = VideoClip | np.ndarray | str


class MediaError(Exception):
    """A recording, or a stream of it, that cannot be used; becomes the status of its clips."""

    def __init__(self, status: str, detail: str):
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class ClipRequest:
    """The part of a recording that one utterance covers.

    Attributes:
        row: what the caller knows the utterance by.
        start_s: on the recording's clock.
        end_s: None for the recording's end.
        region: where in the picture the person is; see `VideoClip`.
        channel: which channel of the sound to take, None for a mono recording.
    """

    row: int
    start_s: float = 0.0
    end_s: float | None = None
    region: tuple[float, float, float, float] | None = None
    channel: int | None = None


@dataclass(frozen=True, kw_only=True)
class DecodedClip:
    """What came of a request: a clip, or the reason why there is none.

    `truncated` is a clip that the recording cuts short: usable, and `detail` says by how much.

    Attributes:
        end_s: where the recording ends, for a request that did not say where to end.
    """

    row: int
    clip: Clip | None
    status: str = "ok"
    detail: str = ""
    end_s: float | None = None

    @property
    def n_bytes(self) -> int:
        """Memory that the clip takes."""
        if self.clip is None or isinstance(self.clip, str):
            return len(self.clip or "")
        return self.clip.nbytes


@contextmanager
def open_media(path: Path) -> Iterator["av.container.InputContainer"]:
    """Open a recording. Raises `MediaError` (status unreadable) when it is none."""
    if not path.is_file():
        raise MediaError("unreadable", f"no such file: {path}")
    if path.stat().st_size == 0:
        raise MediaError("unreadable", f"the file is empty: {path.name}")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError("unreadable", f"cannot be opened: {reason(error)}") from error
    with container:
        yield container


def packets(
    container: "av.container.InputContainer", stream: Any, errors: list[str]
) -> Iterator["av.Packet"]:
    """The packets of a stream from where the container stands; what goes wrong joins `errors`.

    Behind damaged bytes a demuxer may find its way again, so it is asked again.
    """
    for _ in range(MAX_DEMUX_ERRORS):
        try:
            yield from container.demux(stream)
            return
        except (av.FFmpegError, OSError) as error:
            errors.append(reason(error))


def reason(error: BaseException) -> str:
    """The words of a decoder's error, without paths (they differ between machines)."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def clock_start_s(container: "av.container.InputContainer") -> float:
    """Timestamp of the recording's clock zero; 0 where the container does not say."""
    return (container.start_time or 0) / av.time_base
