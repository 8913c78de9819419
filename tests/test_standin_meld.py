"""Stand-in MELD: what its reader makes of it, its defects, and what its pictures and sound hold."""

import csv
import json
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from standin_corpora import faces_at, mark, write_all

pytest.importorskip("espeakng_loader", reason="stand-in corpora speak with espeak-ng")

import itertools

from amanda.store.manifest import read_manifest
from corpora.check_root import check_root
from corpora.manifest import build_manifest
from corpora.standin.layouts.meld import CORRUPT, NO_CLIP, _encode
from corpora.standin.picture.acting import Moment, act
from corpora.standin.picture.identity import sample_look
from corpora.standin.sound.laughter import laugh
from corpora.standin.sound.voice import RATE_HZ
from corpora.standin.staging import HEIGHT, KINDS, WIDTH, Room, stage_line
from corpora.windows1252 import mend

N = 16
PARTS = {"train": "train_splits", "dev": "dev_splits_complete"}
SPLITS = {"train": "train", "dev": "val", "test": "test"}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("meld") / "raw"
    write_all(("meld", folder, {"n_utterances": N, "seed": 4}))
    return folder


def test_the_manifest_is_what_was_planned(root, tmp_path):
    summary = build_manifest("meld", root, tmp_path / "m.csv", split="official")
    known = mark(root)
    rows = {row.id: row for row in read_manifest(tmp_path / "m.csv")}
    assert list(rows) == sorted(rows, key=list(rows).index)
    assert set(rows) == set(known["truth"])
    assert summary.origin == "stand-in"
    for name, meant in known["truth"].items():
        row, (part, dialogue, utterance) = rows[name], name.split("_")
        assert (row.label, row.speaker, row.text) == (
            meant["label"],
            meant["speaker"],
            meant["text"],
        )
        assert (row.group, row.split) == (f"{part}_{dialogue}", SPLITS[part])
        assert (tmp_path / row.path).resolve() == (root / meant["file"]).resolve()
        assert Path(meant["file"]).name.endswith(f"{dialogue}_{utterance}.mp4")
        assert (row.start_s, row.end_s) == (None, None)
        assert row.valence == {"happy": 1.0, "neutral": 0.0}.get(row.label, -1.0)
    with (tmp_path / "m.dropped.csv").open(encoding="utf-8", newline="") as file:
        dropped = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    reasons = {NO_CLIP: "no clip", CORRUPT: "label surprise is no class"}
    assert dropped == {
        name: reasons.get(label, f"label {label} is no class")
        for name, label in known["dropped"].items()
    }
    assert Counter(known["dropped"].values()) >= Counter([CORRUPT, NO_CLIP, "surprise"])


def test_every_known_defect_is_there_and_is_found(root):
    report = check_root(root)
    known = mark(root)["dropped"]
    corrupt = next(name for name, label in known.items() if label == CORRUPT)
    assert len(report.failed) == 1
    part, clip = corrupt.split("_", 1)
    folder = PARTS.get(part, "output_repeated_splits_test")
    assert f"{folder}/" in report.failed[0]
    assert f"{clip}.mp4" in report.failed[0]
    missing = next(name for name, label in known.items() if label == NO_CLIP)
    assert not list(root.rglob(f"*{missing.split('_', 1)[1]}.mp4")) or part != missing.split("_")[0]
    notes = " ".join(json.dumps(report.__dict__, default=str).split())
    for what in ("misread Windows-1252", "odd time", "there twice", "without a row"):
        assert what in notes, what
    # Dialogues and utterances are numbered anew in each part.
    names = Counter(path.name for path in root.rglob("dia*.mp4"))
    assert names["dia0_utt0.mp4"] == 3
    for better in root.rglob("final_videos_test*.mp4"):
        other = better.with_name(better.name.removeprefix("final_videos_test"))
        assert other.read_bytes() != better.read_bytes()


@pytest.mark.parametrize("how", ["control", "letters", "byte"])
def test_each_way_to_break_a_quote_is_mended(how):
    line = _encode(["1", "It’s Tess’s.", "Nora"], how)
    assert "’".encode() not in line
    try:
        text = line.decode()
        assert how != "byte"
    except UnicodeDecodeError:
        assert how == "byte"
        text = line.decode("latin-1")
    assert mend(next(csv.reader([text]))[1]) == "It’s Tess’s."


def decode(path: Path) -> tuple[list[float], list[np.ndarray], np.ndarray, int]:
    """Times and pictures of the frames, and the sound (channels, samples) with its rate."""
    with av.open(str(path)) as file:
        frames = [(f.time, f.to_ndarray(format="gray")) for f in file.decode(video=0)]
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        sound = np.concatenate([f.to_ndarray() for f in file.decode(stream)], axis=1)
        return [t for t, _ in frames], [p for _, p in frames], sound, stream.rate


def test_clips_have_two_like_channels_and_faces_that_are_where_the_truth_says(root):
    cuts = 0
    for row in mark(root)["truth"].values():
        times, pictures, sound, rate_hz = decode(root / row["file"])
        assert pictures[0].shape == (HEIGHT, WIDTH)
        assert sound.shape[0] == 2
        np.testing.assert_array_equal(sound[0], sound[1])
        assert row["start_s"] == 0
        assert sound.shape[1] / rate_hz == pytest.approx(times[-1], abs=0.2)
        assert row["end_s"] == pytest.approx(times[-1], abs=0.1)
        assert next(iter(row["faces"])) == row["speaker"]
        shown = {frozenset(faces_at(row, t)) for t in times}
        cuts += len(shown) > 1
        for face_times in row["faces"].values():
            for (start_s, end_s, x, y, w, h), later in zip(
                face_times, [*face_times[1:], [np.inf]], strict=True
            ):
                assert 0 <= start_s < end_s <= later[0]
                assert end_s - start_s <= 0.35
                assert min(x, y) >= 0
                assert max(x + w, y + h) <= 1
    assert cuts >= 2


def mouth_and_sound(row, times, pictures, sound, rate_hz):
    """By person, how well the darkness of the mouth goes with the sound's loudness."""
    edges = [int(t * rate_hz) for t in (*times, times[-1] + times[1])]
    loud = [sound[0, a:b].std() for a, b in itertools.pairwise(edges)]
    found = {}
    for name in row["faces"]:
        seen = [
            (i, faces_at(row, t)[name]) for i, t in enumerate(times) if name in faces_at(row, t)
        ]
        if len(seen) < 15:
            continue
        darkness = []
        for i, (x, y, w, h) in seen:
            left, right = int((x + 0.3 * w) * WIDTH), int((x + 0.7 * w) * WIDTH)
            top, bottom = int((y + 0.68 * h) * HEIGHT), int((y + 0.92 * h) * HEIGHT)
            darkness.append(np.sort(pictures[i][top:bottom, left:right], axis=None)[:40].mean())
        found[name] = np.corrcoef(-np.array(darkness), [loud[i] for i, _ in seen])[0, 1]
    return found


def test_the_speakers_mouth_goes_with_the_sound_and_no_listeners_does(root):
    speaks, listens = [], []
    for row in mark(root)["truth"].values():
        for name, r in mouth_and_sound(row, *decode(root / row["file"])).items():
            (speaks if name == row["speaker"] else listens).append(r)
    assert min(len(speaks), len(listens)) >= 6
    assert np.mean(speaks) > 0.35
    assert abs(np.mean(listens)) < 0.2


def staged(n: int):
    """The shots of many lines with Ann as speaker."""
    room = Room(backdrop="wall", seed=1)
    rng = np.random.default_rng(0)
    return [stage_line("Ann", ("Bo", "Cy", "Di"), 54.0, room, rng) for _ in range(n)]


def test_the_largest_face_is_often_not_the_speakers():
    all_shots = staged(600)
    largest_wrong = never_seen = 0
    for shots in all_shots:
        ends = [*(shot.at for shot in shots[1:]), 1.0]
        area: Counter[str] = Counter()
        for shot, end in zip(shots, ends, strict=True):
            for name, seat in shot.seats.items():
                area[name] += (end - shot.at) * seat.half_face**2
        largest_wrong += area.most_common(1)[0][0] != "Ann"
        never_seen += "Ann" not in area
    assert 0.3 < largest_wrong / 600 < 0.6
    assert 0 < never_seen / 600 < 0.07
    lengths = Counter(map(len, all_shots))
    assert set(lengths) == {1, 2, 3}
    assert sum(KINDS.values()) == pytest.approx(1)


def test_shots_follow_one_another_with_whole_faces_in_them():
    for shots in staged(200):
        starts = [shot.at for shot in shots]
        assert starts[0] == 0
        assert starts == sorted(set(starts))
        assert starts[-1] < 1
        for shot in shots:
            for seat in shot.seats.values():
                assert seat.half_face < seat.x < WIDTH - seat.half_face
                assert 0.95 * seat.half_face < seat.y < HEIGHT - 1.3 * seat.half_face
            seats = sorted(shot.seats.values(), key=lambda s: s.x)
            for left, right in itertools.pairwise(seats):
                assert right.x - left.x > left.half_face + right.half_face


def test_laughter_comes_in_bursts_and_dies_away():
    sound = laugh(2.0, -30.0, np.random.default_rng(0))
    assert len(sound) == 2 * RATE_HZ
    assert 10 * np.log10(np.mean(sound.astype(float) ** 2)) == pytest.approx(-30, abs=0.01)
    np.testing.assert_array_equal(sound, laugh(2.0, -30.0, np.random.default_rng(0)))
    tenth = RATE_HZ // 10
    level = np.sqrt(np.mean(sound[: 20 * tenth].reshape(20, tenth) ** 2, axis=1))
    assert level[0] < 0.6 * level.max()
    assert level[-1] < 0.3 * level.max()
    # Energy lies where an open mouth puts it, not in the lowest or highest octaves.
    power = np.abs(np.fft.rfft(sound)) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    assert power[(hertz > 400) & (hertz < 3500)].sum() > 0.8 * power.sum()


def test_who_nods_moves_the_head_up_and_down_and_nothing_else():
    time_s = np.arange(60) / 15
    look = sample_look("F", np.random.default_rng(1))
    still, nods = (
        act(
            time_s, [Moment(0.0, 4.0, {}, np.zeros(0), nods=n)], look, 0.0, np.random.default_rng(2)
        )
        for n in (False, True)
    )
    pitch = np.array([e.pitch for e in nods]) - [e.pitch for e in still]
    rises = np.flatnonzero(np.diff(np.sign(pitch)) > 0)
    assert 4 <= len(rises) <= 6  # 1.4 a second
    assert 0.04 < np.abs(pitch).max() < 0.1
    assert [(e.open, e.smile, e.yaw) for e in still] == [(e.open, e.smile, e.yaw) for e in nods]
