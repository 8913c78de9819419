"""Glimpses: the grey frames between the sampled ones, and the sound that comes with them."""

from fractions import Fraction

import av
import numpy as np
import pytest
from small_models import write_recording

from amanda.store.manifest import Utterance
from extractors.base import FaceFix
from extractors.media import ClipRequest
from extractors.sources import Reader, group_sources
from extractors.video import MAX_GLIMPSED_S, glimpse_instants, read_video_clips


def test_instants_by_hand():
    np.testing.assert_allclose(glimpse_instants(1.0, 1.5, 10.0), [1.0, 1.1, 1.2, 1.3, 1.4])
    assert len(glimpse_instants(1.0, 1.5, 0.0)) == 0
    assert len(glimpse_instants(2.0, 2.0, 10.0)) == 0
    long = glimpse_instants(0.0, 60.0, 2.0)
    assert len(long) == 2 * MAX_GLIMPSED_S
    assert long[0] == 30.0 - MAX_GLIMPSED_S / 2


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Two seconds at 10 frames a second."""
    return write_recording(tmp_path_factory.mktemp("video") / "clip.mp4", 2.0, seed=3)


def read(path, rate_hz, **request):
    [decoded] = read_video_clips(path, [ClipRequest(row=0, **request)], 4, glimpse_hz=rate_hz)
    return decoded.clip


def test_glimpses_are_the_frames_on_show_as_grey(video):
    clip = read(video, 5.0, start_s=0.5, end_s=1.5)
    np.testing.assert_allclose(clip.glimpses.time_s, [0.0, 0.2, 0.4, 0.6, 0.8], atol=1e-6)
    # The sampled frame at 0.1 s (the middle of the first quarter) is not among them; at 0.6 is.
    every = read(video, 10.0, start_s=0.5, end_s=1.5)
    for frame, time_s in zip(every.frames, every.time_s, strict=True):
        [i] = np.flatnonzero(np.isclose(every.glimpses.time_s, time_s))
        red, green, blue = (frame[..., c].astype(float) for c in range(3))
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        assert np.abs(every.glimpses.frames[i] - luma).mean() < 3.0


def test_a_frame_on_show_for_longer_is_one_glimpse(video):
    clip = read(video, 40.0, start_s=0.0, end_s=2.0)
    assert len(clip.glimpses.time_s) == 20
    assert (np.diff(clip.glimpses.time_s) > 0).all()


def test_glimpses_change_no_sampled_frame(video):
    without, with_them = (read(video, rate, start_s=0.3, end_s=1.7) for rate in (0.0, 12.5))
    assert without.glimpses is None
    np.testing.assert_array_equal(without.frames, with_them.frames)
    np.testing.assert_array_equal(without.time_s, with_them.time_s)
    assert with_them.nbytes > without.nbytes == without.frames.nbytes


def write_stereo(path):
    """A picture and two channels that differ."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="stereo")
        for k in range(10):
            image = np.full((48, 64, 3), 20 * k, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        samples = rng.integers(-5000, 5000, (1, 2 * 16_000)).astype(np.int16)
        sound = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        sound.sample_rate, sound.pts, sound.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
    return path


def test_sound_of_two_channels_still_says_when_somebody_speaks(tmp_path):
    write_stereo(tmp_path / "stereo.mkv")
    rows = [Utterance(id="u", path="stereo.mkv", start_s=0.0, end_s=1.0)]
    fix = FaceFix(track=1)
    reader = Reader(
        manifest=tmp_path / "m.csv",
        utterances=rows,
        n_frames=2,
        downmix=False,
        glimpse_hz=10.0,
        with_sound=True,
        faces={"u": fix},
    )
    [source] = group_sources(rows)
    found = dict(reader.read(source, ["acoustic", "visual"]))
    assert found["acoustic"].status == "unreadable"
    assert "2 different channels" in found["acoustic"].detail
    clip = found["visual"].clip
    assert len(clip.sound) == 16_000
    assert clip.face == fix
    [(_, silent)] = Reader(
        manifest=tmp_path / "m.csv", utterances=rows, n_frames=2, downmix=False
    ).read(source, ["visual"])
    assert (silent.clip.sound, silent.clip.glimpses, silent.clip.face) == (None, None, None)
