"""The extraction: a manifest in, a feature file out, in shards of whole sources.

    for each shard not yet finished:
        for each source:    decode its clips of each modality → waiting clips → models in batches
        write the shard     (renamed into place when whole)
    join the shards

Decoding (`Reader.read`) and models (`Collector`) meet in `_extract_part` alone, so that decoding
can move to other processes without either being changed.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from amanda.device import limit_threads, resolve_device
from amanda.store.errors import InputError, TooManyFailedError
from amanda.store.features import FeatureFile, merge_features, write_features
from amanda.store.names import USABLE_STATUSES, check_corpus_name
from amanda.store.progress import track
from extractors.collect import Collector
from extractors.estimate import estimate_text, refuse_full_disk
from extractors.job import Job, make_job
from extractors.profiles import load_profile
from extractors.shards import KEY_ATTR, is_finished, remove_leftovers, shard_folder, shard_path
from extractors.sources import Source, group_sources, partition

FAILED_STATUSES = ("failed", "unreadable")
"""What counts against `max_failed`, besides a clip with nothing usable at all."""


def run_extraction(
    manifest: Path,
    out: Path,
    *,
    profile: str = "embedded",
    config: Path | None = None,
    corpus: str = "",
    shard: tuple[int, int] | None = None,
    n_shards: int = 8,
    modalities: Sequence[str] = (),
    device: str = "auto",
    downmix: bool = False,
    max_failed: float = 0.2,
    estimate: bool = False,
) -> str:
    """Write the feature file of a manifest, or one shard of it.

    Finished shards of an interrupted run are used again. The result does not depend on how many
    shards there are, nor does the order of its rows.

    Args:
        shard: (i, n) writes the i-th of n shards to `out`, for `amanda merge`.
        modalities: only these; empty for all of the profile that the corpus has.
        max_failed: the largest share of clips that may fail: that have nothing usable, or a
            modality whose status is `failed` or `unreadable`.
        estimate: only say what it would take.

    Returns:
        What to print: how many clips of each modality have which status.

    Raises:
        InputError: the usage, the manifest or the profile is wrong, weights are missing, or the
            disk cannot hold the result.
        TooManyFailedError: more clips failed than allowed; the file is written.
    """
    limit_threads()
    manifest, out = Path(manifest), Path(out)
    job = make_job(
        manifest,
        corpus=check_corpus_name(corpus or manifest.stem),
        profile=load_profile(profile, config),
        modalities=modalities,
        device=resolve_device(device),
        downmix=downmix,
    )
    for warning in job.language_warnings():
        print(f"Warning: {warning}", file=sys.stderr)
    if estimate:
        return estimate_text(job, out)
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give the name of a file to write")
    remove_leftovers(out.parent, out.stem)
    sources = group_sources(job.utterances)
    if shard is None:
        _extract_all(job, partition(sources, n_shards), out)
    else:
        index, count = shard
        part = partition(sources, count)[index]
        rows = _rows(part)
        refuse_full_disk(job, rows, out, copies=1)
        work = _extract_part(job, part, out)
        for _ in track(work, total=len(rows), what=f"{job.corpus} {index}/{count}: clips"):
            pass
    summary, failed = _summary(out)
    if failed and len(failed) > max_failed * len(job.utterances if shard is None else rows):
        raise TooManyFailedError(_complaint(out, failed, max_failed, summary))
    return summary


def _extract_all(job: Job, parts: Sequence[Sequence[Source]], out: Path) -> None:
    """Write the shards that are missing, join them, remove them."""
    with shard_folder(out) as folder:
        paths = [shard_path(folder, i, len(parts)) for i in range(len(parts))]
        left = [i for i, path in enumerate(paths) if not is_finished(path, job.key)]
        rows = [row for i in left for row in _rows(parts[i])]
        if left:
            refuse_full_disk(job, rows, out, copies=2)

        def work() -> Iterator[int]:
            for i in left:
                yield from _extract_part(job, parts[i], paths[i])

        total = len(job.utterances)
        for _ in track(work(), total=total, what=f"{job.corpus}: clips", done=total - len(rows)):
            pass
        merge_features(paths, out)


def _extract_part(job: Job, sources: Sequence[Source], out: Path) -> Iterator[int]:
    """Write the features of these sources to `out`; yields each row when its source is decoded."""
    rows, ids = _rows(sources), [u.id for u in job.utterances]
    collectors = {m: Collector(m, job.builder(m), rows, ids) for m in job.modalities}
    reader = job.reader
    end_s: dict[int, float] = {}
    for source in sources:
        for modality, collector in collectors.items():
            for decoded in reader.read(source, modality):
                if decoded.end_s is not None:
                    end_s[decoded.row] = max(decoded.end_s, end_s.get(decoded.row, 0.0))
                collector.put(decoded)
        yield from source.rows
    write_features(
        out,
        job.table(rows, end_s),
        {modality: collector.table() for modality, collector in collectors.items()},
        corpus=job.corpus,
        profile=job.profile.name,
        origin=job.origin,
        attrs={**job.attrs(), KEY_ATTR: job.key},
    )


def _rows(sources: Sequence[Source]) -> list[int]:
    return [row for source in sources for row in source.rows]


def _summary(out: Path) -> tuple[str, dict[str, str]]:
    """How many clips have which status, by modality; and why each failed clip did."""
    with FeatureFile(out) as features:
        n = len(features)
        usable = [False] * n
        failed: dict[str, str] = {}
        lines = [f"{out}: {n} utterances of {features.corpus}"]
        for name in features.modalities:
            modality = features.modality(name)
            counts = Counter(modality.status)
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            shown = ", ".join(f"{count} {status}" for status, count in ordered)
            lines.append(f"  {name:<9} {shown or 'none'}")
            seen = set(USABLE_STATUSES)
            for i, (status, detail) in enumerate(
                zip(modality.status, modality.detail, strict=True)
            ):
                usable[i] |= status in USABLE_STATUSES
                if status in FAILED_STATUSES:
                    failed.setdefault(features.ids[i], f"{name}: {detail}")
                if status not in seen:
                    seen.add(status)
                    lines.append(f"            {status}, for example {features.ids[i]}: {detail}")
        for i in range(n):
            if not usable[i]:
                failed.setdefault(features.ids[i], "no modality is usable")
    return "\n".join(lines), failed


def _complaint(out: Path, failed: dict[str, str], max_failed: float, summary: str) -> str:
    first, why = next(iter(failed.items()))
    return (
        f"{out} is written, but {len(failed)} clips failed, more than a share of {max_failed:g} "
        f"(--max-failed); the first is {first} ({why})\n{summary}"
    )
