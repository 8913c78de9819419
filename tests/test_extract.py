"""The extraction end to end, on drawn recordings and small random models."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from small_models import BrightSquares, write_models, write_recording

from amanda.store.errors import AmandaError, InputError, TooManyFailedError
from amanda.store.features import FeatureFile, merge_features
from extractors import collect
from extractors.audio import read_audio_clips
from extractors.collect import Collector
from extractors.extract import run_extraction
from extractors.faces import DETECTORS
from extractors.job import make_job
from extractors.media import ClipRequest, DecodedClip
from extractors.profiles import load_profile
from extractors.shards import shard_path
from extractors.video import read_video_clips

HEADER = ["id", "path", "start_s", "end_s", "text", "label", "speaker", "group", "split"]


@pytest.fixture(autouse=True)
def _bright_squares(monkeypatch):
    monkeypatch.setitem(DETECTORS, "retinaface", BrightSquares)


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> str:
    return str(write_models(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    """Two dialogues with several utterances each, and single clips with something missing."""
    folder = tmp_path_factory.mktemp("media")
    write_recording(folder / "one.mp4", 5.0, seed=1)
    write_recording(folder / "two.mkv", 4.0, seed=2)
    write_recording(folder / "faceless.mp4", 1.0, face=False, seed=3)
    write_recording(folder / "silent.mp4", 1.0, sound=False, seed=4)
    write_recording(folder / "sound.wav", 1.0, picture=False, seed=5)
    (folder / "broken.mp4").write_text("not a film")
    return folder


def write_csv(path: Path, rows: list[dict]) -> Path:
    columns = [*HEADER, *sorted({key for row in rows for key in row} - set(HEADER))]
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows({"split": "train", **row} for row in rows)
    return path


def dialogue(n: int = 4, **more) -> list[dict]:
    """Overlapping utterances of two videos, in an order that is not that of time."""
    rows = []
    for k in range(n):
        for name, path in (("a", "one.mp4"), ("b", "two.mkv")):
            start_s = 2.8 / n * ((k * 3) % n)
            rows.append(
                {
                    "id": f"{name}{k}",
                    "path": path,
                    "start_s": start_s,
                    "end_s": start_s + 1.1,
                    "text": f"i am so {'happy' if k % 2 else 'sad'}",
                    "label": "happy" if k % 2 else "sad",
                    "speaker": f"s{name}",
                    "group": name,
                    "split": "test" if k == 0 else "train",
                    **more,
                }
            )
    return rows


@pytest.fixture
def manifest(media, tmp_path) -> Path:
    for path in media.iterdir():
        shutil.copy(path, tmp_path)
    return write_csv(tmp_path / "toy.csv", dialogue())


def contents(path: Path) -> dict[str, np.ndarray | list]:
    """Every dataset of a feature file by name."""
    with h5py.File(path) as file:
        found = {}
        for group in file:
            for name, data in file[group].items():
                text = h5py.check_string_dtype(data.dtype)
                found[f"{group}/{name}"] = list(data.asstr()[:]) if text else data[:]
    return found


def assert_same(one: Path, other: Path) -> None:
    """Equal row by row; features to the rounding of float16."""
    mine, theirs = contents(one), contents(other)
    assert mine.keys() == theirs.keys()
    for name, data in mine.items():
        if isinstance(data, list):
            assert data == theirs[name], name
        else:
            np.testing.assert_allclose(data, theirs[name], atol=2e-3, err_msg=name)


def test_features_are_those_of_the_clip_alone(manifest, profile, tmp_path):
    """Against each extractor called with one clip, decoded by itself."""
    out = tmp_path / "toy.h5"
    run_extraction(manifest, out, profile=profile, n_shards=2)
    job = make_job(
        manifest,
        corpus="toy",
        profile=load_profile(profile),
        modalities=(),
        device=torch.device("cpu"),
        downmix=False,
    )
    with FeatureFile(out) as features:
        assert sorted(features.ids) == sorted(u.id for u in job.utterances)
        for row, utterance_id in enumerate(features.ids):
            utterance = next(u for u in job.utterances if u.id == utterance_id)
            request = ClipRequest(row=0, start_s=utterance.start_s, end_s=utterance.end_s)
            path = manifest.parent / utterance.path
            clips = {
                "visual": next(read_video_clips(path, [request], 4)).clip,
                "acoustic": next(read_audio_clips(path, [request])).clip,
                "lexical": utterance.text,
            }
            for modality, clip in clips.items():
                [expected] = job.builder(modality)()([clip])
                data = features.modality(modality)
                stored = data.read(np.array([row]))
                assert data.status[row] == "ok"
                assert len(expected.values) > 1
                np.testing.assert_allclose(stored.values, expected.values, atol=2e-3, rtol=1e-3)
                np.testing.assert_array_equal(stored.valid, expected.valid)


def test_result_does_not_depend_on_the_number_of_shards(manifest, profile, tmp_path):
    for n in (1, 2, 5):  # 5: more than there are sources
        run_extraction(manifest, tmp_path / f"{n}.h5", profile=profile, n_shards=n, corpus="toy")
        assert not (tmp_path / f"{n}.h5.shards").exists()
    assert_same(tmp_path / "1.h5", tmp_path / "2.h5")
    assert_same(tmp_path / "1.h5", tmp_path / "5.h5")
    with FeatureFile(tmp_path / "5.h5") as features:
        # Source by source, in the manifest's order within.
        assert features.ids == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"]


def test_shards_of_the_workflow_join_to_the_same_file(manifest, profile, tmp_path):
    run_extraction(manifest, tmp_path / "all.h5", profile=profile, n_shards=1)
    shards = [tmp_path / f"{i}.h5" for i in range(4)]
    for i, path in enumerate(shards):
        run_extraction(manifest, path, profile=profile, shard=(i, 4))
    with FeatureFile(shards[0]) as empty:
        assert len(empty) == 0
    assert merge_features(shards, tmp_path / "merged.h5") == 8
    assert_same(tmp_path / "all.h5", tmp_path / "merged.h5")


def test_columns_targets_and_provenance(manifest, profile, tmp_path):
    rows = dialogue(2)
    rows[0] |= {"valence": 2.5, "arousal": 3.0, "dominance": 4.0, "n_raters": 3}
    rows[0] |= {"p_happy": 0.25, "p_sad": 0.75, "origin": "stand-in"}
    rows[1] |= {"label": "", "start_s": "", "end_s": ""}
    write_csv(manifest, rows)
    out = tmp_path / "out.h5"
    run_extraction(manifest, out, profile=profile, corpus="toy", n_shards=3)
    found = contents(out)
    assert found["utterances/id"] == ["a0", "a1", "b0", "b1"]
    assert found["utterances/source"] == ["one.mp4", "one.mp4", "two.mkv", "two.mkv"]
    np.testing.assert_array_equal(found["utterances/label"], [2, 1, -1, 1])
    np.testing.assert_allclose(found["targets/vad"][0], [2.5, 3.0, 4.0])
    assert np.isnan(found["targets/vad"][1:]).all()
    np.testing.assert_allclose(found["targets/label_dist"][0], [0, 0.25, 0.75, 0])
    assert np.isnan(found["targets/label_dist"][1:]).all()
    np.testing.assert_array_equal(found["targets/n_raters"], [3, 0, 0, 0])
    assert found["utterances/start_s"][2] == 0.0
    assert found["utterances/end_s"][2] == pytest.approx(4.0, abs=0.05)
    with h5py.File(out) as file:
        attrs = dict(file.attrs)
        boxes = file["visual/boxes"]
        assert (boxes.attrs["per"], boxes.shape) == ("frame", (16, 4))
        assert file["visual/face_score"].attrs["per"] == "utterance"
    assert attrs["origin"] == "stand-in"
    assert attrs["corpus"] == "toy"
    assert attrs["profile"] == "small"
    assert attrs["profile_key"] == load_profile(profile).key
    assert json.loads(attrs["profile_json"])["visual"]["n_frames"] == 4
    assert json.loads(attrs["versions"])["torch"] == version("torch")
    assert attrs["resampler"].startswith("soxr")
    assert len(attrs["manifest_sha256"]) == 64


EVERYTHING = {"text": "i am so happy", "label": "happy"}


def test_every_kind_of_missing_evidence_has_its_status(manifest, profile, tmp_path):
    rows = [
        {"id": "good", "path": "one.mp4", "start_s": 0, "end_s": 1, **EVERYTHING},
        {"id": "faceless", "path": "faceless.mp4", **EVERYTHING},
        {"id": "silent", "path": "silent.mp4", **EVERYTHING},
        {"id": "sound", "path": "sound.wav", **EVERYTHING},
        {"id": "broken", "path": "broken.mp4", **EVERYTHING},
        {"id": "absent", "path": "absent.mp4", **EVERYTHING},
        {"id": "late", "path": "one.mp4", "start_s": 4, "end_s": 8, **EVERYTHING},
        {"id": "text_only", **EVERYTHING},
        {"id": "wordless", "path": "two.mkv", "start_s": 0, "end_s": 1},
        {"id": "instant", "path": "two.mkv", "start_s": 1, "end_s": 1.01, **EVERYTHING},
        {"id": "long", "path": "two.mkv", "start_s": 0, "end_s": 1, "text": "a " * 40},
        {"id": "beside", "path": "one.mp4", "start_s": 3, "end_s": 4, "audio_path": "sound.wav"}
        | {"audio_start_s": 0.0, **EVERYTHING},
    ]
    write_csv(manifest, rows)
    out = tmp_path / "out.h5"
    summary = run_extraction(manifest, out, profile=profile, n_shards=2, max_failed=0.5)
    with FeatureFile(out) as features:
        status = {
            name: dict(zip(features.ids, features.modality(name).status, strict=True))
            for name in features.modalities
        }
        detail = dict(zip(features.ids, features.modality("visual").detail, strict=True))
        lengths = np.diff(features.modality("visual").offsets)
    assert status["visual"] == {
        "good": "ok",
        "faceless": "no_face",
        "silent": "ok",
        "sound": "no_video",
        "broken": "unreadable",
        "absent": "unreadable",
        "late": "truncated",
        "text_only": "no_video",
        "wordless": "ok",
        "instant": "ok",
        "long": "ok",
        "beside": "ok",
    }
    assert status["acoustic"] | {"x": 0} == status["acoustic"] | {
        "x": 0,
        "good": "ok",
        "silent": "no_audio",
        "sound": "ok",
        "broken": "unreadable",
        "absent": "unreadable",
        "late": "truncated",
        "text_only": "no_audio",
        "instant": "too_short",
        "beside": "ok",
    }
    assert status["lexical"]["wordless"] == "empty_text"
    assert status["lexical"]["long"] == "truncated"
    assert status["lexical"]["broken"] == "ok"
    assert detail["absent"].startswith("no such file")
    assert "the clip ends at 8.00 s" in detail["late"]
    assert sorted(lengths) == [0, 0, 0, 0, 1, *[4] * 7]
    assert "visual    6 ok, 2 no_video, 2 unreadable, 1 no_face, 1 truncated" in summary
    assert "unreadable, for example broken: cannot be opened" in summary


def test_failed_clips_are_done_again_and_no_others(manifest, profile, tmp_path):
    rows = [*dialogue(1), {"id": "x", "path": "broken.mp4", "text": "i am"}]
    rows += [{"id": "y", "path": "absent.mp4", "text": "so sad"}, dialogue(2)[3]]
    write_csv(manifest, rows)
    out = tmp_path / "out.h5"
    run_extraction(manifest, out, profile=profile, max_failed=1.0)
    ledger = out.with_suffix(".ledger.csv")
    with open(ledger, newline="") as file:
        told = {row["id"]: row for row in csv.DictReader(file)}
    assert [i for i, row in told.items() if row["failed"] == "yes"] == ["x", "y"]
    assert told["y"]["visual_detail"].startswith("no such file")
    assert told["a0"]["acoustic"] == "ok"
    # One file is mended, one row marked to see that it is not made anew.
    shutil.copy(tmp_path / "faceless.mp4", tmp_path / "broken.mp4")
    with h5py.File(out, "a") as file:
        at = list(file["utterances/id"].asstr()).index("b1")
        first = file["acoustic/offsets"][at]
        file["acoustic/values"][first] = 7.0
    before = contents(out)
    said = run_extraction(manifest, out, profile=profile, max_failed=1.0, retry_failed=True)
    assert "2 clips done again, 1 mended" in said
    after = contents(out)
    assert after["utterances/id"] == before["utterances/id"] == ["a0", "b0", "b1", "x", "y"]
    assert (after["acoustic/values"][after["acoustic/offsets"][2]] == 7.0).all()
    assert after["acoustic/status"] == ["ok", "ok", "ok", "ok", "unreadable"]
    assert after["visual/status"] == ["ok", "ok", "ok", "no_face", "unreadable"]
    with FeatureFile(out) as features:
        lengths = np.diff(features.modality("acoustic").offsets)
        assert features.modality("visual").read(np.array([3])).values.shape == (4, 1, 128)
    # x is a second of sound; the rest is as it was.
    assert lengths[3] == 50
    np.testing.assert_array_equal(lengths[:3], np.diff(before["acoustic/offsets"])[:3])
    for name in ("acoustic/values", "visual/boxes"):
        n = len(before[name])
        np.testing.assert_array_equal(after[name][:n], before[name], err_msg=name)
    with open(ledger, newline="") as file:
        assert [r["id"] for r in csv.DictReader(file) if r["failed"] == "yes"] == ["y"]
    assert not (tmp_path / "out.h5.shards").exists()


def test_retrying_needs_a_finished_file(manifest, profile, tmp_path):
    with pytest.raises(InputError, match="--retry-failed needs a file that is finished"):
        run_extraction(manifest, tmp_path / "x.h5", profile=profile, retry_failed=True)


def test_a_finished_file_is_not_made_again(manifest, profile, tmp_path, monkeypatch):
    write_csv(manifest, dialogue(1))
    out = tmp_path / "out.h5"
    said = run_extraction(manifest, out, profile=profile)
    assert "bottleneck:" in said
    written = out.stat().st_mtime_ns
    monkeypatch.setitem(DETECTORS, "retinaface", None)  # calling it would raise
    assert "is finished" in run_extraction(manifest, out, profile=profile)
    said = run_extraction(manifest, out, profile=profile, retry_failed=True)
    assert "no clip has failed" in said
    assert out.stat().st_mtime_ns == written


def test_a_shard_with_too_many_failures_is_kept_for_a_workflow_that_deletes_it(
    manifest, profile, tmp_path, monkeypatch
):
    write_csv(manifest, [*dialogue(1), {"id": "x", "path": "broken.mp4", "text": "i am"}])
    out = tmp_path / "0-of-1.h5"
    with pytest.raises(TooManyFailedError):
        run_extraction(manifest, out, profile=profile, shard=(0, 1))
    written = out.stat().st_mtime_ns
    out.unlink()
    monkeypatch.setitem(DETECTORS, "retinaface", None)
    said = run_extraction(manifest, out, profile=profile, shard=(0, 1), max_failed=0.5)
    assert "finished by an earlier run" in said
    assert out.stat().st_mtime_ns == written
    assert not (tmp_path / "0-of-1.h5.shards").exists()


def test_too_many_failed_is_told_after_writing(manifest, profile, tmp_path):
    rows = [*dialogue(1), {"id": "x", "path": "broken.mp4", "text": "i am"}]
    write_csv(manifest, rows)
    out = tmp_path / "out.h5"
    with pytest.raises(TooManyFailedError, match=r"1 clips failed, more than a share of 0\.2"):
        run_extraction(manifest, out, profile=profile)
    with FeatureFile(out) as features:
        assert len(features) == 3
    assert "1 unreadable" in run_extraction(manifest, out, profile=profile, max_failed=0.34)


def test_clips_are_not_named_where_that_is_not_wanted(manifest, profile, tmp_path):
    rows = [*dialogue(1), {"id": "secret_id", "path": "secret_name.mp4", "text": "i am"}]
    write_csv(manifest, rows)
    out = tmp_path / "out.h5"
    with pytest.raises(TooManyFailedError, match=r"1 clips failed.*\(--max-failed\)\n") as told:
        run_extraction(manifest, out, profile=profile, name_clips=False)
    again = run_extraction(manifest, out, profile=profile, max_failed=1.0, name_clips=False)
    for said in (str(told.value), again):
        assert "1 unreadable" in said
        assert "secret" not in said
    assert "secret_id: no such file" in run_extraction(
        manifest, out, profile=profile, max_failed=1.0
    )


def test_modality_absent_everywhere_is_left_out_and_its_model_not_loaded(
    manifest, profile, tmp_path, monkeypatch
):
    monkeypatch.setitem(DETECTORS, "retinaface", None)  # calling it would raise
    write_csv(manifest, [{"id": f"s{i}", "path": "sound.wav"} for i in range(3)])
    run_extraction(manifest, tmp_path / "out.h5", profile=profile)
    with FeatureFile(tmp_path / "out.h5") as features:
        assert features.modalities == ("acoustic",)
    write_csv(manifest, [{"id": "t", "text": "i am so happy"}])
    run_extraction(manifest, tmp_path / "out.h5", profile=profile)
    with FeatureFile(tmp_path / "out.h5") as features:
        assert features.modalities == ("lexical",)


def test_chosen_modalities(manifest, profile, tmp_path):
    run_extraction(manifest, tmp_path / "out.h5", profile=profile, modalities=["lexical"])
    with FeatureFile(tmp_path / "out.h5") as features:
        assert features.modalities == ("lexical",)
    with pytest.raises(InputError, match="did you mean 'visual'"):
        run_extraction(manifest, tmp_path / "x.h5", profile=profile, modalities=["visuel"])


def test_wrong_input_is_one_sentence(manifest, profile, tmp_path):
    out = tmp_path / "out.h5"
    write_csv(manifest, [{"id": "a", "path": "no/a.mp4"}, {"id": "b", "path": "no/b.mp4"}])
    with pytest.raises(InputError, match=r"none of its 2 files exists.*relative to the manifest's"):
        run_extraction(manifest, out, profile=profile)
    write_csv(manifest, [{"id": "a", "path": "broken.mp4"}])
    with pytest.raises(InputError, match="none of its files can be opened"):
        run_extraction(manifest, out, profile=profile)
    write_csv(manifest, [{"id": "a", "path": "faceless.mp4"}])
    with pytest.raises(InputError, match="no row has text, sound or pictures for lexical"):
        run_extraction(manifest, out, profile=profile, modalities=["lexical"])
    with pytest.raises(InputError, match="corpus name 'A b'"):
        run_extraction(manifest, out, profile=profile, corpus="A b")
    with pytest.raises(InputError, match="is a folder"):
        run_extraction(manifest, tmp_path, profile=profile)
    assert not out.exists()


def test_language_is_warned_about(manifest, profile, tmp_path, capsys):
    write_csv(manifest, dialogue(1, language="de"))
    run_extraction(manifest, tmp_path / "out.h5", profile=profile)
    assert capsys.readouterr().err.count("the corpus is in 'de'") == 1
    with h5py.File(tmp_path / "out.h5") as file:
        assert "the corpus is in 'de'" in file.attrs["warnings"]
        assert file.attrs["languages"] == "de"
    write_csv(manifest, dialogue(1, language="en"))
    run_extraction(manifest, tmp_path / "out.h5", profile=profile)
    assert "Warning" not in capsys.readouterr().err


def test_estimate_writes_nothing(manifest, profile, tmp_path):
    before = sorted(tmp_path.iterdir())
    text = run_extraction(manifest, tmp_path / "out.h5", profile=profile, estimate=True)
    assert sorted(tmp_path.iterdir()) == before
    assert "8 utterances, 0.1 minutes of clips" in text
    # 8 clips × 4 frames × 1 layer × 128 × 2 bytes.
    assert "visual    1 x 128 float16     8.2 kB" in text
    run_extraction(manifest, tmp_path / "out.h5", profile=profile)
    with FeatureFile(tmp_path / "out.h5") as features:
        stored = {m: features.modality(m).read().values.nbytes for m in features.modalities}
    assert stored["visual"] == 8192
    # 8.8 s at 50 frames a second × 2 layers × 16 × 2 bytes: within one frame a clip.
    assert "acoustic  2 x 16 float16    28.2 kB" in text
    assert abs(stored["acoustic"] - 28_160) <= 8 * 64


def test_disk_that_cannot_hold_it_is_refused_before_starting(
    manifest, profile, tmp_path, monkeypatch
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 0, 40_000))
    with pytest.raises(InputError, match=r"are needed \(twice .* has 40\.0 kB free"):
        run_extraction(manifest, tmp_path / "out.h5", profile=profile)
    assert not (tmp_path / "out.h5").exists()


RUN = """
import sys
from small_models import BrightSquares
from extractors.faces import DETECTORS
from extractors.extract import run_extraction
DETECTORS["retinaface"] = BrightSquares
run_extraction(sys.argv[1], sys.argv[2], profile=sys.argv[3], n_shards=2, corpus="toy")
"""


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_runs_go_on(manifest, profile, tmp_path, signal_number):
    write_csv(manifest, dialogue(40))
    out = tmp_path / "toy.h5"
    folder = tmp_path / "toy.h5.shards"
    first = shard_path(folder, 0, 2)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(manifest), str(out), profile],
        cwd=Path(__file__).parent,
        stderr=subprocess.DEVNULL,
    )
    deadline_s = time.monotonic() + 120
    while not first.exists() and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.002)
    process.send_signal(signal_number)
    assert process.wait() != 0
    assert not out.exists()
    (folder / ".001-of-002.abcdefgh.tmp.h5").touch()  # what SIGKILL may leave
    written = first.stat().st_mtime_ns
    # A finished shard is used again: were it made anew, its mark would be gone.
    with h5py.File(first, "a") as file:
        file.attrs["mark"] = "made before the interruption"
    run_extraction(manifest, out, profile=profile, n_shards=2, corpus="toy")
    assert written < out.stat().st_mtime_ns
    with h5py.File(out) as file:
        assert file.attrs["mark"] == "made before the interruption"
    assert not folder.exists()
    assert not list(tmp_path.glob(".*.tmp.h5"))
    whole = tmp_path / "whole.h5"
    run_extraction(manifest, whole, profile=profile, n_shards=1, corpus="toy")
    assert_same(out, whole)


FULL = """
import resource, sys
from small_models import BrightSquares
from amanda.cli import main
from extractors.faces import DETECTORS
DETECTORS["retinaface"] = BrightSquares
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.75, 0.1])
def test_disk_that_fills_up_loses_nothing(manifest, profile, tmp_path, share):
    """No file may grow over a share of the result: the joining fails, or a shard does."""
    write_csv(manifest, dialogue(20))
    whole, out = tmp_path / "whole.h5", tmp_path / "toy.h5"
    run_extraction(manifest, whole, profile=profile, n_shards=1, corpus="toy")
    limit = str(round(share * whole.stat().st_size))
    command = ["extract", "--manifest", str(manifest), "--out", str(out), "--profile", profile]
    command += ["--shards", "2", "--corpus", "toy"]
    stopped = subprocess.run(
        [sys.executable, "-c", FULL, limit, *command],
        cwd=Path(__file__).parent,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert stopped.returncode == 1
    assert stopped.stderr.splitlines()[-1].startswith("Error: File too large")
    assert "run the same command" in stopped.stderr
    assert not out.exists()
    folder = tmp_path / "toy.h5.shards"
    assert not [path for path in folder.iterdir() if ".tmp" in path.name]
    kept = sorted(folder.glob("*.h5"))
    assert len(kept) == (2 if share > 0.5 else 0)
    for path in kept:
        with h5py.File(path, "a") as file:
            file.attrs["mark"] = "made before the disk was full"
    run_extraction(manifest, out, profile=profile, n_shards=2, corpus="toy")
    with h5py.File(out) as file:
        assert ("mark" in file.attrs) == bool(kept)
    assert_same(out, whole)


def test_shards_of_another_manifest_are_made_anew(manifest, profile, tmp_path):
    out = tmp_path / "toy.h5"
    stale = shard_path(tmp_path / "toy.h5.shards", 0, 2)
    stale.parent.mkdir()
    run_extraction(manifest, stale, profile=profile, shard=(0, 2), corpus="toy")
    rows = dialogue()
    for row in rows:
        row["text"] = "we go home"
    write_csv(manifest, rows)
    run_extraction(manifest, out, profile=profile, n_shards=2)
    with FeatureFile(out) as features:
        assert set(features.text) == {"we go home"}


class Picky:
    """An extractor that cannot take some clips."""

    modality, n_layers, width = "lexical", 1, 2
    attrs = {"model": "picky"}  # noqa: RUF012

    def __init__(self, value: float = 1.0):
        self.value = value

    def __call__(self, clips):
        from extractors.base import SequenceFeatures

        if "bad" in clips:
            raise ValueError("a bad\nclip")
        return [
            SequenceFeatures(
                values=np.full((len(clip), 1, 2), self.value, np.float32),
                time_s=np.arange(float(len(clip))),
                valid=np.ones(len(clip), bool),
            )
            for clip in clips
        ]


def collected(clips: list[str], extractor: Picky):
    collector = Collector("lexical", lambda: extractor, range(len(clips)), list("abcdef"))
    for row, clip in enumerate(clips):
        collector.put(DecodedClip(row=row, clip=clip))
    return collector.table()


def test_a_clip_that_a_model_cannot_take_costs_itself_alone():
    table = collected(["one", "bad", "three"], Picky())
    assert table.status == ["ok", "failed", "ok"]
    assert table.detail == ["", "ValueError: a bad clip", ""]
    np.testing.assert_array_equal(table.data.offsets, [0, 3, 3, 8])


def test_clips_that_all_fail_do_not_stop_the_run():
    table = collected(["bad", "bad"], Picky())
    assert table.status == ["failed", "failed"]


class Broken(Picky):
    """An extractor that can take nothing but the empty clip."""

    def __call__(self, clips):
        if any(clips):
            raise ValueError("no such kernel")
        return super().__call__(clips)


def test_a_model_that_fails_on_everything_stops_the_run():
    with pytest.raises(AmandaError, match=r"fails on every clip, the first is a \(ValueError: no"):
        collected(["one", "two"], Broken())


@pytest.mark.parametrize(("value", "kind"), [(1e5, "above float16's 65504"), (np.nan, "NaN")])
def test_values_that_cannot_be_stored_stop_the_run(value, kind):
    with pytest.raises(AmandaError, match=f"^a: the model gave .*{kind}"):
        collected(["one"], Picky(value))


def test_clips_are_batched_over_utterances(monkeypatch):
    monkeypatch.setattr(collect, "MAX_CLIPS", 2)
    sizes = []

    class Counting(Picky):
        def __call__(self, clips):
            sizes.append(len(clips))
            return super().__call__(clips)

    table = collected(["a", "b", "c", "d", "e"], Counting())
    assert sizes == [2, 2, 1, 1]  # the last is the empty clip that gives the layout
    assert len(table.data) == 5
