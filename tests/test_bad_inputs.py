"""What a user gets wrong about an experiment, at the command line: one sentence and exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_features import SHAPES, write_corpus, write_pair

from amanda.settings import RunSettings, resolve_settings
from amanda.store.errors import InputError
from amanda.training import train_method

SMALL = {"epochs": 1, "seeds": 1, "dim": 4, "channels": 4, "batch_size": 16}


@pytest.mark.parametrize(
    ("assignments", "match"),
    [
        ({"method": "dan"}, "method = 'dan': no such method; did you mean 'dann'"),
        ({"method": "cdan+e"}, r"no such method; did you mean 'cdan_e'|did you mean 'cdan'"),
        ({"surrogate": "logex:1"}, "no kind 'logex'; did you mean 'logexp'"),
        ({"surrogate": "norm:0.99"}, "'norm:0.99': P is a number ≥ 1, or inf, as in norm:2"),
        ({"surrogate": "logexp:0"}, "'logexp:0': T is a finite number > 0, as in logexp:1"),
        ({"surrogate": "logexp:-2"}, "T is a finite number > 0"),
        ({"standardise": "domains"}, "standardise = 'domains'"),
        ({"variant": "realease"}, "variant = 'realease'"),
    ],
)
def test_settings(assignments: dict[str, str], match: str) -> None:
    with pytest.raises(InputError, match=match):
        resolve_settings(None, [], **assignments)


@pytest.mark.parametrize(
    ("assignment", "match"),
    [
        ("alpha3=1", "unknown setting 'alpha3'; did you mean 'alpha"),
        ("label_prior=estimate", "label_prior = 'estimate'.*'estimated'"),
        ("label_prior=given", "label_prior is given, so given_prior must list a share a class"),
        ("surrogate_over=modality", "surrogate_over = 'modality'"),
        ("bottleneck=off", "bottleneck = "),
    ],
)
def test_assignments(assignment: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        resolve_settings(None, [assignment])


def test_a_prior_with_another_number_of_classes(tmp_path: Path) -> None:
    settings = RunSettings(label_prior="given", given_prior=(0.5, 0.5), **SMALL)
    with pytest.raises(InputError, match="given_prior has 2 shares for 4 classes"):
        train_method(*write_pair(tmp_path), settings, out=tmp_path / "r.json", device="cpu")


def test_no_shared_modality(tmp_path: Path) -> None:
    only = {name: {name: SHAPES[name]} for name in ("acoustic", "visual")}
    source = write_corpus(tmp_path / "one.h5", shapes=only["acoustic"])
    target = write_corpus(tmp_path / "two.h5", shapes=only["visual"])
    with pytest.raises(InputError, match="no modality is shared"):
        train_method(source, target, RunSettings(**SMALL), out=tmp_path / "r.json", device="cpu")


def test_a_class_absent_in_the_source(tmp_path: Path) -> None:
    def without_angry(columns: dict[str, np.ndarray]) -> None:
        columns["label"][columns["label"] == 3] = -1

    source = write_corpus(tmp_path / "one.h5", edit=without_angry)
    target = write_corpus(tmp_path / "two.h5")
    with pytest.raises(InputError, match=r"one\.h5: no 'angry' utterance in split train"):
        train_method(source, target, RunSettings(**SMALL), out=tmp_path / "r.json", device="cpu")


def test_one_speaker_only_with_split_speaker(tmp_path: Path) -> None:
    import h5py

    source, target = write_pair(tmp_path)
    with h5py.File(target, "r+") as file:
        n = len(file["utterances/speaker"])
        del file["utterances/speaker"]
        file["utterances/speaker"] = np.array(["only"] * n, dtype=h5py.string_dtype())
    settings = RunSettings(split="speaker", **SMALL)
    with pytest.raises(InputError, match=r"needs at least 3 groups.*there are 1 \(only\).*paper"):
        train_method(source, target, settings, out=tmp_path / "r.json", device="cpu")


def test_fewer_samples_than_a_batch_is_said_and_trains(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = RunSettings(**{**SMALL, "batch_size": 128})
    train_method(*write_pair(tmp_path), settings, out=tmp_path / "r.json", device="cpu")
    for name in ("one", "two"):
        assert f"{name}.h5: 48 training utterances are fewer than batch_size 128" in caplog.text


@pytest.mark.slow  # starts the program
def test_the_command_line_prints_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    source, target = write_pair(tmp_path)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "amanda.cli", "train", "--source", str(source)),
            *("--target", str(target), "--out", str(tmp_path / "r.json"), "--method", "amnda"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        "Error: settings: method = 'amnda': no such method; did you mean 'amanda'?"
    ]
    assert not (tmp_path / "r.json").exists()
