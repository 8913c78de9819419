"""`amanda plan`."""

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def plan(
    manifest: Annotated[Path, typer.Option(help="Manifest CSV.")],
    profile: Annotated[str, typer.Option(help="Extraction profile, for measuring.")] = "embedded",
    config: Annotated[Path | None, typer.Option(help="Config that defines the profile.")] = None,
    minutes: Annotated[float, typer.Option(help="How long a job should take.")] = 20,
    jobs: Annotated[int, typer.Option(help="How many jobs may run at once.")] = 16,
    seconds_a_clip: Annotated[
        float, typer.Option(help="Instead of measuring a few clips here.", show_default=False)
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Propose how many shards a corpus is extracted in, from its manifest and your quota.

    Example: `amanda plan --manifest manifests/meld.csv --profile paper --jobs 32`
    """
    from amanda.store.manifest import count_rows
    from extractors.shard_plan import plan_shards

    n_clips = count_rows(manifest)
    if not seconds_a_clip:
        from amanda.device import resolve_device
        from extractors.estimate import seconds_per_clip
        from extractors.job import make_job
        from extractors.profiles import load_profile

        job = make_job(
            manifest,
            corpus=manifest.stem,
            profile=load_profile(profile, config),
            modalities=(),
            device=resolve_device(device),
            downmix=False,
        )
        measured, _ = seconds_per_clip(job)
        seconds_a_clip = sum(measured.values())
    proposed = plan_shards(n_clips, seconds_a_clip, minutes=minutes, n_jobs=jobs)
    typer.echo(json_module.dumps(asdict(proposed)) if json else proposed.to_text())
