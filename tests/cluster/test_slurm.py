"""The workflow on a real Slurm of two nodes: by shards, cancelled, killed, interrupted.

AMANDA_SLURM_LAB=1 asks for it, since it starts daemons. Each call of snakemake runs under
`timeout -k`, so that nothing can hang.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

from slurm_lab import SlurmLab, why_not
from small_models import write_models
from workflow_runs import ROOT, snakemake, write_clips, write_config

from amanda.store.features import FeatureFile

WHY_NOT = why_not() if os.environ.get("AMANDA_SLURM_LAB") else "AMANDA_SLURM_LAB is not set"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

LIMIT_S = 900
FLAGS = (
    *("--workflow-profile", str(ROOT / "profiles/slurm"), "--latency-wait", "15"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "3"),
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[SlurmLab]:
    lab = SlurmLab(tmp_path_factory.mktemp("slurm"))
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


def new_folder(folder: Path, models: Path, **changes: object) -> Path:
    """A working folder with two corpora of 24 clips each, sound and text, in two shards and one."""
    for corpus, seed in (("one", 0), ("two", 100)):
        if not (folder / corpus).exists():
            write_clips(folder / corpus, clips_a_file=4, seed=seed)
    config = {
        "corpora": {
            name: {
                "manifest": f"{name}/clips.csv",
                "extract": ["acoustic", "lexical"],
                "shards": n_shards,
            }
            for name, n_shards in (("one", 2), ("two", 1))
        },
        "pairs": ["one2two"],
        "profile": str(models),
        "methods": ["direct_transfer", "amanda:norm:2"],
        "seeds": 1,
        "train": {"epochs": 2, "batch_size": 8},
        # The nodes' GPUs are pretended: they are asked for and given, and the work is done by CPUs.
        "device": "cpu",
        "resources": {
            "extract": {"threads": 2, "gpu": 1, "mem_mb": 1500},  # a whole node
            "train": {"gpu": 1, "mem_mb": 1500},
        },
    }
    write_config(folder, **(config | changes))
    return folder


def half_done(folder: Path, models: Path, local: Path) -> Path:
    """A working folder where the manifests are made and the weights are found."""
    for name in ("one", "two", "manifests", "features/weights"):
        shutil.copytree(local / name, folder / name)
    return new_folder(folder, models)


@pytest.fixture(scope="module")
def local(tmp_path_factory, models) -> Path:
    """The same work without a cluster and without shards."""
    corpora = {
        name: {"manifest": f"{name}/clips.csv", "extract": ["acoustic", "lexical"], "shards": 1}
        for name in ("one", "two")
    }
    folder = new_folder(
        tmp_path_factory.mktemp("local"), models, corpora=corpora, resources={"train": {"gpu": 0}}
    )
    done = snakemake(folder, "results/one2two.json")
    assert done.returncode == 0, done.stdout
    return folder


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Snakemake on the cluster, in a process group of its own."""
    command = ["timeout", "-k", "5", str(LIMIT_S), sys.executable, "-m", "snakemake"]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    with open(folder / "output.txt", "ab") as output:
        return subprocess.Popen(
            [*command, *FLAGS, *arguments],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(folder: Path) -> str:
    return (folder / "output.txt").read_text(errors="replace")


def wait_until(when: Callable[[], object], process: subprocess.Popen[bytes], folder: Path) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not when():
        assert process.poll() is None, said(folder)
        assert time.monotonic() < end_s, said(folder)
        time.sleep(0.2)


def running_extractions(lab: SlurmLab) -> list[list[str]]:
    return [job for job in lab.jobs("running") if job[4].startswith("rule_extract")]


def assert_same_features(one: Path, other: Path) -> None:
    with FeatureFile(one) as a, FeatureFile(other) as b:
        assert a.ids == b.ids
        for name in ("acoustic", "lexical"):
            here, there = a.modality(name).read(), b.modality(name).read()
            np.testing.assert_array_equal(here.offsets, there.offsets)
            np.testing.assert_allclose(here.values, there.values, rtol=1e-3, atol=1e-3)


def assert_same_results(one: Path, other: Path) -> None:
    a, b = (json.loads(path.read_text())["methods"] for path in (one, other))
    for here, there in zip(a, b, strict=True):
        assert here["run_id"] == there["run_id"]
        for mine, others in zip(here["runs"], there["runs"], strict=True):
            losses = [[sum(e["loss"].values()) for e in run["epochs"]] for run in (mine, others)]
            np.testing.assert_allclose(losses[0], losses[1], rtol=1e-2)


def test_shards_over_two_nodes_and_a_job_that_is_cancelled(lab, models, local, tmp_path):
    folder = new_folder(tmp_path / "work", models)
    process = start(folder, "results/one2two.json")
    wait_until(lambda: running_extractions(lab), process, folder)
    cancelled = running_extractions(lab)[0][0]
    lab.ask("scancel", cancelled)
    assert process.wait(timeout=LIMIT_S + 10) == 0, said(folder)
    states = {job[0]: job[2] for job in lab.jobs()}
    assert states[cancelled] == "CANCELLED"
    extractions = [job for job in lab.jobs() if job[4].startswith("rule_extract")]
    assert len(extractions) == 4  # three shards, and the one that was cancelled
    assert {job[3] for job in extractions} == {"n0", "n1"}
    for name in ("one", "two"):
        assert_same_features(folder / f"features/{name}.h5", local / f"features/{name}.h5")
    assert_same_results(folder / "results/one2two.json", local / "results/one2two.json")


def test_a_node_that_dies(lab, models, local, tmp_path):
    folder = half_done(tmp_path / "work", models, local)
    process = start(folder, "features/one.h5")
    wait_until(lambda: any(j[3] == "n1" for j in running_extractions(lab)), process, folder)
    lab.kill_node("n1")
    try:
        assert process.wait(timeout=LIMIT_S + 10) == 0, said(folder)
    finally:
        lab.start_node("n1")
        lab.wait_for_nodes()
    assert_same_features(folder / "features/one.h5", local / "features/one.h5")


def test_ctrl_c_empties_the_queue_and_a_kill_costs_no_finished_shard(lab, models, local, tmp_path):
    folder = half_done(tmp_path / "work", models, local)
    process = start(folder, "features/one.h5")
    wait_until(lambda: running_extractions(lab), process, folder)
    # Once, as a terminal does; `timeout` would pass on what it gets.
    psutil.Process(process.pid).children()[0].send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    end_s = time.monotonic() + 30
    while lab.jobs("running,pending,completing"):
        assert time.monotonic() < end_s, lab.jobs()
        time.sleep(0.5)

    def extractions(after: int, state: str = "all") -> list[list[str]]:
        jobs = [job for job in lab.jobs(state) if int(job[0]) > after]
        return [job for job in jobs if job[4].startswith("rule_extract")]

    n_jobs = len(lab.jobs())
    process = start(folder, "features/one.h5", "--jobs", "1")  # one shard after the other
    wait_until(lambda: extractions(n_jobs, "completed"), process, folder)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    for job in lab.jobs("running,pending"):  # as the docs say: look for jobs that live on
        lab.ask("scancel", job[0])
    time.sleep(5)  # a job that is cancelled takes its unfinished files away
    finished = {p: p.stat().st_mtime_ns for p in folder.glob("features/shards/*/[0-9]*.h5")}
    assert len(finished) == 1
    finished |= {p: p.stat().st_mtime_ns for p in folder.glob("manifests/*.csv")}
    unlocked = snakemake(folder, "--unlock")
    assert unlocked.returncode == 0, unlocked.stdout
    n_jobs = len(lab.jobs())
    process = start(folder, "features/one.h5")
    assert process.wait(timeout=LIMIT_S + 10) == 0, said(folder)
    assert len(extractions(n_jobs)) == 1
    for path, stamp in finished.items():
        assert not path.exists() or path.stat().st_mtime_ns == stamp
    assert_same_features(folder / "features/one.h5", local / "features/one.h5")
