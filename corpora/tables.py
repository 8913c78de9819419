"""CSV files of corpora, one row a line, so that a broken quote costs its own line and no other."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from amanda.store.errors import InputError
from amanda.store.manifest_rows import MAX_FIELD_CHARS
from corpora.tree import Tree


class TableRow(NamedTuple):
    """A line of a table.

    Attributes:
        line: its number, from 1.
        cells: by the names of `read_table`; None where the line does not parse.
    """

    line: int
    cells: dict[str, str] | None


def table_columns(header: Sequence[str], names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Where each name's column is: the first whose title is one of the name's, in any case."""
    titles = [title.strip().lower() for title in header]
    return {
        name: titles.index(spelling)
        for name, spellings in names.items()
        if (spelling := next((s for s in spellings if s in titles), None)) is not None
    }


def read_table(
    tree: Tree,
    file: str,
    names: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    *,
    encoding: str = "utf-8",
) -> Iterator[TableRow]:
    """Yield the rows of a CSV under a header.

    Args:
        names: of each column wanted, the titles that it may have, in lower case.
        needed: names whose column must be there.
        encoding: of lines that are not UTF-8.

    Raises:
        InputError: the file cannot be read, is empty, or lacks a column that is needed.
    """
    lines = tree.lines(file, encoding=encoding)
    path = tree.root / file
    header = _split(next(lines, (1, ""))[1])
    if not header:
        raise InputError(f"{path}, line 1: no header; the first line names the columns")
    columns = table_columns(header, names)
    for name in needed:
        if name not in columns:
            raise InputError(
                f"{path}, line 1: no column '{names[name][0]}'; it has {', '.join(header)}"
            )
    for number, line in lines:
        if not line.strip():
            continue
        values = _split(line)
        if values is None or len(values) != len(header):
            yield TableRow(number, None)
        else:
            yield TableRow(number, {name: values[at].strip() for name, at in columns.items()})


def header_of(tree: Tree, file: str) -> list[str]:
    """The titles of a CSV's columns, [] where its first line is none of a CSV.

    Raises:
        InputError: the line cannot be read.
    """
    return _split(next(tree.lines(file), (1, ""))[1]) or []


def _split(line: str) -> list[str] | None:
    csv.field_size_limit(MAX_FIELD_CHARS)
    try:
        return next(csv.reader([line], strict=True), None)
    except csv.Error:
        return None
