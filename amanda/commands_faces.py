"""`amanda contact-sheets`: the chosen faces of a finished feature file, as pictures."""

from pathlib import Path
from typing import Annotated

import typer


def contact_sheets(
    features: Annotated[Path, typer.Argument(help="Feature file (HDF5).")],
    manifest: Annotated[Path, typer.Option(help="Manifest CSV that it was made from.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
) -> None:
    """Write pictures of every utterance's chosen face, the most doubtful first.

    They show people: keep the folder where the corpus may be (docs/speaker.md).

    Example: `amanda contact-sheets features/ie.h5 --manifest manifests/ie.csv --out sheets/ie`
    """
    from extractors.contact_sheets import write_contact_sheets

    typer.echo(write_contact_sheets(features, manifest, out))
