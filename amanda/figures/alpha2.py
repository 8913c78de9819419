"""F1 against the weight α2 of the surrogate: the paper's Figure 2."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from amanda.experiments_files import TableFile, read_table
from amanda.figures.style import INK, MUTED, Drawing, new_figure, note_standin, print_style
from amanda.records import LAST
from amanda.store.errors import InputError
from amanda.store.names import split_pair

_LOOKS: dict[str, tuple[str, str, str]] = {
    # colour (dark to light within a family), marker, dashes
    "amanda_norm_p1": ("#1a1a1a", "x", ":"),
    "amanda_norm_p2": ("#0b3d70", "o", "-"),
    "amanda_norm_p3": ("#2f78b7", "s", "-"),
    "amanda_norm_inf": ("#8fbfe6", "D", "-"),
    "amanda_logexp_t0.5": ("#a34a00", "^", "--"),
    "amanda_logexp_t1": ("#f0a050", "v", "--"),
}
_CONSTANT: dict[str, tuple[str, tuple[float, tuple[float, ...]]]] = {
    "direct_transfer": (MUTED, (0, (5, 2))),
    "amanda_without_ca": (INK, (0, (6, 2, 1, 2))),
}


def draw(inputs: Sequence[Path]) -> Drawing:
    """One table file of a sweep.

    Raises:
        InputError: another number of files, or one that is no sweep or has no cell with labels.
    """
    if len(inputs) != 1:
        raise InputError(f"alpha2 is drawn from one sweep's table, not {len(inputs)} files")
    table = read_table(inputs[0])
    if not isinstance(table, TableFile) or table.pair is None:
        raise InputError(f"{inputs[0]}: not the table of a sweep (results/sweep_<pair>.json)")
    with print_style():
        figure = new_figure(2.9)
        axes = figure.add_subplot()
        said = [*_draw_constant(axes, table), *_draw_surrogates(axes, table)]
        seeds = max((len(c.seeds) for c in table.cells if c.column), default=0)
        if not said or not seeds:
            raise InputError(f"{inputs[0]}: no cell of it has a score, so there is nothing to draw")
        runs = f"mean of {seeds} runs" if seeds > 1 else "one run"
        axes.set_xscale("log")
        axes.set_xlabel("Weight α2 of the alignment surrogate (log scale, no unit)")
        axes.set_ylabel(f"Weighted F1 (%), {runs}")
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", which="minor", length=0)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.set_title(" → ".join(split_pair(table.pair)))
        figure.legend(loc="outside right upper", handlelength=3.2, labelspacing=0.8)
        note_standin(figure, table.corpora == "stand-in")
        title = f"Weighted F1 against the weight α2, {' → '.join(split_pair(table.pair))}"
        bars = ", bars: sample standard deviation" if seeds > 1 else ""
        return Drawing(figure, title, f"{title}, {runs}{bars}: {'; '.join(said)}.")


def _draw_constant(axes: Axes, table: TableFile) -> list[str]:
    """The rows that do not depend on α2, as lines; says where they are."""
    said = []
    for row, (colour, dashes) in _CONSTANT.items():
        for cell in table.cells:
            score = cell.scores[LAST]["weighted_f1"].mean
            if cell.row == row and score is not None:
                label = _label(table, row)
                axes.axhline(100 * score, color=colour, linestyle=dashes, label=label, zorder=1)
                said.append(f"{label} {100 * score:.1f}")
                break
    return said


def _draw_surrogates(axes: Axes, table: TableFile) -> list[str]:
    """A line a surrogate; says between what it lies."""
    said = []
    for row, (colour, marker, line) in _LOOKS.items():
        points = [
            (float(cell.column), 100 * score.mean, 100 * (score.std or 0))
            for cell in table.cells
            if cell.row == row
            and cell.column
            and (score := cell.scores[LAST]["weighted_f1"]).mean is not None
        ]
        if not points:
            continue
        x, mean, spread = zip(*sorted(points), strict=True)
        drawn = axes.errorbar(
            x,
            mean,
            yerr=spread if any(spread) else None,
            color=colour,
            marker=marker,
            markerfacecolor="white" if marker != "x" else colour,
            linestyle=line,
            elinewidth=0.6,
            capsize=1.5,
            label=_label(table, row),
            zorder=3,
        )
        drawn.lines[0].set_markeredgewidth(1.0)
        said.append(f"{_label(table, row)} {min(mean):.1f} to {max(mean):.1f}")
    return said


def _label(table: TableFile, key: str) -> str:
    return next((row.label for row in table.rows if row.key == key), key)
