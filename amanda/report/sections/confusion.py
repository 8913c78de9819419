"""Confusion matrices at the last epoch."""

import numpy as np
from markupsafe import Markup

from amanda.records import LAST
from amanda.report.markup import Cell, Row, Text, small, table
from amanda.report.registry import Pair, bounds_last, is_upper_bound, section
from amanda.result_schema import MethodResult


@section("confusion", "Confusion matrices", scope="pair", order=60)
def confusion(pair: Pair) -> Markup | str:
    """One matrix a method, summed over seeds."""
    if not pair.labelled:
        return ""
    matrices = Markup("").join(_matrix(pair, method) for method in bounds_last(pair))
    return Markup(
        "<p>Last epoch, counts summed over the {} runs. Rows are true classes; a cell’s percentage "
        "is of its row, and so is its shade.</p>"
        '<div class="matrices">{}</div>'
    ).format(pair.n_runs, matrices)


def _matrix(pair: Pair, method: MethodResult) -> Markup:
    stored = [run.selections[LAST].confusion for run in method.runs]
    counts = np.sum([np.array(matrix) for matrix in stored if matrix is not None], axis=0)
    names = pair.file.label_names
    rows: list[Row] = []
    for number, name in enumerate(names):
        total = int(counts[number].sum())
        cells: list[Text | Cell] = [name]
        for count in counts[number]:
            share = int(count) / total if total else 0.0
            shown = f"{100 * share:.0f}%" if total else "–"
            cells.append(
                Cell(
                    Markup("{}{}").format(shown, small(f"{int(count)}")),
                    css="shade",
                    shade=share,
                )
            )
        rows.append(cells)
    head: Row = [Markup('<span class="corner">predicted →<br>true ↓</span>'), *names]
    bound = ", an upper bound" if is_upper_bound(method) else ""
    title = Markup("<b>{}</b>{}").format(method.label, bound)
    return table(title, [head], rows, css="matrix", sortable=False)
