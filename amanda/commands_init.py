"""`amanda init`."""

from pathlib import Path
from typing import Annotated

import typer

from amanda.store.errors import InputError


def init(
    corpus: Annotated[
        list[str],
        typer.Option(help="NAME=FOLDER of a corpus as distributed, or NAME=FILE.csv; repeat it."),
    ],
    out: Annotated[
        Path, typer.Option(help="Config to write; made from the paper's where there is none.")
    ] = Path("config/paper.yaml"),
    force: Annotated[
        bool, typer.Option("--force", help="Change where the config has a corpus already.")
    ] = False,
) -> None:
    """Look at corpora and write where they are into a config.

    Nothing is written when one of them is not what its name says. All else in the config stays as
    it is, but for the pairs: those of the paper whose two corpora are there.

    Example: `amanda init --corpus ie=/data/IEMOCAP --corpus msp=/data/MSP-IMPROV`
    """
    from amanda.init import find_place, write_places

    places = {}
    for given in corpus:
        place, found = find_place(given)
        if place.name in places:
            raise InputError(f"--corpus {place.name} is given twice; give each corpus once")
        places[place.name] = place
        typer.echo(found)
    for line in write_places(places, out, force=force):
        typer.echo(line)
