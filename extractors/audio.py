"""Sound of clips: one channel, 16 kHz, float32 (PyAV to decode, soxr to resample).

A recording is decoded once, from its start, for all its utterances: a seek in compressed sound
lands where it likes, while decoding is some hundred times faster than the recording runs. Only the
samples of the clips under way are kept. Each clip is cut at the recording's own rate and then
resampled by itself, so that it does not depend on which other clips are read.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import soxr
from jaxtyping import Float, Float32

from extractors.media import (
    ClipRequest,
    DecodedClip,
    MediaError,
    clock_start_s,
    open_media,
    packets,
    reason,
)

RATE_HZ = 16_000
RESAMPLER = f"soxr {soxr.__version__} HQ"
GAP_S = 0.1
"""Timestamps that disagree with the count of samples by less are rounding (Matroska: 1 ms); by
more, a gap in the recording, which is filled with silence. Also how much shorter than asked a clip
may be without being called truncated."""


def refused_waveform(waveform: Float[np.ndarray, "samples"], least: int) -> tuple[str, str] | None:
    """Status and reason of a waveform that no extractor can use; None for the others.

    Args:
        least: samples that the first frame of features needs.
    """
    if not len(waveform):
        return "no_audio", "the audio has no samples"
    if not_finite := int(np.count_nonzero(~np.isfinite(waveform))):
        return "unreadable", f"{not_finite} of {len(waveform)} samples are NaN or infinite"
    if len(waveform) < least:
        return "too_short", f"{len(waveform)} samples at 16 kHz; at least {least} are needed"
    return None


def read_audio_clips(
    path: Path, requests: Sequence[ClipRequest], *, downmix: bool = False
) -> Iterator[DecodedClip]:
    """Yield each request's waveform, in the order in which they end.

    Of several channels, the request's `channel` is taken; without one, channels that are equal
    sample by sample count as mono, `downmix` averages them, and otherwise the clip is `unreadable`:
    whether to merge, say, a caller and an agent is not ours to decide.

    Nothing about the file raises: a clip that cannot be had comes back with its status
    (`unreadable`, `no_audio`, `too_short`) and the reason.
    """
    left = sorted(requests, key=lambda r: r.start_s)
    try:
        with open_media(path) as container:
            for done in _walk(container, left, downmix):
                left = [r for r in left if r.row != done.row]
                yield done
    except MediaError as error:
        for request in left:
            yield DecodedClip(row=request.row, clip=None, status=error.status, detail=error.detail)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Consecutive samples of a recording: (channels, n) from sample `start` on."""

    start: int
    samples: Float32[np.ndarray, "channels n"]

    @property
    def stop(self) -> int:
        return self.start + self.samples.shape[1]


@dataclass(slots=True)
class _Open:
    """A request whose samples [start, stop) are being gathered, `have` being the next one due.

    A `stop` of None is the recording's end.
    """

    request: ClipRequest
    start: int
    stop: int | None
    have: int
    pieces: list[Float32[np.ndarray, "channels n"]] = field(default_factory=list)

    def take(self, chunk: _Chunk) -> None:
        stop = chunk.stop if self.stop is None else min(self.stop, chunk.stop)
        if chunk.start > self.have:  # the sound begins late, or a gap: silence keeps the time
            n_silent = min(chunk.start, stop) - self.have
            self.pieces.append(np.zeros((len(chunk.samples), max(0, n_silent)), np.float32))
            self.have += max(0, n_silent)
        if stop > self.have:
            self.pieces.append(
                chunk.samples[:, self.have - chunk.start : stop - chunk.start].copy()
            )
            self.have = stop


def _walk(
    container: "av.container.InputContainer", requests: Sequence[ClipRequest], downmix: bool
) -> Iterator[DecodedClip]:
    """Serve the requests, sorted by start, from one pass over the sound."""
    if not container.streams.audio:
        raise MediaError("no_audio", "the file has no audio stream")
    stream = container.streams.audio[0]
    stream.codec_context.thread_count = 1
    rate_hz = stream.codec_context.sample_rate
    errors: list[str] = []
    waiting: deque[_Open] = deque()
    for request in requests:
        start = round(request.start_s * rate_hz)
        stop = None if request.end_s is None else round(request.end_s * rate_hz)
        waiting.append(_Open(request=request, start=start, stop=stop, have=start))
    running: list[_Open] = []
    reached = 0
    for chunk in _chunks(container, stream, rate_hz, errors):
        reached = chunk.stop
        while waiting and waiting[0].start < reached:
            running.append(waiting.popleft())
        for clip in running:
            clip.take(chunk)
        for clip in [c for c in running if c.stop is not None and c.stop <= reached]:
            running.remove(clip)
            yield _finish(clip, rate_hz, reached, errors, downmix)
        if not waiting and not running:
            return
    for clip in (*running, *waiting):
        yield _finish(clip, rate_hz, reached, errors, downmix)


def _chunks(
    container: "av.container.InputContainer",
    stream: "av.AudioStream",
    rate_hz: int,
    errors: list[str],
) -> Iterator[_Chunk]:
    """The recording's samples on its clock; undecodable packets leave a gap."""
    zero_s = clock_start_s(container)
    expected: int | None = None
    channels: int | None = None
    for frame in _frames(container, stream, errors):
        samples = _to_float(frame)
        channels = channels or len(samples)
        if frame.sample_rate != rate_hz or len(samples) != channels:
            errors.append("rate or channels change within the recording")
            return
        start = expected if expected is not None else 0
        if frame.pts is not None and frame.time_base is not None:
            stamped = round((float(frame.pts * frame.time_base) - zero_s) * rate_hz)
            if expected is None or stamped - expected > GAP_S * rate_hz:
                start = stamped
        expected = start + samples.shape[1]
        yield _Chunk(start=start, samples=samples)


def _frames(
    container: "av.container.InputContainer", stream: "av.AudioStream", errors: list[str]
) -> Iterator["av.AudioFrame"]:
    for packet in packets(container, stream, errors):
        try:
            frames = packet.decode()
        except (av.FFmpegError, OSError) as error:
            errors.append(reason(error))
            continue
        for frame in frames:
            if isinstance(frame, av.AudioFrame):
                yield frame


def _to_float(frame: "av.AudioFrame") -> Float32[np.ndarray, "channels n"]:
    """Samples as float32, full scale ±1, whatever the decoder's format."""
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, frame.layout.nb_channels).T
    if raw.dtype == np.uint8:
        return ((raw.astype(np.float32) - 128.0) / 128.0).astype(np.float32)
    if np.issubdtype(raw.dtype, np.integer):
        return (raw / float(1 << 8 * raw.dtype.itemsize - 1)).astype(np.float32)
    return raw.astype(np.float32)


def _finish(
    clip: _Open, rate_hz: int, reached: int, errors: list[str], downmix: bool
) -> DecodedClip:
    request = clip.request

    def unusable(status: str, detail: str) -> DecodedClip:
        return DecodedClip(row=request.row, clip=None, status=status, detail=detail)

    trouble = f" ({errors[0]})" if errors else ""
    samples = np.concatenate(clip.pieces, axis=1) if clip.pieces else np.zeros((1, 0), np.float32)
    if not samples.size:
        if not reached and errors:
            return unusable("unreadable", f"no sample could be decoded{trouble}")
        if not reached:
            return unusable("too_short", "the recording holds no sample")
        if clip.start >= reached:
            return unusable(
                "unreadable",
                f"the clip starts at {request.start_s:.2f} s, but the sound ends at "
                f"{reached / rate_hz:.2f} s{trouble}",
            )
        return unusable("too_short", f"the clip is shorter than one sample at {rate_hz} Hz")
    if not np.isfinite(samples).all():
        at = int(np.flatnonzero(~np.isfinite(samples).all(axis=0))[0])
        return unusable("unreadable", f"NaN or infinity {at / rate_hz:.2f} s into the clip")
    try:
        mono = _one_channel(samples, request.channel, downmix)
    except MediaError as error:
        return unusable(error.status, error.detail)
    waveform = mono if rate_hz == RATE_HZ else soxr.resample(mono, rate_hz, RATE_HZ, quality="HQ")
    if not len(waveform):
        return unusable("too_short", f"the clip is {len(mono)} samples at {rate_hz} Hz")
    missing_s = 0.0 if clip.stop is None else (clip.stop - clip.start - len(mono)) / rate_hz
    short = missing_s > GAP_S
    return DecodedClip(
        row=request.row,
        clip=np.ascontiguousarray(waveform, np.float32),
        status="truncated" if short else "ok",
        detail=f"the sound ends {missing_s:.2f} s before the clip{trouble}" if short else "",
        end_s=reached / rate_hz if clip.stop is None else None,
    )


def _one_channel(
    samples: Float32[np.ndarray, "channels n"], channel: int | None, downmix: bool
) -> Float32[np.ndarray, "n"]:
    n_channels = len(samples)
    if channel is not None:
        if channel >= n_channels:
            raise MediaError(
                "unreadable", f"channel {channel} asked for, but there are {n_channels} (from 0)"
            )
        return samples[channel]
    if n_channels == 1 or (samples[1:] == samples[0]).all():
        return samples[0]
    if downmix:
        return samples.mean(axis=0)
    raise MediaError(
        "unreadable",
        f"{n_channels} different channels: name one in the manifest's column channel, "
        "or average them with --downmix",
    )


__all__ = ["RATE_HZ", "RESAMPLER", "read_audio_clips"]
