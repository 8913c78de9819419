"""gpu_slot.sh: one GPU a job, whatever starts at once. Locks are files, so no GPU is needed."""

import os
import signal
import subprocess
import time

import pytest
from workflow_runs import ROOT

SLOT = ROOT / "workflow/scripts/gpu_slot.sh"
# Note the device, hold it a while, note that it is free again.
JOB = "echo start $CUDA_VISIBLE_DEVICES >> log; sleep 0.3; echo end $CUDA_VISIBLE_DEVICES >> log"


@pytest.fixture
def start(tmp_path):
    started = []

    def start(job: str, **variables: str) -> subprocess.Popen[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "CUDA"))}
        environment = {**inherited, "AMANDA_GPU_LOCKS": str(tmp_path / "locks"), **variables}
        process = subprocess.Popen(
            ["bash", str(SLOT), "bash", "-c", job],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_jobs_that_start_at_once_hold_different_devices(start, tmp_path):
    jobs = [start(JOB, CUDA_VISIBLE_DEVICES="2,5") for _ in range(6)]
    assert [job.wait(timeout=30) for job in jobs] == [0] * 6
    held = set()
    for line in (tmp_path / "log").read_text().splitlines():
        event, device = line.split()
        if event == "start":
            assert device in {"2", "5"} - held
            held.add(device)
        else:
            held.remove(device)


def test_a_killed_job_gives_its_device_back(start, tmp_path):
    killed = start("echo held > log; sleep 60", CUDA_VISIBLE_DEVICES="0")
    while not (tmp_path / "log").exists():
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    job = start("echo $CUDA_VISIBLE_DEVICES", CUDA_VISIBLE_DEVICES="0")
    assert job.communicate(timeout=10)[0] == "0\n"


def test_the_exit_code_is_the_jobs(start):
    assert start("exit 3", CUDA_VISIBLE_DEVICES="0").wait(timeout=10) == 3


def test_under_slurm_the_schedulers_devices_stay(start, tmp_path):
    job = start("echo $CUDA_VISIBLE_DEVICES", SLURM_JOB_ID="7", CUDA_VISIBLE_DEVICES="0,1")
    assert job.communicate(timeout=10)[0] == "0,1\n"
    assert not (tmp_path / "locks").exists()
