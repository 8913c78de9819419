"""What the workflow sees to before a run, and says and clears away when it ends."""

import os
from pathlib import Path

import pytest

from amanda.store.errors import InputError
from amanda.workflow_hooks import (
    file_clock_s,
    last_errors,
    mend_future_times,
    refuse_future_files,
    refuse_read_only,
    remove_merged_shards,
)


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


def test_files_from_the_future_get_one_time_and_others_keep_theirs(tmp_path):
    shard = write(tmp_path / "features/shards/ie/0-of-2.h5", time_s=8000.0)
    future = [
        write(tmp_path / "data/ie/STANDIN.txt", time_s=5000.0),
        write(tmp_path / "manifests/ie.csv", time_s=6000.0),
        shard,
        write(tmp_path / "results/runs/ie2msp/a.json", time_s=9000.0),
    ]
    now = write(tmp_path / "features/msp.h5", time_s=2000.5)  # not more than a file system's tick
    past = write(tmp_path / "manifests/msp.csv", time_s=1000.0)
    users = write(tmp_path / "data/ie/dialogue.avi", time_s=5000.0)
    assert mend_future_times(tmp_path, 2000.0) == future
    assert [path.stat().st_mtime for path in future] == [2000.0] * 4
    assert [path.stat().st_mtime for path in (now, past, users)] == [2000.5, 1000.0, 5000.0]
    assert mend_future_times(tmp_path, 2000.0) == []


def test_a_users_file_from_the_future_is_named(tmp_path):
    listing = write(tmp_path / "clips.csv", time_s=7200.0)
    with pytest.raises(
        InputError, match=r"clips.csv: its time lies 120 min in .* touch .*clips.csv"
    ):
        refuse_future_files([tmp_path / "none.csv", listing], 0.0)
    with pytest.raises(InputError, match="lies 90 s in the future"):
        refuse_future_files([listing], 7110.0)
    refuse_future_files([listing], 7199.5)


def test_the_clock_is_that_of_the_folder(tmp_path):
    write(tmp_path / "x")
    (tmp_path / "x").touch()
    before_s = (tmp_path / "x").stat().st_mtime
    now_s = file_clock_s(tmp_path)
    (tmp_path / "y").touch()
    assert before_s <= now_s <= (tmp_path / "y").stat().st_mtime
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "y"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc on this system")
def test_a_folder_that_cannot_be_written_to_is_named_also_where_it_is_to_be_made(tmp_path):
    """Permissions do not stop root, but nobody makes files in /proc/sys."""
    refuse_read_only([tmp_path / "results/runs/x.json", tmp_path / "y"])
    assert not (tmp_path / "results").exists()
    with pytest.raises(InputError, match=r"^/proc/[^ ]+: cannot be written to; make that possible"):
        refuse_read_only([tmp_path / "y", Path("/proc/sys/fs/results/x.json")])
