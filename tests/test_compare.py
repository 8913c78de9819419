"""What differs between two feature files, each difference made on purpose."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from amanda.store.compare import compare_features, compare_text
from amanda.store.features import ModalityTable, Ragged, UtteranceTable, write_features
from corpora.check import check_paths

ATTRS = {
    "extractor": "acoustic/1",
    "model": "wav2vec2",
    "revision": "local",
    "sha256": "a" * 64,
    "layers": [1, 7, 12],
    "rate_hz": 50.0,
    "preprocessing": "16 kHz mono",
    "compute": "fp32",
}


def write(path: Path, ids: str = "abc", seed: int = 0, **attrs: object) -> Path:
    """Three utterances of 2, 3 and 4 frames."""
    rng = np.random.default_rng(seed)
    n = len(ids)
    lengths = [2 + i for i in range(n)]
    table = UtteranceTable(
        id=list(ids),
        label=np.arange(n, dtype=np.int8) % 4,
        split=["train"] * n,
        speaker=["s"] * n,
        group=["g"] * n,
        text=["hello"] * n,
        start_s=np.zeros(n),
        end_s=np.ones(n),
        source=[f"{name}.mp4" for name in ids],
        source_sha256=[name * 64 for name in ids],
    )
    modality = ModalityTable(
        data=Ragged(
            values=rng.normal(size=(sum(lengths), 3, 4)).astype(np.float16),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            valid=np.ones(sum(lengths), bool),
        ),
        time_s=np.concatenate([np.arange(k) / 50 for k in lengths]),
        status=["ok"] * n,
        detail=[""] * n,
        attrs={**ATTRS, **attrs},
    )
    profile = {"acoustic": {"model": "wav2vec2", "precision": "fp32"}}
    write_features(
        path,
        table,
        {"acoustic": modality},
        corpus="ie",
        profile="paper",
        attrs={
            "resampler": "soxr HQ",
            "downmix": False,
            "versions": json.dumps({"torch": "2.11.0", "av": "14.0"}),
            "profile_json": json.dumps(profile),
        },
    )
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "a.h5"), write(tmp_path / "b.h5")


def test_the_same_twice(pair: tuple[Path, Path]) -> None:
    assert compare_features(*pair) == []
    assert compare_text(*pair).endswith("the same in all but their time of writing")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda f: f.attrs.modify("resampler", "kaiser"), "resampler: soxr HQ | kaiser"),
        (lambda f: f.attrs.modify("downmix", True), "downmix: False | True"),
        (
            lambda f: f.attrs.modify("versions", json.dumps({"torch": "2.6.0", "av": "14.0"})),
            "version of torch: 2.11.0 | 2.6.0",
        ),
        (
            lambda f: f.attrs.modify(
                "profile_json", json.dumps({"acoustic": {"model": "wav2vec2", "precision": "bf16"}})
            ),
            "profile acoustic.precision: fp32 | bf16",
        ),
        (lambda f: f.attrs.create("device", "cuda"), "device: none | cuda"),
        (
            lambda f: f["acoustic"].attrs.modify("sha256", "b" * 64),
            f"acoustic: sha256: {'a' * 60}… | {'b' * 60}…",
        ),
        (
            lambda f: f["utterances/label"].__setitem__(1, 3),
            "label of 1 utterances, the first b: happy | angry",
        ),
        (
            lambda f: f["utterances/end_s"].__setitem__(2, 1.5),
            "end_s of 1 utterances, the first c: 1.0 | 1.5",
        ),
        (
            lambda f: f["utterances/source_sha256"].__setitem__(0, "f" * 64),
            "content of the recording of 1 utterances, the first a: aaaaaaaaaaaa | ffffffffffff",
        ),
        (
            lambda f: f["acoustic/status"].__setitem__(0, "truncated"),
            "acoustic: status of 1 utterances, the first a: ok | truncated",
        ),
        (
            lambda f: f["acoustic/time_s"].__setitem__(1, 0.5),
            "acoustic: times of the frames of 1 utterances",
        ),
        (
            lambda f: f["acoustic/valid"].__setitem__(4, False),
            "acoustic: which frames are valid, in 1 utterances",
        ),
    ],
)
def test_each_difference_is_named(pair: tuple[Path, Path], change, line: str) -> None:
    with h5py.File(pair[1], "a") as file:
        change(file)
    assert compare_features(*pair) == [line]


def test_values_by_how_much(pair: tuple[Path, Path]) -> None:
    with h5py.File(pair[1], "a") as file:
        values = file["acoustic/values"][:]
        values[3, 1, 2] += 0.5  # of b, whose frames are 2 to 4
        values[8] += 0.25
        file["acoustic/values"][:] = values
    [line] = compare_features(*pair)
    assert line.startswith("acoustic: values of 2 of 9 frames, by 0.5 at most (in b), where")


def test_rows_shapes_and_modalities(tmp_path: Path) -> None:
    first = write(tmp_path / "a.h5")
    other = write(tmp_path / "b.h5", ids="bdc", layers=[12])
    with h5py.File(other, "a") as file:
        file.move("acoustic", "lexical")
    lines = compare_features(first, other)
    assert f"1 of 3 utterances only in {first}, the first a" in lines
    assert f"1 of 3 utterances only in {other}, the first d" in lines
    assert f"acoustic: only in {first}" in lines
    assert f"lexical: only in {other}" in lines
    nothing = compare_features(first, write(tmp_path / "c.h5", ids="xyz"))
    assert "no utterance is in both, so features are not compared" in nothing
    swapped = compare_features(first, write(tmp_path / "d.h5", ids="cba"))
    assert "the order of utterances" in swapped
    assert "acoustic: number of frames of 2 utterances, the first a: 2 | 4" in swapped


def test_check_tells_it(tmp_path: Path) -> None:
    first, other = write(tmp_path / "a.h5"), write(tmp_path / "b.h5", model="hubert")
    report = check_paths([first, other])
    [note] = report.notes
    assert note == f"{first} and {other} differ in:\n  acoustic: model: wav2vec2 | hubert"
    assert len(report.problems) == 1  # they cannot be trained on together
    assert check_paths([first]).notes == []
    (tmp_path / "text.h5").write_text("no features")
    assert check_paths([first, tmp_path / "text.h5"]).notes == []
