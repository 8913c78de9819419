"""The manifest contract: what is written is read back, and every defect is named by its line."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amanda.store.errors import InputError
from amanda.store.manifest import (
    Utterance,
    check_manifest,
    count_rows,
    read_manifest,
    resolve_path,
    write_manifest,
)
from amanda.store.names import CLASSES, SPLITS


def save(folder: Path, text: str | bytes, name: str = "x.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


words = st.text(
    st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"], blacklist_characters="\0"),
    max_size=20,
).map(str.strip)
seconds = st.floats(0, 1e5).map(lambda x: round(x, 6))
shares = st.dictionaries(
    st.sampled_from(CLASSES), st.floats(0, 0.25).map(lambda x: round(x, 6)), max_size=4
)


@st.composite
def utterance(draw: st.DrawFn, utterance_id: str) -> Utterance:
    start_s = draw(st.none() | seconds)
    length_s = draw(st.none() | st.floats(0.001, 100).map(lambda x: round(x, 6)))
    speaker = draw(words)
    return Utterance(
        id=utterance_id,
        path=draw(words) or "a.wav",
        start_s=start_s,
        end_s=None if length_s is None else round((start_s or 0.0) + length_s, 6),
        text=draw(words),
        label=draw(st.sampled_from(["", *CLASSES])),
        speaker=speaker,
        group=draw(words) or speaker,
        split=draw(st.sampled_from(SPLITS)),
        audio_path=draw(words),
        audio_start_s=draw(st.none() | seconds),
        channel=draw(st.none() | st.integers(0, 7)),
        region=draw(st.none() | st.just((0.5, 0.0, 1.0, 1.0))),
        language=draw(words),
        valence=draw(st.none() | st.floats(-3, 5).map(lambda x: round(x, 6))),
        n_raters=draw(st.none() | st.integers(0, 9)),
        origin=draw(st.sampled_from(["recorded", "stand-in"])),
        shares=draw(shares),
    )


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 4).flatmap(lambda n: st.tuples(*(utterance(f"u{i}") for i in range(n)))))
def test_what_is_written_is_read_back(
    rows: tuple[Utterance, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("manifest") / "x.csv"
    write_manifest(path, rows)
    assert read_manifest(path) == list(rows)


def test_the_smallest_manifest_is_two_columns(tmp_path: Path) -> None:
    rows = read_manifest(save(tmp_path, "id,path\na,a.wav\nb,b.wav\n"))
    assert rows == [Utterance(id="a", path="a.wav"), Utterance(id="b", path="b.wav")]


def test_bom_crlf_blank_lines_and_line_breaks_in_quotes_are_read(tmp_path: Path) -> None:
    text = '\ufeffid,path,text\r\n\r\na,a.wav,"two\r\nlines, one cell"\r\nb,b.wav,x\r\n'
    rows = read_manifest(save(tmp_path, text))
    assert [r.text for r in rows] == ["two\r\nlines, one cell", "x"]


def test_group_falls_back_to_the_speaker(tmp_path: Path) -> None:
    rows = read_manifest(save(tmp_path, "id,path,speaker,group\na,a,S1,\nb,b,S2,G\n"))
    assert [r.group for r in rows] == ["S1", "G"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            "a,a.wav,,,,hapy,,,train",
            r"line 3: a: label 'hapy' is not a class; did you mean 'happy'",
        ),
        ("a,a.wav,,,,,,,dev", "line 3: a: split 'dev' is unknown; use train, val, test"),
        ("a,a.wav,,,,,,,", "line 3: a: split '' is unknown"),
        ("a,a.wav,3,2,,,,,train", "line 3: a: end_s 2 ≤ start_s 3"),
        ("a,a.wav,,0,,,,,train", "line 3: a: end_s 0 ≤ start_s 0"),
        ("a,a.wav,-1,2,,,,,train", "line 3: a: start_s -1 is below 0; clamp it"),
        ("a,a.wav,1_0,20,,,,,train", "line 3: a: start_s '1_0' is not a finite number"),
        ("a,a.wav,nan,2,,,,,train", "line 3: a: start_s 'nan' is not a finite number"),
        ("a,a.wav,0,1e999,,,,,train", "line 3: a: end_s '1e999' is not a finite number"),
        (",a.wav,,,,,,,train", "line 3: no id"),
        ("a,,,,,,,,train", "line 3: a: no path, audio_path or text"),
        ("first,a.wav,,,,,,,train", "line 3: id 'first' stands on line 2 already"),
        ("a,a.wav,,,one, two,,,train,", "line 3: 10 fields, but the header names 9; quote"),
        ("a,a.wav", "line 3: 2 fields"),
        ('a,"a.wav\nb",,,,,,,train', "line 3: a: path holds a line break or a tab; check the quot"),
        ('a,a.wav,,,"open,,,,train', r"line 3: not CSV \(unexpected end of data\); check the quot"),
    ],
)
def test_a_bad_row_is_named_by_line_and_the_others_are_read(
    row: str, problem: str, tmp_path: Path
) -> None:
    header = "id,path,start_s,end_s,text,label,speaker,group,split"
    path = save(tmp_path, f"{header}\nfirst,f.wav,,,,,,,train\n{row}\n")
    with pytest.raises(InputError, match=problem):
        read_manifest(path)
    assert len(check_manifest(path)) == 1


@pytest.mark.parametrize(
    ("column", "cell", "problem"),
    [
        ("region", "0 0 1 1", "not four numbers"),
        ("region", "0,0,640,480", "fractions of the frame, not pixels"),
        ("region", "0.5,0,0.5,1", "not x0 < x1"),
        ("channel", "1.5", "channel '1.5' is not a whole number"),
        ("channel", "-1", "channel '-1' is not a whole number from 0 up"),
        ("n_raters", "three", "n_raters 'three' is not a finite number"),
        ("p_happy", "30", "p_happy 30 is not a fraction"),
        ("origin", "generated", "origin 'generated' is unknown; use recorded, stand-in"),
        ("audio_start_s", "-0.5", "audio_start_s -0.5 is below 0"),
        ("valence", "high", "valence 'high' is not a finite number"),
    ],
)
def test_a_bad_optional_cell_is_named(column: str, cell: str, problem: str, tmp_path: Path) -> None:
    path = save(tmp_path, f'id,path,{column}\nu1,a.wav,"{cell}"\n')
    with pytest.raises(InputError, match=f"x.csv, line 2: u1: .*{problem}"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("path,text", "line 1: no column 'id'"),
        ("id,text", "line 1: no column 'path'"),
        ("id,File,text", "line 1: no column 'path'; rename 'File'"),
        ("utterance_id,path,text", "line 1: no column 'id'; rename 'utterance_id'"),
        ("id;path;label", "line 1: columns parted by semicolons; save it with commas"),
        ("id\tpath", "line 1: columns parted by tabs"),
        ("id,path,lable", "line 1: unknown column 'lable'; did you mean 'label'"),
        ("id,path,Emotion", "line 1: unknown column 'Emotion'; did you mean 'label'"),
        ("id,path,name", "line 1: unknown column 'name'; known: "),
        ("id,path,path", "line 1: column 'path' stands 2 times"),
        ("id,path,p_hapy", "line 1: column 'p_hapy' is the share of no class; .*'p_happy'"),
    ],
)
def test_a_bad_header_is_named(header: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        read_manifest(save(tmp_path, f"{header}\na,b,c\n"))


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "empty; the first line must name the columns"),
        (b"id,path\n", "no rows under the header"),
        (b"id,path\na,\xe9.wav\n", "line 2: not UTF-8"),
        (b"id,path\nx,y\na,b\0c\n", "line 3: a NUL byte"),
        ("id,path\na,b\n".encode("utf-16"), "line 1: not UTF-8"),
        (b"id,path\na," + b"x" * 1_000_001 + b"\n", "line 2: not CSV .*larger than field limit"),
    ],
)
def test_a_file_that_is_no_csv_is_one_sentence(raw: bytes, problem: str, tmp_path: Path) -> None:
    path = save(tmp_path, raw)
    with pytest.raises(InputError, match=problem):
        read_manifest(path)
    assert len(check_manifest(path)) == 1


def test_a_missing_file_and_a_folder_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: cannot be read"):
        read_manifest(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path)


def test_check_lists_every_problem_at_once(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        "id,path,label,start_s,end_s,colour\n"
        "a,a.wav,happy,0,1,\n"
        "b,b.wav,joy,2,1,\n"
        ",,,,,\n"
        "a,c.wav,sad,,,\n",
    )
    problems = check_manifest(path)
    assert [p.split(": ", 1)[0].removeprefix(f"{path}, ") for p in problems] == [
        "line 1", "line 3", "line 3", "line 4", "line 4", "line 5",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"\(and more: amanda check"):
        read_manifest(path)


def test_a_long_cell_with_line_breaks_is_quoted_in_one_short_line(tmp_path: Path) -> None:
    label = "happy\nor " + "x" * 5000
    (problem,) = check_manifest(save(tmp_path, f'id,path,label\nu,a.wav,"{label}"\n'))
    assert "label 'happy or xxx" in problem
    assert "\n" not in problem
    assert len(problem) < 500


def test_labels_of_a_corpus_of_ones_own_are_read_on_request(tmp_path: Path) -> None:
    path = save(tmp_path, "id,path,label,p_fru\na,a.wav,frustrated,0.5\n")
    assert len(check_manifest(path)) == 2
    (row,) = read_manifest(path, classes=None)
    assert (row.label, row.shares) == ("frustrated", {"fru": 0.5})


def test_shares_that_sum_above_one_are_named(tmp_path: Path) -> None:
    path = save(tmp_path, "id,path,p_happy,p_sad\na,a,0.333333,0.666667\nb,b,0.6,0.6\n")
    assert [p.split(": ", 1)[1] for p in check_manifest(path)] == [
        "b: label shares sum to 1.2; at most 1"
    ]


def test_paths_are_relative_to_the_csv_and_loops_of_links_survive(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    manifest = tmp_path / "manifests" / "x.csv"
    assert resolve_path(manifest, "../a.wav") == tmp_path.resolve() / "a.wav"
    assert resolve_path(manifest, "/abs/a.wav") == Path("/abs/a.wav")
    assert resolve_path(manifest, "../loop").name == "loop"


def test_columns_that_are_empty_everywhere_are_left_out(tmp_path: Path) -> None:
    row = Utterance(id="a", path="a.wav")
    write_manifest(tmp_path / "x.csv", [row])
    header = (tmp_path / "x.csv").read_text().splitlines()[0]
    assert header == "id,path,start_s,end_s,text,label,speaker,group,split"
    write_manifest(tmp_path / "x.csv", [row, dataclasses.replace(row, id="b", valence=2.5)])
    assert (tmp_path / "x.csv").read_text().splitlines()[0] == f"{header},valence"


def test_rows_are_counted_without_being_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text('\ufeffid,path,text\na,a.wav,"two\nlines"\n\nb,b.wav,\n', encoding="utf-8")
    assert count_rows(path) == 2
    with pytest.raises(InputError, match=r"none.csv"):
        count_rows(tmp_path / "none.csv")
