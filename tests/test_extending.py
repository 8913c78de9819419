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

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The packages, and the page's files where the page puts them."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("amanda", "corpora", "extractors"):
        shutil.copytree(ROOT / package, folder / package)
    page = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
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


def test_a_corpus(copy, tmp_path):
    for name in (
        "OAF_back_angry",
        "OAF_bar_fear",
        "YAF_back_happy",
        "YAF_bar_sad",
        "YAF_b_neutral",
    ):
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(b"\0\0" * 16000)
    out = tmp_path / "tess.csv"
    done = amanda(copy, "manifest", "--corpus", "tess", "--root", tmp_path, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "label fear is no class" in out.with_suffix(".dropped.csv").read_text()
    rows = out.read_text().splitlines()
    assert len(rows) == 5
    assert rows[1].startswith("OAF_back_angry,OAF_back_angry.wav,")
    checked = amanda(copy, "check", tmp_path)
    assert "tess" in checked.stdout


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
