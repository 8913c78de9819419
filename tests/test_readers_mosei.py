"""CMU-MOSEI's layouts and label forms: rows, drops and notes are exactly as expected."""

import dataclasses
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from corpus_trees import (
    FOLDS,
    MOSEI_CSV,
    MOSEI_SEGMENTS,
    MOSEI_TRANSCRIPT,
    mosei_tree,
    write,
    write_csd,
    write_folds,
)

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance
from corpora.readers.mosei import read
from corpora.rows import Dropped, Note

VIDEO = "Raw/Videos/Full/Combined/_0ab_cD-.mp4"
AUDIO = "Raw/Audio/Full/WAV_16000/_0ab_cD-.wav"
TEXT = "Raw/Transcript/Segmented/Combined/_0ab_cD-.txt"
CSD = "CMU_MOSEI_Labels.csd"


def utterances(root: Path) -> dict[str, Utterance]:
    return {row.id: row for row in read(root) if isinstance(row, Utterance)}


def dropped(root: Path) -> list[tuple[str, str, str, int | None]]:
    return [(d.id, d.reason, d.file, d.line) for d in read(root) if isinstance(d, Dropped)]


def notes(root: Path) -> Counter[str]:
    return Counter(row.what for row in read(root) if isinstance(row, Note))


def test_every_field_of_a_segment(tmp_path: Path) -> None:
    row = utterances(mosei_tree(tmp_path))["_0ab_cD-_1"]
    assert dataclasses.replace(row, shares={}) == Utterance(
        id="_0ab_cD-_1",
        path=VIDEO,
        start_s=3.4,
        end_s=9.0,
        text="Second words.",
        label="happy",
        speaker="_0ab_cD-",
        group="_0ab_cD-",
        split="",
        audio_path=AUDIO,
        language="en",
        valence=1.0,
    )
    assert row.shares["happy"] == pytest.approx(2 / 3)
    assert row.shares["fear"] == pytest.approx(1 / 3)
    assert sum(row.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("labels", ["csd", "aligned"])
def test_rows_of_the_csd_find_their_transcript_lines_by_their_times(
    labels: str, tmp_path: Path
) -> None:
    rows = utterances(mosei_tree(tmp_path, labels=labels))
    assert {k: (r.label, r.start_s, r.end_s, r.text) for k, r in rows.items()} == {
        "_0ab_cD-_1": ("happy", 3.4, 9.0, "Second words."),
        "_0ab_cD-_2": ("tie", 8.0, 14.7, "Third, _____ with a blank."),
        "_0ab_cD-_0": ("neutral", 0.0, 4.1, "First words."),
        "_0ab_cD-[3]": ("none", 50.0, 60.0, ""),
        "_0ab_cD-[4]": ("sad", 6.0, 5.0, ""),
        "100178[0]": ("anger", 0.0, 3.0, ""),
    }
    assert rows["_0ab_cD-_0"].shares == {"neutral": 1.0}
    assert rows["_0ab_cD-[3]"].shares == {}, "no emotion, and not neutral"
    assert rows["100178[0]"].path == ""
    assert rows["100178[0]"].audio_path == "Raw/Audio/Full/WAV_16000/100178.wav"
    assert dropped(tmp_path) == [("no_media_1[0]", "neither video nor audio file", CSD, None)]


def test_what_is_noted(tmp_path: Path) -> None:
    assert notes(mosei_tree(tmp_path)) == {
        "no folds, so --split official cannot be used": 1,
        "a transcript line that does not parse": 1,
        "a segment that starts before 0, clamped": 1,
        "a segment without a transcript line": 3,
        "a segment without a video": 1,
    }


def test_the_csv_has_both_forms_of_ids(tmp_path: Path) -> None:
    rows = utterances(mosei_tree(tmp_path, labels="csv"))
    assert {k: (r.label, r.start_s, r.end_s, r.text) for k, r in rows.items()} == {
        # `[n]` with times: found by the times. `_1` without: the transcript's segment.
        "_0ab_cD-_1": ("happy", 3.4, 9.0, "Second words."),
        "_0ab_cD-_2": ("tie", 8.0, 14.7, "Third, _____ with a blank."),
        "_0ab_cD-_0": ("neutral", 0.0, 4.1, "First words."),
        "100178[0]": ("anger", 0.0, 3.0, ""),
    }
    unparsed = "label line does not parse"
    assert dropped(tmp_path) == [
        ("100178[1]", unparsed, "labels.csv", 8),
        ("../../etc/passwd[0]", unparsed, "labels.csv", 9),
        ("", unparsed, "labels.csv", 10),
        ("100178[2]", unparsed, "labels.csv", 11),
        ("_0ab_cD-_7", "no times in the labels, nor in the transcript", "labels.csv", 6),
    ]
    ids = [row.id for row in read(tmp_path) if isinstance(row, Utterance)]
    assert ids.count("_0ab_cD-_1") == 2, "the manifest drops the second"


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("video_id,segment,start_time,end_time", "_0ab_cD-,1,3.4,9", ("_0ab_cD-_1", 3.4)),
        ("video,clip", "_0ab_cD-,1", ("_0ab_cD-_1", 3.4)),
        ("video,start,end", "_0ab_cD-,3.39,9.02", ("_0ab_cD-_1", 3.39)),
        ("id", "_0ab_cD-[1]", ("_0ab_cD-_1", 3.4)),
        ("id", "_0ab_cD-_1", ("_0ab_cD-_1", 3.4)),
        ("ID,Start,End", "_0ab_cD-[9],7,8", ("_0ab_cD-[9]", 7.0)),
    ],
)
def test_columns_of_the_csv_by_their_names(
    header: str, cells: str, expected: tuple[str, float], tmp_path: Path
) -> None:
    mosei_tree(tmp_path, labels="csv")
    scores = "sentiment,happy,sad,anger,surprise,disgust,fear"
    write(tmp_path / "labels.csv", f"{header},{scores}\n{cells},0,1,0,0,0,0,0\n")
    (row,) = utterances(tmp_path).values()
    assert (row.id, row.start_s) == expected
    assert row.text == ("" if "[9]" in row.id else "Second words.")


def test_a_video_whose_id_looks_like_a_segments(tmp_path: Path) -> None:
    mosei_tree(tmp_path, labels="csv")
    (tmp_path / AUDIO).rename(tmp_path / AUDIO.replace("_0ab_cD-", "abc_12"))
    row = "abc_12,0,3,0,1,0,0,0,0,0\n"
    write(tmp_path / "labels.csv", MOSEI_CSV.splitlines(keepends=True)[0] + row)
    (found,) = utterances(tmp_path).values()
    assert (found.id, found.speaker) == ("abc_12[0]", "abc_12")


def test_times_that_differ_from_the_numbered_line_are_noted(tmp_path: Path) -> None:
    mosei_tree(tmp_path, labels="csv")
    header = "video,segment,start,end,sentiment,happy,sad,anger,surprise,disgust,fear"
    write(tmp_path / "labels.csv", f"{header}\n_0ab_cD-,1,30,31,0,1,0,0,0,0,0\n")
    (row,) = utterances(tmp_path).values()
    assert (row.start_s, row.text) == (30.0, "Second words.")
    what = "a segment with other times than its transcript line; those of the label are taken"
    assert notes(tmp_path)[what] == 1


def test_scores_that_are_equal_but_for_their_last_digits_tie(tmp_path: Path) -> None:
    mosei_tree(tmp_path, labels="csv")
    row = "_0ab_cD-,3.4,9,1,0.66666667,0,0.6666667,0,0,0.333333\n"
    write(tmp_path / "labels.csv", MOSEI_CSV.splitlines(keepends=True)[0] + row)
    assert [r.label for r in utterances(tmp_path).values()] == ["tie"]


def test_without_the_folder_raw_and_in_a_folder_of_labels(tmp_path: Path) -> None:
    with_raw = utterances(mosei_tree(tmp_path / "a"))
    mosei_tree(tmp_path / "b", raw=False)
    (tmp_path / "b" / "Labels").mkdir()
    (tmp_path / "b" / CSD).rename(tmp_path / "b" / "Labels" / CSD)
    assert {k: r.text for k, r in utterances(tmp_path / "b").items()} == {
        k: r.text for k, r in with_raw.items()
    }


def test_other_files_beside_the_labels(tmp_path: Path) -> None:
    mosei_tree(tmp_path)
    write(tmp_path / "labels.csv", MOSEI_CSV)
    write(tmp_path / "CMU_MOSEI_COVAREP.csd", "not read at all")
    write(tmp_path / "Raw/Labels/batch.csv", "Input.VIDEO_ID,Answer.sentiment\nx,1\n")
    assert len(utterances(tmp_path)) == 6
    assert notes(tmp_path)[f"a file of labels beside {CSD}, not read"] == 1


@pytest.mark.parametrize("sdk", [False, True])
def test_official_folds(sdk: bool, tmp_path: Path) -> None:
    write_folds(mosei_tree(tmp_path), sdk=sdk)
    splits = {row.group: row.split for row in utterances(tmp_path).values()}
    assert splits == {"_0ab_cD-": "train", "100178": "test"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"folds/train.txt": "a\n"}, r"folds/train\.txt is there, but not folds/valid\.txt"),
        (
            {"folds/train.txt": "x\na\n", "folds/dev.txt": "b\n", "folds/test.txt": "a\n"},
            r"folds/test\.txt, line 1: 'a' is in test, and in train too \(.*train\.txt, line 2\)",
        ),
        ({"cmu_mosei_std_folds.py": "x = ("}, r"folds\.py, line 1: not Python"),
        ({"cmu_mosei_std_folds.py": "x = 1"}, "no list standard_test_fold"),
        (
            {"cmu_mosei_std_folds.py": "import os\nstandard_test_fold = [\n os.remove('x')]"},
            "line 3: standard_test_fold is not a list of ids in quotes",
        ),
        ({"cmu_mosei_std_folds.py": "(" * 5000}, r"line 1: not Python"),
        ({"cmu_mosei_std_folds.py": "x = '\\d'"}, "no list standard_test_fold"),
        ({"cmu_mosei_std_folds.py": "x = 1\n\0"}, r"line 2: a NUL byte"),
    ],
)
def test_folds_that_are_none_are_one_sentence(
    files: dict[str, str], message: str, tmp_path: Path
) -> None:
    mosei_tree(tmp_path)
    for name, text in files.items():
        write(tmp_path / name, text)
    with pytest.raises(InputError, match=message):
        list(read(tmp_path))


def test_folds_of_the_sdk_are_never_run(tmp_path: Path) -> None:
    write_folds(mosei_tree(tmp_path), sdk=True)
    program = tmp_path / "cmu_mosei_std_folds.py"
    trap = tmp_path / "trap"
    write(program, f"open({str(trap)!r}, 'w')\n{program.read_text()}")
    assert utterances(tmp_path)["100178[0]"].split == "test"
    assert not trap.exists()
    assert set(FOLDS) == {"train", "valid", "test"}


@pytest.mark.parametrize("n_bytes", [0, 7, 100, 900, 2000])
def test_a_csd_that_is_cut_short_is_one_sentence(n_bytes: int, tmp_path: Path) -> None:
    path = mosei_tree(tmp_path) / CSD
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(InputError, match=r"Labels\.csd: cannot be read as HDF5, or cut short"):
        list(read(tmp_path))


def test_a_csd_of_another_layout_is_one_sentence(tmp_path: Path) -> None:
    path = mosei_tree(tmp_path) / CSD
    with h5py.File(path, "w") as file:
        file["values"] = [1, 2]
    with pytest.raises(InputError, match=r"no group <name>/data in it; it has values"):
        list(read(tmp_path))


def test_groups_of_a_csd_that_hold_something_else_are_dropped(tmp_path: Path) -> None:
    path = mosei_tree(tmp_path) / CSD
    with h5py.File(path, "a") as file:
        data = file["All Labels/data"]
        good = data["100178"]
        for name, features, intervals in (
            ("wide", np.zeros((1, 8)), np.zeros((1, 2))),
            ("uneven", np.zeros((2, 7)), np.zeros((1, 2))),
            ("texts", np.array([["a"] * 7], "S"), np.zeros((1, 2))),
            ("../up", np.zeros((1, 7)), np.array([[0.0, 1.0]])),
        ):
            group = data.create_group(name.replace("/", "\\"))
            group["features"], group["intervals"] = features, intervals
        data["number"] = 3
        data["only"] = h5py.SoftLink("/All Labels/data/100178")
        del good["features"]
        good["features"] = np.array([[np.nan] * 7])
    shape = "no features (n, 7) and intervals (n, 2)"
    assert [(i, reason) for i, reason, _, _ in dropped(tmp_path)] == [
        ("..\\up[0]", "label line does not parse"),
        ("100178[0]", "label line does not parse"),
        ("number", shape),
        ("only", shape),
        ("texts", shape),
        ("uneven", shape),
        ("wide", shape),
        ("no_media_1[0]", "neither video nor audio file"),
    ]


def test_no_file_that_a_csd_leads_to_is_read(tmp_path: Path) -> None:
    root = mosei_tree(tmp_path / "root")
    write_csd(tmp_path / "secret.csd")
    (tmp_path / "secret.bin").write_bytes(np.ones(7).tobytes())
    with h5py.File(root / CSD, "a") as file:
        data = file["All Labels/data"]
        del data["100178"]
        data["100178"] = h5py.ExternalLink("../secret.csd", "/All Labels/data/100178")
        group = data.create_group("_0ab_cD-x")
        group["intervals"] = np.array([[0.0, 1.0]])
        outside = [(str(tmp_path / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
        group.create_dataset("features", (1, 7), "f8", external=outside)
    assert "100178[0]" not in utterances(root)
    assert {i for i, reason, _, _ in dropped(root) if "features" in reason} == {
        "100178",
        "_0ab_cD-x",
    }


@pytest.mark.parametrize("what", [VIDEO, AUDIO, TEXT, CSD, "folds/train.txt"])
def test_nothing_outside_the_root_is_read(what: str, tmp_path: Path) -> None:
    root = write_folds(mosei_tree(tmp_path / "root"))
    (root / what).rename(tmp_path / "elsewhere")
    (root / what).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"leads to .*elsewhere, outside .*root"):
        list(read(root))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MOSEI_CSV.encode("utf-16"), "line 1: UTF-16"),
        (b"\0" + MOSEI_CSV.encode(), "line 1: a NUL byte"),
        (MOSEI_CSV.encode() + b"\xff\n", "line 12: byte 0xff is not UTF-8"),
        (MOSEI_CSV.encode() + b"x" * 1_000_001, "line 12: longer than 1000000 bytes"),
    ],
)
def test_a_csv_that_cannot_be_read_is_named_by_its_line(
    text: bytes, message: str, tmp_path: Path
) -> None:
    write(mosei_tree(tmp_path, labels="csv") / "labels.csv", text)
    with pytest.raises(InputError, match=rf"labels\.csv, {message}"):
        list(read(tmp_path))
    write(tmp_path / "labels.csv", b"\xef\xbb\xbf" + MOSEI_CSV.replace("\n", "\r\n").encode())
    assert len(utterances(tmp_path)) == 4
    if message.startswith("line 1:"):
        write(tmp_path / "other.csv", text)
        assert len(utterances(tmp_path)) == 4, "a file of another name is not ours to judge"


def test_a_link_that_loops_counts_as_missing(tmp_path: Path) -> None:
    root = mosei_tree(tmp_path)
    for name in (VIDEO, TEXT):
        (root / name).unlink()
        (root / name).symlink_to((root / name).name)
    row = utterances(root)["_0ab_cD-[0]"]
    assert (row.path, row.text) == ("", "")


def test_a_broken_transcript_is_named_by_file_and_line(tmp_path: Path) -> None:
    write(mosei_tree(tmp_path) / TEXT, MOSEI_TRANSCRIPT.encode() + b"not \x92 fine\n")
    with pytest.raises(InputError, match=r"_0ab_cD-\.txt, line 6: byte 0x92 is not UTF-8"):
        list(read(tmp_path))


def test_a_root_too_high_is_told(tmp_path: Path) -> None:
    mosei_tree(tmp_path / "data" / "CMU-MOSEI")
    with pytest.raises(
        InputError, match=r"looked for CMU_MOSEI_Labels\.csd, .*mean .*/CMU-MOSEI\?"
    ):
        list(read(tmp_path / "data"))


def test_the_fixture_has_a_row_that_ends_before_it_starts() -> None:
    # It is the manifest that drops it, as for every corpus.
    assert any(end < start for (start, end), _ in MOSEI_SEGMENTS["_0ab_cD-"])
