"""Frames by presentation time: test videos carry frame numbers as black and white blocks."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from extractors.media import ClipRequest, DecodedClip
from extractors.video import SEEK_GAP_S, read_video_clips, sample_instants

BITS, BLOCK = 12, 16


def draw(number: int, height: int = 48, width: int = BITS * BLOCK) -> np.ndarray:
    frame = np.zeros((height, width, 3), np.uint8)
    for bit in range(BITS):
        if number >> bit & 1:
            frame[:, bit * BLOCK : (bit + 1) * BLOCK] = 255
    return frame


def read_number(frame: np.ndarray) -> int:
    middles = frame[frame.shape[0] // 2, BLOCK // 2 :: BLOCK, 1][:BITS]
    return sum(1 << bit for bit in range(BITS) if middles[bit] > 127)


def numbers(clip: DecodedClip) -> list[int]:
    return [read_number(frame) for frame in clip.clip.frames]


def write_video(
    path: Path,
    times_ms: list[int],
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    size: tuple[int, int] = (48, BITS * BLOCK),
    b_frames: int = 0,
    gop: int = 12,
    aspect: Fraction | None = None,
) -> Path:
    """Frame k, numbered k, is on show from times_ms[k]."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        # AVI has no times but slots of one length; a fine slot is how it holds a variable rate.
        slotted = path.suffix == ".avi" and times_ms == [40 * k for k in range(len(times_ms))]
        context.time_base = stream.time_base = Fraction(1, 25 if slotted else 1000)
        context.gop_size, context.max_b_frames = gop, b_frames
        if aspect:
            context.sample_aspect_ratio = aspect
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(draw(number, *size), format="rgb24")
            frame.pts, frame.time_base = (
                round(time_ms / 1000 / context.time_base),
                context.time_base,
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def on_show(times_ms: list[int], instants_s: np.ndarray) -> list[int]:
    """The rule, written the plain way: the last frame with a time not later than the instant."""
    return [max(0, int(np.sum(np.asarray(times_ms) <= 1000 * t)) - 1) for t in instants_s]


CFR = [40 * k for k in range(200)]
_gaps = np.random.default_rng(3).integers(15, 90, 199)
VFR = [0, *np.cumsum(_gaps).tolist()]
KINDS = {
    "cfr": (CFR, {}),
    "cfr_b_frames": (CFR, {"b_frames": 3, "options": {"x264-params": "b-pyramid=normal"}}),
    "vfr": (VFR, {}),
    "vfr_b_frames": (VFR, {"b_frames": 3}),
    "one_key_frame": (VFR, {"gop": 1000, "b_frames": 2}),
    "open_gop": (CFR, {"b_frames": 3, "options": {"x264-params": "open-gop=1"}}),
}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("kind", KINDS)
def test_exact_frames(tmp_path, kind, suffix):
    times_ms, how = KINDS[kind]
    path = write_video(tmp_path / f"v{suffix}", times_ms, **how)
    # Overlapping clips, one far behind the others so that the walk seeks; given out of order.
    spans = [(7.013, 7.811), (0.0, 1.0), (0.511, 3.207), (0.7, 0.75)]
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate(spans)]
    assert 7.013 - 3.207 < SEEK_GAP_S < 7.0
    found = {clip.row: clip for clip in read_video_clips(path, requests, 16)}
    alone = {
        r.row: next(read_video_clips(path, [r], 16)) for r in requests
    }  # the first of these seeks
    for i, (start_s, end_s) in enumerate(spans):
        expected = on_show(times_ms, sample_instants(start_s, end_s, 16))
        assert found[i].status == "ok"
        assert numbers(found[i]) == expected
        assert numbers(alone[i]) == expected
        times_s = np.asarray([times_ms[k] for k in expected]) / 1000 - start_s
        np.testing.assert_allclose(found[i].clip.time_s, times_s, atol=1e-6)


def test_rule_by_hand():
    # Four intervals of 0.5 s from 1 s on: their middles.
    np.testing.assert_allclose(sample_instants(1.0, 3.0, 4), [1.25, 1.75, 2.25, 2.75])


def test_more_instants_than_frames_repeats(tmp_path):
    path = write_video(tmp_path / "v.mp4", [0, 400, 800])
    [clip] = read_video_clips(path, [ClipRequest(row=0, start_s=0.0, end_s=0.8)], 8)
    assert numbers(clip) == [0, 0, 0, 0, 1, 1, 1, 1]


def test_whole_file_and_time_before_the_first_frame(tmp_path):
    late = [500 + 40 * k for k in range(25)]
    # In MP4 the container starts with its first frame: that instant is 0 s.
    path = write_video(tmp_path / "v.mp4", late)
    [clip] = read_video_clips(path, [ClipRequest(row=0)], 25)
    assert numbers(clip) == list(range(25))
    assert clip.status == "ok"


def test_negative_start_is_clock_zero(tmp_path):
    path = tmp_path / "v.mkv"
    write_video(path, [40 * k for k in range(50)])
    shifted = tmp_path / "shifted.mp4"
    with av.open(str(path)) as source, av.open(str(shifted), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is None:
                continue
            packet.pts, packet.dts = packet.pts - 500, packet.dts - 500
            packet.stream = stream
            out.mux(packet)
    [clip] = read_video_clips(shifted, [ClipRequest(row=0, start_s=0.0, end_s=1.0)], 5)
    with av.open(str(shifted)) as container:
        start_s = container.start_time / av.time_base
        first_s = next(container.decode(video=0)).time - start_s
    assert first_s == pytest.approx(0.0, abs=1e-3)
    assert clip.clip.time_s[0] == pytest.approx(0.08, abs=1e-3)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize(("b_frames", "times_ms"), [(0, CFR), (2, CFR), (0, VFR)])
def test_avi_without_presentation_times(tmp_path, b_frames, codec, times_ms):
    # IEMOCAP's container: AVI stores no presentation times, only the order of decoding.
    path = write_video(tmp_path / "v.avi", times_ms, codec=codec, b_frames=b_frames)
    spans = [(0.0, 2.0), (6.5, 7.9)]
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate(spans)]
    for clip in read_video_clips(path, requests, 16):
        assert numbers(clip) == on_show(times_ms, sample_instants(*spans[clip.row], 16))


def test_clip_past_the_end(tmp_path):
    path = write_video(tmp_path / "v.mp4", CFR[:50])  # 2 s
    spans = [(1.0, 3.0), (2.5, 3.0), (0.0, 2.0)]
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate(spans)]
    found = {clip.row: clip for clip in read_video_clips(path, requests, 8)}
    assert found[2].status == "ok"
    assert found[0].status == "truncated"
    assert numbers(found[0]) == on_show(CFR, sample_instants(1.0, 3.0, 8))[:4]
    assert "4 of 8 frames missing" in found[0].detail
    assert "the video at 2.00 s" in found[0].detail
    assert found[1].status == "unreadable"
    assert found[1].detail == "the clip starts at 2.50 s, but the video ends at 2.00 s"


def _set_rotation(path: Path, clockwise: int) -> None:
    """Write a rotation into the display matrix of an MP4's only track (ISO 14496-12, tkhd)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes before the matrix
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise]
    fixed = [cos, sin, 0, -sin, cos, 0, 0, 0, 1]
    for i, value in enumerate(fixed):
        unit = 1 << 30 if i % 3 == 2 else 1 << 16
        data[at + 4 * i : at + 4 * i + 4] = (value * unit).to_bytes(4, "big", signed=True)
    path.write_bytes(data)


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_rotation_metadata(tmp_path, clockwise):
    path = write_video(tmp_path / "v.mp4", CFR[:10])
    _set_rotation(path, clockwise)
    [clip] = read_video_clips(path, [ClipRequest(row=0, start_s=0.2, end_s=0.24)], 1)
    upright = np.rot90(draw(5), -clockwise // 90)  # np.rot90 turns counterclockwise
    assert clip.clip.frames[0].shape == upright.shape
    assert np.abs(clip.clip.frames[0].astype(int) - upright).mean() < 20


def test_odd_size_and_oblong_pixels(tmp_path):
    path = write_video(tmp_path / "odd.avi", CFR[:5], codec="mpeg4", size=(49, BITS * BLOCK + 1))
    [clip] = read_video_clips(path, [ClipRequest(row=0)], 5)
    assert clip.clip.frames.shape == (5, 49, BITS * BLOCK + 1, 3)
    assert numbers(clip) == [0, 1, 2, 3, 4]
    path = write_video(tmp_path / "wide.mp4", CFR[:5], aspect=Fraction(2, 1))
    [clip] = read_video_clips(path, [ClipRequest(row=0)], 5)
    assert clip.clip.frames.shape == (5, 48, 2 * BITS * BLOCK, 3)


def test_large_frames_are_scaled_down(tmp_path):
    path = write_video(tmp_path / "v.mp4", CFR[:2], size=(480, 3840))
    [clip] = read_video_clips(path, [ClipRequest(row=0)], 2)
    assert clip.clip.frames.shape == (2, 240, 1920, 3)


def test_region_travels_with_the_clip(tmp_path):
    path = write_video(tmp_path / "v.mp4", CFR[:5])
    request = ClipRequest(row=0, region=(0.0, 0.0, 0.5, 1.0))
    [clip] = read_video_clips(path, [request], 2)
    assert clip.clip.region == (0.0, 0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "the file is empty"),
        (b"This is a text, not a film.\n" * 50, "cannot be opened"),
        (bytes(range(256)) * 40, "cannot be opened"),
        (None, "no such file"),
    ],
)
def test_not_a_video(tmp_path, content, detail):
    path = tmp_path / "v.mp4"
    if content is not None:
        path.write_bytes(content)
    requests = [ClipRequest(row=3, start_s=0.0, end_s=1.0), ClipRequest(row=5)]
    clips = list(read_video_clips(path, requests, 4))
    assert [c.row for c in clips] == [3, 5]
    for clip in clips:
        assert (clip.status, clip.clip) == ("unreadable", None)
        assert detail in clip.detail


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".ts"])
def test_cut_short_keeps_what_exists(tmp_path, suffix):
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    path = write_video(tmp_path / f"v{suffix}", CFR, codec=codec)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    spans = [(0.5, 1.5), (7.0, 8.0)]
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate(spans)]
    found = {clip.row: clip for clip in read_video_clips(path, requests, 8)}
    assert numbers(found[0]) == on_show(CFR, sample_instants(0.5, 1.5, 8))
    assert found[1].status == "unreadable"
    assert "the video ends at" in found[1].detail


def test_mp4_cut_before_its_index(tmp_path):
    path = write_video(tmp_path / "v.mp4", CFR)
    path.write_bytes(path.read_bytes()[:2000])
    [clip] = read_video_clips(path, [ClipRequest(row=0)], 4)
    assert clip.status == "unreadable"


def test_mp4_with_index_first_cut_short(tmp_path):
    path = write_video(tmp_path / "v.mp4", CFR)
    fast = tmp_path / "fast.mp4"
    with (
        av.open(str(path)) as source,
        av.open(str(fast), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    data = fast.read_bytes()
    fast.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2])
    spans = [(0.5, 1.5), (7.0, 8.0)]
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate(spans)]
    found = {clip.row: clip for clip in read_video_clips(fast, requests, 8)}
    assert numbers(found[0]) == on_show(CFR, sample_instants(0.5, 1.5, 8))
    assert found[1].status == "unreadable"


def test_damaged_in_the_middle_goes_on(tmp_path):
    path = write_video(tmp_path / "v.mp4", CFR)
    data = bytearray(path.read_bytes())
    middle = (data.index(b"mdat") + data.index(b"moov")) // 2
    data[middle : middle + 400] = np.random.default_rng(0).bytes(400)
    path.write_bytes(data)
    spans = [(0.2, 1.2), (7.0, 7.9)]
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate(spans)]
    for clip in read_video_clips(path, requests, 8):
        assert numbers(clip) == on_show(CFR, sample_instants(*spans[clip.row], 8))


def test_sound_without_pictures(tmp_path):
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = np.zeros((1, 800), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    [clip] = read_video_clips(path, [ClipRequest(row=0)], 4)
    assert (clip.status, clip.detail) == ("no_video", "the file has no video stream")


def test_64_frames_of_a_clip_of_10(tmp_path):
    path = write_video(tmp_path / "v.mp4", CFR[:50])
    [clip] = read_video_clips(path, [ClipRequest(row=0, start_s=0.4, end_s=0.8)], 64)
    expected = on_show(CFR, sample_instants(0.4, 0.8, 64))
    assert numbers(clip) == expected
    assert sorted(set(expected)) == list(range(10, 20))
    # 64 instants on 10 frames of equal length: each is taken 6 or 7 times.
    assert {expected.count(k) for k in range(10, 20)} == {6, 7}
    np.testing.assert_allclose(clip.clip.time_s, 0.04 * np.array(expected) - 0.4, atol=1e-6)


def _trim(path: Path, ticks: int, duration_ms: int) -> None:
    """Let an MP4's only track begin so much later, by its edit list (ISO 14496-12, elst)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4  # version 0: flags, count, then duration, media time, rate
    assert data[at] == 0
    assert int.from_bytes(data[at + 4 : at + 8], "big") == 1
    began = int.from_bytes(data[at + 12 : at + 16], "big", signed=True)
    data[at + 8 : at + 12] = duration_ms.to_bytes(4, "big")
    data[at + 12 : at + 16] = (began + ticks).to_bytes(4, "big", signed=True)
    path.write_bytes(data)


@pytest.mark.parametrize("b_frames", [0, 2])
def test_edit_list_that_cuts_the_beginning(tmp_path, b_frames):
    """As editors and telephones trim: the samples are there, the first second is not shown."""
    path = write_video(tmp_path / "v.mp4", CFR[:75], b_frames=b_frames)
    with av.open(str(path)) as container:
        second = round(1 / container.streams.video[0].time_base)
    _trim(path, second, 1500)
    spans = [(0.0, 0.5), (0.9, 1.4)]
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate(spans)]
    for clip in read_video_clips(path, requests, 10):
        start_s, end_s = spans[clip.row]
        expected = on_show(CFR, 1.0 + sample_instants(start_s, end_s, 10))
        assert clip.status == "ok"
        assert numbers(clip) == expected
        times_s = 0.04 * np.array(expected) - 1.0 - start_s
        np.testing.assert_allclose(clip.clip.time_s, times_s, atol=1e-6)


def test_long_gop_far_behind_a_key_frame(tmp_path):
    """One key frame in 20 s; a clip at the end alone, and after one at the beginning."""
    times_ms = [100 * k for k in range(200)]
    path = write_video(tmp_path / "v.mp4", times_ms, gop=1000, b_frames=3)
    spans = [(0.0, 1.0), (18.05, 19.0)]
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate(spans)]
    for wanted in (requests, requests[1:]):
        for clip in read_video_clips(path, wanted, 8):
            assert numbers(clip) == on_show(times_ms, sample_instants(*spans[clip.row], 8))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 33), (35, 3)])
def test_tiny_pictures(tmp_path, size):
    path = tmp_path / "tiny.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "bgr0"
        for k in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 50 * k, np.uint8))
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    [clip] = read_video_clips(path, [ClipRequest(row=0)], 5)
    assert clip.clip.frames.shape == (5, *size, 3)
    np.testing.assert_array_equal(clip.clip.frames[:, 0, 0, 0], [0, 50, 100, 150, 200])
