"""`amanda check` accepts what we write, and names each defect in files that we did not."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from corpus_trees import write
from test_store_features import ATTRS, modality, utterances
from typer.testing import CliRunner

from amanda.cli import app
from amanda.store.check import check_files
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile, merge_features, write_features
from amanda.store.pairing import check_pair

IDS = ["a", "b", "c", "d"]
LENGTHS = [2, 3, 0, 4]


def user_file(path: Path) -> Path:
    """A feature file by plain h5py, with no more than the contract asks for."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "amanda-features"
        file.attrs["version"] = 1
        rows = file.create_group("utterances")
        rows.attrs["label_names"] = ["neutral", "happy", "sad", "angry"]
        rows["id"] = IDS
        rows["label"] = np.array([0, 1, -1, 3], np.int8)
        rows["split"] = ["train", "val", "test", "test"]
        rows["start_s"] = np.zeros(4)
        rows["end_s"] = [1.0, 2.0, np.nan, 1.5]
        group = file.create_group("acoustic")
        for key in ("extractor", "model", "revision", "preprocessing"):
            group.attrs[key] = "mine"
        group.attrs["layers"] = [1, 7]
        frames = sum(LENGTHS)
        group["values"] = rng.standard_normal((frames, 2, 3)).astype(np.float16)
        group["offsets"] = np.concatenate([[0], np.cumsum(LENGTHS)])
        group["time_s"] = np.concatenate([np.arange(n) / 10 for n in LENGTHS])
        group["valid"] = np.ones(frames, bool)
        group["status"] = ["ok", "ok", "no_audio", "truncated"]
    return path


def replace(file: h5py.File, name: str, data: object) -> None:
    del file[name]
    file[name] = data


def put(name: str, data: object) -> Callable[[h5py.File], None]:
    return lambda file: replace(file, name, data)


def item(name: str, at: object, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file[name].__setitem__(at, value)


def attr(name: str, key: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file[name].attrs.__setitem__(key, value)


def drop(name: str) -> Callable[[h5py.File], None]:
    return lambda file: file.__delitem__(name)


VALUES = "acoustic/values"
DEFECTS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "format": (attr("/", "format", "features"), "attribute format is 'features'"),
    "no format": (lambda f: f.attrs.__delitem__("format"), "attribute format is None"),
    "version": (attr("/", "version", 2), "version is 2; this program reads 1"),
    "origin": (attr("/", "origin", "made up"), "origin is 'made up'; use recorded, stand-in"),
    "no utterances": (drop("utterances"), "no group /utterances"),
    "no rows": (put("utterances/id", np.array([], "S1")), "/utterances/id is empty"),
    "no ids": (drop("utterances/id"), "no dataset /utterances/id"),
    "no label": (drop("utterances/label"), "no dataset /utterances/label"),
    "no split": (drop("utterances/split"), "no dataset /utterances/split"),
    "no end": (drop("utterances/end_s"), "no dataset /utterances/end_s"),
    "group for a column": (
        lambda f: (f.__delitem__("utterances/split"), f.create_group("utterances/split")),
        "no dataset /utterances/split",
    ),
    "ids are numbers": (put("utterances/id", np.arange(4)), "/utterances/id is int64.*hold texts"),
    "ids in 2-D": (put("utterances/id", np.array([["a"]], "S")), r"id has shape \(1, 1\).*1 axes"),
    "duplicate id": (put("utterances/id", ["a", "b", "b", "d"]), "id 'b' stands 2 times"),
    "empty id": (put("utterances/id", ["a", "", " ", "d"]), "2 empty ids, the first in row 1"),
    "short column": (
        put("utterances/label", np.zeros(3, np.int8)),
        r"/utterances/label has shape \(3,\) where \(4\) is due",
    ),
    "short speakers": (
        lambda f: f["utterances"].__setitem__("speaker", ["x"]),
        r"/utterances/speaker has shape \(1,\) where \(4\)",
    ),
    "label is a text": (put("utterances/label", IDS), "/utterances/label is object.*whole numbers"),
    "label is a float": (put("utterances/label", np.ones(4)), "label is float64.*whole numbers"),
    "label too high": (item("utterances/label", 1, 4), r"b: label 4 is none of -1 .* to 3"),
    "label too low": (item("utterances/label", 2, -2), "c: label -2 is none of"),
    "split": (put("utterances/split", ["train", "dev", "dev", "test"]),
              r"b: split 'dev' is unknown; use train, val, test \(and 1 more row\)"),
    "end before start": (item("utterances/start_s", 1, 2.5), "b: end_s 2 ≤ start_s 2.5"),
    "negative start": (item("utterances/start_s", 1, -1), "b: start_s is below 0"),
    "endless": (item("utterances/end_s", 1, np.inf), "b: end_s is infinite"),
    "no label_names": (
        lambda f: f["utterances"].attrs.__delitem__("label_names"),
        "no attribute label_names",
    ),
    "label_names twice": (
        attr("utterances", "label_names", ["a", "b", "b", "c"]),
        "label_names has 'b' 2 times",
    ),
    "no modality": (drop("acoustic"), "no modality; a feature file holds at least one"),
    "modality joint": (lambda f: f.move("acoustic", "joint"), "a modality named joint"),
    "dataset as modality": (
        lambda f: f.__setitem__("visual", np.zeros(3)),
        "/visual is a dataset, where the group",
    ),
    "no values": (drop(VALUES), "no dataset /acoustic/values"),
    "no valid": (drop("acoustic/valid"), "no dataset /acoustic/valid"),
    "values in 2-D": (put(VALUES, np.zeros((9, 6), np.float16)), r"shape \(9, 6\).*3 axes"),
    "values in float32": (
        put(VALUES, np.zeros((9, 2, 3), np.float32)),
        "/acoustic/values is float32; it must hold float16",
    ),
    "no width": (put(VALUES, np.zeros((9, 2, 0), np.float16)), "no layers or no width"),
    "values short": (put(VALUES, np.zeros((8, 2, 3), np.float16)), "ends at 9, but values has 8"),
    "NaN": (item(VALUES, (3, 1, 1), np.nan), "b: NaN in acoustic, first in its frame 1"),
    "inf": (item(VALUES, (8, 1, 1), -np.inf), "d: infinite values in acoustic, .* frame 3"),
    "offsets start": (item("acoustic/offsets", 0, 1), "offsets starts at 1, not at 0"),
    "offsets fall": (item("acoustic/offsets", 1, 6), "b: /acoustic/offsets decreases"),
    "offsets end": (item("acoustic/offsets", 4, 10), "offsets ends at 10, but values has 9"),
    "offsets short": (
        put("acoustic/offsets", np.array([0, 2, 5, 9])),
        r"/acoustic/offsets has shape \(4,\) where \(5\)",
    ),
    "offsets as floats": (put("acoustic/offsets", np.zeros(5)), "offsets is float64"),
    "status": (
        put("acoustic/status", ["ok", "good", "no_audio", "ok"]),
        "b: status of acoustic 'good' is unknown; use ok, truncated,",
    ),
    "status short": (put("acoustic/status", ["ok"]), r"/acoustic/status has shape \(1,\)"),
    "usable but empty": (
        put("acoustic/status", ["ok", "ok", "ok", "ok"]),
        "c: status of acoustic is usable, but its sequence is empty",
    ),
    "usable but invalid": (
        put("acoustic/valid", np.array([True] * 2 + [False] * 3 + [True] * 4)),
        "b: status of acoustic is usable, but none of its frames is valid",
    ),
    "unusable but valid": (
        put("acoustic/status", ["ok", "failed", "no_audio", "ok"]),
        "b: status of acoustic is failed, but frames of it are valid",
    ),
    "valid short": (put("acoustic/valid", np.ones(8, bool)), r"valid has shape \(8,\) where \(9\)"),
    "valid as numbers": (
        put("acoustic/valid", np.ones(9, np.uint8)),
        r"/acoustic/valid is uint8; it must hold true or false \(bool\)",
    ),
    "time short": (put("acoustic/time_s", np.zeros(8)), r"time_s has shape \(8,\) where \(9\)"),
    "time falls": (item("acoustic/time_s", 4, 0.05), "b: time_s of acoustic decreases in the"),
    "time NaN": (item("acoustic/time_s", 8, np.nan), "d: time_s of acoustic is not finite"),
    "layers": (attr("acoustic", "layers", [1, 7, 12]), "layers names 3, but values holds 2"),
    "layers as a text": (attr("acoustic", "layers", "12"), "layers names 1, but values holds 2"),
    "no model": (
        lambda f: f["acoustic"].attrs.__delitem__("model"),
        "/acoustic has no attribute model; pairs are matched by it",
    ),
    "detail short": (
        lambda f: f["acoustic"].__setitem__("detail", ["x"]),
        r"/acoustic/detail has shape \(1,\)",
    ),
    "vad shape": (
        lambda f: f.__setitem__("targets/vad", np.zeros((4, 2))),
        r"/targets/vad has shape \(4, 2\) where \(4, 3\)",
    ),
    "label_dist shape": (
        lambda f: f.__setitem__("targets/label_dist", np.zeros((4, 3))),
        r"/targets/label_dist has shape \(4, 3\) where \(4, 4\)",
    ),
    "label_dist sum": (
        lambda f: f.__setitem__("targets/label_dist", np.full((4, 4), 0.3)),
        r"a: label_dist is below 0 or sums to more than 1 \(and 3 more rows\)",
    ),
    "n_raters as floats": (
        lambda f: f.__setitem__("targets/n_raters", np.ones(4)),
        "/targets/n_raters is float64; it must hold whole numbers",
    ),
    "targets as a dataset": (
        lambda f: f.__setitem__("targets", np.ones(4)),
        "/targets is a dataset, where a group is due",
    ),
    "further data short": (
        lambda f: (f["acoustic"].__setitem__("boxes", np.ones((4, 4))),
                   f["acoustic/boxes"].attrs.__setitem__("per", "frame")),
        "/acoustic/boxes has 4 rows, but is per frame: 9",
    ),
    "external link": (
        lambda f: f.__setitem__("visual", h5py.ExternalLink("other.h5", "/visual")),
        "/visual is a link to another file",
    ),
    "external data": (
        lambda f: (f.__delitem__(VALUES), f["acoustic"].create_dataset(
            "values", (9, 2, 3), np.float16, external=[("raw.bin", 0, 108)])),
        "/acoustic/values keeps its data in other files",
    ),
    "dangling link": (
        lambda f: f.__setitem__("visual", h5py.SoftLink("/nowhere")),
        "/visual is a link that leads nowhere",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ["external link", "external data", "dangling link"])
def test_what_leads_out_of_a_file_is_not_read_either(name: str, tmp_path: Path) -> None:
    path = user_file(tmp_path / "x.h5")
    change, message = DEFECTS[name]
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(InputError, match=re.escape(message)):
        FeatureFile(path)


def test_a_file_with_no_more_than_the_contract_asks_for_is_sound(tmp_path: Path) -> None:
    path = user_file(tmp_path / "x.h5")
    assert check_files([path]) == []
    with FeatureFile(path) as features:
        assert features.speaker == features.group == features.text == [""] * 4
        assert features.corpus == "x"
        assert features.modality("acoustic").detail == [""] * 4
        assert len(features.modality("acoustic").read().values) == 9


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_is_named(name: str, tmp_path: Path) -> None:
    change, message = DEFECTS[name]
    path = user_file(tmp_path / "x.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    problems = check_files([path])
    assert all(problem.startswith(f"{path}: ") for problem in problems)
    assert any(re.search(message, problem) for problem in problems), problems
    assert len(problems) <= 3, "a defect is said once, not in every way it shows"


def test_the_messages_of_different_defects_differ(tmp_path: Path) -> None:
    said = set()
    for change, _ in DEFECTS.values():
        path = user_file(tmp_path / "x.h5")
        with h5py.File(path, "r+") as file:
            change(file)
        said.add(tuple(check_files([path])))
    # "no split" and "group for a column" are the same to a reader.
    assert len(said) == len(DEFECTS) - 1


def test_all_problems_of_a_file_come_at_once(tmp_path: Path) -> None:
    path = user_file(tmp_path / "x.h5")
    names = ("label too high", "split", "NaN", "no model", "time falls", "vad shape")
    with h5py.File(path, "r+") as file:
        for name in names:
            DEFECTS[name][0](file)
    text = "\n".join(check_files([path]))
    assert all(re.search(DEFECTS[name][1], text) for name in names)


def test_files_that_are_not_hdf5_or_cut_short(tmp_path: Path) -> None:
    path = user_file(tmp_path / "x.h5")
    whole = path.read_bytes()
    for text, message in (
        (b"", "not an HDF5 file, or cut short"),
        (b"id,path\n", "not an HDF5 file, or cut short"),
        (whole[: len(whole) // 2], "cut short .*truncated file"),
    ):
        path.write_bytes(text)
        (problem,) = check_files([path])
        assert re.search(message, problem)


def test_a_file_cut_anywhere_never_ends_in_a_traceback(tmp_path: Path) -> None:
    path = user_file(tmp_path / "x.h5")
    whole = path.read_bytes()
    for length in range(0, len(whole), 997):
        path.write_bytes(whole[:length])
        (problem,) = check_files([path])
        assert "not an HDF5 file, or cut short" in problem
        with pytest.raises(InputError, match="not an HDF5 file, or cut short"):
            FeatureFile(path)


def test_what_we_write_and_merge_is_sound(tmp_path: Path) -> None:
    shards = []
    for k, lengths in enumerate(([2, 0, 3], [0], [4, 1])):
        ids = [f"u{k}_{i}" for i in range(len(lengths))]
        n = len(ids)
        table = utterances(
            ids,
            end_s=np.array([1.0, np.nan, 2.0])[:n],
            vad=np.full((n, 3), np.nan, np.float32),
            label_dist=np.full((n, 4), 1 / 3, np.float32) * [1, 1, 1, 0],
            n_raters=np.full(n, 3, np.int32),
        )
        sound = modality(lengths)
        sound.data.valid[:] = True
        time_s = np.concatenate([np.zeros(0), *(np.arange(m) / 50 for m in lengths)])
        part = modality(
            lengths,
            data=sound.data,
            time_s=time_s,
            extra={"boxes": np.zeros((sum(lengths), 4), np.float32)},
            rows={"score": np.zeros(n), "which": np.array(["left"] * n)},
        )
        shards.append(tmp_path / f"{k}.h5")
        write_features(shards[-1], table, {"acoustic": part}, corpus="ie", profile="p")
    merge_features(shards, tmp_path / "whole.h5")
    for path in (*shards, tmp_path / "whole.h5"):
        assert check_files([path]) == []


def test_a_shard_of_nothing_is_sound_but_for_its_emptiness(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    write_features(path, utterances([]), {"acoustic": modality([])}, corpus="ie", profile="p")
    assert check_files([path]) == [f"{path}: no utterances: /utterances/id is empty"]


# Manifests ------------------------------------------------------------------------------------


def test_a_manifest_is_checked_with_its_media(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    path = write(tmp_path / "x.csv", "id,path,audio_path\nu,a.wav,\nv,a.wav,a.wav\n")
    assert check_files([path]) == []
    rows = "".join(f"w{i},{'gone' if i else 'lost'}.avi,a.wav\n" for i in range(22))
    path = write(path, f"id,path,audio_path\nu,a.wav,\n{rows}")
    (problem,) = check_files([path])
    assert problem == (
        f"{path}: 2 of 3 media files are missing (line 3, w0: path lost.avi; "
        f"{'; '.join(f'line {i + 3}, w{i}: path gone.avi' for i in range(1, 20))}; and 2 more); "
        f"paths are relative to {tmp_path}"
    )


def test_a_broken_manifest_lists_its_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "id,path,label\nu,a.wav,joy\nu,gone.wav,\n,b.wav,\n")
    problems = check_files([path])
    assert [re.search(r"line \d", p).group() for p in problems] == ["line 2", "line 4", "line 3"]
    assert "1 of 1 media files are missing (line 3, u: path gone.wav)" in problems[2]


def test_files_of_no_kind(tmp_path: Path) -> None:
    problems = check_files([tmp_path / "gone.h5", tmp_path, write(tmp_path / "x.txt", "")])
    assert [p.split(": ", 1)[1] for p in problems] == [
        "no such file",
        "is a folder; give the files in it",
        "neither a manifest (.csv), a feature file (.h5) nor a result (.json)",
    ]


def test_a_result_that_is_none(tmp_path: Path) -> None:
    (problem,) = check_files([write(tmp_path / "x.json", '{"format": "other"}')])
    assert "not a result file" in problem


def test_the_command_line(tmp_path: Path) -> None:
    path = user_file(tmp_path / "x.h5")
    done = CliRunner().invoke(app, ["check", str(path)])
    assert (done.exit_code, done.stdout) == (0, f"{path}: sound\n")
    with h5py.File(path, "r+") as file:
        file["utterances/label"][0] = 9
    done = CliRunner().invoke(app, ["check", "--json", str(path)])
    assert done.exit_code == 2
    assert json.loads(done.stdout)["problems"] == [
        f"{path}: a: label 9 is none of -1 (no label) to 3"
    ]


# Pairs ----------------------------------------------------------------------------------------


def pair_file(path: Path, *names: str, lengths: list[int] | None = None, **attrs: object) -> Path:
    lengths = lengths or [2, 3, 1]
    width = int(attrs.pop("width", 3))
    classes = attrs.pop("label_names", ("neutral", "happy", "sad", "angry"))
    tables = {}
    for name in names:
        table = modality(lengths, width=width, attrs={**ATTRS, **attrs})
        table.data.valid[:] = True
        time_s = np.concatenate([np.arange(n) / 50 for n in lengths])
        tables[name] = modality(lengths, data=table.data, time_s=time_s, attrs={**ATTRS, **attrs})
    rows = utterances([f"{path.stem}{i}" for i in range(len(lengths))], label_names=classes)
    write_features(path, rows, tables, corpus=path.stem, profile="p")
    return path


def paired(a: Path, b: Path, *args: object, **options: object) -> tuple[str, ...]:
    with FeatureFile(a) as source, FeatureFile(b) as target:
        return check_pair(source, target, *args, **options)


def test_shared_modalities_are_those_usable_in_both_in_the_usual_order(tmp_path: Path) -> None:
    a = pair_file(tmp_path / "a.h5", "lexical", "acoustic", "visual", "eeg")
    b = pair_file(tmp_path / "b.h5", "visual", "lexical", "eeg")
    assert paired(a, b) == paired(b, a) == ("visual", "lexical", "eeg")
    assert paired(a, b, "lexical, visual") == ("visual", "lexical")
    with h5py.File(b, "r+") as file:
        replace(file, "visual/status", ["no_face"] * 3)
    assert paired(a, b) == ("lexical", "eeg")
    with pytest.raises(InputError, match=r"b\.h5: no row has usable visual, which --modalities"):
        paired(a, b, "visual")
    with pytest.raises(InputError, match=r"b\.h5: no modality 'acoustic' as --modalities asks"):
        paired(a, b, "acoustic")
    with pytest.raises(InputError, match=r"a\.h5: no modality 'lexikal'.*did you mean 'lexical'"):
        paired(a, b, "lexikal")
    with pytest.raises(InputError, match=r"has usable .*: no modality is shared"):
        paired(a, b, "")


@pytest.mark.parametrize("key", ["extractor", "model", "revision", "layers", "preprocessing"])
def test_equal_widths_of_different_models_are_refused(key: str, tmp_path: Path) -> None:
    a = pair_file(tmp_path / "a.h5", "acoustic")
    other = [1, 8] if key == "layers" else "german"
    b = pair_file(tmp_path / "b.h5", "acoustic", **{key: other})
    message = rf"acoustic: {key} is .* in .*a\.h5, {re.escape(repr(other))} in .*b\.h5; .*--allow"
    with pytest.raises(InputError, match=message):
        paired(a, b)
    assert paired(a, b, allow_mismatch=True) == ("acoustic",)


def test_hashes_are_compared_where_both_have_one(tmp_path: Path) -> None:
    a = pair_file(tmp_path / "a.h5", "acoustic")
    assert paired(a, pair_file(tmp_path / "b.h5", "acoustic", sha256="")) == ("acoustic",)
    with pytest.raises(InputError, match="acoustic: sha256 is"):
        paired(a, pair_file(tmp_path / "c.h5", "acoustic", sha256="1" * 64))


def test_other_shapes_are_refused_even_for_those_who_know(tmp_path: Path) -> None:
    a = pair_file(tmp_path / "a.h5", "acoustic")
    b = pair_file(tmp_path / "b.h5", "acoustic", width=4)
    for allow in (False, True):
        with pytest.raises(InputError, match=r"2 layers of width 3 in .*, 2 of 4 in"):
            paired(a, b, allow_mismatch=allow)


def test_other_classes_and_nothing_shared_are_refused(tmp_path: Path) -> None:
    a = pair_file(tmp_path / "a.h5", "acoustic")
    b = pair_file(tmp_path / "b.h5", "acoustic", label_names=("neutral", "joy", "sad", "angry"))
    with pytest.raises(InputError, match=r"classes neutral, happy, sad, angry, .* neutral, joy"):
        paired(a, b, allow_mismatch=True)
    c = pair_file(tmp_path / "c.h5", "visual")
    with pytest.raises(InputError, match=r"usable acoustic, .*\.h5 visual: no modality is shared"):
        paired(a, c)


def test_check_says_what_is_wrong_with_a_pair(tmp_path: Path) -> None:
    a = pair_file(tmp_path / "a.h5", "acoustic", "visual")
    b = pair_file(tmp_path / "b.h5", "acoustic")
    c = pair_file(tmp_path / "c.h5", "acoustic", model="other")
    assert check_files([a, b]) == []
    (problem,) = check_files([a, b, c])
    assert re.match("acoustic: model is 'random' in .*'other' in", problem)
