"""Stand-in CMU-MOSEI: what its reader makes of it, from the CSD and from the CSV."""

import csv
import shutil
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standin_corpora import mark, write_all

pytest.importorskip("espeakng_loader", reason="stand-in corpora speak with espeak-ng")

import itertools

from amanda.store.manifest import read_manifest
from amanda.store.names import CLASSES
from corpora.labels import MOSEI_EMOTIONS, mosei_label
from corpora.manifest import build_manifest
from corpora.standin.layouts.mosei import ABSENT, EXTRA_LABELS, NO_LABEL, SLOTS, _scores

N = 30
FOLDS = {"train": "train", "valid": "val", "test": "test"}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mosei") / "raw"
    write_all(("mosei", folder, {"n_utterances": N, "seed": 4}))
    return folder


def manifest_rows(root: Path, out: Path):
    build_manifest("mosei", root, out, split="official")
    return {row.id: row for row in read_manifest(out)}


def test_the_manifest_is_what_was_planned(root, tmp_path):
    rows = manifest_rows(root, tmp_path / "m.csv")
    known = mark(root)
    fold_of = {
        video: FOLDS[path.stem]
        for path in (root / "folds").iterdir()
        for video in path.read_text().split()
    }
    assert set(rows) == set(known["truth"])
    for name, meant in known["truth"].items():
        row, video = rows[name], name.rpartition("_")[0]
        assert (row.label, row.text) == (meant["label"], meant["text"])
        assert row.speaker == row.group == meant["speaker"] == video
        assert row.split == fold_of[video]
        assert (row.start_s, row.end_s) == pytest.approx((meant["start_s"], meant["end_s"]))
        assert (tmp_path / row.path).resolve() == (root / meant["file"]).resolve()
        sound = root / f"Raw/Audio/Full/WAV_16000/{video}.wav"
        assert (tmp_path / row.audio_path).resolve() == sound.resolve()
        assert max(row.shares, key=row.shares.get) == row.label
        assert (row.valence > 0) - (row.valence < 0) == {"happy": 1, "neutral": 0}.get(
            row.label, -1
        )
    with (tmp_path / "m.dropped.csv").open(encoding="utf-8", newline="") as file:
        dropped = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    expected = {
        name: f"label {label} is no class"
        for name, label in known["dropped"].items()
        if label != NO_LABEL
    }
    assert dropped == {**expected, f"{ABSENT}[0]": "neither video nor audio file"}
    assert set(EXTRA_LABELS[:3]) <= set(known["dropped"].values())


def test_the_csv_says_the_same_as_the_csd(root, tmp_path):
    copy = tmp_path / "raw"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("*.csd"))
    from_csd = manifest_rows(root, tmp_path / "csd.csv")
    from_csv = manifest_rows(copy, tmp_path / "csv.csv")
    assert set(from_csd) == set(from_csv)
    for name, row in from_csd.items():
        other = from_csv[name]
        assert (row.label, row.text, row.split) == (other.label, other.text, other.split)
        assert (row.start_s, row.end_s) == pytest.approx((other.start_s, other.end_s), abs=1e-4)
    ids = [line.split(",")[0] for line in (root / "CMU_MOSEI_Labels.csv").read_text().splitlines()]
    assert sum(name.endswith("]") for name in ids) > 5
    assert sum("]" not in name for name in ids) > 5


def test_what_is_odd_in_the_corpus_is_in_the_stand_in(root):
    early = out_of_order = shuffled = 0
    with h5py.File(root / "CMU_MOSEI_Labels.csd") as csd:
        for name, group in csd["All Labels/data"].items():
            times = group["intervals"][:]
            assert group["features"].shape == (len(times), 7)
            early += int((times < 0).sum())
            out_of_order += bool((np.diff(times[:, 0]) < 0).any())
            if name == ABSENT:
                continue
            lines = (
                (root / f"Raw/Transcript/Segmented/Combined/{name}.txt").read_text().splitlines()
            )
            starts_s = [float(line.split("___")[2]) for line in lines]
            assert [int(line.split("___")[1]) for line in lines] == list(range(len(lines)))
            shuffled += starts_s != sorted(starts_s)
    assert early >= 1
    assert out_of_order >= 2
    assert shuffled >= 1
    assert not list(root.rglob(f"{ABSENT}*"))


def test_videos_hold_their_segments_and_sound_files_are_their_sound(root):
    truth = mark(root)["truth"]
    for video in sorted({row["speaker"] for row in truth.values()})[:6]:
        with av.open(str(root / f"Raw/Videos/Full/Combined/{video}.mp4")) as file:
            length_s = float(file.duration / av.time_base)
            picture = file.streams.video[0]
            assert (picture.width, picture.height) == (320, 240)
        with av.open(str(root / f"Raw/Audio/Full/WAV_16000/{video}.wav")) as file:
            assert file.streams.audio[0].rate == 16_000
            assert float(file.duration / av.time_base) == pytest.approx(length_s, abs=0.2)
        mine = sorted((r["start_s"], r["end_s"]) for r in truth.values() if r["speaker"] == video)
        assert mine[-1][1] <= length_s
        assert all(a[1] <= b[0] + 0.15 for a, b in itertools.pairwise(mine))


SCORED = [*CLASSES, *(label for label in EXTRA_LABELS if label != NO_LABEL)]


@settings(deadline=None)
@given(st.sampled_from(SCORED), st.integers(0, 10_000))
def test_scores_mean_their_label(label, seed):
    sentiment, *emotions = np.array(
        _scores(label, np.random.default_rng(seed)), np.float32
    ).tolist()
    assert -3 <= sentiment <= 3
    assert all(0 <= score <= 3 for score in emotions)
    found = mosei_label(sentiment, dict(zip(MOSEI_EMOTIONS, emotions, strict=True)))
    if label in ("tie", "none"):
        assert found == ""
        assert any(emotions) == (label == "tie")
    else:
        assert found == {"angry": "anger"}.get(label, label)


def test_ids_are_ids_that_the_reader_takes():
    assert len({slot.speaker for slot in SLOTS}) == 24
    assert {slot.sex for slot in SLOTS} == {"F", "M"}
