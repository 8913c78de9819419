"""Sound of clips: the right samples, at 16 kHz, whatever the container and the channels."""

import tracemalloc
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soxr

from extractors.audio import RATE_HZ, read_audio_clips
from extractors.media import ClipRequest
from extractors.video import read_video_clips


def write_audio(
    path: Path,
    samples: np.ndarray,
    rate_hz: int = RATE_HZ,
    *,
    codec: str = "pcm_s16le",
    delay_s: float = 0.0,
) -> Path:
    """Samples (channels, n), in the codec's own sample type, as one stream."""
    layout = {1: "mono", 2: "stereo"}[len(samples)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        planar = stream.codec_context.format.is_planar
        kind = stream.codec_context.format.name
        size = stream.codec_context.frame_size or 1024
        for at in range(0, samples.shape[1], size):
            part = samples[:, at : at + size]
            data = part if planar else part.T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(data), format=kind, layout=layout
            )
            frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
            frame.pts = at + round(delay_s * rate_hz)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def one(path: Path, downmix: bool = False, **request):
    [clip] = read_audio_clips(path, [ClipRequest(row=0, **request)], downmix=downmix)
    return clip


RAMP = np.arange(RATE_HZ, dtype=np.int16)[None]  # 1 s; sample k holds k / 32768


def test_exact_samples_of_overlapping_clips_in_any_order(tmp_path):
    path = write_audio(tmp_path / "a.wav", RAMP)
    spans = [(0.5, 0.75), (0.0, 0.1), (0.05, 0.6), (0.0, None)]
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate(spans)]
    found = {c.row: c for c in read_audio_clips(path, requests)}
    for i, (start_s, end_s) in enumerate(spans):
        expected = RAMP[0, round(start_s * RATE_HZ) : round((end_s or 1.0) * RATE_HZ)] / 32768
        np.testing.assert_array_equal(found[i].clip, expected.astype(np.float32))
        assert found[i].clip.dtype == np.float32
        assert (found[i].status, found[i].detail) == ("ok", "")


def test_resampled_sine_is_the_sine():
    # Analytic oracle: a 440 Hz tone sampled at 44.1 kHz and brought to 16 kHz.
    at_44k = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32)
    resampled = soxr.resample(at_44k, 44_100, RATE_HZ, quality="HQ")
    at_16k = np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    np.testing.assert_allclose(resampled[400:-400], at_16k[400:-400], atol=1e-4)


def test_clip_is_cut_then_resampled(tmp_path):
    noise = np.random.default_rng(0).integers(-9000, 9000, (1, 44_100)).astype(np.int16)
    path = write_audio(tmp_path / "a.wav", noise, 44_100)
    clip = one(path, start_s=0.2, end_s=0.7)
    cut = (noise[0, 8820:30_870] / 32768).astype(np.float32)
    np.testing.assert_array_equal(clip.clip, soxr.resample(cut, 44_100, RATE_HZ, quality="HQ"))
    assert len(clip.clip) == RATE_HZ // 2


@pytest.mark.parametrize(
    ("codec", "samples"),
    [
        ("pcm_u8", (128 + 64 * np.ones((1, 800))).astype(np.uint8)),
        ("pcm_s16le", np.full((1, 800), 16384, np.int16)),
        ("pcm_s24le", np.full((1, 800), 1 << 30, np.int32)),
        ("pcm_s32le", np.full((1, 800), 1 << 30, np.int32)),
        ("pcm_f32le", np.full((1, 800), 0.5, np.float32)),
        ("pcm_f64le", np.full((1, 800), 0.5, np.float64)),
        ("flac", np.full((1, 800), 16384, np.int16)),
    ],
)
def test_full_scale_of_every_format(tmp_path, codec, samples):
    path = write_audio(tmp_path / ("a.flac" if codec == "flac" else "a.wav"), samples, codec=codec)
    np.testing.assert_array_equal(one(path).clip, np.full(800, 0.5, np.float32))


STEREO = np.stack([RAMP[0], -RAMP[0] // 2])


def test_channels(tmp_path):
    path = write_audio(tmp_path / "a.wav", STEREO)
    left, right = (STEREO / 32768).astype(np.float32)
    np.testing.assert_array_equal(one(path, channel=0).clip, left)
    np.testing.assert_array_equal(one(path, channel=1).clip, right)
    np.testing.assert_allclose(one(path, downmix=True).clip, (left + right) / 2, atol=1e-7)
    # A named channel wins over --downmix.
    np.testing.assert_array_equal(one(path, channel=1, downmix=True).clip, right)


def test_different_channels_are_not_merged_unasked(tmp_path):
    clip = one(write_audio(tmp_path / "a.wav", STEREO))
    assert (clip.status, clip.clip) == ("unreadable", None)
    assert "column channel" in clip.detail
    assert "--downmix" in clip.detail
    assert one(tmp_path / "a.wav", channel=2).detail == (
        "channel 2 asked for, but there are 2 (from 0)"
    )


def test_equal_channels_are_mono(tmp_path):
    path = write_audio(tmp_path / "a.wav", np.repeat(RAMP, 2, axis=0))
    np.testing.assert_array_equal(one(path).clip, (RAMP[0] / 32768).astype(np.float32))


def test_past_the_end(tmp_path):
    path = write_audio(tmp_path / "a.wav", RAMP)
    late = one(path, start_s=0.5, end_s=2.0)
    assert (late.status, len(late.clip)) == ("truncated", RATE_HZ // 2)
    assert late.detail == "the sound ends 1.00 s before the clip"
    assert one(path, start_s=0.5, end_s=1.05).status == "ok"
    beyond = one(path, start_s=3.0, end_s=4.0)
    assert beyond.status == "unreadable"
    assert beyond.detail == "the clip starts at 3.00 s, but the sound ends at 1.00 s"


def test_no_sample(tmp_path):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
    assert (one(path).status, one(path).clip) == ("too_short", None)
    assert one(path, start_s=1.0, end_s=2.0).detail == "the recording holds no sample"
    path = write_audio(tmp_path / "b.wav", RAMP)
    assert one(path, start_s=0.5, end_s=0.50001).status == "too_short"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number(tmp_path, bad):
    samples = np.zeros((1, RATE_HZ), np.float32)
    samples[0, 4000] = bad
    path = write_audio(tmp_path / "a.wav", samples, codec="pcm_f32le")
    clip = one(path, start_s=0.1)
    assert (clip.status, clip.clip) == ("unreadable", None)
    assert clip.detail == "NaN or infinity 0.15 s into the clip"
    assert one(path, start_s=0.3).status == "ok"


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "the file is empty"),
        (b"RIFF\x00\x00", "cannot be opened"),
        (b"no sound here\n" * 99, "cannot be opened"),
        (None, "no such file"),
    ],
)
def test_not_a_recording(tmp_path, content, detail):
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    requests = [ClipRequest(row=7), ClipRequest(row=8, start_s=1.0, end_s=2.0)]
    clips = list(read_audio_clips(path, requests))
    assert [(c.row, c.status) for c in clips] == [(7, "unreadable"), (8, "unreadable")]
    assert all(detail in c.detail for c in clips)


def test_cut_short_flac_keeps_what_exists(tmp_path):
    noise = np.random.default_rng(0).integers(-9000, 9000, (1, 5 * RATE_HZ)).astype(np.int16)
    path = write_audio(tmp_path / "a.flac", noise, codec="flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    spans = [(0.5, 1.5), (4.0, 5.0)]
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate(spans)]
    found = {c.row: c for c in read_audio_clips(path, requests)}
    expected = noise[0, RATE_HZ // 2 : 3 * RATE_HZ // 2] / 32768
    np.testing.assert_array_equal(found[0].clip, expected.astype(np.float32))
    assert found[1].status == "unreadable"


def write_flash_and_click(path: Path, at_s: float, *, codec: str, audio_delay_s: float) -> None:
    """2 s of black with one white frame, and of silence with one loud millisecond, at `at_s`."""
    rate_hz = 44_100
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 64, 64, "yuv420p"
        video.codec_context.max_b_frames = 2
        audio = container.add_stream(codec, rate=rate_hz, layout="mono")
        for k in range(50):
            light = 255 * (k == round(25 * at_s))
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), light, np.uint8))
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        sound = np.zeros((1, 2 * rate_hz), np.float32)
        click = round((at_s - audio_delay_s) * rate_hz)
        sound[0, click : click + rate_hz // 1000] = 0.9
        for at in range(0, sound.shape[1], 1024):
            part = np.ascontiguousarray(sound[:, at : at + 1024])
            kind = audio.codec_context.format.name
            if "s16" in kind:
                part = (part * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(part, format=kind, layout="mono")
            frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
            frame.pts = at + round(audio_delay_s * rate_hz)
            container.mux(audio.encode(frame))
        container.mux(audio.encode())


@pytest.mark.parametrize("audio_delay_s", [0.0, 0.5])
@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "aac"), (".mkv", "aac"), (".ts", "aac"), (".avi", "pcm_s16le")]
)
def test_sound_and_picture_share_a_clock(tmp_path, suffix, codec, audio_delay_s):
    path = tmp_path / f"av{suffix}"
    if suffix == ".avi" and audio_delay_s:
        audio_delay_s = 0.0  # AVI cannot start one stream late
    write_flash_and_click(path, 1.2, codec=codec, audio_delay_s=audio_delay_s)
    request = ClipRequest(row=0, start_s=0.8, end_s=1.6)
    [pictures] = read_video_clips(path, [request], 80)  # one instant every 10 ms
    [sound] = read_audio_clips(path, [request])
    white = pictures.clip.frames.mean(axis=(1, 2, 3)) > 128
    flash_s = pictures.clip.time_s[white][0]
    click_s = np.argmax(np.abs(sound.clip)) / RATE_HZ
    # MPEG-TS starts its clock with the sound's priming samples (23 ms).
    assert flash_s == pytest.approx(0.4, abs=0.03)
    assert click_s == pytest.approx(flash_s, abs=0.005)


def test_long_recording_is_not_held_in_memory(tmp_path):
    samples = np.tile(RAMP, (1, 100))  # 6.4 MB as float32
    path = write_audio(tmp_path / "a.wav", samples)
    requests = [ClipRequest(row=i, start_s=10.0 * i, end_s=10.0 * i + 3) for i in range(10)]
    tracemalloc.start()
    for clip in read_audio_clips(path, requests):
        assert len(clip.clip) == 3 * RATE_HZ
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1e6


def test_gap_is_silence_that_keeps_the_time(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for at in [*range(0, 8000, 1000), *range(16_000, 24_000, 1000)]:
            frame = av.AudioFrame.from_ndarray(
                np.full((1, 1000), at, np.int16), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, at, Fraction(1, RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    clip = one(path, start_s=0.25, end_s=1.25)
    expected = np.zeros(RATE_HZ, np.float32)
    for at in [*range(4000, 8000, 1000), *range(16_000, 20_000, 1000)]:
        expected[at - 4000 : at - 3000] = at / 32768
    np.testing.assert_array_equal(clip.clip, expected)
