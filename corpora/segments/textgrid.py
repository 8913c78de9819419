"""Praat TextGrid files: intervals on tiers, in the long or the short text form.

Praat reads a text file by its free-standing numbers, quoted texts and <flags>; everything else
("xmin =", "intervals [1]:") is for people. Read that way, both forms are the same.
Source: Praat manual, "TextGrid file formats".
"""

import re
from collections.abc import Iterator
from pathlib import Path

from amanda.store.errors import InputError
from corpora.segments.segment import (
    Segment,
    is_part_of_utterances,
    read_text,
    seconds,
    speaker_of,
)

_TOKEN = re.compile(
    r'"(?P<text>(?:[^"]|"")*)"'
    r"|<(?P<flag>\w+)>"
    r"|(?<!\S)(?P<number>[+-]?[\d.][^\s\"]*)"
    r"|![^\n]*"  # a comment
    r"|[^\s\"<!]+|<|\""
)


class _Tokens:
    """The free-standing values of a file, one at a time, each with its line."""

    def __init__(self, path: Path, content: str):
        self.path, self.content = path, content
        self.line, self._counted = 1, 0
        self._values = self._scan()

    def _scan(self) -> Iterator[tuple[str, str]]:
        for match in _TOKEN.finditer(self.content):
            self.line += self.content.count("\n", self._counted, match.start())
            self._counted = match.start()
            if match.lastgroup is not None:
                yield match.lastgroup, match[match.lastgroup]
            elif match[0] == '"':
                raise InputError(f"{self.where}: a quotation mark that is not closed")

    @property
    def where(self) -> str:
        return f"{self.path}, line {self.line}"

    def take(self, kind: str, what: str) -> str:
        found, value = next(self._values, ("end", ""))
        if found != kind:
            seen = "the end of the file" if found == "end" else f"'{' '.join(value.split())[:40]}'"
            raise InputError(f"{self.where}: {seen} where {what} is due; save it from Praat again")
        return value.replace('""', '"')

    def text(self, what: str) -> str:
        return self.take("text", what)

    def number(self, what: str) -> float:
        return seconds(self.take("number", what), what, self.where)

    def count(self, what: str) -> int:
        value = self.number(what)
        if value != int(value) or value < 0:
            raise InputError(f"{self.where}: {what} {value:g} is no count")
        return int(value)


def read_textgrid(path: Path) -> list[Segment]:
    """The intervals with a text, tier by tier; points are left out.

    Raises:
        InputError: the file is no TextGrid, or breaks off; the line is named.
    """
    content = read_text(path)
    if content.startswith("ooBinaryFile"):
        raise InputError(f"{path}: a binary TextGrid; save it from Praat as text")
    tokens = _Tokens(path, content)
    if tokens.text("the file type") != "ooTextFile":
        raise InputError(f"{path}, line 1: not a TextGrid in Praat's text form; save it as one")
    kind = tokens.text("the object class")
    if kind != "TextGrid":
        raise InputError(f"{tokens.where}: a Praat {' '.join(kind.split())[:40]}, not a TextGrid")
    tokens.number("the start")
    tokens.number("the end")
    tokens.take("flag", "<exists>")
    segments: list[Segment] = []
    for _ in range(tokens.count("the number of tiers")):
        segments += _tier(tokens)
    return segments


def _tier(tokens: _Tokens) -> list[Segment]:
    kind = tokens.text("a tier's class")
    if kind not in ("IntervalTier", "TextTier"):
        raise InputError(
            f"{tokens.where}: a tier of class '{' '.join(kind.split())[:40]}'; intervals or points"
        )
    name = tokens.text("a tier's name")
    tokens.number("a tier's start")
    tokens.number("a tier's end")
    found: list[Segment] = []
    for _ in range(tokens.count("the number of intervals")):
        start_s = tokens.number("an interval's start")
        if kind == "TextTier":
            tokens.text("a point's mark")
            continue
        line = tokens.line
        end_s = tokens.number("an interval's end")
        text = " ".join(tokens.text("an interval's text").split())
        if text:
            found.append(
                Segment(
                    start_s=start_s,
                    end_s=end_s,
                    speaker=speaker_of(name),
                    text=text,
                    tier=name,
                    is_detail=is_part_of_utterances(name),
                    line=line,
                )
            )
    return found
