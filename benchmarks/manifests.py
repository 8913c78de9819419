"""How long a large manifest takes to read, check and split, and how much memory.

    python -m benchmarks.manifests --rows 100000

A manifest of generated rows with every optional column is written to a temporary folder, with
empty media files. A process of its own then does what `amanda manifest` and `amanda check
--no-media` do with it, step by step. The baseline is Python's `csv.DictReader` on the same file,
which neither converts nor checks a cell. The last line is one JSON object.
"""

import argparse
import csv
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROWS_A_FILE = 50
SESSIONS = 40


def write_rows(folder: Path, n_rows: int) -> Path:
    """A manifest of `n_rows` utterances, 50 a video."""
    from amanda.store.manifest import Utterance, write_manifest
    from amanda.store.names import CLASSES

    (folder / "clips").mkdir()
    for number in range(-(-n_rows // ROWS_A_FILE)):
        (folder / f"clips/dialogue{number:06}.avi").touch()
    path = folder / "corpus.csv"
    write_manifest(
        path,
        [
            Utterance(
                id=f"dialogue{i // ROWS_A_FILE:06}_turn{i % ROWS_A_FILE:02}",
                path=f"clips/dialogue{i // ROWS_A_FILE:06}.avi",
                start_s=i % ROWS_A_FILE * 3.25,
                end_s=i % ROWS_A_FILE * 3.25 + 2.75,
                text=f"What is said in utterance {i}, which is a sentence of a usual length.",
                label=CLASSES[i % len(CLASSES)],
                speaker=f"session{i // ROWS_A_FILE % SESSIONS}-{i % 2}",
                group=f"session{i // ROWS_A_FILE % SESSIONS}",
                audio_path=f"clips/dialogue{i // ROWS_A_FILE:06}.avi",
                region=(0.0, 0.0, 0.5, 1.0),
                language="en",
                valence=1 + i % 9 / 2,
                arousal=1 + i % 7 / 2,
                dominance=1 + i % 5 / 2,
                n_raters=3,
                shares=dict.fromkeys(CLASSES, 0.25),
            )
            for i in range(n_rows)
        ],
    )
    return path


def measure(path: Path) -> dict[str, float]:
    """Seconds of each step, and the peak memory of this process in MB."""
    from amanda.store.manifest import read_manifest
    from amanda.store.splits import paper_split, speaker_split
    from corpora.check import check_paths

    found = {"imports_mb": _peak_mb()}

    def timed(name: str, step: Callable[[], T]) -> T:
        start_s = time.perf_counter()
        result = step()
        found[f"{name}_s"] = time.perf_counter() - start_s
        return result

    rows = timed("read", lambda: read_manifest(path))
    report = timed("check", lambda: check_paths([path], media=False))
    assert not report.problems, report.problems[:1]
    timed("split_paper", lambda: paper_split([row.id for row in rows], 0))
    timed("split_speaker", lambda: speaker_split({row.id: row.group for row in rows}, 0))
    found["peak_mb"] = _peak_mb()
    return found


def _baseline_s(path: Path) -> float:
    start_s = time.perf_counter()
    with open(path, encoding="utf-8", newline="") as file:
        for _ in csv.DictReader(file):
            pass
    return time.perf_counter() - start_s


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    n_rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder), n_rows)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(measure, (path,))
        found["baseline_s"] = min(_baseline_s(path) for _ in range(3))
        size_mb = path.stat().st_size / 1e6
    total_s = sum(found[f"{step}_s"] for step in ("read", "check", "split_paper", "split_speaker"))
    print(f"{n_rows} rows, {size_mb:.0f} MB")
    for name, seconds in found.items():
        if name.endswith("_s"):
            print(
                f"{name[:-2]:14} {seconds:6.2f} s  {seconds / found['baseline_s']:5.1f} × baseline"
            )
    print(f"{'together':14} {total_s:6.2f} s")
    print(f"{'peak':14} {found['peak_mb']:6.0f} MB, of which {found['imports_mb']:.0f} are imports")
    print(json.dumps({"rows": n_rows, "total_s": total_s, **found}))


if __name__ == "__main__":
    main()
