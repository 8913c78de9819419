"""A corpus of one's own as CSV, and how readers are found."""

from pathlib import Path

import pytest
from corpus_trees import write

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance
from corpora.readers import find_reader, reader_names
from corpora.readers.csv import read
from corpora.rows import Dropped, Note


def test_readers_are_found_by_their_files_names() -> None:
    assert {"ie", "msp", "csv"} <= set(reader_names())
    for name in reader_names():
        assert callable(find_reader(name))
    with pytest.raises(InputError, match="no reader 'cvs'; did you mean 'csv'"):
        find_reader("cvs")
    with pytest.raises(InputError, match=r"no reader 'iemocap'; .*known: csv, ie, .*--corpus csv"):
        find_reader("iemocap")


def test_rows_come_as_they_are_and_without_a_split_when_none_is_given(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    path = write(tmp_path / "mine.csv", "id,path,label\nu,a.wav,happy\nv,a.wav,\n")
    assert list(read(path)) == [
        Utterance(id="u", path="a.wav", label="happy", split=""),
        Utterance(id="v", path="a.wav", label="", split=""),
    ]
    write(path, "id,path,split\nu,a.wav,val\n")
    assert list(read(path)) == [Utterance(id="u", path="a.wav", split="val")]


def test_media_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "a.avi")
    path = write(
        tmp_path / "mine.csv",
        "id,path,audio_path,text\n"
        "all,a.avi,a.avi,x\n"
        "half,a.avi,gone.wav,x\n"
        "none,gone.avi,gone.wav,x\n"
        "words,,,only words\n",
    )
    rows = list(read(path))
    assert [(type(r), getattr(r, "id", "")) for r in rows] == [
        (Utterance, "all"),
        (Utterance, "half"),
        (Note, ""),
        (Dropped, "none"),
        (Utterance, "words"),
    ]
    assert rows[2] == Note(what="a path or audio_path without its file", file="gone.wav")
    assert rows[3] == Dropped(id="none", reason="media file missing", file="gone.avi")


def test_labels_of_ones_own_are_left_to_the_label_map(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", "id,path,text,label\nu,,hello,joy\n")
    (row,) = read(path)
    assert isinstance(row, Utterance)
    assert row.label == "joy"


def test_a_folder_and_a_broken_csv_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder; give the CSV file itself as --root$"):
        list(read(tmp_path))
    path = write(tmp_path / "mine.csv", "id,path\nu,a.wav,b\n")
    with pytest.raises(InputError, match=rf"is a folder.*as --root, as {path}"):
        list(read(tmp_path))
    with pytest.raises(InputError, match=r"mine\.csv, line 2: 3 fields"):
        list(read(path))
    with pytest.raises(InputError, match=r"gone.csv: cannot be read"):
        list(read(tmp_path / "gone.csv"))
