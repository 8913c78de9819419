"""What goes wrong on shared machines, done on purpose: it is said or waited for, nothing is lost.

A full disk, read-only folders, clocks that are an hour off, files that are seen late, two
Snakemakes at once. Interruptions are in test_workflow_end_to_end and cluster/test_slurm; a disk
that fills up under `amanda extract` alone is in test_extract.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from small_features import write_corpus
from small_models import write_models
from workflow_runs import command, plan, snakemake, write_clips, write_config

from amanda.store.features import FeatureFile

pytestmark = pytest.mark.slow

HOUR_S = 3600
FEATURES = "features/one.h5"


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Path:
    """A working folder where the manifest is made and the weights are found; nothing extracted."""
    folder = tmp_path_factory.mktemp("drills")
    profile = write_models(tmp_path_factory.mktemp("models"))
    write_clips(folder / "mine", clips_a_file=4)
    for name in ("a", "b"):
        write_corpus(folder / f"{name}.h5", n=24)
    write_config(
        folder,
        corpora={
            "one": {"manifest": "mine/clips.csv", "extract": ["lexical"]},
            "a": {"features": "a.h5"},
            "b": {"features": "b.h5"},
        },
        pairs=["a2b"],
        profile=str(profile),
        methods=["direct_transfer"],
        seeds=1,
        shards=2,
        device="cpu",
    )
    done = snakemake(folder, "--until", "manifest", "weights", "--", FEATURES)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture
def work(planned, tmp_path) -> Path:
    """A copy of `planned`, with the times of its files."""
    return shutil.copytree(planned, tmp_path / "work")


@dataclass(frozen=True)
class Both:
    """What two calls of snakemake in one folder ended with."""

    folder: Path
    first_code: int
    first_said: str
    second: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def both(planned, tmp_path_factory) -> Both:
    """The features are extracted; meanwhile the same command is given once more."""
    folder = shutil.copytree(planned, tmp_path_factory.mktemp("both") / "work")
    with open(folder / "first.txt", "w") as output:
        first = subprocess.Popen(
            command(folder, FEATURES), cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
    said = folder / "first.txt"
    end_s = time.monotonic() + 120
    while "rule extract" not in said.read_text():
        assert first.poll() is None, said.read_text()
        assert time.monotonic() < end_s, said.read_text()
        time.sleep(0.05)
    second = snakemake(folder, FEATURES)
    return Both(folder, first.wait(timeout=300), said.read_text(), second)


def assert_same_features(one: Path, other: Path) -> None:
    with FeatureFile(one) as a, FeatureFile(other) as b:
        assert a.ids == b.ids
        here, there = a.modality("lexical").read(), b.modality("lexical").read()
        np.testing.assert_array_equal(here.offsets, there.offsets)
        np.testing.assert_allclose(here.values, there.values, rtol=1e-3, atol=1e-3)


def times(folder: Path, *patterns: str) -> dict[str, int]:
    found = [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


# Two Snakemakes at once


def test_the_second_snakemake_in_a_folder_says_so_and_the_first_ends_right(both):
    assert both.second.returncode != 0
    assert "Error: Directory cannot be locked" in both.second.stdout
    assert "Traceback" not in both.second.stdout
    assert both.first_code == 0, both.first_said
    assert plan(both.folder, FEATURES) == {}


# A full disk, a read-only folder


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """`mount OPTIONS FOLDER` while the block runs; skips where that may not be done."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, folder], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that not even root can write to."""
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield


needs_mount = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("mount") is None,
    reason="mounting a small or read-only file system needs root on Linux",
)


@needs_mount
def test_a_disk_that_fills_up_in_the_second_shard(work, both):
    """A shard is extracted in pieces that are then joined: there is room for the first shard twice,
    and not for the second beside it.
    """
    size = 1.9 * (both.folder / FEATURES).stat().st_size
    shutil.move(work / "features", work / "before")
    with mounted(work / "features", "-t", "tmpfs", "-o", f"size={size:.0f}", "amanda"):
        shutil.copytree(work / "before", work / "features", dirs_exist_ok=True)
        stopped = snakemake(work, FEATURES, "--cores", "1")
        assert stopped.returncode != 0
        said = "Error: the disk is full (features/shards/one/"
        # By the job, and once more at the end of all that Snakemake says.
        assert stopped.stdout.count(said) >= 2, stopped.stdout
        assert said in "\n".join(stopped.stdout.splitlines()[-5:])
        assert not list(work.glob("features/shards/one/.*.tmp.h5"))
        kept = times(work, "features/shards/one/*-of-2.h5", "manifests/*")
        assert len(kept) == 4  # one shard of two, and the manifest's three files
        subprocess.run(["mount", "-o", "remount,size=16m", work / "features"], check=True)
        done = snakemake(work, FEATURES)
        assert done.returncode == 0, done.stdout
        assert done.stdout.count("rule extract:") == 1
        assert_same_features(work / FEATURES, both.folder / FEATURES)


@needs_mount
@pytest.mark.parametrize("folder", ["results", "."])
def test_a_folder_that_cannot_be_written_to_is_named_before_any_job(work, folder):
    with read_only(work / folder):
        stopped = snakemake(work, "results/a2b.json")
    assert stopped.returncode != 0
    named = (work / folder).resolve()
    assert f"Error: {named}: cannot be written to; make that possible" in stopped.stdout
    assert "Traceback" not in stopped.stdout
    assert "rule train" not in stopped.stdout
    assert plan(work, "results/a2b.json") == {"train": 1, "pair": 1}


# Clocks that are off


def shift(folder: Path, seconds: float) -> None:
    """Move the times of all that the workflow made."""
    for path in folder.glob("[!.]*/**/*"):
        if path.is_file() and not path.is_relative_to(folder / "mine"):
            at_s = path.stat().st_mtime + seconds
            os.utime(path, (at_s, at_s))


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_a_clock_that_was_wrong_while_all_was_made_makes_nothing_again(both, seconds, tmp_path):
    work = shutil.copytree(both.folder, tmp_path / "work")
    os.utime(work / "mine/clips.csv", (time.time() - 2 * HOUR_S,) * 2)
    shift(work, seconds)
    assert plan(work, FEATURES) == {}


def test_what_a_clock_an_hour_ahead_left_is_used_and_set_right(work):
    """Else Snakemake would delete each shard: older than the manifest that it was made from."""
    shift(work, HOUR_S)
    before = (work / "manifests/one.csv").read_bytes()
    done = snakemake(work, FEATURES)
    assert done.returncode == 0, done.stdout
    assert "was written in the future" in done.stdout
    assert "rule manifest" not in done.stdout
    assert done.stdout.count("rule extract:") == 2
    assert (work / "manifests/one.csv").read_bytes() == before
    assert max(times(work, "manifests/*", "features/**/*").values()) < (time.time() + 1) * 1e9
    assert plan(work, FEATURES) == {}


def test_a_file_of_the_users_from_the_future_is_named_before_any_job(work):
    listing = work / "mine/clips.csv"
    os.utime(listing, (time.time() + HOUR_S,) * 2)
    stopped = snakemake(work, FEATURES)
    assert stopped.returncode != 0
    said = "Error: mine/clips.csv: its time lies 60 min in the future"
    assert said in stopped.stdout
    assert "touch mine/clips.csv" in stopped.stdout
    assert "rule extract:" not in stopped.stdout.split("Select jobs")[-1]
    assert (work / "manifests/one.csv").is_file()


# On the way between nodes. A program that ends is one thing, what others see of its files another:
# the renaming that ends `amanda manifest` is changed here, as a file system would.

NODE = """
import os, subprocess
rename = os.replace
def replace(source, target):
    if not str(target).endswith("one.csv"):
        return rename(source, target)
    {what}
os.replace = replace
"""
SKEWED = (
    "rename(source, target); at_s = os.stat(target).st_mtime + {seconds};"
    " os.utime(target, (at_s, at_s))"
)
LATE = (
    "rename(source, str(source) + '.late'); subprocess.Popen("
    "['sh', '-c', 'sleep {seconds}; mv \"$0\" \"$1\"', str(source) + '.late', str(target)],"
    " stdin=-3, stdout=-3, stderr=-3, start_new_session=True)"
)


@pytest.fixture
def node(tmp_path, monkeypatch):
    """Programs started from now on rename one.csv as it is said."""

    def become(what: str, **values: float) -> None:
        folder = tmp_path / "node"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(NODE.format(what=what.format(**values)))
        path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))

    return become


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_a_node_whose_clock_is_off_is_set_right_when_its_job_ends(work, node, seconds):
    (work / "manifests/one.csv").unlink()
    node(SKEWED, seconds=seconds)
    done = snakemake(work, "manifests/one.csv")
    assert done.returncode == 0, done.stdout
    assert abs((work / "manifests/one.csv").stat().st_mtime - time.time()) < HOUR_S / 2
    assert plan(work, FEATURES) == {"extract": 2, "features": 1}


def test_a_file_that_is_seen_late_is_waited_for(work, node):
    (work / "manifests/one.csv").unlink()
    node(LATE, seconds=4)
    done = snakemake(work, "manifests/one.csv", "--latency-wait", "60")
    assert done.returncode == 0, done.stdout
    assert "Waiting at most 60 seconds for missing files:\nmanifests/one.csv" in done.stdout
    assert (work / "manifests/one.csv").is_file()


def test_a_file_that_is_seen_too_late_is_named_and_the_next_run_ends_right(work, node, monkeypatch):
    (work / "manifests/one.csv").unlink()
    node(LATE, seconds=15)
    stopped = snakemake(work, "manifests/one.csv", "--latency-wait", "1")
    assert stopped.returncode != 0
    assert "Missing files after 1 seconds" in stopped.stdout
    assert "manifests/one.csv" in stopped.stdout
    monkeypatch.undo()
    done = snakemake(work, "manifests/one.csv")
    assert done.returncode == 0, done.stdout
    assert plan(work, FEATURES) == {"extract": 2, "features": 1}
