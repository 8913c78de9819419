"""Feature files: what is written is read back; merging; damaged files and full disks."""

import os
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amanda.store.errors import InputError
from amanda.store.feature_tables import first_non_finite
from amanda.store.features import (
    FeatureFile,
    ModalityTable,
    Ragged,
    UtteranceTable,
    merge_features,
    write_features,
)

ATTRS = {
    "extractor": "test",
    "model": "random",
    "revision": "1",
    "sha256": "0" * 64,
    "layers": [1, 7],
    "rate_hz": 50.0,
    "dtype": "float32",
    "preprocessing": "none",
}


def utterances(ids: list[str], **columns) -> UtteranceTable:
    n = len(ids)
    defaults = {
        "label": np.arange(n, dtype=np.int8) % 4,
        "split": ["train", "val", "test"] * n,
        "speaker": [f"s{i % 2}" for i in range(n)],
        "group": ["g"] * n,
        "text": [f"wörds {i}" for i in range(n)],
        "start_s": np.zeros(n),
        "end_s": np.ones(n),
        "source": ["a.wav"] * n,
    }
    defaults["split"] = defaults["split"][:n]
    return UtteranceTable(id=ids, **{**defaults, **columns})


def modality(lengths: list[int], seed: int = 0, width: int = 3, **changes) -> ModalityTable:
    rng = np.random.default_rng(seed)
    frames = sum(lengths)
    table = {
        "data": Ragged(
            values=rng.standard_normal((frames, 2, width)).astype(np.float16),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            valid=rng.random(frames) < 0.9,
        ),
        "time_s": np.arange(frames) / 50.0,
        "status": ["ok" if n else "no_audio" for n in lengths],
        "detail": ["" if n else "no audio stream" for n in lengths],
        "attrs": ATTRS,
    }
    return ModalityTable(**{**table, **changes})


def write(path: Path, ids: list[str], lengths: list[int], seed: int = 0, **columns) -> None:
    table = utterances(ids, **columns)
    write_features(
        path, table, {"acoustic": modality(lengths, seed)}, corpus="ie", profile="embedded"
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    vad = np.array([[1, 2, 3], [np.nan] * 3, [4, 5, 6]], np.float32)
    table = utterances(["a", "b", "c"], vad=vad, n_raters=np.array([3, 0, 5]))
    lengths = [4, 0, 2]
    boxes = np.arange(24, dtype=np.float32).reshape(6, 4)
    acoustic = modality(lengths, extra={"boxes": boxes}, rows={"score": np.array([0.5, 0, 1])})
    path = tmp_path / "x.h5"
    write_features(
        path,
        table,
        {"lexical": modality(lengths, 1), "acoustic": acoustic},
        corpus="ie",
        profile="embedded",
        origin="stand-in",
        attrs={"manifest_sha256": "ab"},
    )
    with FeatureFile(path) as features:
        assert (features.corpus, features.profile, features.origin) == (
            "ie",
            "embedded",
            "stand-in",
        )
        assert features.attrs["manifest_sha256"] == "ab"
        assert features.modalities == ("acoustic", "lexical")
        assert features.ids == ["a", "b", "c"]
        assert features.text == table.text
        assert features.split == ["train", "val", "test"]
        assert features.label.tolist() == [0, 1, 2]
        assert features.rows("val").tolist() == [1]
        data = features.modality("acoustic")
        assert data.status == ["ok", "no_audio", "ok"]
        assert data.usable.tolist() == [True, False, True]
        assert data.detail[1] == "no audio stream"
        assert (data.n_layers, data.width) == (2, 3)
        assert data.identity()["layers"] == [1, 7]
        np.testing.assert_array_equal(data.read().values, acoustic.data.values)
        np.testing.assert_array_equal(data.group["boxes"][:], boxes)
        np.testing.assert_array_equal(features.file["targets/vad"][:], vad)
        assert data.group["values"].chunks is None


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    picks=st.lists(st.integers(0, 5), max_size=8),
)
def test_rows_read_one_by_one_or_together_are_the_same(
    lengths: list[int], picks: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("read") / "x.h5"
    write(path, [str(i) for i in range(len(lengths))], lengths)
    rows = np.array([p % len(lengths) for p in picks], np.int64)
    with FeatureFile(path) as features:
        data = features.modality("acoustic")
        read, whole = data.read(rows), data.read()
        taken = whole.take(rows)
    np.testing.assert_array_equal(read.values, taken.values)
    np.testing.assert_array_equal(read.offsets, taken.offsets)
    np.testing.assert_array_equal(read.valid, taken.valid)
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(
            read.values[read.offsets[i] : read.offsets[i + 1]],
            whole.values[whole.offsets[row] : whole.offsets[row + 1]],
        )


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=8),
    cuts=st.sets(st.integers(1, 7), max_size=3),
)
def test_merged_shards_equal_the_file_written_at_once(
    lengths: list[int], cuts: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    ids = [f"u{i}" for i in range(len(lengths))]
    table, acoustic = utterances(ids), modality(lengths)
    write_features(folder / "whole.h5", table, {"acoustic": acoustic}, corpus="ie", profile="p")
    edges = [0, *sorted(c for c in cuts if c < len(ids)), len(ids)]
    shards = []
    for k, (a, b) in enumerate(pairwise(edges)):
        data = acoustic.data.take(np.arange(a, b))
        first, last = acoustic.data.offsets[a], acoustic.data.offsets[b]
        part = modality(
            lengths[a:b],
            data=data,
            time_s=acoustic.time_s[first:last],
            status=acoustic.status[a:b],
            detail=acoustic.detail[a:b],
        )
        columns = {
            name: getattr(table, name)[a:b]
            for name in ("label", "split", "speaker", "group", "text", "source")
        }
        shards.append(folder / f"{k}.h5")
        write_features(
            shards[-1],
            utterances(ids[a:b], **columns),
            {"acoustic": part},
            corpus="ie",
            profile="p",
        )
    assert merge_features(shards, folder / "merged.h5") == len(ids)
    with h5py.File(folder / "whole.h5") as whole, h5py.File(folder / "merged.h5") as merged:
        assert set(whole) == set(merged)
        for group in whole:
            assert dict(whole[group].attrs).keys() == dict(merged[group].attrs).keys()
            for name in whole[group]:
                np.testing.assert_array_equal(whole[group][name][:], merged[group][name][:])
        assert merged["acoustic/values"].chunks is None


def test_merging_keeps_the_order_given(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", ["a1", "a2"], [1, 2])
    write(tmp_path / "b.h5", ["b1"], [3])
    merge_features([tmp_path / "b.h5", tmp_path / "a.h5"], tmp_path / "m.h5")
    with FeatureFile(tmp_path / "m.h5") as features:
        assert features.ids == ["b1", "a1", "a2"]
        assert features.modality("acoustic").offsets.tolist() == [0, 3, 4, 6]


def test_merging_needs_memory_for_one_block_only(tmp_path: Path) -> None:
    shards = []
    for k in range(3):
        shards.append(tmp_path / f"{k}.h5")
        frames = 12_000  # 24 MB of values a shard
        table = modality([frames], seed=k, width=500)
        write_features(
            shards[-1], utterances([str(k)]), {"acoustic": table}, corpus="ie", profile="p"
        )
    tracemalloc.start()
    merge_features(shards, tmp_path / "m.h5")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6, f"{peak / 1e6:.0f} MB at the peak for {3 * 24} MB of values"


def test_nothing_is_left_of_a_merge_that_fails(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", ["a"], [1])
    write(tmp_path / "b.h5", ["a"], [1])
    with pytest.raises(InputError, match=r"b\.h5: id 'a' is in .*a\.h5 too"):
        merge_features([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "m.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.h5"]


def edit(path: Path, change) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["acoustic"].attrs.__setitem__("model", "other"), "model is 'other'.*'random'"),
        (lambda f: f["acoustic"].attrs.__setitem__("sha256", "1"), "acoustic sha256 is '1'"),
        (lambda f: f.attrs.__setitem__("profile", "paper"), "profile is 'paper'.*'embedded'"),
        (lambda f: f.attrs.__setitem__("origin", "stand-in"), "origin is 'stand-in'"),
        (lambda f: f["utterances"].attrs.__setitem__("label_names", list("abcd")), "classes a, b"),
        (lambda f: f["acoustic"].__setitem__("boxes", np.zeros(2)), "/acoustic/boxes is only in"),
        (lambda f: f.move("acoustic", "visual"), "/acoustic/detail is only in"),
    ],
)
def test_shards_of_different_extractions_are_refused(change, message: str, tmp_path: Path) -> None:
    write(tmp_path / "a.h5", ["a"], [2])
    write(tmp_path / "b.h5", ["b"], [2])
    edit(tmp_path / "b.h5", change)
    with pytest.raises(InputError, match=message):
        merge_features([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "m.h5")


def test_shards_of_different_width_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", ["a"], [2])
    write_features(
        tmp_path / "b.h5",
        utterances(["b"]),
        {"acoustic": modality([2], width=4)},
        corpus="ie",
        profile="embedded",
    )
    with pytest.raises(InputError, match=r"/acoustic/values has rows of shape \(2, 4\)"):
        merge_features([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "m.h5")


def test_no_shard_and_a_missing_shard_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no shard to merge"):
        merge_features([], tmp_path / "m.h5")
    with pytest.raises(InputError, match=r"gone\.h5: no such file"):
        merge_features([tmp_path / "gone.h5"], tmp_path / "m.h5")


@pytest.mark.parametrize(("bad", "kind"), [(np.nan, "NaN"), (np.inf, "a value above float16")])
def test_values_that_are_not_finite_are_refused_by_name(
    bad: float, kind: str, tmp_path: Path
) -> None:
    table = modality([2, 3])
    table.data.values[3, 1, 2] = bad
    with pytest.raises(InputError, match=rf"b: {kind}.* in acoustic frame 1;"):
        write_features(
            tmp_path / "x.h5", utterances(["a", "b"]), {"acoustic": table}, corpus="c", profile="p"
        )
    assert not list(tmp_path.iterdir())


def test_non_finite_values_of_another_writer_are_refused_when_read(tmp_path: Path) -> None:
    write(tmp_path / "x.h5", ["a", "b", "c"], [2, 3, 1])

    def spoil(file: h5py.File) -> None:
        file["acoustic/values"][3, 0, 0] = np.inf

    edit(tmp_path / "x.h5", spoil)
    with FeatureFile(tmp_path / "x.h5") as features:
        data = features.modality("acoustic")
        data.read(np.array([2, 0]))
        with pytest.raises(InputError, match="b: acoustic holds NaN or inf"):
            data.read(np.array([2, 1]))
        with pytest.raises(InputError, match="b: acoustic holds NaN or inf"):
            data.read()


@given(
    shape=st.tuples(st.integers(0, 700), st.integers(1, 2), st.integers(1, 3)),
    bad=st.sampled_from([np.nan, -np.nan, np.inf, -np.inf, 65504, -65504, 6e-8]),
    at=st.integers(0, 10_000),
)
@settings(max_examples=40, deadline=None)
def test_the_first_bad_frame_is_numpys(shape: tuple[int, int, int], bad: float, at: int) -> None:
    values = np.ones(shape, np.float16)
    if values.size:
        values.reshape(-1)[at % values.size] = bad
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
    assert first_non_finite(values) == (int(wrong[0]) if len(wrong) else None)


def test_tables_that_do_not_fit_together_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="acoustic: offsets is 3 where 2 is due"):
        write_features(
            tmp_path / "x.h5",
            utterances(["a"]),
            {"acoustic": modality([1, 1])},
            corpus="c",
            profile="p",
        )


def test_a_split_drawn_anew_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    ids = [f"u{i:02}" for i in range(24)]
    groups = ["" if i < 12 else f"g{i % 2}" for i in range(24)]
    write(tmp_path / "x.h5", ids, [1] * 24, group=groups)
    before = (tmp_path / "x.h5").read_bytes()
    with FeatureFile(tmp_path / "x.h5") as features:
        assert features.group_or_speaker == ["s0", "s1"] * 6 + ["g0", "g1"] * 6
        own = list(features.split)
        features.resplit("file", 0)
        assert features.split == own
        features.resplit("paper", 1)
        assert [features.split.count(s) for s in ("train", "val", "test")] == [17, 2, 5]
        assert len(features.rows("train")) == 17
        first = list(features.split)
        features.resplit("paper", 2)
        assert features.split != first
        features.resplit("speaker", 0)
        assert len(set(zip(features.group_or_speaker, features.split, strict=True))) == 4
        with pytest.raises(InputError, match="split 'papre': did you mean 'paper'"):
            features.resplit("papre", 0)
    assert (tmp_path / "x.h5").read_bytes() == before


def test_a_text_with_a_nul_keeps_its_end(tmp_path: Path) -> None:
    write(tmp_path / "x.h5", ["a"], [1], text=["before\0after"])
    with FeatureFile(tmp_path / "x.h5") as features:
        assert features.text == ["before after"]


def test_texts_as_bytes_are_read(tmp_path: Path) -> None:
    """h5py users write fixed-width bytes as often as texts."""
    write(tmp_path / "x.h5", ["a", "b"], [1, 2])

    def as_bytes(file: h5py.File) -> None:
        file.attrs["format"] = np.bytes_("amanda-features")
        file["utterances"].attrs["label_names"] = np.array(
            ["neutral", "happy", "sad", "angry"], "S"
        )
        for name in ("id", "split"):
            texts = file["utterances"][name].asstr()[:]
            del file["utterances"][name]
            file["utterances"][name] = np.array([t.encode() for t in texts])

    edit(tmp_path / "x.h5", as_bytes)
    with FeatureFile(tmp_path / "x.h5") as features:
        assert features.ids == ["a", "b"]
        assert features.label_names == ("neutral", "happy", "sad", "angry")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.attrs.__delitem__("format"), "not a feature file"),
        (lambda f: f.attrs.__setitem__("version", 9), "version 9; this program reads 1"),
        (lambda f: f.__delitem__("utterances"), "no group /utterances"),
        (lambda f: f["utterances"].__delitem__("split"), "no dataset /utterances/split"),
        (lambda f: f["utterances"].attrs.__delitem__("label_names"), "no attribute label_names"),
        (lambda f: f["utterances/label"].__setitem__(0, 7), "label 7 of a is none of -1 to 3"),
    ],
)
def test_a_file_not_to_the_contract_is_one_sentence(change, message: str, tmp_path: Path) -> None:
    write(tmp_path / "x.h5", ["a"], [1])
    edit(tmp_path / "x.h5", change)
    with pytest.raises(InputError, match=message):
        FeatureFile(tmp_path / "x.h5")


def test_columns_of_numbers_or_of_other_lengths_are_one_sentence(tmp_path: Path) -> None:
    def numbers(file: h5py.File) -> None:
        del file["utterances/id"]
        file["utterances/id"] = np.arange(2)

    def short(file: h5py.File) -> None:
        del file["utterances/speaker"]
        file["utterances/speaker"] = ["a"]

    for change, message in ((numbers, "/utterances cannot be read"), (short, "differ in length")):
        write(tmp_path / "x.h5", ["a", "b"], [1, 1])
        edit(tmp_path / "x.h5", change)
        with pytest.raises(InputError, match=message):
            FeatureFile(tmp_path / "x.h5")


def test_modalities_that_do_not_fit_are_one_sentence(tmp_path: Path) -> None:
    write(tmp_path / "x.h5", ["a", "b"], [1, 1])
    edit(tmp_path / "x.h5", lambda f: f["acoustic/offsets"].__setitem__(2, 9))
    with FeatureFile(tmp_path / "x.h5") as features:
        with pytest.raises(InputError, match="offsets, status and values do not fit"):
            features.modality("acoustic")
        with pytest.raises(InputError, match="no modality 'visual'; it has acoustic"):
            features.modality("visual")
    edit(tmp_path / "x.h5", lambda f: f["acoustic"].__delitem__("valid"))
    with (
        FeatureFile(tmp_path / "x.h5") as features,
        pytest.raises(InputError, match="no dataset /acoustic/valid"),
    ):
        features.modality("acoustic")


def test_a_missing_a_foreign_and_a_cut_file_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        FeatureFile(tmp_path / "gone.h5")
    (tmp_path / "text.h5").write_text("id,path\n")
    with pytest.raises(InputError, match="not an HDF5 file"):
        FeatureFile(tmp_path / "text.h5")
    write(tmp_path / "x.h5", ["a"], [400])
    whole = (tmp_path / "x.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut short"):
        FeatureFile(tmp_path / "cut.h5")


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_store_features import write
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    write(Path(sys.argv[1]) / "x.h5", ["a", "b"], [300, 300])
except OSError as error:
    print(type(error).__name__, error.errno, error.filename)
"""


@pytest.mark.parametrize("limit", [0, 4096, 6000, 12_000])
def test_a_file_system_that_takes_no_more_is_one_error_and_leaves_nothing(
    limit: int, tmp_path: Path
) -> None:
    """HDF5 alone ends the process with a segmentation fault here; see amanda/store/hdf5.py."""
    tests = str(Path(__file__).parent)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), tests, str(limit)],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.stdout == f"OSError 27 {tmp_path / 'x.h5'}\n", done.stderr
    assert done.returncode == 0
    assert not list(tmp_path.iterdir())
