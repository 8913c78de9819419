"""Features made elsewhere: every form gives the same file, every defect one sentence."""

import pickle
import sys
import zipfile

import h5py
import numpy as np
import pytest
from exchange_files import (
    IDS,
    LENGTHS,
    WIDTH,
    WRITERS,
    csv_table,
    dictionary,
    features,
    hdf5_by_id,
    manifest,
    npz_packed,
    npz_padded,
    padded,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from amanda.exchange import ImportOptions, import_features
from amanda.exchange.options import by_modality, import_options
from amanda.store.check import check_files
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile


def run(source, tmp_path, *, ids=IDS, manifest_path="", **options):
    """Import `source` with a manifest of `ids`; returns the open file and what was said."""
    out = tmp_path / "out.h5"
    path = manifest(tmp_path, ids) if manifest_path == "" else manifest_path
    summary = import_features([source], out, manifest=path, options=ImportOptions(**options))
    return FeatureFile(out), summary


def clip(file, name, modality="acoustic"):
    data = file.modality(modality).read(np.array([file.ids.index(name)]))
    return data.values, data.valid


@pytest.mark.parametrize("write", WRITERS)
def test_every_form_gives_the_same_features(tmp_path, write):
    clips = features()
    file, summary = run(write(tmp_path, clips), tmp_path)
    with file:
        assert file.ids == IDS
        assert file.split == ["train", "val", "test"]
        assert file.label.tolist() == [0, 1, -1]
        assert (file.corpus, file.profile, file.origin) == ("out", "imported", "recorded")
        for name in IDS:
            values, valid = clip(file, name)
            np.testing.assert_array_equal(values[:, 0], clips[name])
            assert valid.all()
        assert file.modality("acoustic").status == ["ok"] * 3
    assert "acoustic: stored exactly (float16)" in summary.notes
    assert summary.modalities == {"acoustic": {"ok": 3}}
    assert check_files([tmp_path / "out.h5"]) == []


@pytest.mark.parametrize("write", WRITERS)
def test_order_is_the_manifests(tmp_path, write):
    clips = features()
    file, _ = run(write(tmp_path, clips), tmp_path, ids=IDS[::-1])
    with file:
        assert file.ids == IDS[::-1]
        for name in IDS:
            np.testing.assert_array_equal(clip(file, name)[0][:, 0], clips[name])


def test_several_files_and_what_is_said_of_models(tmp_path):
    acoustic, lexical = tmp_path / "a", tmp_path / "t"
    acoustic.mkdir()
    lexical.mkdir()
    flat = {name: np.ones((n, 6), np.float32) for name, n in LENGTHS.items()}
    options = import_options(
        model=["imported-model", "acoustic=wav2vec2"],
        revision=["abc"],
        layers=["lexical=1,7,12"],
        rate_hz=["acoustic=50"],
    )
    summary = import_features(
        [hdf5_by_id(acoustic, features()), f"lexical={npz_packed_of(lexical, flat)}"],
        tmp_path / "x.h5",
        manifest=manifest(tmp_path),
        options=options,
    )
    with FeatureFile(tmp_path / "x.h5") as file:
        assert file.modalities == ("acoustic", "lexical")
        acoustic, lexical = file.modality("acoustic"), file.modality("lexical")
        assert acoustic.identity() == {
            "extractor": "imported",
            "model": "wav2vec2",
            "revision": "abc",
            "layers": ["imported"],
            "preprocessing": "imported",
        }
        assert lexical.identity()["layers"] == [1, 7, 12]
        assert (lexical.n_layers, lexical.width) == (3, 2)
        np.testing.assert_allclose(acoustic.group["time_s"][:3], [0, 0.02, 0.04])
        assert len(acoustic.attrs["imported_sha256"]) == 64
    assert not any("not named" in note for note in summary.notes)


def npz_packed_of(folder, clips):
    np.savez(folder / "f.npz", **clips)
    return folder / "f.npz"


def test_layers_are_layer_by_layer_in_the_flat_width(tmp_path):
    layered = {
        name: np.random.default_rng(1).integers(1, 9, (n, 3, 2)) for name, n in LENGTHS.items()
    }
    flat = {name: values.reshape(-1, 6) for name, values in layered.items()}
    for clips in (layered, flat):
        source = f"acoustic={npz_packed_of(tmp_path, clips)}"
        file, _ = run(source, tmp_path, layers={"": (1, 7, 12)})
        with file:
            np.testing.assert_array_equal(clip(file, "a1")[0], layered["a1"])


def test_vectors_are_one_frame(tmp_path):
    np.savez(tmp_path / "f.npz", id=IDS, acoustic=np.arange(1, 7).reshape(3, 2))
    file, _ = run(tmp_path / "f.npz", tmp_path)
    with file:
        np.testing.assert_array_equal(clip(file, "b/2")[0], [[[3, 4]]])


@pytest.mark.parametrize("side", ["end", "start"])
@pytest.mark.parametrize("with_lengths", [True, False])
def test_padding(tmp_path, side, with_lengths):
    clips = features()
    lengths = {"acoustic_lengths": list(LENGTHS.values())} if with_lengths else {}
    np.savez(tmp_path / "f.npz", id=IDS, acoustic=padded(clips, side), **lengths)
    file, summary = run(tmp_path / "f.npz", tmp_path, padding=side)
    with file:
        for name in IDS:
            np.testing.assert_array_equal(clip(file, name)[0][:, 0], clips[name])
    told = any(f"all-zero frames at the {side} were taken as padding" in n for n in summary.notes)
    assert told is not with_lengths


def test_frames_without_evidence(tmp_path):
    clips = features()
    clips["a1"][1] = 0
    clips["b/2"][:] = 0
    file, summary = run(npz_packed(tmp_path, clips), tmp_path)
    with file:
        table = file.modality("acoustic")
        assert table.status == ["ok", "no_audio", "ok"]
        assert clip(file, "a1")[1].tolist() == [True, False, True]
        assert len(clip(file, "b/2")[0]) == 0
        assert table.detail[1].startswith("every frame is zero")
    assert any("2 frames are all zero" in note for note in summary.notes)
    file, _ = run(npz_packed(tmp_path, clips), tmp_path, zero_frames="keep")
    with file:
        assert file.modality("acoustic").status == ["ok"] * 3
        assert clip(file, "a1")[1].all()
        np.testing.assert_array_equal(clip(file, "b/2")[0][:, 0], clips["b/2"])


def test_missing_and_extra_utterances(tmp_path):
    clips = features()
    ids = ["a1", "new", "b/2"]
    with pytest.raises(InputError, match=r"1 ids are not in the manifest \('ü 3'\).*--allow-extra"):
        run(npz_packed(tmp_path, clips), tmp_path, ids=ids)
    with pytest.raises(InputError, match=r"1 utterances .* \('new'\).*--allow-missing"):
        run(npz_packed(tmp_path, clips), tmp_path, ids=ids, allow_extra=True)
    assert not (tmp_path / "out.h5").exists()
    file, summary = run(
        npz_packed(tmp_path, clips), tmp_path, ids=ids, allow_extra=True, allow_missing=True
    )
    with file:
        table = file.modality("acoustic")
        assert table.status == ["ok", "no_audio", "ok"]
        assert table.detail == ["", "not in f.npz", ""]
        np.testing.assert_array_equal(clip(file, "b/2")[0][:, 0], clips["b/2"])
    assert any("1 ids of" in note for note in summary.notes)


def test_ids_of_another_form(tmp_path):
    clips = {f"v$_${i}": np.ones((2, 3)) for i in range(3)}
    source = f"visual={npz_packed_of(tmp_path, clips)}"
    ids = [f"v_{i}" for i in range(3)]
    with pytest.raises(InputError, match=r"none of its ids \('v\$_\$0'.*'v_0'.*--id-replace"):
        run(source, tmp_path, ids=ids)
    file, _ = run(source, tmp_path, ids=ids, id_replace=("$_$", "_"))
    with file:
        assert file.modality("visual").status == ["ok"] * 3
    source = f"visual={npz_packed_of(tmp_path, {'v$': np.ones((2, 3)), 'v': np.ones((2, 3))})}"
    with pytest.raises(InputError, match="id 'v' is there twice"):
        run(source, tmp_path, ids=["v"], id_replace=("$", ""))


def test_float32_is_rounded_and_said_so(tmp_path):
    rng = np.random.default_rng(0)
    clips = {name: rng.standard_normal((n, WIDTH)).astype("f4") for name, n in LENGTHS.items()}
    file, summary = run(npz_packed(tmp_path, clips), tmp_path)
    with file:
        values, _ = clip(file, "ü 3")
        np.testing.assert_array_equal(values[:, 0], clips["ü 3"].astype(np.float16))
    assert any(n.startswith("acoustic: rounded to float16") for n in summary.notes)
    small = {name: values * 1e-7 for name, values in clips.items()}
    _, summary = run(npz_packed(tmp_path, small), tmp_path)
    assert any("too small for float16" in note for note in summary.notes)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.nan, "of 'ü 3': NaN in frame 2"),
        (-np.inf, "of 'ü 3': an infinite value in frame 2"),
        (1e6, "the value 1e\\+06 is above 65504"),
    ],
)
def test_values_that_cannot_be_stored(tmp_path, value, said):
    clips = features()
    clips["ü 3"][2, 1] = value
    with pytest.raises(InputError, match=said):
        run(npz_packed(tmp_path, clips), tmp_path)
    assert not (tmp_path / "out.h5").exists()
    if not np.isfinite(value):
        file, summary = run(npz_packed(tmp_path, clips), tmp_path, nonfinite="zero")
        with file:
            assert clip(file, "ü 3")[0][2, 0, 1] == 0
        assert any("1 values were NaN or infinite" in note for note in summary.notes)


def rewrite(tmp_path, **arrays):
    """An npz of padded features with some arrays replaced."""
    clips = features()
    content = {
        "id": np.array(IDS),
        "acoustic": padded(clips),
        "acoustic_lengths": np.array(list(LENGTHS.values())),
    }
    content.update(arrays)
    np.savez(tmp_path / "f.npz", **{k: v for k, v in content.items() if v is not None})
    return tmp_path / "f.npz"


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"acoustic_lengths": np.array([3, 1, 7])}, "row 2 has length 7, but the array has 6"),
        ({"acoustic_lengths": np.array([3, -1, 2])}, "row 1 has length -1"),
        ({"acoustic_lengths": np.array([3.5, 1, 2])}, "row 0 has length 3.5"),
        ({"acoustic_lengths": np.array([3, 1])}, "3 numbers due"),
        ({"acoustic_lengths": np.array(["3", "1", "2"])}, "numbers due"),
        ({"acoustic": np.zeros((3, 6, 5), complex)}, "complex128; features are real"),
        ({"acoustic": np.zeros((2, 6, 5))}, "2 rows, but 3 ids"),
        ({"acoustic": np.zeros((3, 2, 2, 2, 2))}, r"shape \(3, 2, 2, 2, 2\)"),
        ({"acoustic": np.zeros((3, 6, 0))}, "no values"),
        ({"acoustic_lengths": np.zeros(3, int)}, "no frames at all"),
        ({"id": np.array(["a1", "a1", "b/2"])}, "id 'a1' is there twice"),
        ({"id": np.array(["a1", 7, None], dtype=object)}, "int where a text is due"),
        ({"id": np.array([b"a1", b"\xff", b"x"])}, "not UTF-8"),
        ({"acoustic": None}, "holds no array named acoustic, visual or lexical beside 'id'"),
        ({"id": None}, "'id' nor groups named"),
        ({"acoustic_offsets": np.array([0, 1, 5, 4])}, "without going back"),
        ({"acoustic_offsets": np.array([0, 1, 2, 9])}, "without going back"),
        ({"acoustic_valid": np.ones((3, 5))}, "18 numbers due"),
        ({"acoustic_status": np.array(["ok", "well", "ok"])}, "status 'well' is unknown"),
        ({"acoustic_status": np.array(["ok"])}, "1 statuses"),
        ({"acoustic_time_s": np.full((3, 6), np.nan)}, "times are not finite"),
        ({"attrs": np.array("{")}, "attrs: not JSON"),
        ({"attrs": np.array('{"modalities": {"../x": {}}}')}, "'../x' cannot name a modality"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(tmp_path, arrays, said):
    source = rewrite(tmp_path, **arrays)
    with pytest.raises(InputError, match=said) as caught:
        run(source, tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.h5").exists()


def test_widths_of_two_models(tmp_path):
    clips = features()
    clips["ü 3"] = np.ones((2, WIDTH + 1))
    with pytest.raises(InputError, match=r"'ü 3' has frames of shape \(6,\), of 'a1' \(5,\)"):
        run(f"acoustic={npz_packed_of(tmp_path, clips)}", tmp_path)
    with pytest.raises(InputError, match="5 wide, which 3 layers"):
        run(npz_packed(tmp_path, features()), tmp_path, layers={"": (1, 7, 12)})


@pytest.mark.parametrize("write", [npz_padded, npz_packed, hdf5_by_id])
def test_truncated_files(tmp_path, write):
    source = write(tmp_path, features())
    path = tmp_path / source.rpartition("/")[2]
    whole = path.read_bytes()
    for keep in (0, 5, len(whole) // 3, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:keep])
        with pytest.raises(InputError, match=r"f\.(npz|h5)"):
            run(source, tmp_path)
    assert not (tmp_path / "out.h5").exists()


def assert_read_or_refused(source, folder, **more):
    """Whatever the file holds: features, or one sentence and no file."""
    try:
        file, _ = run(source, folder, **more)
    except InputError as error:
        said = str(error)
    else:
        file.file.close()
        return
    assert "\n" not in said
    assert not (folder / "out.h5").exists()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_mangled_files_are_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("mangled")
    source = data.draw(st.sampled_from([npz_padded, npz_packed, hdf5_by_id, csv_table]))(
        folder, features()
    )
    path = folder / source.rpartition("/")[2]
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    assert_read_or_refused(source, folder)


def test_npz_that_lies_about_sizes(tmp_path):
    """A header of 10^15 elements over a few bytes: no memory is taken for it."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,)}"
    header += b" " * (128 - 10 - len(header) - 1) + b"\n"
    path = tmp_path / "f.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"1234"
        )
    with pytest.raises(InputError, match="cut short, or of another shape"):
        run(f"acoustic={path}", tmp_path)


def test_npz_and_hdf5_of_zeros_larger_than_memory(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "f.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w") as member,
    ):
        np.lib.format.write_array(member, np.zeros(10**6))
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("x", shape=(10**9, 10**6), chunks=(1000, 1000), dtype="f8")
    for name in ("f.npz", "f.h5"):
        with pytest.raises(InputError, match=r"more than 0\.0 GB; allow more with --memory-gb"):
            run(f"acoustic={tmp_path / name}", tmp_path, ids=["x"], memory_gb=0.001)


def test_npz_with_code_in_it(tmp_path):
    class Trap:
        def __reduce__(self):
            return (sys.exit, (9,))

    np.savez(tmp_path / "f.npz", id=np.array(IDS), acoustic=np.array([Trap(), 1, 2], dtype=object))
    with pytest.raises(InputError, match=r"names 'sys\.exit'"):
        run(tmp_path / "f.npz", tmp_path)


def test_hdf5_that_leads_to_other_files(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.ones((2, 3))
    (tmp_path / "raw.bin").write_bytes(b"\0" * 400)

    def external_link(file):
        file["a1"] = h5py.ExternalLink("other.h5", "secret")

    def external_data(file):
        file.create_dataset("a1", (2, 3), "f4", external=[(str(tmp_path / "raw.bin"), 0, 24)])

    def virtual(file):
        layout = h5py.VirtualLayout((2, 3), "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "secret", (2, 3))
        file.create_virtual_dataset("a1", layout)

    def loop(file):
        group = file.create_group("a1")
        group["again"] = group

    for make, said in (
        (external_link, "/a1 is a link"),
        (external_data, "/a1 lies in other files"),
        (virtual, "/a1 lies in other files"),
        (loop, "more than 16 groups deep"),
    ):
        with h5py.File(tmp_path / "f.h5", "w") as file:
            make(file)
        with pytest.raises(InputError, match=said):
            run(f"acoustic={tmp_path / 'f.h5'}", tmp_path)


def test_npz_with_a_name_twice(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive:
        archive.write(tmp_path / "x.npy", "x.npy")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.write(tmp_path / "x.npy", "x.npy")
    with pytest.raises(InputError, match="'x' is there twice"):
        run(f"acoustic={tmp_path / 'f.npz'}", tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'id'"),
        ("id,f\n", "no rows under the header"),
        ("name,f\na1,1\n", "line 1: no column 'id'"),
        ("id,f,f\na1,1,2\n", "column 'f' stands twice"),
        ("id,time_s\na1,1\n", "no feature columns"),
        ("id,f\na1,1\na1,x\n", "line 3: f 'x' is not a number"),
        ("id,f\na1,1_000\n", "line 2: f '1_000' is not a number"),
        ("id,f\na1,\n", "line 2: f '' is not a number"),
        ("id,f\na1,1,2\n", "line 2: 3 fields, but the header names 2"),
        ("id,f\na1,1\nb/2,1\na1,2\n", "line 4: id 'a1' stands further up"),
        ("id,f\n,1\n", "line 2: no id"),
        ('id,f\n"a1,1\n', "line 2: not CSV"),
        ("id,f\na1,nan\nb/2,1\nü 3,1\n", "of 'a1': NaN in frame 0"),
        ("id,f,time_s\na1,1,2\na1,1,1\nb/2,1,0\nü 3,1,0\n", "go back"),
        (b"id,f\n\xff,1\n", "not UTF-8"),
        (b"id,f\na1\x00,1\n", "none of its ids|not CSV"),
    ],
)
def test_tables_that_do_not_fit(tmp_path, text, said):
    path = tmp_path / "f.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=said):
        run(f"acoustic={path}", tmp_path)
    assert not (tmp_path / "out.h5").exists()


def test_table_with_times_and_evidence(tmp_path):
    path = tmp_path / "f.tsv"
    path.write_text("\ufefftime_s\tid\tf\tvalid\tg\n0.1\ta\t1\t1\t2\n0.2\ta\t3\t0\t4\n")
    file, _ = run(f"visual={path}", tmp_path, ids=["a"])
    with file:
        values, valid = clip(file, "a", "visual")
        np.testing.assert_array_equal(values[:, 0], [[1, 2], [3, 4]])
        assert valid.tolist() == [True, False]
        np.testing.assert_allclose(file.modality("visual").group["time_s"][:], [0.1, 0.2])


def test_a_dictionary_describes_itself(tmp_path):
    path = tmp_path / "f.pkl"
    path.write_bytes(pickle.dumps(dictionary()))
    file, _ = run(path, tmp_path, manifest_path=None)
    with file:
        assert file.ids == IDS
        assert file.split == ["train", "val", "test"]
        assert file.label.tolist() == [1, 1, 1]  # "Happy"
        assert file.text[0] == "text of a1"
        assert file.file["targets/vad"][0, 0] == 1.5
        assert np.isnan(file.start_s).all()


def test_sentiments_are_not_taken_for_emotions(tmp_path):
    """MMSA's Neutral is a sentiment, not the emotion."""
    content = dictionary()
    for part, name in zip(content.values(), ("Negative", "Neutral", "Positive"), strict=True):
        part["annotations"] = [name]
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(content))
    file, summary = run(tmp_path / "f.pkl", tmp_path, manifest_path=None)
    with file:
        assert file.label.tolist() == [-1, -1, -1]
    assert any("are not the classes" in note for note in summary.notes)
    classes = ("Negative", "Neutral", "Positive")
    file, _ = run(tmp_path / "f.pkl", tmp_path, manifest_path=None, classes=classes)
    with file:
        assert file.label.tolist() == [0, 1, 2]
        assert file.label_names == classes


def test_text_lengths_from_the_tokens_mask(tmp_path):
    """Aligned MMSA files have no lengths; the mask in text_bert has those of the text."""
    content = dictionary()
    for part in content.values():
        part["text"] = np.ones((1, 6, 2), np.float32)
        part["text"][0, 1] = 0
        mask = np.array([1, 1, 1, 1, 0, 0])
        part["text_bert"] = np.stack([mask * 7, mask, mask * 0])[None]
        del part["audio_lengths"]
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(content))
    file, summary = run(tmp_path / "f.pkl", tmp_path, manifest_path=None)
    with file:
        assert np.diff(file.modality("lexical").offsets).tolist() == [4, 4, 4]
        assert np.diff(file.modality("acoustic").offsets).tolist() == list(LENGTHS.values())
        assert clip(file, "a1", "lexical")[1].tolist() == [True, False, True, True]
    assert [n for n in summary.notes if "padding" in n] == [
        "acoustic: no lengths given: all-zero frames at the end were taken as padding"
    ]


def changed(**replace):
    content = dictionary()
    for key, value in replace.items():
        if value is None:
            del content["train"][key]
        else:
            content["train"][key] = value
    return content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1], "holds list; a dictionary is due"),
        ({}, "a dictionary is due"),
        ({"a": 1}, "none of the keys train, valid and test, but a"),
        ({"train": {"id": ["x"]}}, "none of audio, vision and text"),
        (changed(id=None), "train: has no 'id'"),
        (changed(id=["b/2"]), "id 'b/2' is there twice"),
        (changed(id=["x", "y"]), "but 2 ids|2 numbers due"),
        (changed(id=[["x", "y"]]), "list where a text is due"),
        (changed(audio=3), "holds int; features"),
        (changed(audio=["text"]), "features"),
        (changed(audio=np.zeros((1, 2, 2, 2))), "due"),
        (changed(audio=np.zeros((2, 6, 5))), "2 rows, but 1 ids"),
        (changed(audio=np.zeros((1, 6, 5), complex)), "elements of type"),
        (changed(audio_lengths=[7]), "row 0 has length 7"),
        (changed(audio_lengths="x"), "numbers"),
        (changed(raw_text=["x", "y"]), "2 texts, but 1 ids"),
        (changed(raw_text="xy"), "list of texts is due"),
        (changed(annotations=["x", "y"]), "annotations"),
        (changed(regression_labels=["x"]), "numbers due"),
        (changed(regression_labels=[1, 2]), "numbers due"),
        (changed(id=["\ud800"]), "is not text"),
        ({**dictionary(), "config": Ellipsis}, r"names 'builtins\.Ellipsis'"),
    ],
)  # fmt: skip
def test_dictionaries_that_do_not_fit(tmp_path, content, said):
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=said) as caught:
        run(tmp_path / "f.pkl", tmp_path, manifest_path=None)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.h5").exists()


odd = st.one_of(
    st.none(),
    st.integers(-9, 9),
    st.text(max_size=3),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=2), st.just([1.0])), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from(
        [
            np.array(3),
            np.zeros((1, 0, 2)),
            np.zeros((1, 6, 5), ">f8"),
            np.array([None, "x"], dtype=object),
            np.array([[1.0, 2.0]], dtype=object),
            np.array(["a"]),
            np.array([b"\xff"]),
            np.full((1, 6, 5), np.nan),
            np.float32(2),
        ]
    ),
)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_odd_dictionaries_are_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("odd")
    content = dictionary()
    for _ in range(data.draw(st.integers(1, 3))):
        part = content[data.draw(st.sampled_from(list(content)))]
        part[data.draw(st.sampled_from([*part, "text", "text_bert", "vision"]))] = data.draw(odd)
    (folder / "f.pkl").write_bytes(pickle.dumps(content))
    assert_read_or_refused(folder / "f.pkl", folder, manifest_path=None)


def test_what_else_is_refused(tmp_path):
    source = npz_packed(tmp_path, features())
    other = tmp_path / "f.bin"
    other.write_bytes(b"anything")
    empty = tmp_path / "folder"
    empty.mkdir()
    for sources, said in (
        ([], "no features to import"),
        ([other], "of no known kind"),
        ([tmp_path / "none.npz"], "No such file"),
        ([empty], "no folder named acoustic"),
        ([f"acoustic={empty}"], "no npy files"),
        ([source, source], "acoustic is in a file before it already"),
        (["Acoustic=x"], "cannot name a modality"),
        (["utterances=x"], "cannot name a modality"),
        ([csv_table(tmp_path, features()).removeprefix("acoustic=")], "say which"),
    ):
        with pytest.raises(InputError, match=said):
            import_features(sources, tmp_path / "out.h5", manifest=manifest(tmp_path))
    with pytest.raises(InputError, match="give --manifest"):
        import_features([source], tmp_path / "out.h5")
    run(source, tmp_path)[0].file.close()
    with pytest.raises(InputError, match="is a feature file already"):
        import_features([tmp_path / "out.h5"], tmp_path / "o2.h5", manifest=manifest(tmp_path))
    with pytest.raises(InputError, match="--model names 'visual', but the files hold acoustic"):
        run(source, tmp_path, model={"visual": "x"})
    with pytest.raises(InputError, match="corpus name 'x2y'"):
        import_features([source], tmp_path / "x2y.h5", manifest=manifest(tmp_path))


def test_flags():
    assert by_modality("--model", ["x", "acoustic=y"]) == {"": "x", "acoustic": "y"}
    for flags, said in (
        ({"padding": "left"}, "--padding 'left': use end or start"),
        ({"id_replace": "x"}, "write OLD=NEW"),
        ({"layers": ["1,,2"]}, "--layers"),
        ({"layers": ["1,1"]}, "--layers"),
        ({"rate_hz": ["fast"]}, "--rate-hz"),
        ({"rate_hz": ["nan"]}, "--rate-hz"),
        ({"model": ["a", "b"]}, "given twice for every modality"),
        ({"model": ["A=b"]}, "cannot name a modality"),
    ):
        with pytest.raises(InputError, match=said):
            import_options(**flags)


def test_command_line(tmp_path, monkeypatch, capsys):
    from amanda.cli import main

    out = tmp_path / "x.h5"
    command = ["amanda", "import", npz_packed(tmp_path, features()), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*command, "--manifest", str(manifest(tmp_path, ["a1"]))])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.npz", "m.csv"]
    monkeypatch.setattr(sys, "argv", [*command, "--manifest", str(manifest(tmp_path))])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "3 utterances" in capsys.readouterr().out
    assert out.exists()
