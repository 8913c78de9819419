"""`amanda predict`: clips in, predictions out."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from amanda.store.errors import InputError, TooManyFailedError

_CLIPS = "clips.csv"


def predict(
    model: Annotated[Path, typer.Option(help="Folder that `amanda train --save-model` wrote.")],
    clips: Annotated[
        Path,
        typer.Option(help="Folder of recordings, a CSV that lists them, or a feature file (.h5)."),
    ],
    out: Annotated[Path, typer.Option(help="CSV to write.")] = Path("predictions.csv"),
    profile: Annotated[
        str, typer.Option(help="Extraction profile; default: the one that the model names.")
    ] = "",
    config: Annotated[Path | None, typer.Option(help="Config that defines the profile.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    downmix: Annotated[bool, typer.Option(help="Average the channels of stereo audio.")] = False,
    max_failed: Annotated[
        float, typer.Option(help="Exit with 3 when a larger share of clips failed.")
    ] = 0.2,
    allow_mismatch: Annotated[
        bool, typer.Option(help="Take features of other models than the model was trained on.")
    ] = False,
    contact_sheets: Annotated[
        Path | None,
        typer.Option(help="Folder for pictures of each clip's face with the predicted class."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Predict the emotion of new clips with a trained model.

    Example: `amanda predict --model models/ie2msp/seed-0 --clips clips --out predictions.csv`
    """
    from amanda.device import resolve_device
    from amanda.prediction_table import read_predicted, write_prediction_table
    from amanda.predictor import load

    if contact_sheets is not None:
        _refuse_sheets(contact_sheets, clips)
    predictor = load(model, str(resolve_device(device)))
    work = out.parent / f".{out.stem}.clips"
    failed: TooManyFailedError | None = None
    unopened = 0
    features = clips
    if clips.suffix != ".h5":
        features = work / "clips.h5"
        manifest, unopened = _manifest(clips, work)
        try:
            _extract(
                manifest,
                features,
                profile=profile or _named_profile(predictor.card.profile),
                config=config,
                device=device,
                downmix=downmix,
                max_failed=max_failed,
            )
        except TooManyFailedError as error:  # the features are written: the other clips can be had
            failed = error
    blocks = predictor.predict(features, allow_mismatch=allow_mismatch)
    summary = write_prediction_table(out, blocks, predictor.card)
    typer.echo(summary.to_json() if json else summary.to_text())
    if contact_sheets is not None:
        typer.echo(_sheets(features, work, contact_sheets, read_predicted(out)), err=True)
    if failed is not None:
        raise failed
    shutil.rmtree(work, ignore_errors=True)
    if unopened > max_failed * (unopened + summary.n):
        raise TooManyFailedError(
            f"{clips}: {unopened} of {unopened + summary.n} recordings do not open, more than "
            f"--max-failed {max_failed:g} allows; the others are in {out}"
        )


def _named_profile(name: str) -> str:
    """The profile that a model names; never a file, which a stranger's model could point to."""
    if name.endswith((".yaml", ".yml")):
        raise InputError(f"the model names the profile '{name}', a file; say which with --profile")
    return name or "embedded"


def _refuse_sheets(folder: Path, clips: Path) -> None:
    """Raise `InputError` where contact sheets cannot be written, before anything is extracted."""
    from extractors.contact_sheets import refuse_other_content

    if clips.suffix == ".h5":
        raise InputError(
            f"--contact-sheets: {clips} holds features and no pictures; name the recordings in "
            "--clips, or use `amanda contact-sheets` with the manifest that it was made from"
        )
    refuse_other_content(folder)


def _sheets(features: Path, work: Path, folder: Path, predicted: dict[str, str]) -> str:
    """Write the contact sheets; says where they are."""
    from amanda.store.features import FeatureFile
    from extractors.contact_sheets import write_contact_sheets

    with FeatureFile(features) as file:
        if "visual" not in file.modalities:
            raise InputError(f"{folder}: no contact sheets, since no clip has a picture")
    return f"sheets: {write_contact_sheets(features, work / _CLIPS, folder, predicted)}"


def _manifest(clips: Path, work: Path) -> tuple[Path, int]:
    """A manifest of the clips in `work`, and how many recordings it leaves out since they do not
    open; every row is to be predicted, no label is read."""
    import dataclasses

    from amanda.store.manifest import read_manifest, rebase_from, write_manifest

    work.mkdir(parents=True, exist_ok=True)
    listing, unopened = clips, 0
    if clips.is_dir():
        from corpora.from_folder import draft_manifest

        listing = work / "found.csv"
        listing.unlink(missing_ok=True)
        draft = draft_manifest(clips, listing, classes=())
        unopened = draft.unopened
        for problem in draft.problems:
            typer.echo(problem, err=True)
    elif not clips.exists():
        raise InputError(f"{clips}: no such file or folder; name clips to predict")
    moved = rebase_from(listing.parent, work)
    rows = (
        dataclasses.replace(
            row, label="", split="test", path=moved(row.path), audio_path=moved(row.audio_path)
        )
        for row in read_manifest(listing, classes=None)
    )
    manifest = work / _CLIPS
    write_manifest(manifest, rows)
    return manifest, unopened


def _extract(
    manifest: Path,
    features: Path,
    *,
    profile: str,
    config: Path | None,
    device: str,
    downmix: bool,
    max_failed: float,
) -> None:
    from extractors.extract import run_extraction

    text = run_extraction(
        manifest,
        features,
        profile=profile,
        config=config,
        device=device,
        downmix=downmix,
        max_failed=max_failed,
    )
    typer.echo(text, err=True)
