"""Video and sound files, written so that equal input gives equal bytes."""

import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import soxr
from jaxtyping import Float32

from corpora.standin.picture.ink import Image

_VIDEO_CODEC = "mpeg4"
_BITS_A_PIXEL = 0.16
_COARSEST = "6"  # quantiser; noise would else cost the faces their detail
_TICKS_HZ = 1000  # of a video with frames at uneven times
_BLOCK = 1152  # samples a packet; also MP3's frame
_QUICKEST = {"libmp3lame": {"compression_level": "9"}, "aac": {"aac_coder": "fast"}}
_LAYOUTS = {1: "mono", 2: "stereo"}
_MP3_DELAY = 1105  # samples that LAME puts before the sound; AVI cannot say so to a decoder


def resample(
    sound: Float32[np.ndarray, "samples"], from_hz: int, to_hz: int
) -> Float32[np.ndarray, "resampled"]:
    """The sound at another rate."""
    if from_hz == to_hz:
        return sound
    return np.asarray(soxr.resample(sound, from_hz, to_hz), np.float32)


def write_wav(path: Path, sound: Float32[np.ndarray, "samples"], rate_hz: int) -> None:
    """A mono 16-bit WAV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(_to_int16(sound).tobytes())


def _to_int16(sound: Float32[np.ndarray, "samples"]) -> np.ndarray:
    return np.clip(np.rint(sound * 32767), -32768, 32767).astype(np.int16)


def write_video(
    path: Path,
    frames: Iterable[tuple[float, Image]],
    sound: Float32[np.ndarray, "samples"],
    *,
    container: str,
    size: tuple[int, int],
    rate_fps: int,
    variable_rate: bool,
    audio_codec: str,
    audio_rate_hz: int,
    channels: int = 1,
) -> None:
    """An MPEG-4 video with sound.

    Args:
        path: the name may end in .avi whatever the container: players and ffmpeg look inside.
        frames: presentation time in seconds and picture, in order of time.
        sound: the whole sound at `audio_rate_hz`.
        container: ffmpeg's name, "avi" or "matroska"; AVI has no frame times, so frames at uneven
            times need the other.
        size: width and height.
        rate_fps: frames a second, nominal when `variable_rate`.
        channels: 1, or 2 that are alike.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container, options={"fflags": "+bitexact"}) as out:
        video = out.add_stream(_VIDEO_CODEC, rate=rate_fps)
        assert isinstance(video, av.VideoStream)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.bit_rate = int(_BITS_A_PIXEL * size[0] * size[1] * rate_fps)
        video.codec_context.options = {"qmax": _COARSEST}
        video.codec_context.gop_size = rate_fps
        video.codec_context.max_b_frames = 0
        video.codec_context.thread_count = 1
        video.codec_context.flags |= av.codec.context.Flags.bitexact
        ticks = Fraction(1, _TICKS_HZ) if variable_rate else Fraction(1, rate_fps)
        video.codec_context.time_base = ticks
        audio = out.add_stream(audio_codec, rate=audio_rate_hz, layout=_LAYOUTS[channels])
        assert isinstance(audio, av.AudioStream)
        audio.codec_context.options = _QUICKEST.get(audio_codec, {})
        audio.codec_context.flags |= av.codec.context.Flags.bitexact
        delay = _MP3_DELAY if audio_codec == "libmp3lame" and container == "avi" else 0
        packets = _audio_packets(audio, sound[delay:], audio_rate_hz, delay)
        done_s = 0.0
        for time_s, picture in frames:
            # Sound goes in as the video does, so that a reader finds both close together.
            while done_s < time_s + 0.5:
                block = next(packets, None)
                if block is None:
                    break
                done_s, encoded = block
                out.mux(encoded)
            planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = round(time_s / ticks)
            frame.time_base = ticks
            out.mux(video.encode(frame))
        out.mux(video.encode())
        for _, encoded in packets:
            out.mux(encoded)


def _audio_packets(
    stream: av.AudioStream, sound: np.ndarray, rate_hz: int, first: int
) -> Iterator[tuple[float, list[av.Packet]]]:
    """Encoded packets with the time up to which they reach.

    The sound begins at sample `first` of the recording: a decoder that does not know of the
    encoder's delay then plays every sample at its time (what it plays before is near silence).
    """
    samples = _to_int16(sound)
    planar = stream.codec_context.format.is_planar
    channels = stream.codec_context.channels
    for start in range(0, len(samples), _BLOCK):
        block = samples[start : start + _BLOCK]
        array = np.tile(block, (channels, 1)) if planar else np.repeat(block, channels)[None]
        frame = av.AudioFrame.from_ndarray(
            array, format="s16p" if planar else "s16", layout=_LAYOUTS[channels]
        )
        frame.sample_rate = rate_hz
        frame.pts = first + start
        frame.time_base = Fraction(1, rate_hz)
        yield (first + start + len(block)) / rate_hz, stream.encode(frame)
    yield (first + len(samples)) / rate_hz, stream.encode()
