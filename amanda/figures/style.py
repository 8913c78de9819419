"""What all figures for print share: sizes, colours, how they are saved."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from amanda.report.plots import DASHES
from amanda.result_schema import MethodResult, ResultFile
from amanda.result_text import STANDIN_SENTENCE
from amanda.results import read_result
from amanda.store.atomic import atomic_path
from amanda.store.errors import InputError

WIDTH_IN = 6.3
"""Width of a page of two columns, in inches, as in the ACL's and IEEE's styles."""

INK, MUTED, RULE = "#1a1a1a", "#6b6b6b", "#d0d0d0"
MODALITY_COLOURS = {
    "acoustic": "#0b3d70",
    "visual": "#c2570a",
    "lexical": "#5cbf90",
    "joint": "#1a1a1a",
}
"""By modality; from dark to light, so that they differ in grey too."""
MODALITY_MARKERS = {"acoustic": "o", "visual": "s", "lexical": "^", "joint": "D"}

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "svg.fonttype": "path",  # glyphs as outlines: the same on every machine
    "svg.hashsalt": "amanda",
    "pdf.fonttype": 42,  # TrueType inside, which publishers ask for
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
}


@dataclass(frozen=True)
class Drawing:
    """A figure and what it shows, in a sentence for those who do not see it."""

    figure: Figure
    title: str
    description: str


@contextmanager
def print_style() -> Iterator[None]:
    """Draw inside this: fonts and lines of a printed figure."""
    with rc_context(_STYLE):
        yield


def new_figure(height_in: float) -> Figure:
    """A figure of a page's width."""
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def note_standin(figure: Figure, standin: bool) -> None:
    """Say on the figure itself that its data are generated."""
    if standin:
        figure.supxlabel(STANDIN_SENTENCE + ".", fontsize=6, color=MUTED, x=0.995, ha="right")


def legend_above(figure: Figure, handles: Sequence[Line2D], columns: int) -> None:
    """One legend for all panels, above them."""
    figure.legend(handles=list(handles), loc="outside upper center", ncols=columns)


def modality_handles(names: Sequence[str]) -> list[Line2D]:
    """Samples of the modalities' lines for a legend."""
    return [
        Line2D(
            [],
            [],
            color=MODALITY_COLOURS.get(name, MUTED),
            linestyle=DASHES.get(name, "-"),  # type: ignore[arg-type]
            marker=MODALITY_MARKERS.get(name, ""),
            markerfacecolor="white",
            label=name,
        )
        for name in names
    ]


def read_runs(paths: Sequence[Path]) -> tuple[ResultFile, list[MethodResult]]:
    """The first file (for the pair and corpora), and the methods of all.

    Raises:
        InputError: a file that cannot be read, or of another pair.
    """
    files = [read_result(path).file for path in paths]
    for path, file in zip(paths, files, strict=True):
        if file.pair != files[0].pair:
            raise InputError(
                f"{path}: of the pair {file.pair}, but {paths[0]} is of {files[0].pair}; a figure "
                "is of one pair"
            )
    return files[0], [method for file in files for method in file.methods]


def panel_labels(methods: Sequence[MethodResult]) -> list[str]:
    """Labels without the settings in brackets, but where two would be the same."""
    short = [method.label.split(" [")[0] for method in methods]
    pairs = zip(short, methods, strict=True)
    return [name if short.count(name) == 1 else method.label for name, method in pairs]


def pair_title(file: ResultFile) -> str:
    """'ie → msp'."""
    return f"{file.source} → {file.target}"


def save(drawing: Drawing, out: Path) -> tuple[Path, Path]:
    """Write the SVG and the PDF, each whole or not at all."""
    paths = out.with_suffix(".svg"), out.with_suffix(".pdf")
    metadata: Mapping[str, dict[str, Any]] = {
        ".svg": {
            "Title": drawing.title,
            "Description": drawing.description,
            "Creator": "amanda",
            "Date": None,
        },
        ".pdf": {
            "Title": drawing.title,
            "Subject": drawing.description,
            "Creator": "amanda",
            "CreationDate": None,
        },
    }
    with print_style():
        drawing.figure.draw_without_rendering()  # the layout settles at the second drawing
        for path in paths:
            with atomic_path(path) as temporary:
                drawing.figure.savefig(
                    temporary, format=path.suffix[1:], metadata=metadata[path.suffix]
                )
    return paths
