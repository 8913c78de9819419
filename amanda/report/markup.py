"""HTML in pieces: tables, figures, notes. Everything that is not `Markup` is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass

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


def table(
    caption: Text,
    head: Sequence[Row],
    rows: Sequence[Row],
    *,
    css: str = "",
    groups: Sequence[tuple[Text, Sequence[Row]]] = (),
) -> Markup:
    """A table whose first column names the rows; it scrolls sideways by itself on a narrow screen.

    Args:
        head: one or two header rows.
        rows: body rows.
        groups: further bodies, each under a heading that spans the table.
    """
    width = sum(c.span if isinstance(c, Cell) else 1 for c in head[-1])
    bodies = [Markup("<tbody>{}</tbody>").format(_rows(rows))] if rows else []
    for title, group in groups:
        heading = Markup(
            '<tr class="group"><th colspan="{}" scope="rowgroup"><span>{}</span></th></tr>'
        ).format(width, title)
        bodies.append(Markup("<tbody>{}{}</tbody>").format(heading, _rows(group)))
    return Markup(
        '<figure class="table {}"><figcaption>{}</figcaption><div class="scroll" tabindex="0">'
        "<table><thead>{}</thead>{}</table></div></figure>"
    ).format(
        css,
        caption,
        Markup("").join(_row(row, head=True) for row in head),
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


def code(text: str) -> Markup:
    """Commands to copy."""
    return Markup('<pre tabindex="0"><code>{}</code></pre>').format(text)


def details(summary: Text, content: Markup) -> Markup:
    """What is folded away until it is asked for."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, content)


def small(text: Text) -> Markup:
    """A second line in a cell."""
    return Markup('<span class="small">{}</span>').format(text)


def percent(value: float | None, digits: int = 1) -> str:
    """'57.6' for .576, '–' for None."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def _rows(rows: Sequence[Row]) -> Markup:
    return Markup("").join(_row(row, head=False) for row in rows)


def _row(row: Row, *, head: bool) -> Markup:
    cells = []
    for number, item in enumerate(row):
        cell = item if isinstance(item, Cell) else Cell(item)
        tag = "th" if head or number == 0 else "td"
        attributes = Markup("")
        if tag == "th":
            scope = "row" if not head else "colgroup" if cell.span > 1 else "col"
            attributes += Markup(' scope="{}"').format(scope)
        if cell.css:
            attributes += Markup(' class="{}"').format(cell.css)
        if cell.span > 1:
            attributes += Markup(' colspan="{}"').format(cell.span)
        if cell.shade is not None:
            attributes += Markup(' style="--shade:{}"').format(f"{cell.shade:.3f}")
        cells.append(Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), attributes, escape(cell.text)))
    return Markup("<tr>{}</tr>").format(Markup("").join(cells))
