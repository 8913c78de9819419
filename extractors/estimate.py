"""What an extraction will take: bytes from the models' shapes, time measured on a few clips."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch

from amanda.store.errors import InputError
from amanda.store.manifest import resolve_path
from extractors.job import Job
from extractors.media import MediaError, open_media
from extractors.sample import Sample, candidates, measure, plan_stages
from extractors.sources import UNKNOWN_LENGTH_S

TOKENS_PER_WORD, SPECIAL_TOKENS = 1.4, 2
N_PROBED = 20
"""Files whose headers are read to guess the length of rows without an end."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """What one modality will take on disk.

    Attributes:
        n_frames: feature vectors of the whole corpus.
        shape: layers and width of each.
    """

    n_frames: float
    shape: tuple[int, int]

    @property
    def n_bytes(self) -> int:
        return round(self.n_frames * self.shape[0] * self.shape[1] * np.dtype(np.float16).itemsize)


def expected_space(job: Job, rows: Sequence[int]) -> dict[str, Space]:
    """Space by modality for these rows. Loads the models, for their shapes."""
    spaces: dict[str, Space] = {}
    for modality in job.modalities:
        extractor = job.builder(modality)()
        if modality == "visual" and job.profile.visual is not None:
            n_frames = float(job.profile.visual.n_frames * len(rows))
        elif modality == "acoustic":
            n_frames = total_seconds(job, rows) * float(extractor.attrs["rate_hz"])
        else:
            words = sum(len(job.utterances[row].text.split()) for row in rows)
            n_frames = TOKENS_PER_WORD * words + SPECIAL_TOKENS * len(rows)
        spaces[modality] = Space(n_frames=n_frames, shape=(extractor.n_layers, extractor.width))
    return spaces


def refuse_full_disk(job: Job, rows: Sequence[int], out: Path, *, copies: int) -> None:
    """Raise `InputError` when the disk of `out` cannot hold the features of `rows`, `copies` times.

    A run without --shard needs two: the shards are there until they are joined.
    """
    need = copies * sum(space.n_bytes for space in expected_space(job, rows).values())
    folder = _existing_folder(out)
    free = shutil.disk_usage(folder).free
    if need > free:
        twice = " (twice the file's size, while its shards are joined)" if copies > 1 else ""
        raise InputError(
            f"{out}: {_size(need)} are needed{twice}, but {folder} has {_size(free)} free; free "
            "some space, choose another output, or fewer --modalities"
        )


def estimate_text(job: Job, out: Path) -> str:
    """Bytes and time, for printing. Extracts a few clips to measure, and writes nothing.

    Raises:
        InputError: the disk cannot hold the result.
    """
    rows = range(len(job.utterances))
    refuse_full_disk(job, rows, out, copies=2)
    sample = _measure(job)
    minutes = total_seconds(job, rows) / 60
    lines = [
        f"{job.corpus}: {len(rows)} utterances, {minutes:.1f} minutes of clips; profile "
        f"{job.profile.name} on {job.device}, {torch.get_num_threads()} threads"
    ]
    spaces = expected_space(job, rows)
    for modality, space in spaces.items():
        layers, width = space.shape
        lines.append(
            f"  {modality:<9} {layers} x {width} float16  {_size(space.n_bytes):>9}  "
            f"{sample.models[modality]:.3f} s a clip, decoding {sample.decoding[modality]:.3f} s"
        )
    n_bytes = sum(space.n_bytes for space in spaces.values())
    run_s = sample.run_s(len(rows), plan_stages(job))
    lines.append(
        f"in all {_size(n_bytes)} (twice that while shards are joined; "
        f"{_size(shutil.disk_usage(_existing_folder(out)).free)} free) and about "
        f"{_duration(run_s)}, {sample.start_s:.0f} s of it to start; measured on "
        f"{sample.n_clips} clips"
    )
    return "\n".join(lines)


def seconds_per_clip(job: Job) -> tuple[dict[str, float], int]:
    """Decoding and model together, by modality, models being loaded; and on how many clips."""
    sample = _measure(job)
    together = {m: sample.models[m] + sample.decoding[m] for m in job.modalities}
    return together, sample.n_clips


def _measure(job: Job) -> Sample:
    rows = range(len(job.utterances))
    lengths_s = {row: total_seconds(job, [row]) for part in candidates(job) for row in part}
    return measure(job, total_seconds(job, rows) / len(rows), lengths_s)


def total_seconds(job: Job, rows: Sequence[int]) -> float:
    """Length of all clips; rows without an end count as long as the first few such files are."""
    known_s = 0.0
    whole: list[int] = []
    for row in rows:
        utterance = job.utterances[row]
        if utterance.end_s is None:
            whole.append(row)
        else:
            known_s += utterance.end_s - (utterance.start_s or 0.0)
    lengths = [_file_seconds(job, row) for row in whole[:N_PROBED]]
    return known_s + (float(np.mean(lengths)) * len(whole) if lengths else 0.0)


def _file_seconds(job: Job, row: int) -> float:
    utterance = job.utterances[row]
    name = utterance.path or utterance.audio_path
    if not name:
        return 0.0
    try:
        with open_media(resolve_path(job.manifest, name)) as container:
            if container.duration is None:
                return UNKNOWN_LENGTH_S
            return max(0.0, container.duration / av.time_base - (utterance.start_s or 0.0))
    except MediaError:
        return 0.0


def _existing_folder(out: Path) -> Path:
    return next(p for p in (out.resolve().parent, *out.resolve().parents) if p.is_dir())


def _size(n_bytes: int) -> str:
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
