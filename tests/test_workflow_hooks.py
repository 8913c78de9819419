"""What the workflow says and clears away when a run ends."""

import os
from pathlib import Path

from amanda.workflow_hooks import last_errors, remove_merged_shards


def write(path: Path, text: str = "x", time_s: float = 1000.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time_s, time_s))
    return path


def test_each_failed_job_has_its_last_word_once(tmp_path):
    write(tmp_path / "train/ie2msp/a.log", "Error: not the last\nwork\nError: the disk is full\n")
    write(tmp_path / "train/ie2msp/b.log", "work " * 10_000 + "\nError: the disk is full\nmore\n")
    write(tmp_path / "extract/ie/0.log", "Error: interrupted; run the same command\n")
    write(tmp_path / "pair/ie2msp.log", "no Error: in the middle of a line\n")
    write(tmp_path / "report.log", "Error: of an earlier run\n", time_s=999.0)
    assert last_errors(tmp_path, 1000.0) == [
        "Error: interrupted; run the same command",
        "Error: the disk is full",
    ]
    assert last_errors(tmp_path / "nowhere", 1000.0) == []


def test_only_shards_of_a_newer_feature_file_go(tmp_path):
    merged = write(tmp_path / "ie.h5", time_s=1000.0)
    left = [write(tmp_path / f"shards/ie/{n}-of-2.h5", time_s=999.0 - n) for n in range(2)]
    made_again = write(tmp_path / "shards/ie/0-of-3.h5", time_s=1001.0)
    not_merged = write(tmp_path / "shards/msp/0-of-2.h5", time_s=500.0)
    assert remove_merged_shards(tmp_path) == left
    assert [p.exists() for p in (merged, made_again, not_merged, *left)] == [True] * 3 + [False] * 2
    os.utime(made_again, (900.0, 900.0))
    assert remove_merged_shards(tmp_path) == [made_again]
    assert not (tmp_path / "shards/ie").exists()
