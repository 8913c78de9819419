"""The manifest: one CSV row (UTF-8) an utterance, the contract between `corpora` and `extractors`.

Times are seconds. `path` and `audio_path` are relative to the CSV's folder, or absolute. Empty
`start_s`/`end_s` mean the whole file; an empty label means unlabelled. `region` is x0,y0,x1,y1 as
fractions of the frame. When `audio_path` is given it runs on the clock of `path`, unless
`audio_start_s` says where in it the utterance begins (0 for a file of this utterance alone).
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from amanda.store.atomic import atomic_path
from amanda.store.errors import InputError, nearest
from amanda.store.names import CLASSES, ORIGINS, RECORDED, SPLITS

REQUIRED = ("id", "path", "start_s", "end_s", "text", "label", "speaker", "group", "split")
SHARE_PREFIX = "p_"
MAX_FIELD_CHARS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One row of a manifest.

    Attributes:
        label: a class name, or "" when unlabelled.
        group: what a speaker-independent split must keep together.
        channel: index from 0 of the audio channel to take; None for a mono file.
        region: x0, y0, x1, y1 of where the person is, as fractions of the frame.
        valence, arousal, dominance: the corpus's own scale, None when it has none.
        shares: fraction of the raters that chose each class, empty when unknown.
        origin: "recorded", or "stand-in" for generated corpora.
    """

    id: str
    path: str
    start_s: float | None = None
    end_s: float | None = None
    text: str = ""
    label: str = ""
    speaker: str = ""
    group: str = ""
    split: str = "train"
    audio_path: str = ""
    audio_start_s: float | None = None
    channel: int | None = None
    region: tuple[float, float, float, float] | None = None
    language: str = ""
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    n_raters: int | None = None
    origin: str = RECORDED
    shares: dict[str, float] = field(default_factory=dict)


OPTIONAL = tuple(f.name for f in fields(Utterance) if f.name not in (*REQUIRED, "shares"))


def read_manifest(path: Path, *, classes: Sequence[str] = CLASSES) -> list[Utterance]:
    """Read a manifest whole.

    Raises:
        InputError: the file, or any row of it, breaks the contract; the message names the first
            problem and how many more there are (`amanda check FILE` lists them all).
    """
    rows: list[Utterance] = []
    problems: list[str] = []
    for item in _scan(path, classes):
        if isinstance(item, Utterance):
            rows.append(item)
        else:
            problems.append(item)
    if problems:
        more = f" ({len(problems) - 1} more: amanda check {path})" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)
    return rows


def check_manifest(path: Path, *, classes: Sequence[str] = CLASSES) -> list[str]:
    """Every problem of a manifest, one sentence each, with its line number; empty when sound."""
    try:
        return [item for item in _scan(path, classes) if isinstance(item, str)]
    except InputError as error:
        return [str(error)]


def write_manifest(path: Path, rows: Iterable[Utterance]) -> None:
    """Write `rows`, whole or not at all. Optional columns that are empty everywhere are left out."""
    rows = list(rows)
    default = Utterance(id="", path="")
    columns = [*REQUIRED]
    columns += [c for c in OPTIONAL if any(getattr(r, c) != getattr(default, c) for r in rows)]
    shares = sorted({name for row in rows for name in row.shares}, key=_share_order)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns + [SHARE_PREFIX + name for name in shares])
        for row in rows:
            cells = [_cell(getattr(row, column)) for column in columns]
            writer.writerow(cells + [_cell(row.shares.get(name)) for name in shares])


def resolve_path(manifest: Path, path: str) -> Path:
    """Where a `path` or `audio_path` of this manifest lies."""
    return (Path(manifest).parent / path).resolve()


def _share_order(name: str) -> tuple[int, str]:
    return (CLASSES.index(name) if name in CLASSES else len(CLASSES), name)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(_cell(v) for v in value)
    if isinstance(value, float):
        return repr(round(value, 6))
    return str(value)


def _scan(path: Path, classes: Sequence[str]) -> Iterator[Utterance | str]:
    """Yield each sound row, and a sentence for each problem. Streams; raises only when unreadable."""
    path = Path(path)
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
    csv.field_size_limit(MAX_FIELD_CHARS)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader)]
    except StopIteration:
        raise InputError(
            f"{path}: empty; the first line must name the columns {', '.join(REQUIRED)}"
        ) from None
    except csv.Error as error:
        raise InputError(f"{path}, line 1: not CSV ({error})") from error
    yield from _header_problems(path, header)
    first_line: dict[str, int] = {}
    n_rows = 0
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield f"{path}, line {line}: not CSV ({error}); check the quotes"
            return
        if not cells:
            continue
        n_rows += 1
        if len(cells) != len(header):
            yield (
                f"{path}, line {line}: {len(cells)} fields, but the header names {len(header)}; "
                "quote fields that hold commas"
            )
            continue
        values = dict(zip(header, (c.strip() for c in cells), strict=True))
        utterance, problems = _parse_row(values, classes)
        yield from (f"{path}, line {line}: {problem}" for problem in problems)
        if utterance is None:
            continue
        if utterance.id in first_line:
            yield (
                f"{path}, line {line}: id '{utterance.id}' stands on line "
                f"{first_line[utterance.id]} already; ids must be unique"
            )
            continue
        first_line[utterance.id] = line
        yield utterance
    if not n_rows:
        yield f"{path}: no rows under the header; add one row an utterance"


def _header_problems(path: Path, header: list[str]) -> Iterator[str]:
    known = [*REQUIRED, *OPTIONAL]
    for name, count in Counter(header).items():
        if count > 1:
            yield f"{path}, line 1: column '{name}' stands {count} times; keep one"
    needed = [n for n in ("id", "path") if n not in header]
    if needed:
        raise InputError(
            f"{path}, line 1: no column '{needed[0]}'; a manifest has {', '.join(REQUIRED)}"
        )
    for name in header:
        if name not in known and not name.startswith(SHARE_PREFIX):
            yield f"{path}, line 1: unknown column '{name}'; {nearest(name, known)}"


def _parse_row(
    values: dict[str, str], classes: Sequence[str]
) -> tuple[Utterance | None, list[str]]:
    """Parse one row: the utterance (None when any cell is wrong) and what is wrong with it."""
    problems: list[str] = []
    who = values.get("id") or "(no id)"
    number: dict[str, float | None] = {}
    for name in ("start_s", "end_s", "audio_start_s", "valence", "arousal", "dominance"):
        number[name] = _number(who, name, values.get(name, ""), problems)
    whole: dict[str, int | None] = {}
    for name in ("channel", "n_raters"):
        value = _number(who, name, values.get(name, ""), problems)
        if value is not None and (value != int(value) or value < 0):
            problems.append(f"{who}: {name} '{values[name]}' is not a whole number from 0 up")
            value = None
        whole[name] = None if value is None else int(value)
    shares: dict[str, float] = {}
    for name, cell in values.items():
        if name.startswith(SHARE_PREFIX) and cell:
            share = _number(who, name, cell, problems)
            if share is not None and not 0 <= share <= 1:
                problems.append(f"{who}: {name} {cell} is not a fraction from 0 to 1")
            elif share is not None:
                shares[name.removeprefix(SHARE_PREFIX)] = share
    if not values.get("id"):
        problems.append("no id; every row needs one of its own")
    if not values.get("path") and not values.get("audio_path") and not values.get("text"):
        problems.append(f"{who}: no path, audio_path or text; an utterance needs at least one")
    start_s, end_s = number["start_s"], number["end_s"]
    if start_s is not None and start_s < 0:
        problems.append(f"{who}: start_s {start_s:g} is below 0; clamp it to 0")
    if end_s is not None and end_s <= (start_s or 0.0):
        problems.append(f"{who}: end_s {end_s:g} ≤ start_s {start_s or 0.0:g}; times are seconds")
    label = values.get("label", "")
    if label and label not in classes:
        problems.append(f"{who}: label '{label}' is not a class; {nearest(label, list(classes))}")
    split = values.get("split", "") or "train"
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


def _number(who: str, name: str, cell: str, problems: list[str]) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        problems.append(f"{who}: {name} '{cell}' is not a number")
        return None
    if not math.isfinite(value):
        problems.append(f"{who}: {name} '{cell}' is not a finite number")
        return None
    return value


def _region(who: str, cell: str, problems: list[str]) -> tuple[float, float, float, float] | None:
    if not cell:
        return None
    try:
        x0, y0, x1, y1 = (float(part) for part in cell.split(","))
    except ValueError:
        problems.append(f"{who}: region '{cell}' is not four numbers x0,y0,x1,y1")
        return None
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        problems.append(
            f"{who}: region '{cell}' is not x0 < x1 and y0 < y1 within 0 to 1; "
            "give fractions of the frame, not pixels"
        )
        return None
    return (x0, y0, x1, y1)
