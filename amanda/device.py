"""Where a model runs and with how many threads; what the machine has.

torch is imported inside the functions, so that importing this module costs nothing.
"""

import math
import os
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from amanda.store.errors import InputError

if TYPE_CHECKING:
    import torch

GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE", "SLURM_STEP_GPUS")


def resolve_device(name: str) -> "torch.device":
    """The device of `--device`: auto, cpu, cuda or cuda:N.

    `auto` is a GPU where there is one. Where a GPU was allocated to this process (by Slurm, or
    through CUDA_VISIBLE_DEVICES) and CUDA does not work, it raises instead of falling back: a job
    that waits days on a CPU while it holds a GPU helps nobody.

    Raises:
        InputError: the name is no device, or the device is not there or does not work.
    """
    import torch

    if name == "auto":
        allocated = allocated_gpus()
        if not torch.cuda.is_available():
            if allocated:
                raise InputError(
                    f"a GPU was allocated ({allocated}), but CUDA does not work here; install a "
                    "torch built for this driver, or ask for --device cpu"
                )
            return torch.device("cpu")
        name = "cuda"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device '{name}': use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device '{name}': use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        _check_cuda(name, device)
    return device


def allocated_gpus() -> str:
    """What says that GPUs were given to this process, as 'CUDA_VISIBLE_DEVICES=0'; "" if nothing.

    An empty CUDA_VISIBLE_DEVICES, NoDevFiles (Slurm's word for none) and a count of 0 mean none.
    """
    for variable in GPU_VARIABLES:
        value = os.environ.get(variable, "").strip()
        if not value or value in ("-1", "NoDevFiles"):
            continue
        if variable == "SLURM_GPUS_ON_NODE" and value == "0":
            continue
        return f"{variable}={value}"
    return ""


def machine_cpus() -> int:
    """CPUs that this process and its children may use: affinity and the container's quota."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:  # macOS
        count = os.cpu_count() or 1
    return max(1, math.floor(min(count, _cgroup_cpus(Path("/sys/fs/cgroup/cpu.max")))))


def machine_memory_mb() -> int:
    """Memory of this machine, or of the container it runs in, in MB."""
    import psutil

    total_bytes = psutil.virtual_memory().total
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        total_bytes = min(total_bytes, int(limit))
    except (OSError, ValueError):  # no control group, or "max"
        pass
    return total_bytes // 10**6


def machine_gpus() -> int:
    """NVIDIA GPUs that this process may use, counted without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # As CUDA reads it: everything from the first -1 on is hidden.
        return len(list(takewhile(lambda d: d.strip() not in ("", "-1"), visible.split(","))))
    return sum(d.name.removeprefix("nvidia").isdigit() for d in Path("/dev").glob("nvidia*"))


def usable_cpus() -> int:
    """CPUs that this process should compute with: those there are, and OMP_NUM_THREADS."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    limit = int(wanted) if wanted.isdigit() and int(wanted) > 0 else math.inf
    return int(min(machine_cpus(), limit))


def limit_threads() -> int:
    """Give torch as many threads as there are usable CPUs; returns how many."""
    import torch

    n_threads = usable_cpus()
    torch.set_num_threads(n_threads)
    return n_threads


def _cgroup_cpus(cpu_max: Path) -> float:
    """CPUs that a control group's quota allows, infinity where there is none."""
    try:
        quota, period = cpu_max.read_text().split()
        return math.inf if quota == "max" else max(1.0, float(quota) / float(period))
    except (OSError, ValueError):
        return math.inf


def _check_cuda(name: str, device: "torch.device") -> None:
    import torch

    if not torch.cuda.is_available():
        raise InputError(f"--device '{name}': CUDA does not work here; use --device cpu")
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        raise InputError(f"--device '{name}': there are {count} GPUs, numbered from 0")
    try:
        torch.zeros(1, device=device).add_(1)
    except RuntimeError as error:
        raise InputError(f"--device '{name}': the GPU does not work ({error})") from error
