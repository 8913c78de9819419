"""A corpus's folder and its media: what is there, what is not, what does not open."""

import json
import wave
from pathlib import Path

import pytest
from corpus_trees import ie_tree, meld_tree, mosei_tree, msp_tree, write
from small_models import write_recording
from typer.testing import CliRunner

from amanda.cli import app
from amanda.store.errors import InputError
from corpora.check import check_paths
from corpora.check_root import check_root
from corpora.probe import probe, probe_all
from corpora.published import native_counts, table7


def tone(path: Path, length_s: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * int(8000 * length_s)))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_recording(path, 1.0)
    return path.read_bytes()


def whole_meld(root: Path, clip: bytes) -> Path:
    """A MELD without a defect but its own two: a clip that does not open, and one not there."""
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,StartTime,EndTime"
    row = '1,Words.,Ross,{},neutral,{},{},"00:16:16,059","00:16:21,731"'
    rows = {
        "train": [("joy", 0, 0), ("anger", 125, 3), ("fear", 1, 0)],
        "dev": [("neutral", 0, 0), ("neutral", 110, 7)],
        "test": [("sadness", 0, 0)],
    }
    folders = {"train": "train_splits", "dev": "dev_splits_complete"}
    for part, its in rows.items():
        write(root / f"{part}_sent_emo.csv", "\n".join([header, *(row.format(*r) for r in its)]))
        for _, dialogue, utterance in its:
            name = f"dia{dialogue}_utt{utterance}.mp4"
            if (part, dialogue) == ("dev", 110):
                continue
            broken = (part, dialogue) == ("train", 125)
            folder = folders.get(part, "output_repeated_splits_test")
            write(root / folder / name, b"no film" if broken else clip)
    return root


def test_a_corpus_as_distributed_is_sound_with_its_known_defects(
    tmp_path: Path, clip: bytes
) -> None:
    report = check_root(whole_meld(tmp_path, clip))
    assert report.problems == []
    assert (report.reader, report.n_usable, report.n_files) == ("meld", 4, 5)
    assert report.known == [
        "train_dia125_utt3: the clip does not open, as distributed",
        "dev_dia110_utt7: there is no clip, as distributed",
    ]
    assert report.failed[0].startswith(f"{tmp_path}/train_splits/dia125_utt3.mp4 (Invalid data")
    assert report.length_s == pytest.approx(4.0, abs=0.3)
    assert report.other_label == 1
    assert report.totals.startswith("6435 neutral fewer, 2307 happy fewer, 1001 sad fewer, ")
    assert report.totals.endswith("than published: 11353 = 6436 neutral + 2308 happy + 1002 sad + "
                                  "1607 angry")  # fmt: skip


def test_what_is_broken_besides_is_a_problem(tmp_path: Path, clip: bytes) -> None:
    root = whole_meld(tmp_path, clip)
    write(root / "test_sent_emo.csv", (root / "test_sent_emo.csv").read_text() + "\nx,y\n")
    write(root / "train_splits/dia0_utt0.mp4", "")
    (root / "dev_splits_complete/dia0_utt0.mp4").unlink()
    report = check_root(root)
    assert report.problems == [
        f"{root}: 1 left out: no clip, the first at dev_sent_emo.csv:2 dev_dia0_utt0; fetch what "
        "is missing, or go on: what is left out is not used",
        f"{root}: 1 left out: CSV line does not parse, the first at test_sent_emo.csv:3; look at "
        "these lines, at their quotes first",
        f"{root}: 1 of 4 media files do not open, the first is {root}/train_splits/dia0_utt0.mp4 "
        "(the file is empty); fetch them again, or go on: extraction marks their utterances "
        "unreadable",
    ]
    text = report.to_text().splitlines()
    assert text[0] == f"{root}: 3 utterances (reader meld, recorded; 1 speaker, 3 groups)"
    assert "  2 of 4 media files open (0.00 hours)" in text
    assert (
        "     2 no clip (dev_sent_emo.csv:2 dev_dia0_utt0, dev_sent_emo.csv:3 dev_dia110_utt7)"
        in (text)
    )


def test_published_counts_are_confirmed(tmp_path: Path) -> None:
    codes = {"neu": 1708, "hap": 600, "exc": 1036, "sad": 1084, "ang": 1103}
    lines = [
        f"[{i}.0 - {i}.5]\tSes01F_impro{i // 900:02}_{'FM'[i % 2]}{i % 900:03}\t{code}\t[1, 1, 1]"
        for i, code in enumerate(c for c, n in codes.items() for _ in range(n))
    ]
    folder = tmp_path / "Session1"
    for start in range(0, len(lines), 900):
        name = f"Ses01F_impro{start // 900:02}"
        write(folder / f"dialog/EmoEvaluation/{name}.txt", "\n".join(lines[start : start + 900]))
        write(folder / f"dialog/avi/DivX/{name}.avi")
    report = check_root(tmp_path, "ie", media=False)
    assert report.totals == "as published: 5531 = 1708 neutral + 1636 happy + 1084 sad + 1103 angry"
    write(tmp_path / "standin.json", "{}")
    assert check_root(tmp_path, "ie", media=False).totals == "", "a generated corpus has its own"


def test_published_figures_are_those_of_the_paper() -> None:
    sums = {
        name: {label: sum(by.values()) for label, by in table7(name).items()}
        for name in ("ie", "msp", "meld", "mosei")
    }
    assert sums == {
        "ie": {"neutral": 1699, "happy": 1585, "sad": 1075, "angry": 1102},
        "msp": {"neutral": 1200, "happy": 1200, "sad": 800, "angry": 792},
        "meld": {"neutral": 1400, "happy": 1400, "sad": 932, "angry": 932},
        "mosei": {"neutral": 1602, "happy": 1602, "sad": 1070, "angry": 1070},
    }
    for name, by_class in sums.items():
        native = native_counts(name)
        assert all(n <= native.get(label, n) for label, n in by_class.items()), name
    assert table7("csv") == native_counts("csv") == {}


def test_utterances_that_end_after_their_file(tmp_path: Path) -> None:
    root = ie_tree(tmp_path)
    for turn in ("F000", "M000", "F001", "F002", "M002"):
        tone(root / f"Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_{turn}.wav", 2.0)
    tone(root / "Session2/sentences/wav/Ses02M_script01_1/Ses02M_script01_1_M000.wav", 0.2)
    tone(root / "Session1/dialog/avi/DivX/Ses01F_impro01.avi", 26.0)
    report = check_root(root)
    late = next(problem for problem in report.problems if "end after their file" in problem)
    # The sentence's own wav runs on its own clock: 1.5 s to 2.5 s are its first second.
    assert late.startswith(f"{root}: 2 utterances end after their file does (Ses01F_impro01_M002: "
                           "ends at 27.00 s, but Ses01F_impro01.avi is 26.00 s long)")  # fmt: skip


@pytest.mark.parametrize("name", ["ie", "msp", "meld", "mosei"])
def test_the_layout_is_found(name: str, tmp_path: Path) -> None:
    tree = {"ie": ie_tree, "msp": msp_tree, "meld": meld_tree, "mosei": mosei_tree}[name]
    root = tree(tmp_path / "data" / "mine")
    assert check_root(root, media=False).reader == name
    with pytest.raises(InputError, match=rf"data: not the layout .*mean .*/data/mine \({name}\)\?"):
        check_root(tmp_path / "data")


def test_a_folder_of_no_corpus_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b.txt")
    with pytest.raises(InputError, match=r"not the layout of a corpus .*\(ie, meld, mosei, msp\)"):
        check_root(tmp_path / "a")
    with pytest.raises(InputError, match=r"looked for Session\*/dialog"):
        check_root(tmp_path / "a", "ie")
    ie_tree(tmp_path / "both")
    msp_tree(tmp_path / "both")
    with pytest.raises(InputError, match="fits ie and msp; say which with --corpus"):
        check_root(tmp_path / "both")


def test_media_of_a_manifest_are_opened(tmp_path: Path) -> None:
    tone(tmp_path / "good.wav", 2.0)
    write(tmp_path / "bad.wav", "RIFF no sound")
    manifest = write(
        tmp_path / "mine.csv",
        "id,path,start_s,end_s,label\n"
        "a,good.wav,0,1.9,happy\nb,good.wav,1.9,3.5,sad\nc,bad.wav,,,sad\nd,good.wav,,,happy\n",
    )
    report = check_paths([manifest])
    assert len(report.problems) == 2
    late, broken = report.problems
    assert late == f"{manifest}, line 3, b: ends at 3.50 s, but good.wav is 2.00 s long"
    assert broken.startswith(f"{manifest}, line 4, c: bad.wav does not open (Invalid")
    assert check_paths([manifest], media=False).problems == []


def test_rows_and_media_are_told_together(tmp_path: Path) -> None:
    tone(tmp_path / "good.wav", 2.0)
    write(tmp_path / "rec/zero.wav", "")
    manifest = write(
        tmp_path / "rec.csv",
        "id,path,start_s\ngood,good.wav,\nbad,rec/zero.wav,x\ngone,gone.wav,\n"
        "zero,rec/zero.wav,\nagain,rec/zero.wav,1\n",
    )
    assert check_paths([manifest]).problems == [
        f"{manifest}, line 3: bad: start_s 'x' is not a finite number",
        f"{manifest}: 1 of 3 media files are missing (line 4, gone: path gone.wav); paths are "
        f"relative to {tmp_path}",
        f"{manifest}, line 5, zero: rec/zero.wav does not open (the file is empty); 1 more row "
        "of it",
    ]


def test_a_manifest_that_can_name_no_corpus_is_noted(tmp_path: Path) -> None:
    text = "id,path,text\na,,Hello.\n"
    report = check_paths([write(tmp_path / "Rec-Two.csv", text)])
    assert report.problems == []
    (note,) = report.notes
    assert "corpus name 'Rec-Two': use lower-case letters" in note
    assert "give amanda extract --corpus NAME" in note
    assert check_paths([write(tmp_path / "rec_two.csv", text)]).notes == []


def test_probing_says_lengths_and_reasons_in_order(tmp_path: Path, clip: bytes) -> None:
    paths = [
        tone(tmp_path / "a.wav", 1.5),
        write(tmp_path / "b.mp4", clip),
        write(tmp_path / "c.mp4", clip[: len(clip) // 3]),
        write(tmp_path / "d.mp4", ""),
        write(tmp_path / "e.txt", "1\n00:00:01,000 --> 00:00:02,000\nA subtitle is no sound.\n"),
        tmp_path / "gone.wav",
    ]
    found = list(probe_all(paths, what="test"))
    assert [each.path for each in found] == paths
    assert found[0].length_s == pytest.approx(1.5)
    assert found[1].length_s == pytest.approx(1.0, abs=0.1)
    assert all(each.problem for each in found[2:])
    assert found[3].problem == "the file is empty"
    assert found[5].problem == "No such file or directory"
    write(tmp_path / "f.srt", paths[4].read_text())
    assert probe(tmp_path / "f.srt").problem == "neither sound nor pictures in it"


def test_the_command_line(tmp_path: Path, clip: bytes) -> None:
    root = whole_meld(tmp_path / "meld", clip)
    done = CliRunner().invoke(app, ["check", str(root), "--corpus", "meld"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"{root}: sound"
    (root / "dev_splits_complete/dia0_utt0.mp4").unlink()
    done = CliRunner().invoke(app, ["check", str(root), "--json"])
    assert done.exit_code == 2
    content = json.loads(done.stdout)
    assert len(content["problems"]) == 1
    assert content["roots"][0]["classes"] == {"happy": 1, "sad": 1, "angry": 1}
    done = CliRunner().invoke(app, ["check", str(tmp_path / "gone"), str(tmp_path)])
    assert done.exit_code == 2
    assert done.stdout.splitlines() == [
        f"{tmp_path}/gone: no such file",
        f"{tmp_path}: not the layout of a corpus that we know (ie, meld, mosei, msp); did you mean "
        f"{root} (meld)?",
    ]
