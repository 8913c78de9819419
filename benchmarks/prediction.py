"""Memory of `amanda predict` by the number of clips: a folder of few beside a folder of many.

    OMP_NUM_THREADS=1 python -m benchmarks.prediction

The clip is one second of sound and picture, linked under as many names, with words beside it; the
checkpoints are tiny, so that what grows with the number of clips would show. The baseline is the
folder with few. Prints lines for reading, then one JSON object.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from amanda.settings import RunSettings
from amanda.store.names import CLASSES
from amanda.training import train_method
from benchmarks.extraction_runs import write_tiny_profile, write_video
from benchmarks.machine import describe_machine
from extractors.extract import run_extraction

N_TRAINED, TRAINED_S = 32, 10.0
PREDICT = """
import resource
from amanda.cli import main
try:
    main()
finally:
    print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
          resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def train_tiny(folder: Path, profile: Path) -> Path:
    """A model of the profile's features, on the clips of one recording."""
    write_video(folder / "trained.mp4", TRAINED_S)
    pair = []
    for corpus in ("one", "other"):
        with open(folder / f"{corpus}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "path", "start_s", "end_s", "text", "label", "split"])
            for k in range(N_TRAINED):
                start_s = (TRAINED_S - 1) * k / N_TRAINED
                split = ("train", "train", "val", "test")[k // 4 % 4]
                row = [f"{corpus}{k}", "trained.mp4", start_s, start_s + 1, f"word{k}"]
                writer.writerow([*row, CLASSES[k % 4], split])
        pair.append(folder / f"{corpus}.h5")
        run_extraction(folder / f"{corpus}.csv", pair[-1], profile=str(profile), max_failed=1)
    run = RunSettings(epochs=2, seeds=1, batch_size=8, dim=8, channels=4)
    models = folder / "models"
    train_method(*pair, run, out=folder / "r.json", device="cpu", workers=1, save_model=models)
    return models / "seed-0"


def write_clips(folder: Path, n_clips: int) -> Path:
    """A folder of one clip under many names, its words beside each."""
    folder.mkdir()
    write_video(folder / "0.mp4", 1.0)
    (folder / "0.txt").write_text("word1 word2\n")
    for k in range(1, n_clips):
        for end in ("mp4", "txt"):
            os.link(folder / f"0.{end}", folder / f"{k}.{end}")
    return folder


def predict(model: Path, profile: Path, clips: Path) -> tuple[float, float]:
    """Wall seconds, and the peak memory of the command's processes in MB."""
    flags = ["--model", model, "--clips", clips, "--profile", profile, "--max-failed", "1"]
    command = [sys.executable, "-c", PREDICT, "predict", *map(str, flags)]
    start_s = time.perf_counter()
    out = ["--out", str(clips.with_suffix(".csv"))]
    done = subprocess.run([*command, *out], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start_s
    n_rows = len(clips.with_suffix(".csv").read_text().splitlines()) - 1
    if n_rows != len(list(clips.glob("*.mp4"))):
        raise SystemExit(f"{n_rows} rows of {clips}")
    peak = sum(float(word) for word in done.stdout.split("PEAK")[1].split())
    return seconds, peak / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=1000)
    args = parser.parse_args()
    print(describe_machine(torch.device("cpu")))
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        profile = write_tiny_profile(folder)
        model = train_tiny(folder, profile)
        for n in (args.few, args.many):
            seconds, peak_mb = predict(model, profile, write_clips(folder / str(n), n))
            found |= {f"peak_mb_{n}": peak_mb, f"seconds_{n}": seconds}
            print(f"{n} clips: {peak_mb:.0f} MB at most, {seconds:.0f} s")
    found["ratio_memory"] = found[f"peak_mb_{args.many}"] / found[f"peak_mb_{args.few}"]
    print(f"{args.many / args.few:g} times the clips: {found['ratio_memory']:.3f} times the memory")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
