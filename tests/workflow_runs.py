"""Calls of the real snakemake for the tests of the workflow, each in a folder of its own."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml
from small_models import write_recording

from amanda.store.names import CLASSES

ROOT = Path(__file__).resolve().parents[1]
CLIP_S = 0.4
STANDINS = {"ie": {"standin": True}, "msp": {"standin": True}}


def write_config(folder: Path, **values: object) -> None:
    """Write `folder`/config/config.yaml, the stand-in corpora unless others are given."""
    config = {"corpora": STANDINS, **values}
    (folder / "config").mkdir(parents=True, exist_ok=True)
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def write_clips(folder: Path, *, clips_a_file: int, seed: int = 0) -> None:
    """Six recordings of sound, and clips.csv with so many short utterances of each."""
    folder.mkdir(parents=True)
    rows = []
    for number in range(6):
        file = f"{number}.wav"
        length_s = clips_a_file * CLIP_S
        write_recording(folder / file, length_s, picture=False, seed=seed + number)
        for clip in range(clips_a_file):
            label = CLASSES[(number + clip) % 4]
            start_s = clip * CLIP_S
            rows.append(
                {
                    "id": f"{number}_{clip}",
                    "path": file,
                    "start_s": start_s,
                    "end_s": start_s + CLIP_S,
                    "text": label if label != "neutral" else "home",
                    "label": label,
                    "speaker": f"speaker {number}",
                    "split": ("train", "train", "train", "train", "val", "test")[number],
                }
            )
    with open(folder / "clips.csv", "w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def command(folder: Path, *arguments: str, before: str = "pass") -> list[str]:
    """The command line of snakemake in `folder`; `before` is Python to run first."""
    start = f"{before}; from snakemake.cli import main; main()"
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return [sys.executable, "-c", start, *where, "--cores", "8", *arguments]


def snakemake(
    folder: Path, *arguments: str, before: str = "pass"
) -> subprocess.CompletedProcess[str]:
    """What one call of snakemake printed (both streams in stdout), and its exit code."""
    return subprocess.run(
        command(folder, *arguments, before=before),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        check=False,
    )


def plan(folder: Path, *arguments: str, before: str = "pass") -> dict[str, int]:
    """How many jobs of each rule a dry run plans; empty when there is nothing to be done."""
    done = snakemake(folder, "--dry-run", *arguments, before=before)
    assert done.returncode == 0, done.stdout
    if "Nothing to be done" in done.stdout:
        return {}
    table = done.stdout.split("\nJob stats:\n", 1)[1].split("\n\n", 1)[0]
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
    assert jobs.pop("total") == sum(jobs.values())
    return jobs
