"""How much of the nodes' time extraction jobs extract, and what shard size makes it 85%.

    python -m benchmarks.cluster_efficiency --work .
    python -m benchmarks.cluster_efficiency --manifest manifests/ie.csv --copies 8 --shards 8

The first reads what an earlier run of the workflow left. The second starts a Slurm of two nodes on
this machine (tests/cluster; root, slurm-wlm and munge), extracts a corpus of so many copies of the
clips by the profile `embedded`, one job a node at a time, and counts the jobs as Slurm does: with
the Snakemake that each of them starts. The last line is one JSON object.
"""

import argparse
import csv
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from amanda.store.manifest import resolve_path
from extractors.shard_times import (
    GOOD_SHARE,
    ShardTime,
    describe_shard_times,
    least_clips,
    read_shard_times,
    share_of_extraction,
)

ROOT = Path(__file__).resolve().parents[1]
CORPUS, LIMIT_S, N_NODES = "copies", 3600, 2


def write_copies(manifest: Path, folder: Path, n_copies: int) -> Path:
    """A CSV of the clips of `manifest`, so often; each copy has its own recordings."""
    with open(manifest, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    files = ("path", "audio_path")
    for row in rows:
        for name in files:
            if row.get(name):
                row[name] = os.path.normpath(resolve_path(manifest.absolute(), row[name]))
    root = Path(os.path.commonpath([row["path"] for row in rows if row["path"]]))
    listing = folder / "copies.csv"
    with open(listing, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for number in range(n_copies):
            link = folder / "recordings" / str(number)
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(root)
            for row in rows:
                moved = {n: str(link / os.path.relpath(row[n], root)) for n in files if row.get(n)}
                writer.writerow({**row, **moved, "id": f"{number}_{row['id']}"})
    return listing


def run_on_slurm(manifest: Path, folder: Path, n_copies: int, n_shards: int) -> dict[str, float]:
    """Extract on a Slurm of two nodes; seconds of each job by shard, and "span" of all of them."""
    sys.path.append(str(ROOT / "tests/cluster"))
    from slurm_lab import SlurmLab, why_not

    if why_not():
        raise SystemExit(f"Error: {why_not()}")
    write_copies(manifest, folder, n_copies)
    config = {
        "corpora": {CORPUS: {"manifest": "copies.csv", "split": "column"}},
        "pairs": [],
        "shards": n_shards,
        "device": "cpu",
        # More than half of a node's memory: one job a node at a time, as with one GPU a node.
        "resources": {"extract": {"threads": 1, "mem_mb": 5000}},
    }
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text(json.dumps(config))
    (folder / "slurm").mkdir()
    lab = SlurmLab(folder / "slurm")
    try:
        command = ["timeout", "-k", "10", str(LIMIT_S), sys.executable, "-m", "snakemake"]
        command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
        command += ["--workflow-profile", str(ROOT / "profiles/slurm")]
        command += ["--slurm-init-seconds-before-status-checks", "5"]
        command += ["--seconds-between-status-checks", "5", f"features/{CORPUS}.h5"]
        with open(folder / "snakemake.txt", "w") as output:
            subprocess.run(command, cwd=folder, stdout=output, stderr=output, check=True)
        asked = lab.ask("squeue", "-h", "-t", "completed", "-o", "%k|%S|%e|%N")
    finally:
        lab.stop()
    seconds, starts, ends = {}, [], []
    for comment, start, end, node in (line.split("|") for line in asked.splitlines()):
        if comment.startswith("rule_extract"):
            starts.append(datetime.fromisoformat(start))
            ends.append(datetime.fromisoformat(end))
            shard = "-of-".join(comment.split("_")[-2:])
            seconds[shard] = (ends[-1] - starts[-1]).total_seconds()
            print(f"{shard} on {node}: {seconds[shard]:.0f} s")
    return {**seconds, "span": (max(ends) - min(starts)).total_seconds()}


def report(times: Sequence[ShardTime]) -> dict[str, float]:
    for line in describe_shard_times(times):
        print(line)
    n_clips = sum(t.n_clips for t in times)
    return {
        "jobs": len(times),
        "clips": n_clips,
        "share": share_of_extraction(times),
        "start_s": sum(t.job_s - t.extraction_s for t in times) / len(times),
        "clip_s": sum(t.extraction_s for t in times) / max(1, n_clips),
        "clips_a_shard_for_85%": least_clips(times),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="working folder of an earlier run")
    parser.add_argument("--manifest", type=Path, help="clips to extract on a Slurm of two nodes")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--shards", type=int, default=8)
    arguments = parser.parse_args()
    if (arguments.work is None) == (arguments.manifest is None):
        parser.error("give --work or --manifest")
    if arguments.work is not None:
        times = read_shard_times(arguments.work)
        if not times:
            parser.error(f"{arguments.work}: no logs of finished extraction jobs")
        print(json.dumps({"cluster_efficiency": report(times)}))
        return
    with tempfile.TemporaryDirectory(prefix="efficiency-") as name:
        folder = Path(name)
        slurm_s = run_on_slurm(arguments.manifest, folder, arguments.copies, arguments.shards)
        print("Commands, as Snakemake measures them:")
        alone = report(read_shard_times(folder))
        times = [dataclasses.replace(t, job_s=slurm_s[t.shard]) for t in read_shard_times(folder)]
    print("Jobs, as Slurm counts them:")
    whole = report(times)
    extracting_s = sum(t.extraction_s for t in times)
    of_nodes = extracting_s / (N_NODES * slurm_s["span"])
    print(
        f"Both nodes, from the first job's start to the last one's end ({slurm_s['span']:.0f} s): "
        f"{of_nodes:.0%} extraction (wanted: {GOOD_SHARE:.0%})"
    )
    made = {"commands": alone, "jobs": whole, "share_of_nodes": of_nodes, "span_s": slurm_s["span"]}
    made["cpu_s_of_commands"] = sum(t.cpu_s for t in times)
    print(json.dumps({"cluster_efficiency": made}))


if __name__ == "__main__":
    main()
