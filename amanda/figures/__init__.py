"""Figures fit for a paper: SVG and PDF, fonts inside, told apart in grey too.

One module a kind; each has a function from input files to a `Drawing`. The page of the experiments
shows these same files.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from amanda.figures import alignment, alpha2, confusion, psi, representations
from amanda.figures.style import Drawing, save
from amanda.store.errors import InputError, nearest

KINDS: dict[str, Callable[[Sequence[Path]], Drawing]] = {
    "alpha2": alpha2.draw,
    "alignment": alignment.draw,
    "psi": psi.draw,
    "representations": representations.draw,
    "confusion": confusion.draw,
}


def write_figure(kind: str, inputs: Sequence[Path], out: Path) -> tuple[Path, Path]:
    """Draw a figure and write it as `out`'s stem with .svg and .pdf; returns both.

    Raises:
        InputError: an unknown kind, no input, another suffix, or an input that cannot be drawn.
    """
    out = Path(out)
    if kind not in KINDS:
        raise InputError(f"figure '{kind}': no such kind; {nearest(kind, list(KINDS))}")
    if out.suffix not in (".svg", ".pdf"):
        raise InputError(f"{out}: figures are written as .svg and .pdf; name one of them")
    if not inputs:
        raise InputError(f"{out}: nothing to draw from; name a result or table file")
    return save(KINDS[kind]([Path(path) for path in inputs]), out)


__all__ = ["KINDS", "Drawing", "write_figure"]
