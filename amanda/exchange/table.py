"""Features in a CSV table: a row a frame, or a row an utterance.

The header names `id`, the feature columns and, if known, `time_s` and `valid`. The rows of an
utterance stand together, in the order of time. Commas, semicolons or tabs separate.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from amanda.exchange.clips import Clip, ClipTable, Found, Memory, Reading
from amanda.store.errors import InputError

_BESIDE = ("id", "time_s", "valid")
_MAX_FIELD_CHARS = 100_000


def read_table(path: Path, reading: Reading) -> Found:
    """What a CSV table holds; `reading.modality` says of which modality.

    Raises:
        InputError: the table cannot be read, or a cell is no number; the line is named.
    """
    if not reading.modality:
        raise InputError(f"{path}: a table is of one modality; say which, as acoustic={path}")
    table = ClipTable(str(path), reading)
    memory = Memory(str(path), reading.memory_bytes)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for first_line, file_id, clip in _clips(path, file, memory):
                try:
                    utterance_id = table.wants(file_id)
                except InputError as error:
                    raise InputError(
                        f"{path}, line {first_line}: id '{file_id[:99]}' stands further up too; "
                        "the rows of an utterance stand together"
                    ) from error
                if utterance_id is not None:
                    table.clips[utterance_id] = clip
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a CSV table") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error.reason}); save it as UTF-8") from error
    return Found(clips={reading.modality: table.clips}, extra={reading.modality: table.extra})


def _clips(path: Path, file: Iterator[str], memory: Memory) -> Iterator[tuple[int, str, Clip]]:
    """Each utterance's first line, id and frames, in file order."""
    first = next(file, "")
    separator = max(",;\t", key=first.count)
    header = [cell.strip() for cell in next(csv.reader([first], delimiter=separator), [])]
    if "id" not in header:
        raise InputError(
            f"{path}, line 1: no column 'id'; the header names id, the features and, if known, "
            "time_s and valid"
        )
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise InputError(f"{path}, line 1: column '{twice[:60]}' stands twice; keep one")
    features = [i for i, name in enumerate(header) if name not in _BESIDE]
    if not features:
        raise InputError(f"{path}, line 1: no feature columns beside {', '.join(header)}")
    place = {name: header.index(name) for name in _BESIDE if name in header}
    current, since, rows = "", 2, list[list[float]]()
    for line, cells in _rows(path, file, separator):
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {line}: {len(cells)} fields, but the header names {len(header)}"
            )
        file_id = cells[place["id"]].strip()
        if not file_id:
            raise InputError(f"{path}, line {line}: no id")
        if file_id != current:
            if rows:
                yield since, current, _clip(rows, place)
            current, since, rows = file_id, line, []
        wanted = [*features, *(place[name] for name in ("time_s", "valid") if name in place)]
        rows.append([_number(path, line, header[i], cells[i]) for i in wanted])
        memory.take(8 * len(wanted))
    if not rows:
        raise InputError(f"{path}: no rows under the header")
    yield since, current, _clip(rows, place)


def _rows(path: Path, file: Iterator[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_MAX_FIELD_CHARS)
    reader = csv.reader(file, delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 2
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}, line {line}: not CSV ({error}); check the quotes") from error
        if cells:
            yield line, cells


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        if "_" not in cell:  # Python reads 1_000 as a number; tables do not
            return float(cell)
    except ValueError:
        pass
    raise InputError(
        f"{path}, line {line}: {column[:60]} '{cell[:60]}' is not a number; every column but id "
        "holds numbers"
    )


def _clip(rows: list[list[float]], place: dict[str, int]) -> Clip:
    values = np.array(rows)
    valid = time_s = None
    if "valid" in place:
        values, valid = values[:, :-1], values[:, -1] != 0
    if "time_s" in place:
        values, time_s = values[:, :-1], values[:, -1]
    return Clip(values=values, time_s=time_s, valid=valid)
