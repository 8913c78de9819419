"""The recipes of docs/extending.md, followed to the letter in a copy of the packages."""

import json
import os
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from small_features import write_pair

from amanda.store.features import FeatureFile

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The packages, and the page's files where the page puts them."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("amanda", "corpora", "extractors"):
        shutil.copytree(ROOT / package, folder / package)
    for name in ("tests", "config"):
        (folder / name).mkdir()
    page = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    for block in re.findall(r"```(?:python|yaml)\n(.*?)```", page, re.S):
        place = folder / block.splitlines()[0].removeprefix("# ")
        assert not place.exists(), "a recipe adds a file, and changes none"
        place.write_text(block, encoding="utf-8")
    return folder


def amanda(copy: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line of the copy."""
    return subprocess.run(
        [sys.executable, "-m", "amanda.cli", *map(str, arguments)],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def write_second(path: Path) -> None:
    """A second of silence."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"\0\0" * 16000)


def test_a_corpus(copy, tmp_path):
    for name in (
        "OAF_back_angry",
        "OAF_bar_fear",
        "YAF_back_happy",
        "YAF_bar_sad",
        "YAF_b_neutral",
    ):
        write_second(tmp_path / f"{name}.wav")
    out = tmp_path / "tess.csv"
    done = amanda(copy, "manifest", "--corpus", "tess", "--root", tmp_path, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "label fear is no class" in out.with_suffix(".dropped.csv").read_text()
    rows = out.read_text().splitlines()
    assert len(rows) == 5
    assert rows[1].startswith("OAF_back_angry,OAF_back_angry.wav,")
    checked = amanda(copy, "check", tmp_path)
    assert "tess" in checked.stdout


def test_an_extractor(copy, tmp_path):
    write_second(tmp_path / "a.wav")
    (tmp_path / "one.csv").write_text("id,path\na,a.wav\n")
    config, out = copy / "config/log_mel.yaml", tmp_path / "one.h5"

    def extract(config: Path) -> subprocess.CompletedProcess[str]:
        flags = ("--profile", "mine", "--config", config, "--out", out)
        return amanda(copy, "extract", "--manifest", tmp_path / "one.csv", *flags)

    def made_by() -> tuple[dict, str]:
        with FeatureFile(out) as features:
            acoustic = features.modality("acoustic")
            assert features.modalities == ("acoustic",)
            assert (len(acoustic.read().values), acoustic.n_layers) == (98, 1)
            return {**acoustic.attrs, "width": acoustic.width}, features.attrs["profile_json"]

    done = extract(config)
    assert done.returncode == 0, done.stderr
    attrs, profile = made_by()
    assert (attrs["extractor"], attrs["width"], attrs["rate_hz"]) == ("log_mel/1", 40, 100)
    assert json.loads(profile)["acoustic"] == {"extractor": "log_mel", "n_mels": 40}
    assert "is finished" in extract(config).stdout
    fewer = tmp_path / "fewer.yaml"
    fewer.write_text(config.read_text().replace("40", "20"))
    assert "is finished" not in extract(fewer).stdout
    assert made_by()[0]["width"] == 20
    fewer.write_text(config.read_text().replace("log_mel", "logmel"))
    assert "no such acoustic extractor; did you mean 'log_mel'?" in extract(fewer).stderr
    checked = amanda(copy, "check", out)
    assert checked.returncode == 0, checked.stdout


def test_the_test_of_an_extractor(copy):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "5 passed" in done.stdout, done.stdout


@pytest.mark.parametrize(
    "flags", [("--method", "mmd"), ("--surrogate", "phi:my_surrogates.soft_square")]
)
def test_a_method_and_a_surrogate(copy, tmp_path, flags):
    source, target = write_pair(tmp_path)
    small = ("--seeds", 1, "--epochs", 2, "--set", "dim=8", "--set", "channels=4")
    out = tmp_path / "r.json"
    done = amanda(
        copy, "train", "--source", source, "--target", target, *flags, *small, "--out", out
    )
    assert done.returncode == 0, done.stderr
    (method,) = json.loads(out.read_text())["methods"]
    (run,) = method["runs"]
    term = "mmd" if "mmd" in flags else "correlation_alignment"
    assert all(epoch["loss"][term] > 0 for epoch in run["epochs"])
