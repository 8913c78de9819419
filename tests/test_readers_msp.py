"""MSP-IMPROV's layout and its known defects: rows, drops and notes are exactly as expected."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from corpus_trees import MSP_LABELS, msp_tree, write

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance
from corpora.readers.msp import read
from corpora.rows import Dropped, Note

FIRST = "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01"


def utterances(root: Path) -> dict[str, Utterance]:
    return {row.id: row for row in read(root) if isinstance(row, Utterance)}


def test_every_field_of_an_utterance(tmp_path: Path) -> None:
    first, second, *_ = utterances(msp_tree(tmp_path)).values()
    assert dataclasses.replace(first, shares={}) == Utterance(
        id="MSP-IMPROV-S01A-F01-P-FM01",
        path=f"{FIRST}.avi",
        text="Words of  FM01. ",
        label="N",
        speaker="M01",
        group="session1",
        split="",
        audio_path=f"{FIRST}.wav",
        audio_start_s=0.0,
        language="en",
        valence=3.0,
        arousal=2.4,
        dominance=3.2,
        n_raters=3,
    )
    # The rater who stands twice counts once.
    assert first.shares == pytest.approx({"N": 1 / 3, "H": 1 / 3, "O": 1 / 3})
    assert second.label == "A"
    assert second.speaker == "F01"
    assert second.dominance is None, "NaN in the file"
    assert second.text == "", "an empty transcript keeps its utterance"


def test_what_is_dropped_and_why(tmp_path: Path) -> None:
    dropped = [row for row in read(msp_tree(tmp_path)) if isinstance(row, Dropped)]
    assert [(d.id, d.reason, d.file, d.line) for d in dropped] == [
        ("MSP-IMPROV-S20H-M06-T-MM03", "label line does not parse", "Evalution.txt", 13),
        ("MSP-IMPROV-../../../etc/passwd", "label line does not parse", "Evalution.txt", 14),
        ("MSP-IMPROV-S20H-M06-T-MM04", "neither video nor audio file", "Evalution.txt", 15),
    ]


def test_what_is_noted(tmp_path: Path) -> None:
    notes = Counter(row.what for row in read(msp_tree(tmp_path)) if isinstance(row, Note))
    assert notes == {"an utterance without a video": 1, "an utterance without a transcript": 1}


@pytest.mark.parametrize("label_file", ["Evalution.txt", "Evaluation.txt"])
@pytest.mark.parametrize("apart", [False, True])
def test_both_spellings_and_both_layouts(label_file: str, apart: bool, tmp_path: Path) -> None:
    rows = utterances(msp_tree(tmp_path, label_file=label_file, apart=apart))
    assert len(rows) == 5
    first = rows["MSP-IMPROV-S01A-F01-P-FM01"]
    video, audio = ("Video/", "Audio/") if apart else ("", "")
    assert (first.path, first.audio_path) == (f"{video}{FIRST}.avi", f"{audio}{FIRST}.wav")
    assert rows["MSP-IMPROV-S20H-M06-R-FF11"].path == ""
    assert rows["MSP-IMPROV-S20H-M06-R-FF11"].group == "session6"


def test_names_with_the_disks_prefix_are_taken(tmp_path: Path) -> None:
    before = list(read(msp_tree(tmp_path)))
    write(tmp_path / "Evalution.txt", MSP_LABELS.replace("UTD-", "MSP-"))
    assert list(read(tmp_path)) == before


def test_without_transcripts_texts_are_empty_and_it_is_noted(tmp_path: Path) -> None:
    (msp_tree(tmp_path) / "All_human_transcriptions").rename(tmp_path / "elsewhere")
    assert all(not row.text for row in utterances(tmp_path).values())
    notes = [row.what for row in read(tmp_path) if isinstance(row, Note)]
    assert "no folder All_human_transcriptions: every text is empty" in notes


def test_a_root_too_high_is_told(tmp_path: Path) -> None:
    msp_tree(tmp_path / "MSP-IMPROV")
    with pytest.raises(InputError, match=r"looked for Evalution.txt \(or .*mean .*/MSP"):
        list(read(tmp_path))
    with pytest.raises(InputError, match=rf"did you mean {tmp_path}/MSP-IMPROV\?"):
        list(read(tmp_path / "MSP-IMPROV" / "session1"))


def test_a_broken_transcript_is_named_by_file_and_line(tmp_path: Path) -> None:
    name = "All_human_transcriptions/MSP-IMPROV-S01A-F01-P-FM01.txt"
    write(msp_tree(tmp_path) / name, b"fine\nnot \x92 fine\n")
    with pytest.raises(InputError, match=r"P-FM01\.txt, line 2: byte 0x92 is not UTF-8"):
        list(read(tmp_path))


@pytest.mark.parametrize("what", ["label", "transcript", "audio", "video", "session"])
def test_nothing_outside_the_root_is_read(what: str, tmp_path: Path) -> None:
    root = msp_tree(tmp_path / "root")
    path = {
        "label": root / "Evalution.txt",
        "transcript": root / "All_human_transcriptions/MSP-IMPROV-S01A-F01-P-FM01.txt",
        "audio": root / f"{FIRST}.wav",
        "video": root / f"{FIRST}.avi",
        "session": root / "session1",
    }[what]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"leads to .*elsewhere.*, outside .*root; put the file"):
        list(read(root))


def test_a_link_that_loops_counts_as_missing(tmp_path: Path) -> None:
    root = msp_tree(tmp_path)
    video = root / f"{FIRST}.avi"
    video.unlink()
    video.symlink_to(video.name)
    assert utterances(root)["MSP-IMPROV-S01A-F01-P-FM01"].path == ""


def test_a_huge_line_and_nul_bytes_are_named_by_file_and_line(tmp_path: Path) -> None:
    for line, problem in (("a" * 1_000_001, "longer than"), ("a\0b", "NUL")):
        write(msp_tree(tmp_path) / "Evalution.txt", f"{MSP_LABELS}\n{line}\n")
        n_lines = len(MSP_LABELS.splitlines()) + 1 + MSP_LABELS.endswith("\n")
        with pytest.raises(InputError, match=rf"Evalution\.txt, line {n_lines}: .*{problem}"):
            list(read(tmp_path))
