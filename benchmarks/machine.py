"""What a measurement ran on: the processor or GPU, and how fast its matrix products are."""

import datetime
import os
import platform
import time
from pathlib import Path

import torch

from amanda.device import machine_cpus, machine_memory_mb


def describe_machine(device: torch.device) -> str:
    """One line: date, device, threads, memory, torch, and how busy the machine is."""
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    name = _processor()
    if device.type == "cuda":
        name = f"{torch.cuda.get_device_name(device)}, host {name}"
    return (
        f"{date}: {name}, {machine_cpus()} CPUs, {torch.get_num_threads()} threads, "
        f"{machine_memory_mb() / 1000:.0f} GB, torch {torch.__version__}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def product_ceiling(dtype: torch.dtype, device: torch.device, rows: int = 2048) -> float:
    """The most operations a second of a (rows, 2304) · (2304, 1024) product, of several tries."""
    if device.type == "cuda":
        rows *= 16
    x = torch.randn(rows, 2304, device=device, dtype=dtype)
    w = torch.randn(1024, 2304, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(8):
        start_s = time.perf_counter()
        x @ w.T
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start_s)
    return 2 * x.shape[0] * x.shape[1] * w.shape[0] / best


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
