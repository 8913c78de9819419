"""Whatever label files, transcripts and CSVs hold, a reader yields rows or says one sentence."""

import csv
from pathlib import Path

import pytest
from corpus_trees import (
    FOLDS,
    IE_LABELS,
    IE_TRANSCRIPT,
    MELD_TRAIN,
    MOSEI_CSV,
    MOSEI_TRANSCRIPT,
    MSP_LABELS,
    ie_tree,
    meld_tree,
    mosei_tree,
    msp_tree,
    write,
    write_csd,
    write_folds,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from amanda.store.errors import InputError
from amanda.store.manifest import check_manifest, read_manifest
from corpora.manifest import build_manifest

CSV = "id,path,start_s,end_s,text,label,split\nu1,,0,1,hello,happy,train\nu2,,1,2,bye,sad,test\n"


@st.composite
def damaged(draw: st.DrawFn, content: str | bytes) -> bytes:
    """The content with pieces cut out, doubled, or replaced by anything."""
    if isinstance(content, str):
        content = content.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16"])))
    raw = bytearray(content)
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


def build(corpus: str, root: Path, out: Path, split: str = "paper") -> None:
    """Either a manifest that adds up, or one sentence and no file."""
    out.unlink(missing_ok=True)
    try:
        summary = build_manifest(corpus, root, out, split=split)
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
    meld_tree(folder / "meld")
    for name in ("mosei_csv", "mosei_csd"):
        write_folds(mosei_tree(folder / name, labels=name[-3:]))
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


@settings(max_examples=60, deadline=None)
@given(table=damaged(MELD_TRAIN))
def test_meld(table: bytes, trees: Path) -> None:
    write(trees / "meld/train_sent_emo.csv", table)
    build("meld", trees / "meld", trees / "meld.csv")


@settings(max_examples=60, deadline=None)
@given(labels=damaged(MOSEI_CSV), transcript=damaged(MOSEI_TRANSCRIPT))
def test_mosei_csv(labels: bytes, transcript: bytes, trees: Path) -> None:
    root = trees / "mosei_csv"
    write(root / "labels.csv", labels)
    write(root / "Raw/Transcript/Segmented/Combined/_0ab_cD-.txt", transcript)
    build("mosei", root, trees / "mosei_csv.csv")


@pytest.fixture(scope="module")
def csd(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_csd(tmp_path_factory.mktemp("csd") / "labels.csd").read_bytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_mosei_csd(csd: bytes, data: st.DataObject, trees: Path) -> None:
    write(trees / "mosei_csd/CMU_MOSEI_Labels.csd", data.draw(damaged(csd)))
    build("mosei", trees / "mosei_csd", trees / "mosei_csd.csv")


SDK = "".join(f"standard_{name}_fold = {ids.split()}\n" for name, ids in FOLDS.items())


@settings(max_examples=60, deadline=None)
@given(train=damaged(FOLDS["train"]), program=damaged(SDK), which=st.booleans())
def test_official_folds(train: bytes, program: bytes, which: bool, trees: Path) -> None:
    root = trees / "mosei_csv"
    write(root / "labels.csv", MOSEI_CSV)
    write(root / "Raw/Transcript/Segmented/Combined/_0ab_cD-.txt", MOSEI_TRANSCRIPT)
    write(root / "folds/train.txt", train)
    sdk = write(root / "cmu_mosei_std_folds.py", program)
    if which:
        sdk.unlink()
    build("mosei", root, trees / "mosei_csv.csv", split="official")
