"""Planning the jobs of a million utterances: how many, how long, how much memory.

    python -m benchmarks.planning --utterances 1000000

Writes a manifest of so many rows for each of two corpora, asks `amanda plan` how many shards it
proposes, and measures a dry run of the real workflow with them. The last line is one JSON object.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORPORA = ("one", "two")


def write_listing(path: Path, n: int) -> None:
    """A user's CSV of n clips, a hundred to a recording."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("id,path,start_s,end_s,label,speaker,split\n")
        for row in range(n):
            recording, clip = divmod(row, 100)
            label = ("neutral", "happy", "sad", "angry")[row % 4]
            start_s = 4 * clip
            file.write(
                f"u{row},{recording}.mp4,{start_s},{start_s + 4},{label},s{recording},train\n"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=1_000_000, help="of each corpus")
    parser.add_argument("--seconds-a-clip", type=float, default=1.0)
    parser.add_argument("--jobs", type=int, default=64)
    arguments = parser.parse_args()
    n, seconds = arguments.utterances, arguments.seconds_a_clip
    with tempfile.TemporaryDirectory(prefix="planning-") as name:
        folder = Path(name)
        for corpus in CORPORA:
            write_listing(folder / f"{corpus}.csv", n)
        command = [sys.executable, "-m", "amanda.cli", "plan", "--manifest", folder / "one.csv"]
        command += ["--seconds-a-clip", str(seconds), "--jobs", str(arguments.jobs), "--json"]
        start_s = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        plan = json.loads(done.stdout) | {"planned_in_s": time.perf_counter() - start_s}
        config = {
            "corpora": {c: {"manifest": f"{c}.csv", "split": "column"} for c in CORPORA},
            "pairs": ["one2two", "two2one"],
            "shards": plan["n_shards"],
        }
        (folder / "config").mkdir()
        (folder / "config/config.yaml").write_text(json.dumps(config))
        start_s = time.perf_counter()
        before_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
        command = [sys.executable, "-m", "snakemake", "-n", "--cores", "64", "--quiet", "rules"]
        command += ["--snakefile", ROOT / "Snakefile", "--directory", folder]
        dry = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
        seconds_dry = time.perf_counter() - start_s
    total = re.search(r"^total +(\d+)$", dry.stdout + dry.stderr, re.M)
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    n_jobs = int(total.group(1)) if total else 0
    print(f"{len(CORPORA)} corpora of {n} utterances: {plan['n_shards']} shards each")
    print(
        f"amanda plan: {plan['planned_in_s']:.1f} s, {before_mb:.0f} MB; "
        f"dry run: {n_jobs} jobs in {seconds_dry:.1f} s; at most {peak_mb:.0f} MB"
    )
    report = {"jobs": n_jobs, "dry_run_s": seconds_dry, "peak_mb": peak_mb, **plan}
    print(json.dumps({"planning": report}))


if __name__ == "__main__":
    main()
