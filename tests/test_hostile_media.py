"""Files that are not what they say: each gets its status, in time, and the run goes on."""

import csv
import struct
import time
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from small_models import BrightSquares, write_models, write_recording

from amanda.store.features import FeatureFile
from extractors.extract import run_extraction
from extractors.faces import DETECTORS

HOURS_10 = 36_000
LIMIT_S = 240.0
"""Of the whole run, on a busy machine: it takes some seconds."""


def write_wav(path: Path, samples: np.ndarray, rate_hz: int) -> None:
    """Samples (n, channels) of type int16 or float32, by hand: every field is ours."""
    kind = 3 if samples.dtype == np.float32 else 1
    size, channels = samples.dtype.itemsize, samples.shape[1]
    data = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    block = size * channels
    head = struct.pack("<HHIIHH", kind, channels, rate_hz, rate_hz * block, block, 8 * size)
    path.write_bytes(
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + head
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )


def claim_ten_hours(path: Path) -> None:
    """Write 10 hours into every duration of an MP4's headers (ISO 14496-12, version 0 boxes)."""
    data = bytearray(path.read_bytes())

    def patch(box: bytes, at: int, scale_at: int | None) -> None:
        start = data.find(box)
        while start >= 0:
            body = start + 4
            scale = 1000
            if scale_at is not None:
                scale = int.from_bytes(data[body + scale_at : body + scale_at + 4], "big")
            data[body + at : body + at + 4] = (HOURS_10 * scale).to_bytes(4, "big")
            start = data.find(box, body)

    patch(b"mvhd", 16, 12)
    patch(b"mdhd", 16, 12)
    patch(b"tkhd", 20, None)
    patch(b"elst", 8, None)
    path.write_bytes(data)
    assert data.count((HOURS_10 * 1000).to_bytes(4, "big")) >= 3


def noise(n: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(-9000, 9000, (n, channels)).astype(np.int16)


def write_files(folder: Path) -> None:
    write_recording(folder / "good.mp4", 2.0, seed=1)
    (folder / "zero.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("This is a text, not a film.\n" * 50)
    (folder / "random.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    (folder / "folder.mp4").mkdir()
    write_wav(folder / "sound.mp4", noise(16_000), 16_000)
    (folder / "film.wav").write_bytes((folder / "good.mp4").read_bytes())
    whole = (folder / "good.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # its index is at the end
    write_recording(folder / "good.mkv", 2.0, seed=2)
    whole = (folder / "good.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(whole[: 2 * len(whole) // 3])
    (folder / "hours.mp4").write_bytes((folder / "good.mp4").read_bytes())
    claim_ten_hours(folder / "hours.mp4")
    write_recording(folder / "hours.avi", 2.0, sound=False, seed=3)
    data = bytearray((folder / "hours.avi").read_bytes())
    for box, at in ((b"avih", 4 + 16), (b"strh", 4 + 32)):  # frames in all, and of the stream
        start = data.index(box) + 4
        data[start + at : start + at + 4] = struct.pack("<I", HOURS_10 * 10)
    (folder / "hours.avi").write_bytes(data)
    with av.open(str(folder / "hours.avi")) as container:
        assert container.streams.video[0].duration == HOURS_10 * 10
    write_wav(folder / "hours.wav", noise(16_000), 16_000)
    data = bytearray((folder / "hours.wav").read_bytes())
    data[40:44] = struct.pack("<I", HOURS_10 * 32_000)
    (folder / "hours.wav").write_bytes(data)
    with av.open(str(folder / "pixel.avi"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height = stream.width = 1
        stream.pix_fmt = "bgr0"
        for k in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((1, 1, 3), k, np.uint8))
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(folder / "bomb.mov"), "w") as container:  # a large picture in few bytes
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = 10_000, 10_000, "gray"
        frame = av.VideoFrame.from_ndarray(np.zeros((10_000, 10_000), np.uint8), format="gray")
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    write_wav(folder / "sixteen.wav", noise(16_000, 16), 16_000)
    write_wav(folder / "low.wav", noise(8_000), 8_000)
    write_wav(folder / "high.wav", noise(192_000), 192_000)
    bad = np.zeros((16_000, 1), np.float32)
    bad[4000] = np.nan
    write_wav(folder / "nan.wav", bad, 16_000)
    with wave.open(str(folder / "empty.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)


EXPECTED = {
    # name: (visual, acoustic, words of a detail)
    "good.mp4": ("ok", "ok", ""),
    "zero.mp4": ("unreadable", "unreadable", "the file is empty"),
    "text.mp4": ("unreadable", "unreadable", "cannot be opened"),
    "random.mp4": ("unreadable", "unreadable", "cannot be opened"),
    "folder.mp4": ("unreadable", "unreadable", "no such file"),
    "sound.mp4": ("no_video", "ok", "no video stream"),
    "film.wav": ("ok", "ok", ""),
    "cut.mp4": ("unreadable", "unreadable", "cannot be opened"),
    "cut.mkv": ("truncated", "truncated", "before the clip"),
    "hours.mp4": ("ok", "ok", ""),  # the table of its samples knows better than its header
    "hours.avi": ("unreadable", "no_audio", "is 0.00 to 36000.00 s, but the video ends at 2"),
    "hours.wav": ("no_video", "ok", ""),
    "pixel.avi": ("no_face", "no_audio", "no face in any"),
    "bomb.mov": ("unreadable", "no_audio", ""),
    "sixteen.wav": ("no_video", "unreadable", "16 different channels"),
    "low.wav": ("no_video", "ok", ""),
    "high.wav": ("no_video", "ok", ""),
    "nan.wav": ("no_video", "unreadable", "NaN or infinity 0.25 s into the clip"),
    "empty.wav": ("no_video", "too_short", "holds no sample"),
}


@pytest.fixture(scope="module")
def extracted(tmp_path_factory) -> tuple[Path, float]:
    folder = tmp_path_factory.mktemp("hostile")
    write_files(folder)
    rows = [
        {"id": name, "path": name, "end_s": 2.0 if name.startswith("cut") else ""}
        for name in EXPECTED
    ]
    for row in rows:
        row |= {"start_s": 0.0 if row["end_s"] else "", "text": "i am so happy", "split": "train"}
        row |= {"channel": ""}
    rows.append({**rows[0], "id": "channel 7", "path": "sixteen.wav", "channel": 7})
    with open(folder / "hostile.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    profile = str(write_models(folder / "models"))
    out = folder / "hostile.h5"
    start_s = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DETECTORS, "retinaface", BrightSquares)
        run_extraction(folder / "hostile.csv", out, profile=profile, max_failed=1.0, n_shards=1)
    return out, time.monotonic() - start_s


@pytest.mark.parametrize("name", EXPECTED)
def test_status(extracted, name):
    visual, acoustic, words = EXPECTED[name]
    with FeatureFile(extracted[0]) as features:
        row = features.ids.index(name)
        found = {m: features.modality(m) for m in features.modalities}
        details = " | ".join(table.detail[row] for table in found.values())
        statuses = {m: table.status[row] for m, table in found.items()}
    assert statuses == {"visual": visual, "acoustic": acoustic, "lexical": "ok"}, details
    assert words in details


def test_a_named_channel_of_sixteen(extracted):
    with FeatureFile(extracted[0]) as features:
        row = features.ids.index("channel 7")
        assert features.modality("acoustic").status[row] == "ok"


def test_rates_give_as_many_frames(extracted):
    with FeatureFile(extracted[0]) as features:
        lengths = dict(
            zip(features.ids, np.diff(features.modality("acoustic").offsets), strict=True)
        )
    assert lengths["low.wav"] == lengths["high.wav"] == lengths["hours.wav"] == 49


def test_in_time(extracted):
    assert extracted[1] < LIMIT_S


def test_the_ledger_names_each(extracted):
    out, _ = extracted
    with open(out.with_suffix(".ledger.csv"), newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert rows["zero.mp4"]["failed"] == "yes"
    assert rows["zero.mp4"]["visual_detail"] == "the file is empty: zero.mp4"
    assert rows["good.mp4"]["failed"] == "no"
    assert (rows["sound.mp4"]["visual"], rows["sound.mp4"]["failed"]) == ("no_video", "no")
