"""Parsing a manifest row by row: every sound row, and a sentence for everything that is wrong."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from amanda.store.errors import InputError, nearest
from amanda.store.names import ORIGINS, RECORDED, SPLITS
from amanda.store.utterance import OPTIONAL, REQUIRED, SHARE_PREFIX, Utterance

MAX_FIELD_CHARS = 1_000_000
_MOST_CHARS = 300
NUMBERS = ("start_s", "end_s", "audio_start_s", "valence", "arousal", "dominance")
WHOLE_NUMBERS = ("channel", "n_raters")

# Shares are written with 6 decimals, so a sum of a few may exceed 1 by their rounding.
_SHARE_SLACK = 1e-4
_CONTROL = re.compile(r"[\x00-\x1f]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def scan(path: Path, classes: Sequence[str] | None) -> Iterator[Utterance | str]:
    """Yield each sound row, and a sentence for each problem, in file order.

    Raises:
        InputError: the file cannot be read as a manifest at all.
    """
    return (item for _, item in scan_lines(path, classes))


def scan_lines(path: Path, classes: Sequence[str] | None) -> Iterator[tuple[int, Utterance | str]]:
    """As `scan`, each item with the line that it begins on; 0 for what has no line."""
    reader, header = _open(path)
    yield from ((1, problem) for problem in _header_problems(path, header, classes))
    first_line: dict[str, int] = {}
    n_rows = 0
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield line, f"{path}, line {line}: not CSV ({error}); check the quotes"
            return
        if not cells:
            continue
        n_rows += 1
        if len(cells) != len(header):
            yield (
                line,
                f"{path}, line {line}: {len(cells)} fields, but the header names {len(header)}; "
                "quote fields that hold commas",
            )
            continue
        values = dict(zip(header, (c.strip() for c in cells), strict=True))
        utterance, problems = parse_row(values, classes)
        for problem in problems:
            yield line, f"{path}, line {line}: {_one_line(problem)}"
        if utterance is None:
            continue
        if utterance.id in first_line:
            yield (
                line,
                f"{path}, line {line}: id '{utterance.id}' stands on line "
                f"{first_line[utterance.id]} already; ids must be unique",
            )
            continue
        first_line[utterance.id] = line
        yield line, utterance
    if not n_rows:
        yield 0, f"{path}: no rows under the header; add one row an utterance"


def read_header(path: Path) -> list[str]:
    """The names of the columns. Raises `InputError` when the file cannot be read as CSV."""
    return _open(Path(path))[1]


def parse_row(
    values: dict[str, str], classes: Sequence[str] | None
) -> tuple[Utterance | None, list[str]]:
    """Parse one row: the utterance (None when any cell is wrong) and what is wrong with it."""
    problems: list[str] = []
    who = values.get("id") or "(no id)"
    number = {n: _number(who, n, values.get(n, ""), problems) for n in NUMBERS}
    whole = {n: _whole_number(who, n, values.get(n, ""), problems) for n in WHOLE_NUMBERS}
    shares = _shares(who, values, problems)
    if not values.get("id"):
        problems.append("no id; every row needs one of its own")
    for name in ("id", "path", "audio_path"):
        if _CONTROL.search(values.get(name, "")):
            problems.append(f"{who}: {name} holds a line break or a tab; check the quotes")
    if not values.get("path") and not values.get("audio_path") and not values.get("text"):
        problems.append(f"{who}: no path, audio_path or text; an utterance needs at least one")
    start_s, end_s = number["start_s"], number["end_s"]
    for name in ("start_s", "audio_start_s"):
        value = number[name]
        if value is not None and value < 0:
            problems.append(f"{who}: {name} {value:g} is below 0; clamp it to 0")
    if end_s is not None and end_s <= (start_s or 0.0):
        problems.append(f"{who}: end_s {end_s:g} ≤ start_s {start_s or 0.0:g}; times are seconds")
    label = values.get("label", "")
    if label and classes is not None and label not in classes:
        problems.append(
            f"{who}: label '{label}' is not a class; {nearest(label, list(classes))}, or say what "
            "class it is: amanda manifest --corpus csv --label-map FILE.yaml"
        )
    split = values.get("split", "train")
    if split not in SPLITS:
        problems.append(f"{who}: split '{split}' is unknown; use {', '.join(SPLITS)}")
    origin = values.get("origin", "") or RECORDED
    if origin not in ORIGINS:
        problems.append(f"{who}: origin '{origin}' is unknown; use {', '.join(ORIGINS)}")
    region = _region(who, values.get("region", ""), problems)
    if problems:
        return None, problems
    return Utterance(
        id=values["id"],
        path=values["path"],
        start_s=start_s,
        end_s=end_s,
        text=values.get("text", ""),
        label=label,
        speaker=values.get("speaker", ""),
        group=values.get("group", "") or values.get("speaker", ""),
        split=split,
        audio_path=values.get("audio_path", ""),
        audio_start_s=number["audio_start_s"],
        channel=whole["channel"],
        region=region,
        language=values.get("language", ""),
        valence=number["valence"],
        arousal=number["arousal"],
        dominance=number["dominance"],
        n_raters=whole["n_raters"],
        origin=origin,
        shares=shares,
    ), []


def _open(path: Path) -> tuple[Any, list[str]]:
    """A csv reader that stands after the header, and the header."""
    csv.field_size_limit(MAX_FIELD_CHARS)
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        return reader, [name.strip() for name in next(reader)]
    except StopIteration:
        raise InputError(
            f"{path}: empty; the first line must name the columns {', '.join(REQUIRED)}"
        ) from None
    except csv.Error as error:
        raise InputError(f"{path}, line 1: not CSV ({error}); check the quotes") from error


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a manifest CSV"
        ) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{path}, line {line}: a NUL byte; save the file as plain UTF-8 CSV")
    return text


def _one_line(problem: str) -> str:
    """A cell that a sentence quotes may be long and may hold line breaks."""
    text = " ".join(problem.split())
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]} …"


_USUAL_NAMES = {
    "utterance": "id",
    "utterance_id": "id",
    "clip_id": "id",
    "name": "id",
    "file": "path",
    "filename": "path",
    "file_name": "path",
    "filepath": "path",
    "file_path": "path",
    "clip": "path",
    "video": "path",
    "emotion": "label",
    "class": "label",
    "start": "start_s",
    "end": "end_s",
    "transcript": "text",
    "subject": "speaker",
}
"""What others call our columns; the nearest by letters would be another one (emotion: region)."""


def _header_problems(path: Path, header: list[str], classes: Sequence[str] | None) -> Iterator[str]:
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            raise InputError(f"{path}, line 1: columns parted by {word}; save it with commas")
    needed = [name for name in ("id", "path") if name not in header]
    if needed:
        usual = [name for name in header if _USUAL_NAMES.get(name.lower()) == needed[0]]
        mend = f"rename '{usual[0]}'" if usual else f"a manifest has {', '.join(REQUIRED)}"
        raise InputError(f"{path}, line 1: no column '{needed[0]}'; {mend}")
    for name, count in Counter(header).items():
        if count > 1:
            yield f"{path}, line 1: column '{name}' stands {count} times; keep one"
    known = [*REQUIRED, *OPTIONAL]
    for name in header:
        if name.startswith(SHARE_PREFIX):
            share = name.removeprefix(SHARE_PREFIX)
            if classes is not None and share not in classes:
                end = nearest(name, [SHARE_PREFIX + c for c in classes])
                yield f"{path}, line 1: column '{name}' is the share of no class; {end}"
        elif name not in known:
            meant = _USUAL_NAMES.get(name.lower())
            is_missing = meant is not None and meant not in header
            end = f"did you mean '{meant}'?" if is_missing else nearest(name, known)
            yield f"{path}, line 1: unknown column '{name}'; {end}"


def _number(who: str, name: str, cell: str, problems: list[str]) -> float | None:
    if not cell:
        return None
    # float() alone would also take 1_000 and nan.
    value = float(cell) if _NUMBER.fullmatch(cell) else math.nan
    if not math.isfinite(value):
        problems.append(f"{who}: {name} '{cell}' is not a finite number")
        return None
    return value


def _whole_number(who: str, name: str, cell: str, problems: list[str]) -> int | None:
    value = _number(who, name, cell, problems)
    if value is None:
        return None
    if value != int(value) or value < 0:
        problems.append(f"{who}: {name} '{cell}' is not a whole number from 0 up")
        return None
    return int(value)


def _shares(who: str, values: dict[str, str], problems: list[str]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for name in [name for name in values if name.startswith(SHARE_PREFIX) and values[name]]:
        cell = values[name]
        share = _number(who, name, cell, problems)
        if share is not None and not 0 <= share <= 1:
            problems.append(f"{who}: {name} {cell} is not a fraction from 0 to 1")
        elif share is not None:
            shares[name.removeprefix(SHARE_PREFIX)] = share
    if sum(shares.values()) > 1 + _SHARE_SLACK:
        problems.append(f"{who}: label shares sum to {sum(shares.values()):g}; at most 1")
    return shares


def _region(who: str, cell: str, problems: list[str]) -> tuple[float, float, float, float] | None:
    if not cell:
        return None
    parts = [part.strip() for part in cell.split(",")]
    if len(parts) != 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        problems.append(f"{who}: region '{cell}' is not four numbers x0,y0,x1,y1")
        return None
    x0, y0, x1, y1 = (float(part) for part in parts)
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        problems.append(
            f"{who}: region '{cell}' is not x0 < x1 and y0 < y1 within 0 to 1; "
            "give fractions of the frame, not pixels"
        )
        return None
    return (x0, y0, x1, y1)
