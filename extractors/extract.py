"""The extraction: a manifest in, a feature file out, in shards of whole sources.

    for each shard not yet finished:
        processes that decode (`extractors.ahead`) → waiting clips → models in batches
        write the shard     (renamed into place when whole)
    join the shards, write the ledger

A shard holds so few utterances that memory does not grow with the corpus, and no batch reaches over
its end, so that its features do not depend on which shards an earlier run has finished.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from amanda.device import limit_threads, resolve_device
from amanda.store.errors import InputError, TooManyFailedError
from amanda.store.features import FeatureFile, merge_features, write_features
from amanda.store.names import check_corpus_name
from amanda.store.progress import track
from extractors.ahead import DecodePool
from extractors.collect import Collector
from extractors.contact_sheets import write_contact_sheets
from extractors.estimate import estimate_text, refuse_full_disk
from extractors.job import Job, make_job
from extractors.ledger import failures, ledger_path, summary, write_ledger
from extractors.profiles import load_profile
from extractors.replace import replace_rows
from extractors.sample import plan_stages
from extractors.shards import (
    KEY_ATTR,
    is_finished,
    keep_finished,
    remove_leftovers,
    shard_folder,
    shard_path,
    take_kept,
)
from extractors.sources import Source, group_sources, partition, split_long
from extractors.stages import WAITING, WRITING, Stages

SHARD_ROWS, MAX_SHARDS = 128, 400
"""A shard holds about so many utterances, and more where there would be too many open files."""
AHEAD_BYTES = 512 << 20


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
    faces: Path | None = None,
    contact_sheets: Path | None = None,
    max_failed: float = 0.2,
    estimate: bool = False,
    retry_failed: bool = False,
    name_clips: bool = True,
) -> str:
    """Write the feature file of a manifest, or one shard of it, and its ledger beside it.

    Finished shards of an interrupted run are used again, and so is a finished file. The result
    does not depend on how many shards there are, nor does the order of its rows.

    Args:
        shard: (i, n) writes the i-th of n shards to `out`, for `amanda merge`.
        n_shards: the least number of shards.
        faces: a CSV of what the user says of speakers' faces; see `extractors.speaker_fixes`.
        modalities: only these; empty for all of the profile that the corpus has.
        contact_sheets: a folder for pictures of every utterance's chosen faces.
        max_failed: the largest share of clips that may fail: that have nothing usable, or a
            modality whose status is `failed` or `unreadable`.
        estimate: only say what it would take.
        retry_failed: do the clips of a finished file again that have failed, and no others.
        name_clips: whether what is returned and the error below name clips as examples; the
            ledger names them all.

    Returns:
        What to print: how many clips of each modality have which status, and where the time went.

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
        faces=faces,
    )
    for warning in job.language_warnings():
        print(f"Warning: {warning}", file=sys.stderr)
    if estimate:
        return estimate_text(job, out)
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give the name of a file to write")
    remove_leftovers(out.parent, out.stem)
    sources = group_sources(job.utterances)
    if shard is not None:
        index, count = shard
        sources, n_shards = partition(sources, count)[index], 1
    if retry_failed:
        said = _retry(job, sources, out)
    elif is_finished(out, job.key, _ids(job, sources)):
        said = f"{out} is finished; delete it to extract it anew"
    else:
        said = _extract(job, sources, out, n_shards)
    write_ledger(out)
    text, failed = summary(out, examples=name_clips)
    text = f"{text}\n{said}\n  ledger    {ledger_path(out)}"
    if contact_sheets is not None:
        text += f"\n  sheets    {write_contact_sheets(out, manifest, contact_sheets)}"
    if len(failed) > max_failed * sum(len(source.rows) for source in sources):
        if shard is not None:
            keep_finished(out)
        first = "; the first is {} ({})".format(*next(iter(failed.items()))) if name_clips else ""
        raise TooManyFailedError(
            f"{out} is written, but {len(failed)} clips failed, more than a share of "
            f"{max_failed:g} (--max-failed){first}\n{text}"
        )
    return text


def _extract(job: Job, sources: Sequence[Source], out: Path, n_shards: int) -> str:
    """Write the shards that are missing, join them, remove them; returns where the time went."""
    if take_kept(out, job.key, _ids(job, sources)):
        return f"{out} was finished by an earlier run"
    pieces = split_long(sources, SHARD_ROWS)
    n_rows = len(_rows(sources))
    parts = partition(pieces, max(n_shards, min(MAX_SHARDS, math.ceil(n_rows / SHARD_ROWS))))
    with shard_folder(out) as folder:
        paths = [shard_path(folder, i, len(parts)) for i in range(len(parts))]
        left = [
            i for i, path in enumerate(paths) if not is_finished(path, job.key, _ids(job, parts[i]))
        ]
        missing = _rows([source for i in left for source in parts[i]])
        if left:
            refuse_full_disk(job, missing, out, copies=2)
        stages = plan_stages(job)
        work = _write_shards(job, [(parts[i], paths[i]) for i in left], stages)
        what = f"{job.corpus}: clips"
        for _ in track(work, total=n_rows, what=what, done=n_rows - len(missing)):
            pass
        with stages.timing(WRITING):
            merge_features(paths, out)
    return stages.text()


def _retry(job: Job, sources: Sequence[Source], out: Path) -> str:
    """Extract the failed clips of a finished file again, and put them in their places."""
    if not is_finished(out, job.key, _ids(job, sources)):
        raise InputError(
            f"{out}: --retry-failed needs a file that is finished, of this manifest, profile and "
            "options; run the same command without it first"
        )
    with FeatureFile(out) as features:
        failed = failures(features)
    ids = [u.id for u in job.utterances]
    kept = [[row for row in source.rows if ids[row] in failed] for source in sources]
    again = [Source(rows=tuple(rows), cost_s=float(len(rows))) for rows in kept if rows]
    if not again:
        return f"{out}: no clip has failed, nothing to do again"
    with shard_folder(out) as folder:
        refuse_full_disk(job, range(len(job.utterances)), out, copies=1)
        path, stages = folder / "again.h5", plan_stages(job)
        work = _write_shards(job, [(again, path)], stages)
        for _ in track(work, total=len(failed), what=f"{job.corpus}: failed clips"):
            pass
        replace_rows(out, path)
    with FeatureFile(out) as features:
        still = failures(features)
    return f"{len(failed)} clips done again, {len(failed) - len(still)} mended\n{stages.text()}"


def _write_shards(
    job: Job, shards: Sequence[tuple[Sequence[Source], Path]], stages: Stages
) -> Iterator[int]:
    """Write the features of each shard's sources to its path; yields each row when decoded."""
    ahead_bytes = 0 if stages.in_turn else AHEAD_BYTES
    ids = [u.id for u in job.utterances]
    with DecodePool(n_workers=stages.n_decoders, ahead_bytes=ahead_bytes) as pool:
        every = [source for sources, _ in shards for source in sources]
        arriving = pool.read(job.reader, every, job.modalities)
        for sources, path in shards:
            rows = _rows(sources)
            collectors = {
                m: Collector(m, job.builder(m), rows, ids, stages) for m in job.modalities
            }
            end_s: dict[int, float] = {}
            for source in sources:
                with stages.timing(WAITING):
                    clips = next(arriving)
                while True:
                    with stages.timing(WAITING):
                        arrival = next(clips, None)
                    if arrival is None:
                        break
                    stages.decoding[arrival.modality] += arrival.seconds
                    decoded = arrival.decoded
                    if decoded.end_s is not None:
                        end_s[decoded.row] = max(decoded.end_s, end_s.get(decoded.row, 0.0))
                    collectors[arrival.modality].put(decoded)
                stages.n_clips += len(source.rows)
                yield from source.rows
            _write(job, rows, collectors, end_s, path, stages)


def _write(
    job: Job,
    rows: Sequence[int],
    collectors: Mapping[str, Collector],
    end_s: dict[int, float],
    path: Path,
    stages: Stages,
) -> None:
    tables = {modality: collector.table() for modality, collector in collectors.items()}
    with stages.timing(WRITING):
        write_features(
            path,
            job.table(rows, end_s),
            tables,
            corpus=job.corpus,
            profile=job.profile.name,
            origin=job.origin,
            attrs={**job.attrs(), KEY_ATTR: job.key},
        )


def _rows(sources: Sequence[Source]) -> list[int]:
    return [row for source in sources for row in source.rows]


def _ids(job: Job, sources: Sequence[Source]) -> list[str]:
    return [job.utterances[row].id for row in _rows(sources)]
