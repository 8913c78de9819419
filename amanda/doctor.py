"""`amanda doctor`: what a bug report needs, and what this machine lacks.

Nothing here identifies a person or a corpus: the home folder is written as ~, and of the
environment only the variables that change what the program does are read.
"""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amanda import __version__
from amanda.device import allocated_gpus, machine_cpus, machine_memory_mb

EXTRAS = ("extract", "standin", "workflow")
"""The extras of `pyproject.toml` that a user installs."""

VARIABLES = (
    *("CUDA_VISIBLE_DEVICES", "HF_HOME", "HF_HUB_OFFLINE", "HDF5_USE_FILE_LOCKING"),
    *("OMP_NUM_THREADS", "SLURM_JOB_ID", "TMPDIR", "XDG_CACHE_HOME"),
)


def examine(weights: Mapping[str, Mapping[str, str]], cache: Path | None) -> dict[str, Any]:
    """Versions, machine, GPUs, weights, disks and variables; plain values, for JSON.

    Args:
        weights: profile → weight → where it is, or what gets it; the extractors know.
        cache: the folder that weights are kept in, None without the extractors.
    """
    places = [Path.cwd(), *([cache] if cache else [])]
    return {
        "amanda": __version__,
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "packages": _packages(),
        "machine": {
            "cpus": machine_cpus(),
            "memory_gb": round(machine_memory_mb() / 1000, 1),
            "gpus": _gpus(),
            "allocated": allocated_gpus(),
        },
        "weights": {
            profile: {name: _tilde(state) for name, state in states.items()}
            for profile, states in weights.items()
        },
        "disk_free_gb": _disks(places),
        "environment": {name: _tilde(os.environ[name]) for name in VARIABLES if name in os.environ},
    }


def as_text(found: dict[str, Any]) -> str:
    """The same for people: what is missing comes with the command that mends it."""
    machine = found["machine"]
    gpus = machine["gpus"]
    lines = [
        f"amanda {found['amanda']}, Python {found['python']}, {found['system']}",
        f"machine: {machine['cpus']} CPUs, {machine['memory_gb']:g} GB of memory, "
        + (", ".join(gpus) if gpus else "no GPU that torch can use"),
    ]
    if machine["allocated"] and not gpus:
        lines.append(f"  {machine['allocated']} is set: a GPU was given, but CUDA does not work")
    for extra, packages in found["packages"].items():
        present = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
        lines.append(f"{extra}: {present or 'nothing'}")
        missing = [name for name, version in packages.items() if not version]
        if missing:
            wanted = "" if extra == "amanda" else f"[{extra}]"
            lines.append(f"  missing: {', '.join(missing)}; get them: pip install 'amanda{wanted}'")
    for profile, states in found["weights"].items():
        lines.append(f"weights of the profile {profile}:")
        lines += [f"  {name}: {state}" for name, state in states.items()]
    disks = (f"{free:g} GB in {place}" for place, free in found["disk_free_gb"].items())
    lines.append(f"free: {', '.join(disks)}")
    settings = (f"{name}={value}" for name, value in found["environment"].items())
    lines.append(f"environment: {' '.join(settings) or 'nothing that matters is set'}")
    return "\n".join(lines)


def _packages() -> dict[str, dict[str, str | None]]:
    """Extra ("amanda" for what is always needed) → package → version, None where it is missing."""
    found: dict[str, dict[str, str | None]] = {name: {} for name in ("amanda", *EXTRAS)}
    for requirement in importlib.metadata.requires("amanda") or []:
        named = re.match(r"[A-Za-z0-9._-]+", requirement)
        extra = re.search(r"extra == ['\"](\w+)['\"]", requirement)
        group = extra.group(1) if extra else "amanda"
        if named and named.group() != "amanda" and group in found:
            found[group][named.group()] = _version(named.group())
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpus() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return []
    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [f"{device.name} ({device.total_memory / 1e9:.0f} GB)" for device in devices]


def _disks(places: Sequence[Path]) -> dict[str, float]:
    """Free GB at each place, or at the nearest folder above it that exists."""
    exist = [next(p for p in (place, *place.parents) if p.exists()) for place in places]
    return {_tilde(str(p)): round(shutil.disk_usage(p).free / 1e9, 1) for p in exist}


def _tilde(text: str) -> str:
    return text.replace(str(Path.home()), "~")
