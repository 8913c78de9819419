"""How much of the time of a workflow's extraction jobs was extraction, and how much their start.

Read from what each job leaves: its log says how long it extracted, models being loaded, and
Snakemake's benchmark how long the whole command took. The rest is start-up: programs and models are
loaded, the weights are checked, the shard is joined and listed.
"""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from extractors.stages import LOADING

GOOD_SHARE = 0.85
"""Of the jobs' time; less, and shards should be larger."""

_TIME = re.compile(r"^  time +([\d.]+) s, (\d+) clips, [^:]+: (.*)$", re.M)
_LOADED = re.compile(rf"{LOADING} (\d+)%")


@dataclass(frozen=True, kw_only=True)
class ShardTime:
    """One job.

    Attributes:
        job_s: wall time of the whole command, or of the scheduler's job where that is known.
        cpu_s: CPU time of the command, its decoders included; NaN where unknown.
        extraction_s: wall time from the models being loaded to the last clip being written.
    """

    corpus: str
    shard: str
    n_clips: int
    job_s: float
    cpu_s: float
    extraction_s: float


def read_shard_times(work: Path, *, since_s: float = 0.0) -> list[ShardTime]:
    """The extraction jobs of a working folder whose logs are complete.

    Args:
        since_s: only logs written after this, in seconds of the system's clock.
    """
    found = []
    for log in sorted((work / "logs/extract").glob("*/*.log")):
        corpus, shard = log.parent.name, log.stem
        benchmark = work / "bench_logs/extract" / corpus / f"{shard}.tsv"
        time = _TIME.search(log.read_text(encoding="utf-8", errors="replace"))
        if time is None or not benchmark.is_file() or log.stat().st_mtime < since_s:
            continue
        with open(benchmark, encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        loaded = _LOADED.search(time[3])
        extraction_s = float(time[1]) * (1 - (int(loaded[1]) if loaded else 0) / 100)
        found.append(
            ShardTime(
                corpus=corpus,
                shard=shard,
                n_clips=int(time[2]),
                job_s=float(row["s"]),
                cpu_s=_number(row.get("cpu_time", "")),
                extraction_s=extraction_s,
            )
        )
    return found


def share_of_extraction(times: Sequence[ShardTime]) -> float:
    """Of the time of all jobs."""
    return sum(t.extraction_s for t in times) / max(sum(t.job_s for t in times), 1e-9)


def least_clips(times: Sequence[ShardTime], share: float = GOOD_SHARE) -> int:
    """Clips a shard for so much extraction: n·c / (s + n·c) ≥ share, s to start and c a clip."""
    start_s = sum(t.job_s - t.extraction_s for t in times) / len(times)
    clip_s = sum(t.extraction_s for t in times) / max(1, sum(t.n_clips for t in times))
    return max(1, math.ceil(share / (1 - share) * start_s / max(clip_s, 1e-9)))


def describe_shard_times(times: Sequence[ShardTime]) -> list[str]:
    """One line a corpus, for the end of a run."""
    lines = []
    for corpus in dict.fromkeys(t.corpus for t in times):
        jobs = [t for t in times if t.corpus == corpus]
        n_clips = sum(t.n_clips for t in jobs)
        start_s = sum(t.job_s - t.extraction_s for t in jobs) / len(jobs)
        clip_s = sum(t.extraction_s for t in jobs) / max(1, n_clips)
        lines.append(
            f"{corpus}: extraction was {share_of_extraction(jobs):.0%} of the time of its jobs "
            f"({len(jobs)}), {start_s:.1f} s a job to start, {clip_s:.3f} s a clip; "
            f"{GOOD_SHARE:.0%} takes {least_clips(jobs)} clips a shard, these have "
            f"{n_clips / len(jobs):.0f}"
        )
    return lines


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # "NA" or "-": the job was too short to be looked at
        return math.nan
