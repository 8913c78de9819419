"""`amanda compare` and `amanda table`: statistics of result files from their predictions."""

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from amanda.store.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Selection = Annotated[
    str, typer.Option(help="Which epoch's model: last, a validator's name, or oracle.")
]
Level = Annotated[float, typer.Option(help="Level of the intervals.")]


def compare(
    result: Annotated[Path, typer.Argument(help="Result file; its predictions lie beside it.")],
    b: Annotated[
        list[str],
        typer.Option(
            "--b", help="What is subtracted: run id, label, or a name as dann; repeat it."
        ),
    ],
    a: Annotated[
        list[str] | None,
        typer.Option("--a", help="What it is subtracted from; repeat it. Default: all others."),
    ] = None,
    selection: Selection = "last",
    metric: Annotated[
        str, typer.Option(help="weighted_f1, macro_f1, uar or accuracy.")
    ] = "weighted_f1",
    level: Level = 0.95,
    resamples: Annotated[int, typer.Option(help="Resamples of the bootstrap.")] = 10_000,
    json: Json = False,
) -> None:
    """Say how far two methods of a pair are apart, with an interval that resamples speakers and
    runs; several differences are one family (Holm).

    Example: `amanda compare results/ie2msp.json --a amanda:norm:2 --b direct_transfer`
    """
    from amanda.comparison import as_json, as_text, compare
    from amanda.results import read_result

    _check_level(level, resamples)
    made = compare(
        read_result(result),
        a or [],
        b,
        selection=selection,
        metric=metric,
        level=level,
        n_resamples=resamples,
    )
    typer.echo(json_module.dumps(as_json(made)) if json else as_text(made))


def table(
    results: Annotated[list[Path], typer.Argument(help="Result files, of one pair or several.")],
    latex: Annotated[bool, typer.Option("--latex", help="For a paper; needs booktabs.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A pipe table.")] = False,
    metric: Annotated[
        str, typer.Option(help="weighted_f1, macro_f1, uar, accuracy or ece.")
    ] = "weighted_f1",
    selection: Selection = "last",
    level: Level = 0.95,
    resamples: Annotated[int, typer.Option(help="Resamples of the bootstrap.")] = 2000,
    json: Json = False,
) -> None:
    """Print a table: a row a method, a column a pair; best, differences from direct transfer and
    negative transfer marked.

    Example: `amanda table results/*.json --latex`
    """
    from amanda.table_text import as_latex, as_markdown, as_plain
    from amanda.tables import make_table

    if latex + markdown + json > 1:
        raise InputError("--latex, --markdown and --json: choose one of them")
    _check_level(level, resamples)
    made = make_table(
        results, metric=metric, selection=selection, level=level, n_resamples=resamples
    )
    if json:
        typer.echo(json_module.dumps(made.to_json()))
    else:
        write = as_latex if latex else as_markdown if markdown else as_plain
        typer.echo(write(made))


def register(app: typer.Typer) -> None:
    """Add both commands to the program."""
    app.command()(compare)
    app.command()(table)


def _check_level(level: float, resamples: int) -> None:
    if not 0 < level < 1:
        raise InputError(f"--level {level}: write a share between 0 and 1, as 0.95")
    if resamples < 100:
        raise InputError(f"--resamples {resamples}: write at least 100")
