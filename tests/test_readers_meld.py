"""MELD's layouts and its known defects: rows, drops and notes are exactly as expected."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from corpus_trees import MELD_HEADER, MELD_TRAIN, meld_tree, write
from hypothesis import given
from hypothesis import strategies as st

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance
from corpora.readers.meld import read
from corpora.rows import Dropped, Note
from corpora.windows1252 import mend

TRAIN, TEST = "train_sent_emo.csv", "test_sent_emo.csv"


def utterances(root: Path) -> dict[str, Utterance]:
    return {row.id: row for row in read(root) if isinstance(row, Utterance)}


def test_every_field_of_an_utterance(tmp_path: Path) -> None:
    rows = utterances(meld_tree(tmp_path))
    assert rows["train_dia0_utt0"] == Utterance(
        id="train_dia0_utt0",
        path="train_splits/dia0_utt0.mp4",
        text='Oh, ’kay, "really"?',
        label="neutral",
        speaker="Chandler",
        group="train_dia0",
        split="train",
        language="en",
        valence=0.0,
    )
    assert list(rows) == [
        "train_dia0_utt0",
        "train_dia0_utt1",
        "train_dia0_utt2",
        "train_dia1_utt0",
        "train_dia1_utt1",
        "test_dia0_utt0",
        "test_dia0_utt1",
    ]
    assert [row.valence for row in rows.values()] == [0, 1, 1, -1, -1, 1, 0]


def test_misread_quotes_are_mended_in_every_form(tmp_path: Path) -> None:
    rows = utterances(meld_tree(tmp_path))
    assert rows["train_dia0_utt1"].text == "You must’ve had it."
    assert rows["train_dia0_utt2"].text == "It’s “him”"
    assert rows["test_dia0_utt0"].text == "Bytes’ of été."


def test_of_two_clips_the_one_that_fits_the_text_is_taken(tmp_path: Path) -> None:
    rows = utterances(meld_tree(tmp_path))
    folder = "output_repeated_splits_test"
    assert rows["test_dia0_utt1"].path == f"{folder}/final_videos_testdia0_utt1.mp4"
    assert rows["test_dia0_utt0"].path == f"{folder}/dia0_utt0.mp4"


def test_what_is_dropped_and_why(tmp_path: Path) -> None:
    dropped = [row for row in read(meld_tree(tmp_path)) if isinstance(row, Dropped)]
    assert [(d.id, d.reason, d.file, d.line) for d in dropped] == [
        ("train_dia0_utt3", "no clip", TRAIN, 5),
        ("train_dia0_utt4", "no clip", TRAIN, 6),
        ("", "CSV line does not parse", TRAIN, 9),
        ("", "CSV line does not parse", TRAIN, 10),
    ]


def test_what_is_noted(tmp_path: Path) -> None:
    notes = [row for row in read(meld_tree(tmp_path)) if isinstance(row, Note)]
    assert Counter(note.what for note in notes) == {
        "no dev_sent_emo.csv: nothing of that part is read": 1,
        "a text with misread Windows-1252 characters, mended": 3,
        "a text with characters that were lost before (�)": 1,
        "an odd time in the CSV (not 0 to 30 s); the whole clip is used": 2,
        "a time in the CSV that does not parse; the whole clip is used": 1,
        "a clip without a row in the CSV": 1,
        "a clip that is there twice; the first of final_videos_test… and dia… is taken": 1,
    }
    assert [note.line for note in notes if "odd time" in note.what] == [7, 8]
    (without,) = (note for note in notes if note.what == "a clip without a row in the CSV")
    assert without.file == "train_splits/dia66_utt9.mp4"


def test_folders_of_the_parts_may_be_nested(tmp_path: Path) -> None:
    flat = utterances(meld_tree(tmp_path / "flat"))
    nested = utterances(meld_tree(tmp_path / "nested", nested=True))
    assert nested["train_dia0_utt0"].path == "train/train_splits/dia0_utt0.mp4"
    assert {k: v.text for k, v in flat.items()} == {k: v.text for k, v in nested.items()}
    meld_tree(tmp_path / "clone" / "MELD.Raw")
    (tmp_path / "clone" / "data" / "MELD").mkdir(parents=True)
    for name in (TRAIN, TEST):
        (tmp_path / "clone" / "MELD.Raw" / name).rename(tmp_path / "clone" / "data/MELD" / name)
    row = utterances(tmp_path / "clone")["train_dia0_utt0"]
    assert row.path == "MELD.Raw/train_splits/dia0_utt0.mp4"


def test_a_row_that_stands_twice_stays_for_the_manifest_to_drop(tmp_path: Path) -> None:
    again = '12,Again.,Ross,joy,positive,0,1,8,21,"0:16:21,940","0:16:23,442"\n'
    write(meld_tree(tmp_path) / TRAIN, MELD_TRAIN + again)
    ids = [row.id for row in read(tmp_path) if isinstance(row, Utterance)]
    assert ids.count("train_dia0_utt1") == 2


def test_without_clips_it_is_told_where_they_lie(tmp_path: Path) -> None:
    write(tmp_path / TRAIN, MELD_TRAIN)
    notes = [row.what for row in read(tmp_path) if isinstance(row, Note)]
    assert "no clips of the part train, which lie in train_splits" in notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"train_sent_emo\.csv, line 1: no header"),
        ("a,b\n1,2\n", r"line 1: no column 'utterance'; it has a, b"),
        (MELD_TRAIN + "x\0\n", r"line 11: a NUL byte"),
        (MELD_TRAIN + "x" * 1_000_001, r"line 11: longer than 1000000 bytes"),
    ],
)
def test_a_csv_that_is_none_is_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    write(meld_tree(tmp_path) / TRAIN, text)
    with pytest.raises(InputError, match=message):
        list(read(tmp_path))


def test_utf16_and_bom(tmp_path: Path) -> None:
    path = meld_tree(tmp_path) / TRAIN
    before = utterances(tmp_path)
    write(path, b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert utterances(tmp_path) == before
    write(path, MELD_TRAIN.encode("utf-16"))
    with pytest.raises(InputError, match="line 1: UTF-16"):
        list(read(tmp_path))


def test_a_root_too_high_is_told(tmp_path: Path) -> None:
    meld_tree(tmp_path / "data" / "mine")
    with pytest.raises(InputError, match=r"looked for train_sent_emo\.csv, .*mean .*/data/mine\?"):
        list(read(tmp_path))


@pytest.mark.parametrize("what", ["table", "clip", "folder"])
def test_nothing_outside_the_root_is_read(what: str, tmp_path: Path) -> None:
    root = meld_tree(tmp_path / "root")
    path = (
        root
        / {"table": TRAIN, "clip": "train_splits/dia0_utt0.mp4", "folder": "train_splits"}[what]
    )
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"leads to .*elsewhere.*, outside .*root"):
        list(read(root))


def test_a_folder_that_is_a_loop_of_links_is_no_folder(tmp_path: Path) -> None:
    root = meld_tree(tmp_path)
    (root / "train_splits").rename(root / "elsewhere")
    (root / "train_splits").symlink_to("train_splits")
    assert not [name for name in utterances(root) if name.startswith("train")]


# An accent before two signs (è–£) could be a misread character; before a letter it cannot.
TYPOGRAPHY = [*"abc '\"‘’“”–—…£€", "éa", "ïa", "ña"]


@given(st.lists(st.sampled_from(TYPOGRAPHY)).map("".join))
def test_any_misreading_of_typography_is_undone(text: str) -> None:
    assert mend(text) == text
    assert mend(text.encode().decode("latin-1")) == text
    as_shown = "".join(
        bytes([b]).decode("cp1252", errors="ignore") or chr(b) for b in text.encode()
    )
    assert mend(as_shown) == text
    assert mend(text.encode("cp1252").decode("latin-1")) == text


@given(st.text())
def test_mending_keeps_what_it_does_not_know(text: str) -> None:
    mended = mend(text)
    if text.isascii():
        assert mended == text
    assert len(mended) <= len(text)


def test_texts_with_quotes_and_commas_are_those_of_the_csv_module(tmp_path: Path) -> None:
    text = 'He said, "no", and ""left""'
    with open(write(tmp_path / TRAIN, MELD_HEADER + "\n"), "a", newline="") as file:
        csv.writer(file).writerow([1, text, "A, B", "joy", "positive", 0, 0, 1, 1, "", ""])
    write(tmp_path / "train_splits/dia0_utt0.mp4")
    row = utterances(tmp_path)["train_dia0_utt0"]
    assert (row.text, row.speaker) == (text, "A, B")
