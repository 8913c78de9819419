"""Subcommands on the paper's experiments: tables, figures, the page, and how far they are."""

from pathlib import Path
from typing import Annotated

import typer

experiments_app = typer.Typer(
    help="The paper's tables and figures from result files, and the page of all of them.",
    no_args_is_help=True,
)
Out = Annotated[Path, typer.Option(help="File to write.")]


@experiments_app.command("table")
def table(
    name: Annotated[
        str, typer.Argument(help="table1, table2, table3, ablation or sweep_<pair> (Tables 4-6).")
    ],
    cells: Annotated[
        list[str], typer.Argument(help="ROW@COLUMN=FILE: which result file of one method is where.")
    ],
    out: Out,
    budget: Annotated[str, typer.Option(help="smoke, embedded or paper.")] = "embedded",
) -> None:
    """Write one of the paper's tables with our figures beside the paper's.

    Example: `amanda experiments table table3 dann@ie2msp=results/runs/ie2msp/dann-0123456789ab.json
    --out results/table3.json`
    """
    from amanda.experiments_tables import parse_cell, write_table

    made = write_table(name, [parse_cell(cell) for cell in cells], budget, out)
    typer.echo(f"{out}: {made.title}; {len(made.cells)} cells. {made.budget.sentence}")


@experiments_app.command("counts")
def counts(
    features: Annotated[list[Path], typer.Argument(help="Feature files, one a corpus.")],
    out: Out,
) -> None:
    """Write Table 7: utterances by class and split, beside the paper's.

    Example: `amanda experiments counts features/ie.h5 features/msp.h5 --out results/table7.json`
    """
    from amanda.experiments_tables import write_counts

    made = write_counts(features, out)
    typer.echo(f"{out}: {made.title} of {', '.join(made.ours)}")


@experiments_app.command("figure")
def figure(
    kind: Annotated[
        str,
        typer.Argument(
            help="alpha2 (of a sweep's table), alignment, psi, confusion (of result files) or "
            "representations (of *.representations.npz)."
        ),
    ],
    inputs: Annotated[list[Path], typer.Argument(help="What it is drawn from, in order.")],
    out: Annotated[Path, typer.Option(help="SVG or PDF to write; the other is written beside it.")],
) -> None:
    """Draw a figure for a paper, as SVG and PDF.

    Example: `amanda experiments figure alpha2 results/sweep_ie2msp.json --out
    figures/alpha2_ie2msp.svg`
    """
    from amanda.figures import write_figure

    for path in write_figure(kind, inputs, out):
        typer.echo(f"{path}: written")


@experiments_app.command("page")
def page(
    tables: Annotated[list[Path], typer.Argument(help="Table files (results/table1.json, …).")],
    out: Out,
    figures: Annotated[
        list[Path] | None, typer.Option(help="SVG figures to show; repeat it.")
    ] = None,
    command: Annotated[str, typer.Option(help="The command to print as the one to repeat.")] = "",
) -> None:
    """Write one self-contained page: the paper's tables and figures, and ours beside them.

    Example: `amanda experiments page results/table1.json --figures figures/alpha2_ie2msp.svg --out
    results/paper.html`
    """
    from amanda.report.paper import write_paper_page

    write_paper_page(tables, out, figures=figures or [], command=command)
    typer.echo(f"{out}: written")


def progress(
    plan: Annotated[
        Path | None, typer.Option(help="Plan of the experiments; default: results/paper.plan.json.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say how many trainings of results/paper.html are done, and when the rest will be.

    Example: `amanda progress`
    """
    import json as json_module
    from dataclasses import asdict

    from amanda.experiments_progress import PLAN, measure, read_plan

    path = plan or Path(PLAN)
    root = path.resolve().parents[1]  # the folder that holds results/ and bench_logs/
    found = measure(read_plan(path), root)
    typer.echo(json_module.dumps(asdict(found)) if json else found.to_text())
