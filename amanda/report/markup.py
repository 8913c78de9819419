"""HTML in pieces: tables, figures, notes. Everything that is not `Markup` is escaped."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

Text = str | Markup


@dataclass(frozen=True)
class Cell:
    """A table cell with attributes of its own.

    Attributes:
        css: class names.
        shade: 0 to 1, how strongly its ground is tinted; None for not at all.
        span: columns it covers.
    """

    text: Text
    css: str = ""
    shade: float | None = None
    span: int = 1


Row = Sequence[Text | Cell]

FEWEST_TO_SORT = 3
"""Rows of a body from which on sorting it is of use."""
MISSING = "-999999999"
"""What a cell without a number sorts by: below every number."""
_NUMBER = re.compile(r"[+−-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?(?=$|[\s%±·–])")


def table(
    caption: Text,
    head: Sequence[Row],
    rows: Sequence[Row],
    *,
    css: str = "",
    groups: Sequence[tuple[Text, Sequence[Row]]] = (),
    sortable: bool = True,
) -> Markup:
    """A table whose first column names the rows; it scrolls sideways by itself on a narrow screen.

    Args:
        head: one or two header rows.
        rows: body rows.
        groups: further bodies, each under a heading that spans the table.
        sortable: whether the reader may sort it by a column, each body by itself, where a body
            has rows enough. A row of totals stays where it is.
    """
    every = [rows, *(group for _, group in groups)]
    sortable = sortable and any(len(body) >= FEWEST_TO_SORT for body in every)
    columns = _columns(head[-1], [row for body in every for row in body]) if sortable else ()
    width = sum(c.span if isinstance(c, Cell) else 1 for c in head[-1])
    bodies = [Markup("<tbody>{}</tbody>").format(_rows(rows, columns))] if rows else []
    for title, group in groups:
        heading = Markup(
            '<tr data-sort-method="none" class="group">'
            '<th colspan="{}" scope="rowgroup"><span>{}</span></th></tr>'
        ).format(width, title)
        bodies.append(Markup("<tbody>{}{}</tbody>").format(heading, _rows(group, columns)))
    return Markup(
        '<figure class="table {}"><figcaption>{}</figcaption><div class="scroll" tabindex="0">'
        "<table{}><thead>{}</thead>{}</table></div></figure>"
    ).format(
        css,
        caption,
        Markup(' class="sortable"') if columns else "",
        Markup("").join(
            _row(row, head=True, columns=columns if number == len(head) - 1 else ())
            for number, row in enumerate(head)
        ),
        Markup("").join(bodies),
    )


def figure(caption: Text, panels: Sequence[Markup], *, css: str = "") -> Markup:
    """Panels side by side as far as there is room, over one caption."""
    return Markup(
        '<figure class="plot {}"><div class="panels">{}</div><figcaption>{}</figcaption></figure>'
    ).format(css, Markup("").join(panels), caption)


def paragraphs(*texts: Text) -> Markup:
    """One `<p>` a text."""
    return Markup("").join(Markup("<p>{}</p>").format(text) for text in texts)


def bullets(items: Sequence[Text]) -> Markup:
    """An unordered list."""
    return Markup("<ul>{}</ul>").format(
        Markup("").join(Markup("<li>{}</li>").format(item) for item in items)
    )


def note(text: Text) -> Markup:
    """A remark set smaller than the text."""
    return Markup('<p class="note">{}</p>').format(text)


def code(text: Text) -> Markup:
    """Commands to copy."""
    return Markup('<pre tabindex="0"><code>{}</code></pre>').format(text)


def commands(lines: Sequence[str]) -> Markup:
    """Commands to copy, one a line; a narrow screen does not break an option after its dashes."""
    shown = (
        Markup(" ").join(
            Markup("<span>{}</span>").format(word) if word.startswith("-") else word
            for word in line.split(" ")
        )
        for line in lines
    )
    return code(Markup("\n").join(shown))


def details(summary: Text, content: Markup) -> Markup:
    """What is folded away until it is asked for."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, content)


def small(text: Text) -> Markup:
    """A second line in a cell."""
    return Markup('<span class="small">{}</span>').format(text)


def percent(value: float | None, digits: int = 1) -> str:
    """'57.6' for .576, '–' for None."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def label_use(uses: Iterable[str]) -> str:
    """What touched target labels before testing, as `target_labels_used` of a result has it.

    >>> label_use(["supervised:train,val"])
    'Target labels were used before testing by: supervised (train, val).'
    """
    parts = (use.partition(":") for use in sorted(set(uses)))
    said = [f"{who} ({what.replace(',', ', ')})" for who, _, what in parts]
    return f"Target labels were used before testing by: {'; '.join(said)}."


def shown_path(path: Path) -> str:
    """A path as the user gave it; of an absolute one its name alone, since folders name people."""
    return path.name if path.is_absolute() else path.as_posix()


def sort_key(text: Text) -> str | None:
    """What a cell sorts by where its column is one of numbers; None for a cell of words.

    >>> [sort_key(text) for text in ("−1.2 to 3", "▽ 57.6 ± 1.2", "1,400", "–", "A-N (p=2)")]
    ['-1.2', '57.6', '1400', '-999999999', None]
    """
    # What stands in a tag of its own is apart from what stands before it.
    words = Markup(str(text).replace("<", " <")).striptags() if isinstance(text, Markup) else text
    if words.strip() in ("", "–"):
        return MISSING
    found = _NUMBER.match(words.lstrip("▽▼ "))
    if found is None:
        return None
    return f"{float(found[0].replace('−', '-').replace(',', '')):.12g}"


def _columns(head: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    """Of each column how it sorts: "number", "text", or "none" where it is without a head or empty.

    Nothing at all where cells span columns.
    """
    if any(isinstance(cell, Cell) and cell.span > 1 for row in (head, *rows) for cell in row):
        return ()
    kinds = []
    for column in range(len(head)):
        keys = [sort_key(_text(row[column])) for row in rows]
        if not str(_text(head[column])) or all(key == MISSING for key in keys):
            kinds.append("none")
        else:
            kinds.append("number" if all(keys) else "text")
    return tuple(kinds)


def _text(item: Text | Cell) -> Text:
    return item.text if isinstance(item, Cell) else item


def _rows(rows: Sequence[Row], columns: Sequence[str]) -> Markup:
    return Markup("").join(_row(row, head=False, columns=columns) for row in rows)


def _row(row: Row, *, head: bool, columns: Sequence[str]) -> Markup:
    """A row; with `columns`, it says how or by what each of its cells sorts."""
    total = not head and all(isinstance(c, Cell) and "total" in c.css.split() for c in row)
    cells = []
    for number, item in enumerate(row):
        cell = item if isinstance(item, Cell) else Cell(item)
        tag = "th" if head or number == 0 else "td"
        attributes = Markup("")
        if tag == "th":
            scope = "row" if not head else "colgroup" if cell.span > 1 else "col"
            attributes += Markup(' scope="{}"').format(scope)
        if columns and head:
            attributes += Markup(' data-sort-method="{}"').format(columns[number])
            if columns[number] == "text":  # numbers start with the largest, words with A
                attributes += Markup(" data-sort-reverse")
        elif columns and columns[number] == "number":
            attributes += Markup(' data-sort="{}"').format(sort_key(cell.text))
        if cell.css:
            attributes += Markup(' class="{}"').format(cell.css)
        if cell.span > 1:
            attributes += Markup(' colspan="{}"').format(cell.span)
        if cell.shade is not None:
            attributes += Markup(' style="--shade:{}"').format(f"{cell.shade:.3f}")
        cells.append(Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), attributes, escape(cell.text)))
    fixed = Markup(' data-sort-method="none"') if total else Markup("")
    return Markup("<tr{}>{}</tr>").format(fixed, Markup("").join(cells))
