"""The examples of docs/formats.md run, and its tables name what the code knows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from amanda.store.check import check_files
from amanda.store.feature_schema import (
    IDENTITY_ATTRS,
    REQUIRED_COLUMNS,
    REQUIRED_DATASETS,
    TEXT_COLUMNS,
)
from amanda.store.manifest import OPTIONAL, REQUIRED
from amanda.store.names import CLASSES, MODALITIES, STATUSES
from amanda.store.splits import SPLIT_RULES

PAGE = (Path(__file__).parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_python_examples_write_and_read_a_sound_file(tmp_path: Path) -> None:
    writing, reading = blocks("python")
    for code in (writing, reading):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert check_files([tmp_path / "mine.h5"]) == []
    assert "['ok', 'no_audio', 'ok'] (32, 1, 768) [ 0 12 32]" in done.stdout


def test_the_smallest_manifest_is_sound(tmp_path: Path) -> None:
    (text,) = blocks("csv")
    (tmp_path / "calls").mkdir()
    for name in ("001", "002"):
        (tmp_path / "calls" / f"{name}.wav").touch()
    (tmp_path / "my_calls.csv").write_text(text)
    assert check_files([tmp_path / "my_calls.csv"]) == []


@pytest.mark.parametrize(
    "names",
    [
        (*REQUIRED, *OPTIONAL),
        [f"p_{name}" for name in CLASSES],
        MODALITIES,
        STATUSES,
        SPLIT_RULES,
        REQUIRED_DATASETS,
    ],
)
def test_the_page_names_everything(names: list[str]) -> None:
    missing = [name for name in names if f"`{name}`" not in PAGE]
    assert not missing


def test_the_layout_names_every_dataset_and_attribute() -> None:
    layout = next(block for block in blocks("text") if "/utterances/" in block)
    for name in (*REQUIRED_COLUMNS, *TEXT_COLUMNS, *REQUIRED_DATASETS, *IDENTITY_ATTRS):
        assert re.search(rf"\b{name}\b", layout), name
