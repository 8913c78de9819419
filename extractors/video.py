"""Frames of a video by presentation time (PyAV).

Rule (`FRAME_RULE`): the clip [start, end) is cut into n equal intervals; at the middle of each,
the frame on show is taken, that is the last one whose presentation time is not later. Where there
are fewer frames than instants, frames repeat. An instant before the first frame takes the first;
an instant after the last frame has left the screen takes nothing (status `truncated`).
Presentation times, not frame numbers: at a variable frame rate t × fps picks wrong frames.

AVI stores no presentation times (what libav offers is late by the decoder's delay, or out of
order): there the k-th frame shown has the k-th time slot of the file, and no seek skips any.

A video is opened once for all its utterances and decoded in one pass; only the chosen frames are
converted to RGB.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float, UInt8

from extractors.base import VideoClip
from extractors.media import (
    ClipRequest,
    DecodedClip,
    MediaError,
    clock_start_s,
    open_media,
    packets,
    reason,
)

FRAME_RULE = "the frame on show at the middle of each of n equal intervals, by presentation time"

SEEK_GAP_S = 5.0
"""Decode on rather than seek over a gap up to this: a seek goes back to a key frame anyway."""
MAX_SIDE_PX = 1920
"""Larger frames are scaled down (area average): 64 frames of 4K would take 1.6 GB."""


def sample_instants(start_s: float, end_s: float, n_frames: int) -> Float[np.ndarray, "n"]:
    """The middles of `n_frames` equal intervals of [start_s, end_s)."""
    return start_s + (np.arange(n_frames) + 0.5) * (end_s - start_s) / n_frames


def read_video_clips(
    path: Path, requests: Sequence[ClipRequest], n_frames: int
) -> Iterator[DecodedClip]:
    """Yield each request's `VideoClip`, in the order in which they end.

    Nothing about the file raises: a clip that cannot be had comes back with status `unreadable`
    or `no_video` and the reason.
    """
    try:
        with open_media(path) as container:
            yield from _Walk(container, requests, n_frames)
    except MediaError as error:
        for request in requests:
            yield DecodedClip(row=request.row, clip=None, status=error.status, detail=error.detail)


def pictures_of(container: "av.container.InputContainer") -> "av.VideoStream | None":
    """The first video stream, or None. A sound file's cover picture is none."""
    covers = av.stream.Disposition.attached_pic
    streams = (s for s in container.streams.video if not s.disposition & covers)
    return next(streams, None)


@dataclass(slots=True)
class _Shown:
    """A decoded frame, its time on the recording's clock, and its RGB picture once asked for."""

    frame: "av.VideoFrame"
    start_s: float
    end_s: float
    aspect: Fraction
    rgb: np.ndarray | None = None

    def picture(self) -> UInt8[np.ndarray, "height width 3"]:
        if self.rgb is None:
            self.rgb = _to_rgb(self.frame, self.aspect)
        return self.rgb


@dataclass(slots=True)
class _Open:
    """A request whose frames are being gathered."""

    request: ClipRequest
    end_s: float
    n_left: int
    frames: list[UInt8[np.ndarray, "height width 3"]] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)


class _Walk:
    """One pass over a video that serves the instants of all requests in order of time."""

    def __init__(
        self,
        container: "av.container.InputContainer",
        requests: Sequence[ClipRequest],
        n_frames: int,
    ):
        stream = pictures_of(container)
        if stream is None:
            raise MediaError("no_video", "the file has no video stream")
        self.container, self.stream = container, stream
        self.stream.codec_context.thread_count = 1
        self.requests, self.n_frames = requests, n_frames
        self.zero_s = clock_start_s(container)
        self.time_base = self.stream.time_base or Fraction(1, av.time_base)
        self.times_by_order = container.format.name == "avi"
        self.errors: list[str] = []
        rate = self.stream.average_rate or self.stream.base_rate
        self.frame_s = float(1 / rate) if rate else 0.0
        self.shown: _Shown | None = None
        self.ahead: _Shown | None = None
        self.decoder = self._decode()

    def __iter__(self) -> Iterator[DecodedClip]:
        whole_s = self._end_s() if any(r.end_s is None for r in self.requests) else 0.0
        instants: list[tuple[float, int]] = []
        waiting: dict[int, _Open] = {}
        for i, request in enumerate(self.requests):
            end_s = whole_s if request.end_s is None else request.end_s
            waiting[i] = _Open(request=request, end_s=end_s, n_left=self.n_frames)
            wanted = sample_instants(request.start_s, max(end_s, request.start_s), self.n_frames)
            instants += [(float(t), i) for t in wanted]
        heapq.heapify(instants)
        self._advance(to_s=instants[0][0] if instants else 0.0)
        while instants:
            instant_s, i = heapq.heappop(instants)
            clip = waiting[i]
            self._advance(to_s=instant_s)
            # Before the first frame, the first; after the last has gone, none.
            on_show = self.shown or self.ahead
            if on_show is not None and (self.ahead is not None or instant_s < on_show.end_s):
                clip.frames.append(on_show.picture())
                clip.times_s.append(on_show.start_s - clip.request.start_s)
            clip.n_left -= 1
            if not clip.n_left:
                yield self._finish(waiting.pop(i))

    def _finish(self, clip: _Open) -> DecodedClip:
        request = clip.request
        missing = self.n_frames - len(clip.frames)
        ended_s = self.shown.end_s if self.shown else 0.0
        trouble = f" ({self.errors[0]})" if self.errors else ""
        if not clip.frames:
            detail = (
                f"the clip starts at {request.start_s:.2f} s, "
                f"but the video ends at {ended_s:.2f} s{trouble}"
                if self.shown
                else f"no frame could be decoded{trouble}"
            )
            return DecodedClip(row=request.row, clip=None, status="unreadable", detail=detail)
        sizes = {frame.shape for frame in clip.frames}
        if len(sizes) > 1:
            detail = "the picture changes its size within the clip"
            return DecodedClip(row=request.row, clip=None, status="unreadable", detail=detail)
        return DecodedClip(
            row=request.row,
            end_s=clip.end_s if request.end_s is None else None,
            clip=VideoClip(
                frames=np.stack(clip.frames),
                time_s=np.asarray(clip.times_s, np.float64),
                region=request.region,
            ),
            status="truncated" if missing else "ok",
            detail=(
                f"{missing} of {self.n_frames} frames missing: the clip ends at "
                f"{clip.end_s:.2f} s, the video at {ended_s:.2f} s{trouble}"
                if missing
                else ""
            ),
        )

    def _advance(self, *, to_s: float) -> None:
        """Make `shown` the last frame not later than `to_s`, and `ahead` the one after it."""
        at_s = self.shown.start_s if self.shown else 0.0
        far = to_s - at_s > SEEK_GAP_S and not self.times_by_order
        if far and (self.ahead is not None or self.shown is None):
            self._seek(to_s)
        elif self.shown is None and self.ahead is None:
            self.ahead = next(self.decoder, None)
        while self.ahead is not None and self.ahead.start_s <= to_s:
            self.shown, self.ahead = self.ahead, next(self.decoder, None)

    def _seek(self, to_s: float) -> None:
        """Restart decoding at a key frame not later than `to_s`."""
        back_s = 0.0
        while True:
            target_s = max(0.0, to_s - back_s)
            offset = round((target_s + self.zero_s) / self.time_base)
            try:
                self.container.seek(offset, stream=self.stream, backward=True)
            except (av.FFmpegError, OSError):
                # A container that cannot seek is decoded from where it stands.
                if self.shown is None and self.ahead is None:
                    self.ahead = next(self.decoder, None)
                return
            self.decoder = self._decode()
            self.shown, self.ahead = None, next(self.decoder, None)
            # Some indices go by decoding time, so the frame found may be a little later than asked.
            if target_s == 0.0 or (self.ahead is not None and self.ahead.start_s <= to_s):
                return
            back_s = 2 * back_s + 1.0

    def _decode(self) -> Iterator[_Shown]:
        """Frames in presentation order from where the container stands; bad packets are skipped."""
        last_s = -np.inf
        slots: list[int] = []  # times of packets whose frames have not come out yet
        for packet in packets(self.container, self.stream, self.errors):
            try:
                frames = packet.decode()
            except (av.FFmpegError, OSError) as error:
                self.errors.append(reason(error))
                continue
            if packet.size and packet.dts is not None:
                heapq.heappush(slots, packet.dts)
            for frame in frames:
                slot = heapq.heappop(slots) if slots else None
                shown = self._time(frame, slot if self.times_by_order else frame.pts, last_s)
                last_s = shown.start_s
                yield shown

    def _time(self, frame: "av.VideoFrame", pts: int | None, last_s: float) -> _Shown:
        base = frame.time_base or self.time_base
        duration_s = float(frame.duration * base) if frame.duration else self.frame_s
        if pts is not None:
            start_s = max(float(pts * base) - self.zero_s, last_s)
        else:
            start_s = 0.0 if np.isinf(last_s) else last_s + duration_s
        aspect = self.stream.codec_context.sample_aspect_ratio or Fraction(1)
        return _Shown(frame, start_s, start_s + duration_s, Fraction(aspect))

    def _end_s(self) -> float:
        """When the last frame leaves the screen: from the header, else by reading all packets."""
        stream = self.stream
        if stream.duration:
            start = stream.start_time or 0
            return float((start + stream.duration) * self.time_base) - self.zero_s
        last_s = 0.0
        for packet in packets(self.container, self.stream, self.errors):
            pts = packet.pts if packet.pts is not None else packet.dts
            if pts is not None:
                length_s = float((packet.duration or 0) * self.time_base) or self.frame_s
                last_s = max(last_s, float(pts * self.time_base) - self.zero_s + length_s)
        self.container.seek(0)
        return last_s


def _to_rgb(frame: "av.VideoFrame", aspect: Fraction) -> UInt8[np.ndarray, "height width 3"]:
    """A frame as a player shows it: square pixels, upright."""
    width, height = frame.width, frame.height
    if aspect > 0 and aspect != 1:
        width = max(1, round(width * aspect))
    shrink = max(1.0, max(width, height) / MAX_SIDE_PX)
    width, height = max(1, round(width / shrink)), max(1, round(height / shrink))
    if (width, height) != (frame.width, frame.height):
        rgb = frame.to_ndarray(width=width, height=height, format="rgb24", interpolation="AREA")
    else:
        rgb = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4  # counterclockwise, as np.rot90 turns
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


__all__ = ["FRAME_RULE", "SEEK_GAP_S", "pictures_of", "read_video_clips", "sample_instants"]
