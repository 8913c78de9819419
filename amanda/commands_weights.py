"""`amanda weights`: the models' weights in the cache."""

from pathlib import Path
from typing import Annotated

import typer

weights_app = typer.Typer(help="The models' weights: fetch, list, verify.", no_args_is_help=True)

Config = Annotated[Path | None, typer.Option(help="Config that defines the profile.")]


@weights_app.command("fetch")
def fetch(
    profile: Annotated[str, typer.Option(help="Profile whose weights to fetch.")] = "embedded",
    config: Config = None,
) -> None:
    """Put every weight of a profile into the cache, hash-checked, so that extraction runs offline.

    Example: `amanda weights fetch --profile embedded`
    """
    from extractors.profiles import load_profile
    from extractors.weights import fetch_profile

    for line in fetch_profile(load_profile(profile, config)):
        typer.echo(line)


@weights_app.command("list")
def list_all(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the known weights: source, licence, hash, and whether they are in the cache.

    Example: `amanda weights list`
    """
    from extractors.weights import describe_weights

    typer.echo(describe_weights(json=json))


@weights_app.command("verify")
def verify(
    profile: Annotated[str, typer.Option(help="Profile whose weights to read.")] = "embedded",
    config: Config = None,
) -> None:
    """Hash every file of a profile's weights in the cache again, and say which are damaged.

    Exits with 2 when one is, or is not there.

    Example: `amanda weights verify --profile embedded`
    """
    from extractors.profiles import load_profile
    from extractors.weights import verify_profile

    problems: list[str] = []
    for verified in verify_profile(load_profile(profile, config)):
        typer.echo(verified.line)
        problems += verified.problems
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(2)
