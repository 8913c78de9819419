"""IEMOCAP's layout and its known defects: rows, drops and notes are exactly as expected."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from corpus_trees import ie_tree, write

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance
from corpora.readers.ie import read
from corpora.rows import Dropped, Note
from corpora.tree import open_tree

AVI = "Session1/dialog/avi/DivX/Ses01F_impro01.avi"
WAV = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_{}.wav"
LABELS = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"


def utterances(root: Path) -> dict[str, Utterance]:
    return {row.id: row for row in read(root) if isinstance(row, Utterance)}


def test_every_field_of_an_utterance(tmp_path: Path) -> None:
    first, second, *_ = utterances(ie_tree(tmp_path)).values()
    shares = first.shares
    assert dataclasses.replace(first, shares={}) == Utterance(
        id="Ses01F_impro01_F000",
        path=AVI,
        start_s=6.2901,
        end_s=8.2357,
        text="Excuse me.",
        label="neu",
        speaker="Ses01F",
        group="Session1",
        split="",
        audio_path=WAV.format("F000"),
        audio_start_s=0.0,
        region=(0.0, 0.0, 0.5, 1.0),
        language="en",
        valence=2.5,
        arousal=2.5,
        dominance=2.5,
        n_raters=3,
    )
    # Three evaluators: neutral; neutral and happy, half each; excited. The actor's own is left out.
    assert shares == pytest.approx({"neu": 1.5 / 3, "hap": 0.5 / 3, "exc": 1 / 3})
    assert second.region == (0.5, 0, 1, 1), "the letter after the session is F, the speaker M"
    assert second.speaker == "Ses01M"
    assert (second.valence, second.arousal) == (None, 3.0)
    assert second.shares == pytest.approx({"hap": 0.5, "oth": 0.5})
    assert second.text.split() == ["Do", "you", "have", "your", "forms?"]


def test_the_right_half_follows_from_both_letters(tmp_path: Path) -> None:
    row = utterances(ie_tree(tmp_path))["Ses02M_script01_1_M000"]
    assert (row.path, row.region) == ("", None), "no video of this dialogue"
    write(tmp_path / "Session2/dialog/avi/DivX/Ses02M_script01_1.avi")
    rows = utterances(tmp_path)
    assert rows["Ses02M_script01_1_M000"].region == (0, 0, 0.5, 1)
    assert rows["Ses02M_script01_1_F000"].region == (0.5, 0, 1, 1)
    assert rows["Ses02M_script01_1_F000"].audio_path == "", "its sentence file is missing"
    assert rows["Ses02M_script01_1_F000"].audio_start_s is None


def test_what_is_dropped_and_why(tmp_path: Path) -> None:
    dropped = [row for row in read(ie_tree(tmp_path)) if isinstance(row, Dropped)]
    second = "Session2/dialog/EmoEvaluation/Ses02M_script01_1.txt"
    assert [(d.id, d.reason, d.file, d.line) for d in dropped] == [
        ("", "label line does not parse", LABELS, 19),
        ("../../../etc/passwd", "label line does not parse", LABELS, 20),
        ("Ses02M_script01_1_F000", "neither video nor audio file", second, 2),
        ("Ses02M_script01_1_F001", "neither video nor audio file", second, 3),
    ]


def test_what_is_noted(tmp_path: Path) -> None:
    notes = Counter(row.what for row in read(ie_tree(tmp_path)) if isinstance(row, Note))
    assert notes == {
        "a transcript line that does not parse": 1,
        "an utterance without a transcript line": 3,
        "an utterance without a sentence audio": 1,
        "an utterance without a dialogue video": 1,
        "a dialogue without a transcript": 1,
        "a session without dialog/EmoEvaluation/*.txt": 1,
    }


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    ie_tree(tmp_path)
    assert list(read(tmp_path)) == list(read(tmp_path))


@pytest.mark.parametrize("given", [".", "IEMOCAP/IEMOCAP_full_release/Session1", "x/../IEMOCAP"])
def test_a_root_too_high_or_too_low_is_told(given: str, tmp_path: Path) -> None:
    right = tmp_path / "IEMOCAP" / "IEMOCAP_full_release"
    (tmp_path / "x").mkdir()
    ie_tree(right)
    with pytest.raises(InputError, match=r"looked for Session\*.*found .*; did you mean") as caught:
        list(read(tmp_path / given))
    hint = str(caught.value).split("did you mean ")[1].rstrip("?")
    assert Path(hint).resolve() == right.resolve()


def test_roots_that_are_no_corpus_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    write(tmp_path / "other/a/readme.txt")
    for name, message in {
        "gone": "gone: no such folder",
        "empty": r"empty: the folder is empty; it should hold Session\*",
        "loop": "loop: is a link that leads nowhere",
        "other/a/readme.txt": "is a file; give the corpus's folder",
        "other": r"looked for Session\*/dialog/EmoEvaluation/\*\.txt, found a$",
    }.items():
        with pytest.raises(InputError, match=message):
            list(read(tmp_path / name))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            b"[1.0 - 2.0]\tSes01F_impro01_F009\tneu\t[1, 1, 1] caf\xe9\n",
            "line 23: byte 0xe9 is not",
        ),
        (b"\0\n", "line 23: a NUL byte"),
        (b"x" * 1_000_001, "line 23: longer than 1000000 bytes"),
    ],
)
@pytest.mark.parametrize("file", [LABELS, "Session1/dialog/transcriptions/Ses01F_impro01.txt"])
def test_broken_texts_are_named_by_file_and_line(
    file: str, line: bytes, message: str, tmp_path: Path
) -> None:
    path = ie_tree(tmp_path) / file
    before = path.read_bytes()
    path.write_bytes(before + b"\n" * (22 - before.count(b"\n")) + line)
    with pytest.raises(InputError, match=rf"{path.name}, {message}"):
        list(read(tmp_path))


def test_utf16_is_told(tmp_path: Path) -> None:
    write(ie_tree(tmp_path) / LABELS, "[1 - 2]\tx\tneu\t[1,1,1]".encode("utf-16"))
    with pytest.raises(InputError, match="line 1: UTF-16; save the file as UTF-8"):
        list(read(tmp_path))


def test_a_bom_is_no_matter(tmp_path: Path) -> None:
    path = ie_tree(tmp_path) / LABELS
    text = path.read_text().split("\n", 2)[2]
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert "Ses01F_impro01_F000" in utterances(tmp_path)


@pytest.mark.parametrize("what", ["label", "transcript", "audio", "video", "session"])
def test_nothing_outside_the_root_is_read(what: str, tmp_path: Path) -> None:
    root = ie_tree(tmp_path / "root")
    path = {
        "label": root / LABELS,
        "transcript": root / "Session1/dialog/transcriptions/Ses01F_impro01.txt",
        "audio": root / WAV.format("F000"),
        "video": root / AVI,
        "session": root / "Session1",
    }[what]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"leads to .*elsewhere, outside .*root; put the file"):
        list(read(root))


@pytest.mark.parametrize("path", ["../secret.txt", "a/../../secret.txt"])
def test_a_path_that_steps_out_is_refused(path: str, tmp_path: Path) -> None:
    write(tmp_path / "secret.txt", "secret")
    write(tmp_path / "root/a/b.txt")
    tree = open_tree(tmp_path / "root", "anything", lambda folder: True)
    for look in (tree.first_file, lambda p: list(tree.lines(p))):
        with pytest.raises(InputError, match=r"leads to .*secret\.txt, outside"):
            look(path)
    assert tree.files(path) == []


def test_links_inside_the_root_and_to_the_root_are_followed(tmp_path: Path) -> None:
    root = ie_tree(tmp_path / "root")
    (root / AVI).rename(root / "video.avi")
    (root / AVI).symlink_to(root / "video.avi")
    (tmp_path / "link").symlink_to(root)
    assert utterances(tmp_path / "link")["Ses01F_impro01_F000"].path == AVI


def test_a_link_that_loops_counts_as_missing(tmp_path: Path) -> None:
    root = ie_tree(tmp_path)
    (root / AVI).unlink()
    (root / AVI).symlink_to((root / AVI).name)
    assert utterances(root)["Ses01F_impro01_F000"].path == ""
