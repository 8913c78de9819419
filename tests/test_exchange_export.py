"""Features in other programs' forms: readers that know nothing of ours get the same arrays."""

import csv
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from exchange_files import WIDTH

from amanda.exchange import export_features, import_features
from amanda.exchange.folder import SafeNames
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile, ModalityTable, Ragged, UtteranceTable, write_features
from amanda.store.manifest import Utterance, write_manifest

IDS = ["a", "b", "Ses01F_impro01", "d", "e"]
SPLITS = ["train", "test", "train", "val", "train"]
LABELS = [0, 1, -1, 3, 2]
NASTY = ["../../x", "/etc/passwd", "..", ".", "C:\\x", "a b/ü", "A" * 400]


def table(lengths, layers, width, attrs, status=None, seed=0) -> ModalityTable:
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    values = (rng.integers(1, 99, (n, layers, width)) / 8).astype(np.float16)
    return ModalityTable(
        data=Ragged(
            values=values,
            offsets=np.cumsum([0, *lengths]).astype(np.int64),
            valid=np.ones(n, bool),
        ),
        time_s=np.arange(n) / 50,
        status=status or ["ok"] * len(lengths),
        detail=["", "", "", "", "why"],
        attrs={"extractor": "x/1", "revision": "r", "sha256": "s", "preprocessing": "p", **attrs},
    )


def make_file(folder: Path, ids=IDS, *, vad: bool = True) -> Path:
    n = len(ids)
    speech = {"model": "whisper", "layers": [1, 4, 6], "rate_hz": 50.0, "dtype": "float32"}
    face = {"model": "face", "layers": ["last map"], "rate_hz": 0.0, "dtype": "float32"}
    words = {"model": "mpnet", "layers": [1, 7, 12], "rate_hz": 0.0, "dtype": "float32"}
    visual = table([2, 2, 2, 2, 0], 1, 4, face, ["ok", "truncated", "ok", "ok", "no_face"], 1)
    visual.data.valid[3] = False
    visual.data.values[3] = 0
    path = folder / "ie.h5"
    write_features(
        path,
        UtteranceTable(
            id=list(ids),
            label=np.array(LABELS[:n], np.int8),
            split=SPLITS[:n],
            speaker=["s"] * n,
            group=["g"] * n,
            text=[f"text ü {i}" for i in range(n)],
            start_s=np.zeros(n),
            end_s=np.ones(n),
            source=["x.wav"] * n,
            vad=np.arange(3 * n, dtype=np.float32).reshape(n, 3) if vad else None,
        ),
        {
            "acoustic": table([3, 1, 4, 2, 5], 3, 2, speech),
            "visual": visual,
            "lexical": table([1, 2, 3, 4, 5], 3, 2, words, seed=2),
        },
        corpus="ie",
        profile="embedded",
    )
    return path


def assert_same_features(one: Path, other: Path, *, exactly: bool) -> None:
    with FeatureFile(one) as a, FeatureFile(other) as b:
        assert a.ids == b.ids
        assert a.split == b.split
        assert a.modalities == b.modalities
        for name in a.modalities:
            x, y = a.modality(name), b.modality(name)
            if exactly:
                assert x.status == y.status
            np.testing.assert_array_equal(x.usable, y.usable)
            assert x.identity() == y.identity()
            assert x.attrs["sha256"] == y.attrs["sha256"]
            first, second = x.read(), y.read()
            np.testing.assert_array_equal(first.offsets, second.offsets)
            np.testing.assert_array_equal(first.values, second.values)
            np.testing.assert_array_equal(first.valid, second.valid)


@pytest.mark.parametrize("name", ["ie.npz", "ie.pkl", "ie_npy"])
def test_export_then_import_gives_the_same_arrays_and_pairs(tmp_path, name):
    source = make_file(tmp_path)
    manifest = tmp_path / "ie.csv"
    rows = zip(IDS, SPLITS, strict=True)
    write_manifest(manifest, [Utterance(id=i, path="x.wav", split=s) for i, s in rows])
    export_features(source, tmp_path / name)
    import_features([tmp_path / name], tmp_path / "back.h5", manifest=manifest)
    exactly = name != "ie.pkl"  # peers' dictionaries do not say why a clip is cut short
    assert_same_features(source, tmp_path / "back.h5", exactly=exactly)
    # And once more, the other way round: what was imported is exported as it came.
    second = tmp_path / f"second_{name}"
    export_features(tmp_path / "back.h5", second)
    import_features([second], tmp_path / "again.h5", manifest=manifest)
    assert_same_features(source, tmp_path / "again.h5", exactly=exactly)


def test_npz_is_plain_numpy(tmp_path):
    source = make_file(tmp_path)
    export_features(source, tmp_path / "ie.npz")
    with np.load(tmp_path / "ie.npz", allow_pickle=False) as arrays, FeatureFile(source) as file:
        assert arrays["id"].tolist() == IDS
        assert arrays["text"].tolist() == file.text
        assert arrays["label"].tolist() == LABELS
        assert arrays["label_names"].tolist() == ["neutral", "happy", "sad", "angry"]
        np.testing.assert_array_equal(arrays["vad"], file.file["targets/vad"][:])
        for name in ("acoustic", "visual", "lexical"):
            data = file.modality(name).read()
            np.testing.assert_array_equal(arrays[name], data.values)
            np.testing.assert_array_equal(arrays[f"{name}_offsets"], data.offsets)
            np.testing.assert_array_equal(arrays[f"{name}_valid"], data.valid)
            assert arrays[f"{name}_status"].tolist() == file.modality(name).status


def test_one_npy_a_clip(tmp_path):
    source = make_file(tmp_path)
    export_features(source, tmp_path / "out", modalities=["visual", "acoustic"])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "acoustic", "attrs.json", "index.csv", "visual",
    ]  # fmt: skip
    with FeatureFile(source) as file, open(tmp_path / "out/index.csv", encoding="utf-8") as index:
        for row in csv.DictReader(index):
            data = file.modality(row["modality"]).read(np.array([IDS.index(row["id"])]))
            assert int(row["n_frames"]) == len(data.values)
            if row["file"]:
                values = np.load(tmp_path / "out" / row["file"], allow_pickle=False)
                np.testing.assert_array_equal(values, data.values)
            else:
                assert (row["id"], row["status"], row["detail"]) == ("e", "no_face", "why")


class PeersReader:
    """Reads a split as MMSA's `MMDataset` does: README, "2. Datasets"; `data_loader.py`.

    Written from those, not from our writer: keys, types and axes are theirs.
    """

    def __init__(self, path: Path, mode: str):
        with open(path, "rb") as file:
            data = pickle.load(file)
        self.text = data[mode]["text"].astype(np.float32)
        self.audio = data[mode]["audio"].astype(np.float32)
        self.vision = data[mode]["vision"].astype(np.float32)
        self.feature_dims = [a.shape[2] for a in (self.text, self.audio, self.vision)]
        self.raw_text = data[mode]["raw_text"]
        self.ids = data[mode]["id"]
        self.labels = np.array(data[mode]["regression_labels"]).astype(np.float32)
        self.audio_lengths = data[mode]["audio_lengths"]
        self.vision_lengths = data[mode]["vision_lengths"]
        self.audio[self.audio == -np.inf] = 0
        self.seq_lens = (self.text.shape[1], self.audio.shape[1], self.vision.shape[1])

    def __len__(self):
        return len(self.labels)

    def mask(self) -> np.ndarray:
        """As `generate_m` makes it from the lengths."""
        longest = self.audio.shape[1]
        return np.array([[1] * n + [0] * (longest - n) for n in self.audio_lengths])


def test_a_peers_reader_loads_the_dictionary(tmp_path):
    source = make_file(tmp_path)
    summary = export_features(source, tmp_path / "ie.pkl")
    assert summary.notes == [
        "visual: 1 utterances without evidence have one frame of zeros, which readers need"
    ]
    with FeatureFile(source) as file:
        for mode, split in (("train", "train"), ("valid", "val"), ("test", "test")):
            reader = PeersReader(tmp_path / "ie.pkl", mode)
            rows = file.rows(split)
            assert reader.ids == [IDS[row] for row in rows]
            assert reader.raw_text == [file.text[row] for row in rows]
            assert reader.feature_dims == [6, 6, 4]
            assert reader.seq_lens == (5, 5, 2)  # the same in every split, as models need
            np.testing.assert_array_equal(reader.labels, 3 * rows)
            for i, row in enumerate(rows):
                data = file.modality("acoustic").read(np.array([row]))
                own = reader.audio[i][reader.mask()[i] == 1]
                np.testing.assert_array_equal(own, data.values.reshape(-1, 6))
                assert not reader.audio[i][reader.mask()[i] == 0].any()
            if mode == "train":
                assert reader.vision_lengths == [2, 2, 1]  # no face in the last: one zero frame
                assert not reader.vision[2].any()
    with open(tmp_path / "ie.pkl", "rb") as pickled:
        content = pickle.load(pickled)
    assert content["train"]["annotations"] == ["neutral", "", "sad"]
    assert content["train"]["classification_labels"].tolist() == [0, -1, 2]


def test_dictionary_cut_short_and_without_scores(tmp_path):
    source = make_file(tmp_path, vad=False)
    summary = export_features(source, tmp_path / "x.pkl", max_frames=2, modalities=["acoustic"])
    assert summary.notes == [
        "acoustic: 3 clips were cut to 2 frames (--max-frames)",
        "no vision, text: MMSA itself reads files with all three only",
        "the file has no valence: regression_labels are NaN",
    ]
    with open(tmp_path / "x.pkl", "rb") as pickled:
        train = pickle.load(pickled)["train"]
    assert train["audio"].shape == (3, 2, 6)
    assert train["audio_lengths"] == [2, 2, 2]
    assert np.isnan(train["regression_labels"]).all()
    with FeatureFile(source) as file:
        first = file.modality("acoustic").read(np.array([0])).values[:2].reshape(2, 6)
    np.testing.assert_array_equal(train["audio"][0], first)


def test_blocks_do_not_change_what_is_written(tmp_path, monkeypatch):
    source = make_file(tmp_path)
    for suffix in (".npz", ".pkl"):
        export_features(source, tmp_path / f"whole{suffix}")
        with monkeypatch.context() as patch:
            patch.setattr("amanda.exchange.exporting._BLOCK_BYTES", 20)
            export_features(source, tmp_path / f"small{suffix}")
        whole, small = ((tmp_path / f"{n}{suffix}").read_bytes() for n in ("whole", "small"))
        assert whole == small


def test_no_id_leads_outside_the_folder(tmp_path):
    inner = tmp_path / "deep" / "in"
    inner.mkdir(parents=True)
    ids = [*NASTY[:4], "x"]
    source = make_file(inner, ids)
    before = set(tmp_path.rglob("*"))
    export_features(source, inner / "out", modalities=["acoustic"])
    new = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(inner / "out") for path in new)
    assert len(list((inner / "out/acoustic").glob("*.npy"))) == 5
    manifest = tmp_path / "m.csv"
    write_manifest(manifest, [Utterance(id=i, path="x.wav") for i in ids])
    import_features([inner / "out"], tmp_path / "back.h5", manifest=manifest)
    with FeatureFile(tmp_path / "back.h5") as a, FeatureFile(source) as b:
        x, y = a.modality("acoustic").read(), b.modality("acoustic").read()
        np.testing.assert_array_equal(x.values, y.values)


def test_file_names():
    name = SafeNames()
    names = [name(i) for i in [*NASTY, "", "x\0y", "\n", "Abc", "aBC", "%2E", "ok-1.b", "\ud800"]]
    assert len({n.casefold() for n in names}) == len(names)
    for n in names:
        assert set(n) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.%")
        assert n
        assert n[0] != "."
        assert len(n) < 200
    assert names[0] == "%2E.%2F..%2Fx"
    assert "ok-1.b" in names


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("acoustic,a,../../secret.npy,1,ok,", "lies outside the folder"),
        ("acoustic,a,/etc/passwd,1,ok,", "lies outside the folder"),
        ("acoustic,a,acoustic/link.npy,1,ok,", "lies outside the folder"),
        ("acoustic,a,none.npy,1,ok,", "no such file"),
        ("acoustic,a,objects.npy,1,ok,", "Object arrays cannot be loaded"),
        ("acoustic,a,long.npy,1,ok,", "more bytes than its shape says"),
        ("acoustic,a,short.npy,1,ok,", "not an npy file, or a damaged one"),
        ("../x,a,good.npy,1,ok,", "cannot name a modality"),
        ("acoustic,a,good.npy", "the columns are"),
        ("acoustic,a,good.npy,1,ok,,more", "the columns are"),
        ("acoustic,a,good.npy,1,fine,", "status 'fine' is unknown"),
        ("acoustic,a,,0,ok,", "no frames at all"),
        ("acoustic,a,good.npy,1,ok,\nacoustic,a,good.npy,1,ok,", "id 'a' is there twice"),
    ],
)
def test_folders_that_do_not_fit(tmp_path, row, said):
    folder = tmp_path / "f"
    (folder / "acoustic").mkdir(parents=True)
    np.save(tmp_path / "secret.npy", np.ones((2, 2)))
    (folder / "acoustic/link.npy").symlink_to(tmp_path / "secret.npy")
    np.save(folder / "good.npy", np.ones((2, WIDTH)))
    np.save(folder / "objects.npy", np.array([{}], dtype=object))
    good = (folder / "good.npy").read_bytes()
    (folder / "long.npy").write_bytes(good + b"x")
    (folder / "short.npy").write_bytes(good[:-9])
    (folder / "index.csv").write_text("modality,id,file,n_frames,status,detail\n" + row + "\n")
    manifest = tmp_path / "m.csv"
    write_manifest(manifest, [Utterance(id="a", path="x.wav")])
    with pytest.raises(InputError, match=said):
        import_features([folder], tmp_path / "out.h5", manifest=manifest)
    assert not (tmp_path / "out.h5").exists()


def test_a_plain_folder_of_npy(tmp_path):
    (tmp_path / "wav2vec").mkdir()
    for name in IDS:
        np.save(tmp_path / "wav2vec" / f"{name}.npy", np.full((2, 3), len(name)))
    manifest = tmp_path / "m.csv"
    write_manifest(manifest, [Utterance(id=i, path="x.wav") for i in IDS])
    import_features([f"acoustic={tmp_path / 'wav2vec'}"], tmp_path / "o.h5", manifest=manifest)
    with FeatureFile(tmp_path / "o.h5") as file:
        values = file.modality("acoustic").read(np.array([2])).values
    np.testing.assert_array_equal(values, np.full((2, 1, 3), 14))


def test_what_is_refused_leaves_nothing(tmp_path):
    source = make_file(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    for out, options, said in (
        ("x.mat", {}, "write to .npz, .pkl or a folder"),
        ("x.npz", {"form": "npzip"}, "did you mean 'npz'"),
        ("x.npz", {"modalities": ["smell"]}, "no modality 'smell'"),
        ("x.npz", {"max_frames": 3}, "--max-frames"),
        ("x.pkl", {"max_frames": 0}, "--max-frames"),
        ("full", {}, "is there already; give a new folder"),
        ("full/x/y", {}, "cannot be made"),
        ("full/x/y.npz", {}, "cannot be written to"),
    ):
        with pytest.raises(InputError, match=said):
            export_features(source, tmp_path / out, **options)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["full", "ie.h5", "x"]


def test_a_failure_in_the_middle_leaves_nothing(tmp_path, monkeypatch):
    source = make_file(tmp_path)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("amanda.exchange.exporting.ModalityData.read", fail)
    for out in ("x.npz", "x.pkl", "x"):
        with pytest.raises(OSError, match="No space"):
            export_features(source, tmp_path / out)
    assert [p.name for p in tmp_path.iterdir()] == ["ie.h5"]


def test_a_dictionary_larger_than_the_disk(tmp_path, monkeypatch):
    import shutil

    source = make_file(tmp_path)
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"cut long clips with --max-frames"):
        export_features(source, tmp_path / "x.pkl")


def test_command_line(tmp_path, monkeypatch, capsys):
    from amanda.cli import main

    source = make_file(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["amanda", "export", str(source), "--out", str(tmp_path / "x.npz"), "--json"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert '"utterances": 5' in capsys.readouterr().out
    assert (tmp_path / "x.npz").exists()
