"""How long clips of a corpus take: some are decoded and run, in batches as an extraction does."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amanda.device import usable_cpus
from extractors.collect import Collector
from extractors.job import Job
from extractors.sources import Source, group_sources
from extractors.stages import Stages

N_SOURCES, ROWS_PER_SOURCE = 12, 8
BUDGET_S, SLOW_S = 20.0, 5.0
"""So many sources, spread over the corpus, and so many clips each are timed, until so much time has
passed. Where a clip takes longer than `SLOW_S`, it is one clip a source."""
MAX_DECODERS = 8


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What was measured.

    Attributes:
        models, decoding: seconds a clip of the corpus, by modality.
        start_s: seconds from this process's start to the first features.
        n_clips: how many were timed.
    """

    models: dict[str, float]
    decoding: dict[str, float]
    start_s: float
    n_clips: int

    def run_s(self, n_clips: int, stages: Stages) -> float:
        """What an extraction of so many clips takes, decoding beside the models or in turn."""
        models_s = sum(self.models.values()) * n_clips
        decoding_s = sum(self.decoding.values()) * n_clips
        if stages.in_turn:
            return self.start_s + models_s + decoding_s
        return self.start_s + max(models_s, decoding_s / stages.n_decoders)


def plan_stages(job: Job) -> Stages:
    """How decoding and models share the CPUs: with one, they take turns."""
    cpus = usable_cpus()
    if cpus == 1:
        return Stages(n_decoders=1, in_turn=True)
    on_gpu = job.device.type == "cuda"
    return Stages(n_decoders=min(MAX_DECODERS, cpus - 1) if on_gpu else 1, in_turn=False)


def measure(job: Job, mean_length_s: float, length_s: dict[int, float]) -> Sample:
    """Time some clips; sound and decoding are scaled by the length of clips.

    Args:
        mean_length_s: of the corpus's clips.
        length_s: of the clips that may be timed, see `candidates`, by row.
    """
    parts = candidates(job)
    began_s = time.perf_counter()
    _Run(job, parts[0][:1])  # the models are loaded and set their kernels up
    first_s = time.perf_counter() - began_s
    start_s = _process_age_s()
    began_s = time.perf_counter()
    runs: list[_Run] = []
    slow = False
    for rows in parts:
        if runs and time.perf_counter() - began_s > BUDGET_S:
            break
        before_s = time.perf_counter()
        runs.append(_Run(job, rows[:1] if slow or first_s > 2 * SLOW_S else rows))
        slow = slow or time.perf_counter() - before_s > SLOW_S * len(runs[-1].rows)
    timed = [row for run in runs for row in run.rows]
    by_length = mean_length_s * len(timed) / max(sum(length_s[row] for row in timed), 1e-9)

    def a_clip(modality: str, what: str, scale: float) -> float:
        return scale * sum(getattr(run, what)[modality] for run in runs) / len(timed)

    return Sample(
        models={
            m: a_clip(m, "models", by_length if m == "acoustic" else 1.0) for m in job.modalities
        },
        decoding={
            m: a_clip(m, "decoding", 1.0 if m == "lexical" else by_length) for m in job.modalities
        },
        start_s=start_s,
        n_clips=len(timed),
    )


def candidates(job: Job) -> list[tuple[int, ...]]:
    """Rows that are timed, source by source, as far as time allows."""
    sources = group_sources(job.utterances)
    picked = np.unique(np.linspace(0, len(sources) - 1, N_SOURCES).round().astype(int))
    return [sources[i].rows[:ROWS_PER_SOURCE] for i in picked]


class _Run:
    """Some rows of one source decoded and put through the models.

    Attributes:
        models, decoding: seconds by modality.
    """

    def __init__(self, job: Job, rows: Sequence[int]):
        self.rows = tuple(rows)
        self.models = dict.fromkeys(job.modalities, 0.0)
        self.decoding = dict.fromkeys(job.modalities, 0.0)
        ids = [u.id for u in job.utterances]
        collectors = {m: Collector(m, job.builder(m), rows, ids) for m in job.modalities}
        source = Source(rows=self.rows, cost_s=0.0)
        read_s = time.perf_counter()
        for modality, decoded in job.reader.read(source, job.modalities):
            run_s = time.perf_counter()
            self.decoding[modality] += run_s - read_s
            collectors[modality].put(decoded)  # which runs the model where a batch is full
            read_s = time.perf_counter()
            self.models[modality] += read_s - run_s
        for modality, collector in collectors.items():
            run_s = time.perf_counter()
            collector.flush()
            self.models[modality] += time.perf_counter() - run_s


def _process_age_s() -> float:
    import psutil

    return time.time() - psutil.Process().create_time()
