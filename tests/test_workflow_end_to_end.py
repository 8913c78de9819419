"""The workflow for real, interrupted on the way: a generated corpus and clips of one's own.

The models are small and random; what the stages compute is tested elsewhere.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_models import write_models
from workflow_runs import command, snakemake, write_clips, write_config

pytestmark = pytest.mark.slow

RUNS = "results/runs/ie2mine/[a-z]*.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with a config and clips in a few recordings."""
    folder = tmp_path_factory.mktemp("workflow")
    profile = write_models(folder / "models")
    write_clips(folder / "mine", clips_a_file=8)
    extract = ["acoustic", "lexical"]
    corpora = {
        "ie": {"standin": {"utterances": 24}, "extract": extract},
        "mine": {"manifest": "mine/clips.csv", "extract": extract},
    }
    write_config(
        folder,
        corpora=corpora,
        pairs=["ie2mine"],
        profile=str(profile),
        methods=["direct_transfer", "amanda:norm:2"],
        seeds=1,
        train={"epochs": 2, "batch_size": 8},
        resources={"train": {"threads": 8}},  # one after the other, so a kill leaves one to do
        shards=2,
    )
    return folder


def interrupt(folder: Path, when: Callable[[], bool], how: signal.Signals) -> None:
    """Start the workflow, and send `how` to it and its jobs, as a terminal does, at `when`."""
    with open(folder / "output.txt", "w") as output:
        process = subprocess.Popen(
            command(folder),
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    end_s = time.monotonic() + 300
    while not when():
        assert process.poll() is None, (folder / "output.txt").read_text()
        assert time.monotonic() < end_s, (folder / "output.txt").read_text()
        time.sleep(0.02)
    os.killpg(process.pid, how)
    assert process.wait(timeout=120) != 0


def stamps(folder: Path, pattern: str) -> dict[str, int]:
    return {str(f.relative_to(folder)): f.stat().st_mtime_ns for f in folder.glob(pattern)}


@dataclass(frozen=True)
class Record:
    """What was finished at each interruption, and what the next call did."""

    shards: dict[str, int]
    plan_after_ctrl_c: str
    temporary_after_ctrl_c: list[Path]
    files_after_kill: dict[str, int]
    locked: subprocess.CompletedProcess[str]
    last: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def record(folder) -> Record:
    """Run the workflow to its end, interrupted twice: at its first shard, at its first training."""
    shards = "features/shards/*/[0-9]*.h5"
    interrupt(folder, lambda: any(folder.glob(shards)), signal.SIGINT)
    finished = stamps(folder, shards)
    temporary = list(folder.glob("features/shards/*/.*"))
    listed = snakemake(folder, "--dry-run").stdout
    interrupt(folder, lambda: any(folder.glob(RUNS)), signal.SIGKILL)
    kept = stamps(folder, "features/*.h5") | stamps(folder, RUNS)
    locked = snakemake(folder)
    unlocked = snakemake(folder, "--unlock")
    assert unlocked.returncode == 0, unlocked.stdout
    return Record(finished, listed, temporary, kept, locked, snakemake(folder))


def test_after_ctrl_c_the_same_command_makes_the_other_shards(record):
    assert 1 <= len(record.shards) < 4
    assert not [shard for shard in record.shards if f"output: {shard}" in record.plan_after_ctrl_c]
    assert not record.temporary_after_ctrl_c
    assert record.plan_after_ctrl_c.count("rule extract:") == 4 - len(record.shards)


def test_after_a_kill_it_is_unlocked_and_goes_on(folder, record):
    assert record.locked.returncode != 0
    assert "--unlock" in record.locked.stdout
    assert record.last.returncode == 0, record.last.stdout
    assert len(record.files_after_kill) >= 3  # two feature files, and the run that was waited for
    now = {name: (folder / name).stat().st_mtime_ns for name in record.files_after_kill}
    assert now == record.files_after_kill


def test_what_it_leaves(folder, record):
    assert record.last.returncode == 0, record.last.stdout
    assert not any(folder.glob("features/shards/*/*.h5"))
    result = json.loads((folder / "results/ie2mine.json").read_text())
    assert [method["method"] for method in result["methods"]] == ["direct_transfer", "amanda"]
    assert result["corpora"] == "stand-in"
    assert (folder / "results/ie2mine.predictions.csv").is_file()
    page = (folder / "results/report.html").read_text()
    assert "A-N (p=2)" in page
    assert "stand-in" in page.lower()
    assert (folder / "logs/pair/ie2mine.log").read_text().startswith("ie2mine: tested on 8 utter")
    for stage in ("standin", "manifest", "extract", "features", "train", "pair"):
        assert any((folder / "logs" / stage).rglob("*.log")), stage
    for stage in ("standin", "manifest", "extract", "features", "pair"):
        assert any((folder / "bench_logs" / stage).rglob("*.tsv")), stage
    trained = {Path(name).stem for name in stamps(folder, RUNS)}
    killed = {Path(name).stem for name in record.files_after_kill}
    timed = {file.stem for file in (folder / "bench_logs/train").rglob("*.tsv")}
    assert trained - killed  # trained by the last call
    assert trained - killed <= timed  # a job that was killed as its files came has no times


def test_asked_again_nothing_runs(folder, record):
    started_s = time.monotonic()
    done = snakemake(folder)
    seconds = time.monotonic() - started_s
    assert "Nothing to be done" in done.stdout
    assert done.returncode == 0
    assert seconds < 20  # 2 to 3 s on a free machine; the tests share theirs


def test_snakemakes_own_report(folder, record):
    done = snakemake(folder, "--report", "workflow.html")
    assert done.returncode == 0, done.stdout
    assert "Results of every pair" in (folder / "workflow.html").read_text()


def test_a_job_that_fails_says_why_and_leaves_nothing(folder):
    (folder / "broken.csv").write_text("id,path,label,split\nx,mine/0.wav,hapy,train\n")
    config = (folder / "config/config.yaml").read_text()
    (folder / "config/broken.yaml").write_text(
        config.replace("mine/clips.csv", "broken.csv")
        .replace("mine:", "broken:")
        .replace("2mine", "2broken")
    )
    done = snakemake(folder, "manifests/broken.csv", "--configfile", "config/broken.yaml")
    assert done.returncode != 0
    assert "Error: broken.csv: x: label 'hapy' is not a class" in done.stdout
    assert "did you mean 'happy'?" in done.stdout
    assert not (folder / "manifests/broken.csv").exists()
