"""Drafting a CSV from a folder: what lies beside recordings, and what is wrong with it."""

import csv
import io
import json
import os
import re
import wave
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance, check_manifest, read_manifest
from corpora.from_folder import draft_manifest
from corpora.recordings import AUDIO, VIDEO
from corpora.segments import read_elan, read_rttm, read_textgrid
from corpora.segments.segment import is_part_of_utterances, speaker_of

LONG_FORM = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "Anna"
        xmin = 0
        xmax = 3.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1.25
            text = ""
        intervals [2]:
            xmin = 1.25
            xmax = 2.5
            text = "she said ""no"", 3 times!"
        intervals [3]:
            xmin = 2.5
            xmax = 3.5
            text = "über
zwei Zeilen"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 3.5
        points: size = 1
        points [1]:
            number = 1.5
            mark = "click"
    item [3]:
        class = "IntervalTier"
        name = "Anna - words"
        xmin = 0
        xmax = 3.5
        intervals: size = 1
        intervals [1]:
            xmin = 1.25
            xmax = 1.5
            text = "she"
"""
SHORT_FORM = """File type = "ooTextFile"
Object class = "TextGrid"

0
3.5
<exists>
3
"IntervalTier"
"Anna"
0 3.5 3
0 1.25 ""
1.25
2.5
"she said ""no"", 3 times!"  ! a comment "with" quotes
2.5 3.5 "über
zwei Zeilen"
"TextTier" "clicks" 0 3.5
1
1.5 "click"
"IntervalTier" "Anna - words" 0 3.5 1
1.25 1.5 "she"
"""
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2020-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/>
    <TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="1750"/>
    <TIME_SLOT TIME_SLOT_ID="ts3"/>
    <TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="3000"/>
  </TIME_ORDER>
  <TIER TIER_ID="utterances-B" PARTICIPANT="Ben" LINGUISTIC_TYPE_REF="default">
    <ANNOTATION>
      <ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts4">
        <ANNOTATION_VALUE>Tom &amp; I,
        really</ANNOTATION_VALUE>
      </ALIGNABLE_ANNOTATION>
    </ANNOTATION>
  </TIER>
  <TIER TIER_ID="Anna" LINGUISTIC_TYPE_REF="default">
    <ANNOTATION>
      <ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
        <ANNOTATION_VALUE>Hallo</ANNOTATION_VALUE>
      </ALIGNABLE_ANNOTATION>
    </ANNOTATION>
  </TIER>
  <TIER TIER_ID="parts" PARENT_REF="Anna" LINGUISTIC_TYPE_REF="sub">
    <ANNOTATION>
      <ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts3">
        <ANNOTATION_VALUE>Hal</ANNOTATION_VALUE>
      </ALIGNABLE_ANNOTATION>
    </ANNOTATION>
    <ANNOTATION>
      <REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a2">
        <ANNOTATION_VALUE>hello</ANNOTATION_VALUE>
      </REF_ANNOTATION>
    </ANNOTATION>
  </TIER>
  <LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>
"""
RTTM = """;; a comment
SPKR-INFO talk 1 <NA> <NA> <NA> unknown SPEAKER_00 <NA> <NA>
SPEAKER talk 1 0.50 1.25 <NA> <NA> SPEAKER_00 <NA> <NA>
SPEAKER talk 1 2.00 0.00 <NA> <NA> SPEAKER_00 <NA> <NA>

SPEAKER talk 1 1.50 2.00 <NA> <NA> SPEAKER_01 <NA>
"""


def wav(n_samples: int = 800) -> bytes:
    """A mono WAV of silence, 16 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 16_000, n_samples, "NONE", ""))
        out.writeframes(bytes(2 * n_samples))
    return file.getvalue()


SOUND = wav()


def write_all(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write files; a recording given as "" gets a sound in it."""
    for name, content in files.items():
        path = folder / name
        if content == "" and path.suffix.lower() in AUDIO | VIDEO:
            content = SOUND
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def draft(folder: Path, out: Path | None = None, **options):
    """Draft and read: the rows, and the summary."""
    out = out or folder.parent / "mine.csv"
    summary = draft_manifest(folder, out, **options)
    assert check_manifest(out) == []
    return read_manifest(out), summary


def test_clips_with_text_beside_them(tmp_path):
    folder = write_all(
        tmp_path / "clips",
        {
            "angry/a b.mp4": "",
            "angry/a b.txt": '\ufeffGet  out\nof here, "now"!\n',
            "angry/a b.wav": "",
            "Happy/deep/c.WAV": "",
            "Happy/deep/c.txt": "Schön".encode("utf-16"),
            "other/sad.flac": "",
            "readme.txt": "not a transcript",
            ".hidden.wav": "",
            ".git/x.wav": "",
            "picture.png": "",
        },
    )
    rows, summary = draft(folder)
    assert rows == [
        Utterance(id="Happy_deep_c", path="clips/Happy/deep/c.WAV", text="Schön", label="happy"),
        Utterance(
            id="angry_a_b",
            path="clips/angry/a b.mp4",
            audio_path="clips/angry/a b.wav",
            text='Get out of here, "now"!',
            label="angry",
        ),
        Utterance(id="other_sad", path="clips/other/sad.flac"),
    ]
    assert summary.media == {"audio": 2, "video with audio beside it": 1}
    assert summary.utterances == {"whole clips with text": 2, "whole clips without text": 1}
    assert summary.labels == {"happy": 1, "angry": 1, "": 1}
    assert summary.problems == []
    assert json.loads(summary.to_json())["n_speakers"] == 0
    header = (tmp_path / "mine.csv").read_text().splitlines()[0]
    assert header == "id,path,start_s,end_s,text,label,speaker,group,audio_path"  # no split yet
    text = summary.to_text()
    assert "3 utterances drafted" in text
    assert "amanda check" in text


def test_nearest_folder_and_other_classes(tmp_path):
    folder = write_all(tmp_path / "c", {"sad/angry/x.wav": "", "joy/y.wav": "", "z.wav": ""})
    rows, _ = draft(folder)
    assert [(r.id, r.label) for r in rows] == [("joy_y", ""), ("sad_angry_x", "angry"), ("z", "")]
    draft_manifest(folder, tmp_path / "o.csv", classes=("joy", "grief"))
    assert [r.label for r in read_manifest(tmp_path / "o.csv", classes=None)] == ["joy", "", ""]


def test_rttm(tmp_path):
    folder = write_all(tmp_path / "f", {"talk.mp4": "", "talk.rttm": RTTM, "talk.txt": "whole"})
    rows, summary = draft(folder)
    assert [(r.id, r.start_s, r.end_s, r.speaker, r.group, r.text) for r in rows] == [
        ("talk_001", 0.5, 1.75, "talk:SPEAKER_00", "talk", ""),
        ("talk_002", 1.5, 3.5, "talk:SPEAKER_01", "talk", ""),
    ]
    assert all(r.channel is None for r in rows)
    assert summary.problems == ["talk.mp4: 1 segment without length left out"]
    assert summary.utterances == {"rttm segments": 2}
    assert summary.n_speakers == 2


def test_rttm_of_several_recordings_and_channels(tmp_path):
    line = "SPEAKER {} {} {} 1.0 <NA> <NA> {} <NA> <NA>\n"
    turns = [("a", 1, 0, "X"), ("a", 2, 1, "Y"), ("b", 1, 0, "X"), ("gone", 1, 0, "X")]
    folder = write_all(
        tmp_path / "f",
        {"day/a.wav": "", "day/b.wav": "", "all.rttm": "".join(line.format(*t) for t in turns)},
    )
    rows, summary = draft(folder)
    assert [(r.id, r.speaker, r.channel) for r in rows] == [
        ("day_a_001", "day_a:X", 0),
        ("day_a_002", "day_a:Y", 1),
        ("day_b_001", "day_b:X", None),
    ]
    assert len(summary.problems) == 1
    assert "recording 'gone': no recording has this name" in summary.problems[0]


def test_elan(tmp_path):
    folder = write_all(tmp_path / "f", {"talk.wav": "", "talk.eaf": EAF})
    rows, summary = draft(folder)
    assert [(r.id, r.start_s, r.end_s, r.speaker, r.text) for r in rows] == [
        ("talk_001", 0.5, 1.75, "Anna", "Hallo"),
        ("talk_002", 1.75, 3.0, "Ben", "Tom & I, really"),
    ]
    assert summary.tiers == {"Anna": 1, "utterances-B": 1}
    write_all(
        folder,
        {"talk.eaf": EAF.replace('TIME_SLOT_ID="ts3"', 'TIME_SLOT_ID="ts3" TIME_VALUE="700"')},
    )
    rows, _ = draft(folder, tmp_path / "parts.csv", tiers=["parts"])
    assert [(r.start_s, r.end_s, r.text) for r in rows] == [(0.5, 0.7, "Hal")]


def test_elan_in_utf_16(tmp_path):
    path = tmp_path / "x.eaf"
    path.write_bytes(EAF.replace('encoding="UTF-8"', 'encoding="UTF-16"').encode("utf-16"))
    assert [s.text for s in read_elan(path)] == ["Tom & I, really", "Hallo"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", [LONG_FORM, SHORT_FORM, LONG_FORM.replace("\n", "\r\n")])
def test_textgrid_forms_and_encodings(tmp_path, form, encoding):
    folder = write_all(tmp_path / "f", {"talk.wav": "", "talk.TextGrid": form.encode(encoding)})
    rows, summary = draft(folder)
    assert [(r.id, r.start_s, r.end_s, r.speaker, r.text) for r in rows] == [
        ("talk_001", 1.25, 2.5, "Anna", 'she said "no", 3 times!'),
        ("talk_002", 2.5, 3.5, "Anna", "über zwei Zeilen"),
    ]
    assert summary.tiers == {"Anna": 2}
    rows, _ = draft(folder, tmp_path / "words.csv", tiers=["Anna - words"])
    assert [(r.start_s, r.end_s, r.text) for r in rows] == [(1.25, 1.5, "she")]


def test_tier_names():
    assert [speaker_of(t) for t in ("Anna", "default", "Utterances", "text 2", "speaker 1")] == [
        "Anna", "", "", "", "speaker 1",
    ]  # fmt: skip
    parts = ["words", "phones", "Anna - words", "S1_phonemes", "WORD"]
    assert all(is_part_of_utterances(t) for t in parts)
    assert not any(is_part_of_utterances(t) for t in ("Edwards", "Anna", "keyword spotting"))


def test_recordings_that_share_a_speaker_are_one_group(tmp_path):
    """Anna is in a and b, Ben in b and c: a speaker-independent split keeps all three together."""

    def grid(*names):
        tiers = "".join(
            f'"IntervalTier" "{n}" 0 9 1 {i} {i + 1} "hi" ' for i, n in enumerate(names)
        )
        return f'"ooTextFile" "TextGrid" 0 9 <exists> {len(names)} {tiers}'

    folder = write_all(
        tmp_path / "f",
        {
            **{f"{n}.wav": "" for n in "abcde"},
            "a.TextGrid": grid("Anna"),
            "b.TextGrid": grid("Anna", "Ben"),
            "c.TextGrid": grid("Ben"),
            "d.TextGrid": grid("Cleo"),
            "e.TextGrid": grid("utterances"),
        },
    )
    rows, _ = draft(folder)
    groups = {r.path[2]: r.group for r in rows}
    assert groups["a"] == groups["b"] == groups["c"]
    assert len({groups[n] for n in "ade"}) == 3


def test_ids_are_plain_and_never_twice(tmp_path):
    names = ["a b", "a_b", "a/b", "ü$$!", "talk_001", "..x.."]
    folder = write_all(tmp_path / "f", {f"{n}.wav": "" for n in names})
    write_all(folder, {"talk.wav": "", "talk.rttm": RTTM})
    rows, _ = draft(folder)
    ids = [r.id for r in rows]
    assert len(set(ids)) == len(ids) == 7  # ..x.. is hidden
    assert all(set(i) <= set("abcdefghijklmnopqrstuvwxyzü0123456789_.-") for i in ids)
    again, _ = draft(folder, tmp_path / "again.csv")
    assert [r.id for r in again] == ids


def test_paths_are_relative_to_the_csv(tmp_path):
    folder = write_all(tmp_path / "x" / "f", {"a.wav": ""})
    for out, path in (
        (tmp_path / "x" / "f" / "m.csv", "a.wav"),
        (tmp_path / "m.csv", "x/f/a.wav"),
        (tmp_path / "y" / "z" / "m.csv", "../../x/f/a.wav"),
    ):
        rows, _ = draft(folder, out)
        assert rows[0].path == path
        assert (out.parent / path).is_file()


def test_links_are_not_followed(tmp_path):
    write_all(tmp_path / "secret", {"s.wav": "", "s.txt": "secret"})
    folder = write_all(tmp_path / "f", {"a.wav": "", "sub/b.wav": ""})
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "a.txt").symlink_to(tmp_path / "secret" / "s.txt")
    (folder / "dead.wav").symlink_to(tmp_path / "nothing")
    rows, summary = draft(folder)
    assert [r.id for r in rows] == ["a", "sub_b"]
    assert rows[0].text == ""
    assert len([p for p in summary.problems if "a link, not followed" in p]) == 4


def test_names_that_a_csv_cannot_hold(tmp_path):
    folder = write_all(tmp_path / "f", {"a.wav": "", "b\nc.wav": "", " d.wav": ""})
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.wav")).touch()
    rows, summary = draft(folder, folder / "m.csv")
    assert [r.id for r in rows] == ["a"]
    assert len(summary.problems) == 3
    assert all("rename the file" in p and p.isprintable() for p in summary.problems)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.mp4": "", "a.avi": ""}, "a.avi and a.mp4 are two video files"),
        ({"a.wav": "", "a.flac": ""}, "two audio files"),
        ({"a.wav": "", "a.eaf": EAF, "a.rttm": RTTM}, "a.eaf and a.rttm segment one file"),
        ({"b.eaf": EAF}, "b.eaf: no recording of this name"),
        ({"a.wav": b""}, r"f/a\.wav left out: it does not open \(the file is empty\)"),
        ({"a.wav": SOUND[:44]}, r"f/a\.wav left out: it does not open \(a header, and nothing"),
        ({"a.wav": wav(0)}, r"f/a\.wav left out: it does not open \(a header, and nothing"),
        ({"a.mp4": "some words\n" * 9}, r"f/a\.mp4 left out: it does not open \(Invalid data"),
        ({"a.mp4": "", "a.wav": b""}, r"f/a\.wav left out: it does not open"),
        ({"a.wav": "", "a.txt": b"ok\nbad \xff"}, r"a\.wav left out: its .*, line 2: not utf-8"),
        ({"a.wav": "", "a.txt": "x\n\ny\0"}, r"a\.txt, line 3: a NUL byte"),
        ({"a.wav": "", "a.txt": "x" * 200_000}, "200000 characters"),
        ({"a.wav": "", "a.rttm": "SPEAKER a 1 0 1\n"}, r"a\.rttm, line 1: 'SPEAKER a 1 0 1'"),
        ({"a.wav": "", "a.rttm": RTTM.replace("1.25", "one")}, r"line 3: duration 'one' is"),
        ({"a.wav": "", "a.rttm": RTTM.replace("0.50", "-0.5")}, r"line 3: start -0\.5"),
        ({"a.wav": "", "a.rttm": RTTM.replace("0.50", "nan")}, r"line 3: start 'nan'"),
        ({"a.wav": "", "a.rttm": RTTM + RTTM.replace("talk", "b")}, "recording 'b' is not 'a'"),
        ({"a.wav": "", "a.rttm": ";; nothing\n"}, "no segments on tiers of utterances"),
        ({"a.wav": "", "a.eaf": EAF[:900]}, r"a\.eaf, line \d+: not XML"),
        ({"a.wav": "", "a.eaf": EAF.replace("UTF-8", "BTF-8")}, "unknown encoding: BTF-8"),
        ({"a.wav": "", "a.eaf": EAF.replace("UTF-8", "gb18030")}, "an encoding that is none"),
        ({"a.wav": "", "a.eaf": "<html></html>"}, "<html> where ELAN has"),
        ({"a.wav": "", "a.eaf": EAF.replace("1750", "soon")}, r"line 6: TIME_VALUE 'soon'"),
        ({"a.wav": "", "a.eaf": EAF.replace(' TIME_VALUE="3000"', "")}, "line 12: time slot"),
        ({"a.wav": "", "a.eaf": EAF.replace("milliseconds", "frames")}, "times in frames"),
        ({"a.wav": "", "a.eaf": '<!DOCTYPE x [<!ENTITY a "b">]>' + EAF[39:]}, "a document type"),
        ({"a.wav": "", "a.TextGrid": LONG_FORM[:700]}, r"a\.TextGrid, line \d+: .* is due"),
        ({"a.wav": "", "a.TextGrid": LONG_FORM.replace("1.25", "1,25")}, "line 17: .*'1,25'"),
        ({"a.wav": "", "a.TextGrid": SHORT_FORM.replace('"clicks"', '"clicks')}, "line 1[5-9]"),
        ({"a.wav": "", "a.TextGrid": SHORT_FORM[:-3]}, "quotation mark that is not closed"),
        ({"a.wav": "", "a.TextGrid": "ooBinaryFile\x08TextGrid"}, "a binary TextGrid"),
        ({"a.wav": "", "a.TextGrid": 'File type = "ooTextFile"\n"Pitch 1"'}, "a Praat Pitch 1"),
        ({"a.wav": "", "a.TextGrid": "hello"}, "the end of the file where the file type is due"),
        ({"a.wav": "", "a.TextGrid": SHORT_FORM.encode("latin1")}, "line 15: not utf-8"),
    ],
)  # fmt: skip
def test_broken_files_are_named_and_leave_the_rest(tmp_path, files, said):
    folder = write_all(tmp_path / "f", {"good.wav": "", **files})
    rows, summary = draft(folder)
    assert [r.id for r in rows] == ["good"]
    assert len(summary.problems) == 1
    assert re.search(said, summary.problems[0]), summary.problems
    assert "\n" not in summary.problems[0]
    assert "1 left out" in summary.to_text()


def test_entities_are_not_expanded(tmp_path):
    """The billion laughs: 10^9 copies of a word out of a kilobyte."""
    lines = ['<!ENTITY a0 "ha">', *(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))]
    bomb = f"<!DOCTYPE x [{''.join(lines)}]><ANNOTATION_DOCUMENT>&a9;</ANNOTATION_DOCUMENT>"
    (tmp_path / "x.eaf").write_text(bomb)
    with pytest.raises(InputError, match="line 1: a document type"):
        read_elan(tmp_path / "x.eaf")


@given(st.sampled_from([EAF, LONG_FORM, SHORT_FORM, RTTM]), st.data())
@settings(max_examples=150, deadline=None)
def test_mangled_sidecars_are_read_or_refused(tmp_path_factory, text, data):
    raw = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.mktemp("m") / "x"
    path.write_bytes(raw)
    read = {EAF: read_elan, RTTM: read_rttm}.get(text, read_textgrid)
    said = ""
    try:
        read(path)
    except InputError as error:
        said = str(error)
    assert "\n" not in said


def test_what_is_refused(tmp_path):
    folder = write_all(tmp_path / "f", {"a.wav": ""})
    (tmp_path / "mine.csv").write_text("id,path,label\na,a.wav,sad\n")
    for where, out, said in (
        (folder, "mine.csv", "is there already, perhaps with labels"),
        (folder, "mine.txt", r"ends in \.csv"),
        (tmp_path / "none", "x.csv", "no such folder"),
        (folder / "a.wav", "x.csv", "no such folder"),
    ):
        with pytest.raises(InputError, match=said):
            draft_manifest(where, tmp_path / out)
    assert (tmp_path / "mine.csv").read_text() == "id,path,label\na,a.wav,sad\n"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"no recording to draft from \(no files\).*\.wav"):
        draft_manifest(empty, tmp_path / "x.csv")
    write_all(empty, {"a.wav": "", "a.rttm": "SPEAKER"})
    with pytest.raises(InputError, match=r"nothing to draft: .*line 1"):
        draft_manifest(empty, tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_long_lists_of_problems_are_cut_in_text_alone(tmp_path):
    folder = write_all(tmp_path / "f", {"a.wav": "", **{f"{i}.eaf": EAF for i in range(25)}})
    _, summary = draft(folder)
    assert "and 5 more" in summary.to_text()
    assert len(json.loads(summary.to_json())["problems"]) == 25


def test_a_name_that_no_corpus_can_have_is_told_at_once(tmp_path):
    folder = write_all(tmp_path / "f", {"a.wav": ""})
    _, summary = draft(folder, tmp_path / "Rec-Two.csv")
    (note,) = summary.notes
    assert note.startswith(f"{tmp_path}/Rec-Two.csv: corpus name 'Rec-Two': use lower-case")
    assert "--corpus NAME" in note
    assert note in summary.to_text()
    assert draft(folder, tmp_path / "rec2.csv")[1].notes == []


def test_draft_is_a_csv_that_spreadsheets_and_the_reader_take(tmp_path):
    from corpora.manifest import build_manifest

    files = {f"{c}/{i}.wav": "" for c in ("sad", "happy") for i in range(12)}
    folder = write_all(tmp_path / "f", files)
    draft_manifest(folder, tmp_path / "mine.csv")
    with open(tmp_path / "mine.csv", encoding="utf-8", newline="") as file:
        assert {row["label"] for row in csv.DictReader(file)} == {"sad", "happy"}
    out = tmp_path / "manifests" / "mine.csv"
    build_manifest("csv", tmp_path / "mine.csv", out, split="paper")
    rows = read_manifest(out)
    assert len(rows) == 24
    assert {r.split for r in rows} == {"train", "val", "test"}
    assert all((out.parent / r.path).is_file() for r in rows)
