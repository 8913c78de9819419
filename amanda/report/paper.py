"""The page of the paper's experiments: table files and figures in, one self-contained page out."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from markupsafe import Markup

from amanda.experiments_files import CountsFile, TableFile, read_table
from amanda.report.page import render
from amanda.report.registry import load_sections
from amanda.store.atomic import write_text
from amanda.store.errors import InputError

UNLIKE = (
    "The paper’s column is greyed: its figures are of recorded people in four licensed corpora, "
    "read by other models; ours here are of generated corpora, drawn faces and a synthetic voice, "
    "which share with the real ones a name, a layout on disk and nothing else. No difference "
    "between the two columns means anything."
)
"""Why the two cannot be compared, where corpora are stand-ins."""
UNLIKE_SHORT = Markup(
    "The paper’s column is greyed: generated corpora and recorded ones cannot be compared "
    '(<a href="#paper-opening">why</a>).'
)


@dataclass(frozen=True)
class PrintedFigure:
    """A figure as `amanda experiments figure` wrote it."""

    path: Path
    title: str
    description: str
    svg: bytes

    @property
    def data_uri(self) -> str:
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode("ascii")


@dataclass(frozen=True)
class PaperPage:
    """Everything, as sections of scope "paper" see it.

    Attributes:
        tables: by name, as "table3" and "sweep_ie2msp".
        command: what makes this page again; "" where it was made by hand.
    """

    tables: Mapping[str, TableFile | CountsFile]
    figures: tuple[PrintedFigure, ...]
    command: str
    out: Path

    @property
    def standin(self) -> bool:
        return any(table.corpora == "stand-in" for table in self.tables.values())

    def table(self, name: str) -> TableFile | None:
        """A table of cells; None where the page has none of that name."""
        found = self.tables.get(name)
        return found if isinstance(found, TableFile) else None

    def command_for(self, name: str) -> str:
        """The command that makes one table."""
        return self.command.replace("results/paper.html", f"results/{name}.json")


def write_paper_page(
    tables: Sequence[Path], out: Path, *, figures: Sequence[Path] = (), command: str = ""
) -> None:
    """Write the page, whole or not at all.

    Args:
        tables: files of `amanda experiments table` and `counts`.
        figures: SVG files of `amanda experiments figure`.

    Raises:
        InputError: no table, two of one name, or a file that cannot be read.
    """
    if not tables:
        raise InputError(f"{out}: no table to show; make one with amanda experiments table")
    read: dict[str, TableFile | CountsFile] = {}
    for path in tables:
        table = read_table(path)
        if table.name in read:
            raise InputError(f"{path}: the table '{table.name}' is given already")
        read[table.name] = table
    page = PaperPage(
        tables=read,
        figures=tuple(read_figure(path) for path in figures),
        command=command,
        out=Path(out),
    )
    parts = [
        {
            "id": section.name,
            "title": section.title,
            "standin": page.standin and section.name != "paper-commands",
            "content": section.render(page),
            "children": [],
        }
        for section in load_sections("paper")
    ]
    real = [t for t in page.tables.values() if t.corpora == "real"]
    text = render(
        title="Amanda: the paper's experiments",
        kicker="Experiments",
        heading=["The paper’s tables and ours"],
        standin=page.standin,
        partly=bool(real),
        parts=parts,
    )
    write_text(Path(out), text)


def read_figure(path: Path) -> PrintedFigure:
    """An SVG with its title and description.

    Raises:
        InputError: it cannot be read, or is no SVG of ours.
    """
    path = Path(path)
    try:
        svg = path.read_bytes()
        text = svg.decode("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not an SVG; name a figure of amanda experiments figure"
        ) from error
    title, description = (
        re.search(f"<dc:{name}>(.*?)</dc:{name}>", text, re.DOTALL)
        for name in ("title", "description")
    )
    if "<svg" not in text or title is None or description is None:
        raise InputError(f"{path}: not an SVG of amanda experiments figure; draw it again")
    return PrintedFigure(path, unescape(title[1]), unescape(description[1]), svg)
