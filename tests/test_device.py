"""The device rule: a GPU where there is one, and never a silent fall back from an allocated one."""

import math
import subprocess
import sys

import psutil
import pytest
import torch

from amanda import device as module
from amanda.device import (
    GPU_VARIABLES,
    allocated_gpus,
    machine_cpus,
    machine_gpus,
    machine_memory_mb,
    resolve_device,
    usable_cpus,
)
from amanda.store.errors import InputError


@pytest.fixture(autouse=True)
def _no_gpu_variables(monkeypatch):
    for variable in (*GPU_VARIABLES, "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)


without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")


@without_cuda
def test_auto_without_gpu_is_cpu():
    assert resolve_device("auto") == torch.device("cpu")


@without_cuda
@pytest.mark.parametrize("variable", GPU_VARIABLES)
def test_auto_with_allocated_but_broken_gpu_fails(monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(InputError, match=f"{variable}=1.*CUDA does not work"):
        resolve_device("auto")
    assert resolve_device("cpu") == torch.device("cpu")


@without_cuda
def test_cuda_asked_for_but_absent():
    with pytest.raises(InputError, match=r"'cuda:1': CUDA does not work here; use --device cpu"):
        resolve_device("cuda:1")


@pytest.mark.parametrize("name", ["gpu", "mps", "", "cuda:x"])
def test_unknown_device(name):
    with pytest.raises(InputError, match="use auto, cpu, cuda or cuda:N"):
        resolve_device(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_auto_with_gpu_is_cuda():
    assert resolve_device("auto").type == "cuda"
    with pytest.raises(InputError, match="numbered from 0"):
        resolve_device(f"cuda:{torch.cuda.device_count()}")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CUDA_VISIBLE_DEVICES", ""),
        ("CUDA_VISIBLE_DEVICES", "-1"),
        ("CUDA_VISIBLE_DEVICES", "NoDevFiles"),
        ("SLURM_GPUS_ON_NODE", "0"),
    ],
)
def test_words_for_no_gpu(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert allocated_gpus() == ""


def test_usable_cpus_follow_omp_num_threads(monkeypatch):
    everything = usable_cpus()
    assert everything >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert usable_cpus() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    assert usable_cpus() == everything


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("200000 100000\n", 2.0), ("50000 100000\n", 1.0), ("max 100000\n", math.inf)],
)
def test_container_quota(tmp_path, text, cpus):
    (tmp_path / "cpu.max").write_text(text)
    assert module._cgroup_cpus(tmp_path / "cpu.max") == cpus
    assert module._cgroup_cpus(tmp_path / "absent") == math.inf


def test_importing_the_module_does_not_import_torch():
    code = "import sys, amanda.device; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_machine_cpus_do_not_follow_omp_num_threads(monkeypatch):
    # The workflow's head process plans jobs by the machine, whatever its own thread count is.
    everything = machine_cpus()
    monkeypatch.setenv("OMP_NUM_THREADS", str(everything + 1))
    assert usable_cpus() == everything
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert machine_cpus() == everything


@pytest.mark.parametrize(
    ("visible", "count"), [("0", 1), ("2,3", 2), ("", 0), ("-1", 0), ("1,-1,2", 1)]
)
def test_machine_gpus_are_those_visible(monkeypatch, visible, count):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine_gpus() == count


@without_cuda
def test_machine_without_gpus():
    assert machine_gpus() == 0


def test_machine_memory_is_within_what_the_system_says():
    assert 0 < machine_memory_mb() <= psutil.virtual_memory().total / 1e6
