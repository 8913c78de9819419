"""`amanda.tables.Table` as text for a terminal, as Markdown and as LaTeX (booktabs)."""

import math
import re
from collections.abc import Callable

from amanda.result_text import COLUMNS, STANDIN_SENTENCE, aligned
from amanda.store.names import split_pair
from amanda.tables import Cell, Table, TableRow

NAMES = {**COLUMNS, "ece": "calibration error (ECE)"}
FORMS = ("plain", "markdown", "latex")

_LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "∞": r"$\infty$",
    "→": r"$\rightarrow$",
    "−": r"$-$",
    "±": r"$\pm$",
    "↓": r"$\downarrow$",
}


def as_plain(table: Table) -> str:
    """Aligned columns; the best of a column between two underscores."""
    lines = aligned(_grid(table, lambda c: _cell(c, " ± ", lambda text: f"_{text}_"), _arrow))
    return "\n".join([*_sentences(table, "_x_"), "", *lines])


def as_markdown(table: Table) -> str:
    """A pipe table, sentences under it."""
    head, *rows = _grid(table, lambda c: _cell(c, " ± ", lambda text: f"**{text}**"), _arrow)
    lines = ["| " + " | ".join(row) + " |" for row in ([head, *rows])]
    rule = "|---|" + "---:|" * (len(head) - 1)
    return "\n".join([lines[0], rule, *lines[1:], "", *_sentences(table, "**bold**")])


def as_latex(table: Table) -> str:
    """A table environment for a paper; needs the package booktabs.

    Stand-in corpora are named in the caption, so that the table cannot be used without.
    """

    def cell(c: Cell) -> str:
        marked = _cell(c, r" {\scriptsize$\pm$ ", lambda text: rf"\textbf{{{text}}}", end="}")
        return marked.replace("↓", _LATEX["↓"])

    head, *rows = _grid(table, cell, lambda pair: latex(_arrow(pair)))
    n_bounds = sum(row.upper_bound for row in table.rows)
    body = [" & ".join([latex_label(row[0]), *row[1:]]) + r" \\" for row in rows]
    if 0 < n_bounds < len(body):
        body.insert(len(body) - n_bounds, r"\midrule")
    caption = " ".join(latex(s) for s in _sentences(table, "Bold"))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{l{'r' * len(table.pairs)}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def latex(text: str) -> str:
    """`text` with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(character, character) for character in text)


def latex_label(label: str) -> str:
    """A method's label with its parameter in mathematics: A-N (p=2) is A-N ($p=2$)."""
    found = re.fullmatch(r"(.*)\(([pt])=([^)]+)\)(.*)", label)
    if found is None:
        return latex(label)
    before, letter, value, after = found.groups()
    value = r"\infty" if value == "∞" else latex(value)
    return f"{latex(before)}(${letter}={value}$){latex(after)}"


def _grid(
    table: Table, cell: Callable[[Cell], str], column: Callable[[str], str]
) -> list[list[str]]:
    """Head and rows; upper bounds last."""
    rows: list[TableRow] = sorted(table.rows, key=lambda row: row.upper_bound)
    return [
        ["Method", *(column(pair) for pair in table.pairs)],
        *(
            [
                row.label,
                *(cell(row.cells[pair]) if pair in row.cells else "–" for pair in table.pairs),
            ]
            for row in rows
        ),
    ]


def _cell(cell: Cell, plus_minus: str, bold: Callable[[str], str], end: str = "") -> str:
    if not cell.values:
        return "–"
    text = f"{100 * cell.mean:.1f}"
    text = bold(text) if cell.best else text
    if not math.isnan(cell.std):
        text += f"{plus_minus}{100 * cell.std:.1f}{end}"
    return text + ("*" if _differs(cell) else "") + ("↓" if cell.negative else "")


def _differs(cell: Cell) -> bool:
    alpha = 0.05 if cell.difference is None else 1 - cell.difference.level
    return not math.isnan(cell.p_holm) and cell.p_holm < alpha


def _arrow(pair: str) -> str:
    return "→".join(split_pair(pair))


def _sentences(table: Table, bold: str) -> list[str]:
    """What the cells are, in words; only marks that are there are explained."""
    cells = [cell for row in table.rows for cell in row.cells.values()]
    counts = " or ".join(map(str, (n for n in table.n_runs if n)))
    spread = ", mean ± sample standard deviation" if max(table.n_runs, default=0) > 1 else ""
    chosen = "last epoch" if table.selection == "last" else f"epoch chosen by {table.selection}"
    name = NAMES[table.metric]
    lines = [
        f"{name[0].upper()}{name[1:]} on the target's test split in percent{spread} over "
        f"{counts} run(s); {chosen}."
    ]
    if any(cell.best for cell in cells):
        lines.append(f"{bold}: best of the column.")
    if any(_differs(cell) for cell in cells):
        lines.append(
            "*: differs from D.T. with the same inputs (bootstrap over speakers and runs, Holm "
            f"over the column, level {1 - table.level:.2g})."
        )
    if any(cell.negative for cell in cells):
        lines.append("↓: negative transfer, below D.T. with the same inputs.")
    if any(row.upper_bound for row in table.rows):
        bounds = ", ".join(row.label for row in table.rows if row.upper_bound)
        lines.append(f"{bounds}: trained on target labels, an upper bound.")
    if table.selection == "oracle":
        lines.append("The oracle chooses by target test labels: an upper bound, never a result.")
    if table.shared:
        lines.append(f"All methods: {table.shared}.")
    if table.standin:
        which = "" if len(table.standin) == len(table.pairs) else f" ({', '.join(table.standin)})"
        lines.append(f"{STANDIN_SENTENCE}{which}.")
    return lines
