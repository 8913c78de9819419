"""Frames of a video by presentation time (PyAV).

Rule (`FRAME_RULE`): the clip [start, end) is cut into n equal intervals; at the middle of each,
the frame on show is taken, that is the last one whose presentation time is not later. Where there
are fewer frames than instants, frames repeat. An instant before the first frame takes the first;
an instant after the last frame has left the screen takes nothing (status `truncated`).
Presentation times, not frame numbers: at a variable frame rate t × fps picks wrong frames.

AVI stores no presentation times (what libav offers is late by the decoder's delay, or out of
order): there the k-th frame shown has the k-th time slot of the file, and no seek skips any.

A video is opened once for all its utterances and decoded in one pass; only the chosen frames are
converted to RGB. Glimpses are further frames of a clip that the pass comes by anyway, kept grey and
small: who speaks shows in mouths, and 16 frames a clip are too few to see them move.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import Float, UInt8

from extractors.base import Glimpses, VideoClip
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
MAX_PIXELS = 8192 * 8192
"""Larger frames are refused: a few bytes can claim a picture that fills the memory."""
MAX_GLIMPSE_PX = 640
MAX_GLIMPSED_S = 12.0
"""Glimpses cover so much of a clip, at this size: 30 MB at 12.5 a second of 640 × 320."""


def sample_instants(start_s: float, end_s: float, n_frames: int) -> Float[np.ndarray, "n"]:
    """The middles of `n_frames` equal intervals of [start_s, end_s)."""
    return start_s + (np.arange(n_frames) + 0.5) * (end_s - start_s) / n_frames


def glimpse_instants(start_s: float, end_s: float, rate_hz: float) -> Float[np.ndarray, "m"]:
    """Every 1 / `rate_hz` of [start_s, end_s), or of the `MAX_GLIMPSED_S` in its middle.

    None where `rate_hz` is 0.
    """
    if rate_hz <= 0 or end_s <= start_s:
        return np.zeros(0)
    late_s = max(0.0, (end_s - start_s - MAX_GLIMPSED_S) / 2)
    length_s = end_s - start_s - 2 * late_s
    return start_s + late_s + np.arange(int(np.ceil(length_s * rate_hz - 1e-9))) / rate_hz


def read_video_clips(
    path: Path, requests: Sequence[ClipRequest], n_frames: int, *, glimpse_hz: float = 0.0
) -> Iterator[DecodedClip]:
    """Yield each request's `VideoClip`, in the order in which they end.

    Args:
        glimpse_hz: how many glimpses a second it gets; a frame on show for longer is one glimpse.

    Nothing about the file raises: a clip that cannot be had comes back with status `unreadable`
    or `no_video` and the reason.
    """
    try:
        with open_media(path) as container:
            yield from _Walk(container, requests, n_frames, glimpse_hz)
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
    luma: np.ndarray | None = None

    def picture(self, scaler: "Scaler") -> UInt8[np.ndarray, "height width 3"]:
        if self.rgb is None:
            self.rgb = scaler(self.frame, self.aspect, "rgb24", MAX_SIDE_PX)
        return self.rgb

    def glimpse(self, scaler: "Scaler") -> UInt8[np.ndarray, "height width"]:
        if self.luma is None:
            self.luma = scaler(self.frame, self.aspect, "gray", MAX_GLIMPSE_PX)
        return self.luma


@dataclass(slots=True)
class _Open:
    """A request whose frames are being gathered."""

    request: ClipRequest
    end_s: float
    n_left: int
    frames: list[UInt8[np.ndarray, "height width 3"]] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    glimpses: list[UInt8[np.ndarray, "height width"]] = field(default_factory=list)
    glimpsed_s: list[float] = field(default_factory=list)

    def take(self, shown: _Shown, scaler: "Scaler", *, as_glimpse: bool) -> None:
        at_s = shown.start_s - self.request.start_s
        if not as_glimpse:
            self.frames.append(shown.picture(scaler))
            self.times_s.append(at_s)
        elif not self.glimpsed_s or at_s > self.glimpsed_s[-1]:
            self.glimpses.append(shown.glimpse(scaler))
            self.glimpsed_s.append(at_s)

    def all_glimpses(self) -> Glimpses | None:
        """None where none were asked for, or the picture changes its size."""
        if len({glimpse.shape for glimpse in self.glimpses}) != 1:
            return None
        return Glimpses(frames=np.stack(self.glimpses), time_s=np.asarray(self.glimpsed_s))


class _Walk:
    """One pass over a video that serves the instants of all requests in order of time."""

    def __init__(
        self,
        container: "av.container.InputContainer",
        requests: Sequence[ClipRequest],
        n_frames: int,
        glimpse_hz: float,
    ):
        stream = pictures_of(container)
        if stream is None:
            raise MediaError("no_video", "the file has no video stream")
        self.container, self.stream = container, stream
        self.stream.codec_context.thread_count = 1
        self.stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        self.requests, self.n_frames, self.glimpse_hz = requests, n_frames, glimpse_hz
        self.zero_s = clock_start_s(container)
        self.time_base = self.stream.time_base or Fraction(1, av.time_base)
        self.times_by_order = container.format.name == "avi"
        self.scaler = Scaler()
        self.errors: list[str] = []
        rate = self.stream.average_rate or self.stream.base_rate
        self.frame_s = float(1 / rate) if rate else 0.0
        self.shown: _Shown | None = None
        self.ahead: _Shown | None = None
        self.decoder = self._decode()

    def __iter__(self) -> Iterator[DecodedClip]:
        whole_s = self._end_s() if any(r.end_s is None for r in self.requests) else 0.0
        instants: list[tuple[float, int, bool]] = []  # when, whose, and whether a glimpse
        waiting: dict[int, _Open] = {}
        for i, request in enumerate(self.requests):
            end_s = whole_s if request.end_s is None else request.end_s
            wanted = sample_instants(request.start_s, max(end_s, request.start_s), self.n_frames)
            glimpsed = glimpse_instants(request.start_s, end_s, self.glimpse_hz)
            n_left = len(wanted) + len(glimpsed)
            waiting[i] = _Open(request=request, end_s=end_s, n_left=n_left)
            instants += [(float(t), i, False) for t in wanted]
            instants += [(float(t), i, True) for t in glimpsed]
        heapq.heapify(instants)
        self._advance(to_s=instants[0][0] if instants else 0.0)
        while instants:
            instant_s, i, as_glimpse = heapq.heappop(instants)
            clip = waiting[i]
            self._advance(to_s=instant_s)
            # Before the first frame, the first; after the last has gone, none.
            on_show = self.shown or self.ahead
            if on_show is not None and (self.ahead is not None or instant_s < on_show.end_s):
                clip.take(on_show, self.scaler, as_glimpse=as_glimpse)
            clip.n_left -= 1
            if not clip.n_left:
                yield self._finish(waiting.pop(i))

    def _finish(self, clip: _Open) -> DecodedClip:
        request = clip.request
        missing = self.n_frames - len(clip.frames)
        ended_s = self.shown.end_s if self.shown else 0.0
        trouble = f" ({self.errors[0]})" if self.errors else ""
        if not clip.frames:
            if not self.shown:
                detail = f"no frame could be decoded{trouble}"
            elif request.start_s >= ended_s:
                detail = (
                    f"the clip starts at {request.start_s:.2f} s, "
                    f"but the video ends at {ended_s:.2f} s{trouble}"
                )
            else:  # so much shorter than it claims that the first instant is too late
                detail = (
                    f"the clip is {request.start_s:.2f} to {clip.end_s:.2f} s, "
                    f"but the video ends at {ended_s:.2f} s{trouble}"
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
                glimpses=clip.all_glimpses(),
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
        # Integers, divided once: as exact as fractions, and every frame of a video comes by here.
        ticks, units = self.time_base.numerator, self.time_base.denominator
        duration_s = frame.duration * ticks / units if frame.duration else self.frame_s
        if pts is not None:
            start_s = max(pts * ticks / units - self.zero_s, last_s)
        else:
            start_s = 0.0 if last_s == -np.inf else last_s + duration_s
        aspect = self.stream.codec_context.sample_aspect_ratio or Fraction(1)
        return _Shown(frame, start_s, start_s + duration_s, aspect)

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


class Scaler:
    """Pictures of frames as a player shows them: square pixels, upright.

    One libswscale context a format serves all frames of a video, and runs on the calling thread:
    by itself PyAV sets one up for every frame and starts a thread a CPU.
    """

    def __init__(self) -> None:
        self._contexts: dict[str, VideoReformatter] = {}

    def __call__(
        self, frame: "av.VideoFrame", aspect: Fraction, pixels: str, max_side_px: int
    ) -> UInt8[np.ndarray, "height width *channels"]:
        """The frame as `pixels` (rgb24, gray), no side longer than `max_side_px`."""
        width, height = frame.width, frame.height
        if aspect > 0 and aspect != 1:
            width = max(1, round(width * aspect))
        shrink = max(1.0, max(width, height) / max_side_px)
        width, height = max(1, round(width / shrink)), max(1, round(height / shrink))
        how = "BILINEAR" if (width, height) == (frame.width, frame.height) else "AREA"
        context = self._contexts.setdefault(pixels, VideoReformatter())
        scaled = context.reformat(frame, width, height, pixels, interpolation=how, threads=1)
        array = scaled.to_ndarray()
        turns = round(frame.rotation / 90) % 4  # counterclockwise, as np.rot90 turns
        return np.ascontiguousarray(np.rot90(array, turns)) if turns else array


__all__ = ["FRAME_RULE", "SEEK_GAP_S", "pictures_of", "read_video_clips", "sample_instants"]
