"""Whatever label files, transcripts and CSVs hold, a reader yields rows or says one sentence."""

import csv
from pathlib import Path

import pytest
from corpus_trees import IE_LABELS, IE_TRANSCRIPT, MSP_LABELS, ie_tree, msp_tree, write
from hypothesis import given, settings
from hypothesis import strategies as st

from amanda.store.errors import InputError
from amanda.store.manifest import check_manifest, read_manifest
from corpora.manifest import build_manifest

CSV = "id,path,start_s,end_s,text,label,split\nu1,,0,1,hello,happy,train\nu2,,1,2,bye,sad,test\n"


@st.composite
def damaged(draw: st.DrawFn, text: str) -> bytes:
    """The text with pieces cut out, doubled, or replaced by anything."""
    raw = bytearray(text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16"]))))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        stop = start + draw(st.integers(0, 40))
        piece = draw(
            st.one_of(
                st.binary(max_size=12),
                st.just(bytes(raw[start:stop]) * 2),
                st.sampled_from(
                    [b"", b"\0", b"\r\n", b"../../", b'"', b"[", b";", b"\xef\xbb\xbf"]
                ),
            )
        )
        raw[start:stop] = piece
    return bytes(raw)


def build(corpus: str, root: Path, out: Path) -> None:
    """Either a manifest that adds up, or one sentence and no file."""
    out.unlink(missing_ok=True)
    try:
        summary = build_manifest(corpus, root, out)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert not out.exists()
        return
    rows = read_manifest(out)
    with open(out.with_suffix(".dropped.csv"), newline="") as file:
        dropped = list(csv.DictReader(file))
    assert len(rows) + len(dropped) == summary.n_total
    base = root if root.is_dir() else root.parent
    for row in rows:
        for path in filter(None, (row.path, row.audio_path)):
            assert (out.parent / path).resolve().is_relative_to(base.resolve())


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    ie_tree(folder / "ie")
    msp_tree(folder / "msp")
    return folder


@settings(max_examples=60, deadline=None)
@given(labels=damaged(IE_LABELS), transcript=damaged(IE_TRANSCRIPT))
def test_iemocap(labels: bytes, transcript: bytes, trees: Path) -> None:
    write(trees / "ie/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt", labels)
    write(trees / "ie/Session1/dialog/transcriptions/Ses01F_impro01.txt", transcript)
    build("ie", trees / "ie", trees / "ie.csv")


@settings(max_examples=60, deadline=None)
@given(labels=damaged(MSP_LABELS), transcript=damaged("Some words.\n"))
def test_msp_improv(labels: bytes, transcript: bytes, trees: Path) -> None:
    write(trees / "msp/Evalution.txt", labels)
    name = "MSP-IMPROV-S01A-F01-P-FM01.txt"
    write(trees / "msp/All_human_transcriptions" / name, transcript)
    build("msp", trees / "msp", trees / "msp.csv")


@settings(max_examples=60, deadline=None)
@given(text=damaged(CSV))
def test_a_csv_of_ones_own(text: bytes, trees: Path) -> None:
    path = write(trees / "own" / "mine.csv", text)
    assert all("\n" not in problem for problem in check_manifest(path))
    build("csv", path, trees / "own.csv")
