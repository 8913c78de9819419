"""How arrays by name are laid out: padded, packed, or one an utterance.

id (N,)  acoustic (N, longest, width)  acoustic_lengths (N,)        padded
id (N,)  acoustic (sum T, width)       acoustic_offsets (N + 1,)    packed
acoustic/<id> (T, width)                                            one an utterance
<id> (T, width)                        of the modality that the caller names
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from amanda.exchange.arrays import StoredArray, open_hdf5, open_npz
from amanda.exchange.clips import (
    MODALITY_NAMES,
    Clip,
    ClipTable,
    Found,
    Memory,
    Reading,
    check_modality,
    frames,
    lengths,
    numbers,
    texts,
    unpad,
)
from amanda.store.errors import InputError
from amanda.store.features import IDENTITY_ATTRS

_CARRIED = (*IDENTITY_ATTRS, "sha256", "rate_hz", "dtype")
_VALUES = ("values", "features")
_PARTS = ("valid", "time_s", "status", "detail", "lengths", "offsets")


def read_npz(path: Path, reading: Reading) -> Found:
    """What an npz file holds. Raises `InputError`."""
    memory = Memory(str(path), reading.memory_bytes)
    with open_npz(path, memory) as arrays:
        return read_arrays(str(path), arrays, reading)


def read_hdf5(path: Path, reading: Reading) -> Found:
    """What an HDF5 file holds. Raises `InputError`."""
    memory = Memory(str(path), reading.memory_bytes)
    with open_hdf5(path, memory) as arrays:
        if "utterances/id" in arrays:
            raise InputError(f"{path}: is a feature file already; use it as it is")
        return read_arrays(str(path), arrays, reading)


def read_arrays(where: str, arrays: Mapping[str, StoredArray], reading: Reading) -> Found:
    """What arrays by name hold, by the layout that their names show.

    Raises:
        InputError: no layout fits, or the arrays do not fit together.
    """
    ids = next(
        (arrays[n] for n in ("id", "ids") if n in arrays and arrays[n].kind != "numbers"), None
    )
    if ids is not None:
        return _rows(where, texts(ids.read(), f"{where}: id"), arrays, reading)
    found = Found(attrs=_carried(where, arrays))
    for modality, prefix in _prefixes(where, arrays, reading):
        table = ClipTable(f"{where}: {modality}", reading)
        for file_id, parts in _by_id(arrays, prefix).items():
            utterance_id = table.wants(file_id)
            if utterance_id is not None:
                table.clips[utterance_id] = _clip(f"{where}: {prefix}{file_id[:99]}", parts)
        found.clips[modality], found.extra[modality] = table.clips, table.extra
    return found


def _prefixes(
    where: str, arrays: Mapping[str, StoredArray], reading: Reading
) -> Iterator[tuple[str, str]]:
    """The modalities of a file with one array an utterance, and how their names begin."""
    heads = {name.split("/", 1)[0] for name in arrays if "/" in name}
    known = {
        modality: next((n for n in names if n in heads), "")
        for modality, names in MODALITY_NAMES.items()
    }
    if reading.modality:
        head = known.get(reading.modality) or (
            reading.modality if reading.modality in heads else ""
        )
        yield reading.modality, f"{head}/" if head else ""
    elif any(known.values()):
        yield from ((modality, f"{head}/") for modality, head in known.items() if head)
    else:
        raise InputError(
            f"{where}: holds neither 'id' nor groups named acoustic, visual or lexical; say which "
            f"modality it holds, as acoustic={where}"
        )


def _by_id(arrays: Mapping[str, StoredArray], prefix: str) -> dict[str, dict[str, StoredArray]]:
    """The arrays under `prefix` by utterance: its values and what stands beside them."""
    names = [name for name in arrays if name.startswith(prefix) and name != "attrs"]
    whole = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in _VALUES}
    found: dict[str, dict[str, StoredArray]] = {}
    for name in names:
        owner, _, part = name.rpartition("/")
        if owner in whole and owner.startswith(prefix) and owner != prefix.rstrip("/"):
            part = "values" if part in _VALUES else part
            found.setdefault(owner.removeprefix(prefix), {})[part] = arrays[name]
        else:
            found.setdefault(name.removeprefix(prefix), {})["values"] = arrays[name]
    return found


def _clip(where: str, parts: Mapping[str, StoredArray]) -> Clip:
    values = frames(parts["values"].read(), where)
    if "time_s" in parts:
        time_s = numbers(parts["time_s"].read(), f"{where}: time_s", len(values))
    elif "intervals" in parts:  # (T, 2): start and end of each frame, as the CMU SDK writes them
        both = numbers(parts["intervals"].read(), f"{where}: intervals", 2 * len(values))
        time_s = both.reshape(-1, 2)[:, 0]
    else:
        time_s = None
    valid = parts["valid"].read() if "valid" in parts else None
    if valid is not None:
        valid = numbers(valid, f"{where}: valid", len(values)).astype(bool)
    return Clip(values=values, time_s=time_s, valid=valid)


def _rows(where: str, ids: list[str], arrays: Mapping[str, StoredArray], reading: Reading) -> Found:
    """Padded or packed arrays, a row an utterance."""
    found = Found(attrs=_carried(where, arrays))
    heads = {
        modality: next((n for n in names if n in arrays and arrays[n].kind != "texts"), "")
        for modality, names in MODALITY_NAMES.items()
    }
    if reading.modality:
        candidates = (heads.get(reading.modality, ""), reading.modality, *_VALUES)
        heads = {reading.modality: next((n for n in candidates if n in arrays), "")}
    if not any(heads.values()):
        raise InputError(
            f"{where}: holds no array named acoustic, visual or lexical beside 'id'; it holds "
            f"{', '.join(sorted(arrays))[:200]}"
        )
    for modality, head in heads.items():
        if head:
            parts = {p: arrays[f"{head}_{p}"] for p in _PARTS if f"{head}_{p}" in arrays}
            table = ClipTable(f"{where}: {modality}", reading)
            note = _fill_rows(table, ids, arrays[head].read(), parts, f"{where}: {head}")
            found.clips[modality], found.extra[modality] = table.clips, table.extra
            found.notes += [f"{modality}: {note}"] if note else []
    return found


def _fill_rows(
    table: ClipTable,
    ids: list[str],
    values: np.ndarray,
    parts: Mapping[str, StoredArray],
    where: str,
) -> str:
    """Put each utterance's own frames of padded or packed `values` into `table`."""
    n, note = len(ids), ""
    status = texts(parts["status"].read(), f"{where}_status") if "status" in parts else [""] * n
    detail = texts(parts["detail"].read(), f"{where}_detail") if "detail" in parts else [""] * n
    if len(status) != n or len(detail) != n:
        raise InputError(f"{where}: {len(status)} statuses and {len(detail)} details of {n} ids")
    if "offsets" in parts:
        rows = list(_packed(values, parts["offsets"].read(), n, where))
    else:
        if len(values) != n:
            raise InputError(f"{where}: {len(values)} rows, but {n} ids; one row an id is due")
        rows, note = _padded(values, parts, table.reading.padding, where)
    beside = _beside(values, parts, where)
    for i, (file_id, (part, row)) in enumerate(zip(ids, rows, strict=True)):
        utterance_id = table.wants(file_id)
        if utterance_id is None:
            continue
        own = {
            name: array[part] if "offsets" in parts else array[i][part]
            for name, array in beside.items()
        }
        table.clips[utterance_id] = Clip(
            values=frames(row, f"{where}, {file_id[:99]}"),
            time_s=own.get("time_s"),
            valid=own["valid"].astype(bool) if "valid" in own else None,
            status=status[i],
            detail=detail[i],
        )
    return note


def _beside(
    values: np.ndarray, parts: Mapping[str, StoredArray], where: str
) -> dict[str, np.ndarray]:
    """`time_s` and `valid`, which share the values' first axes."""
    names = [name for name in ("time_s", "valid") if name in parts]
    packed = "offsets" in parts
    if names and not packed and values.ndim < 3:
        raise InputError(
            f"{where}_{names[0]}: goes with values of shape (utterances, time, width), not "
            f"{values.shape}; leave it out"
        )
    axes = values.shape[:1] if packed else values.shape[:2]
    size = math.prod(axes)
    return {
        name: numbers(parts[name].read(), f"{where}_{name}", size).reshape(axes) for name in names
    }


def _packed(
    values: np.ndarray, offsets: np.ndarray, n: int, where: str
) -> Iterator[tuple[slice, np.ndarray]]:
    given = numbers(offsets, f"{where}_offsets", n + 1)
    if given[0] != 0 or given[-1] != len(values) or (np.diff(given) < 0).any():
        raise InputError(
            f"{where}_offsets: do not run from 0 to {len(values)} without going back; utterance n "
            "is values[offsets[n]:offsets[n + 1]]"
        )
    for start, stop in zip(given[:-1].astype(int), given[1:].astype(int), strict=True):
        yield slice(start, stop), values[start:stop]


def _padded(
    values: np.ndarray, parts: Mapping[str, Any], padding: str, where: str
) -> tuple[list[tuple[slice, np.ndarray]], str]:
    """The rows of a padded array, and what was supposed of it."""
    if values.dtype.kind == "O":
        return [(slice(None), row) for row in values], ""
    if values.ndim == 2:
        return [(slice(None), row[None]) for row in values], ""
    if values.ndim not in (3, 4):
        raise InputError(
            f"{where}: an array of shape {values.shape}; (utterances, time, width) or "
            "(utterances, time, layers, width) is due"
        )
    if "lengths" in parts:
        given = lengths(parts["lengths"].read(), f"{where}_lengths", len(values), values.shape[1])
        return list(unpad(values, given, padding)), ""
    note = f"no lengths given: all-zero frames at the {padding} were taken as padding"
    return list(unpad(values, None, padding)), note


def _carried(where: str, arrays: Mapping[str, StoredArray]) -> dict[str, Mapping[str, Any]]:
    """What `amanda export` wrote of each modality's model; empty for other files."""
    if "attrs" not in arrays or arrays["attrs"].kind != "texts" or arrays["attrs"].shape != ():
        return {}
    text = texts(np.atleast_1d(arrays["attrs"].read()), f"{where}: attrs")[0]
    return parse_carried(text, f"{where}: attrs")


def parse_carried(text: str, where: str) -> dict[str, Mapping[str, Any]]:
    """The attributes of modalities out of the JSON that `amanda export` writes beside arrays."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({str(error)[:80]}); leave it out") from error
    modalities = content.get("modalities") if isinstance(content, dict) else None
    return carried_attrs(modalities)


def carried_attrs(modalities: Any) -> dict[str, Mapping[str, Any]]:
    """Of a dictionary of dictionaries, what describes modalities by plain values."""
    if not isinstance(modalities, dict):
        return {}
    return {
        check_modality(str(name), "attrs"): {
            key: attrs[key] for key in _CARRIED if _is_plain(attrs.get(key))
        }
        for name, attrs in modalities.items()
        if isinstance(attrs, dict)
    }


def _is_plain(value: Any) -> bool:
    """A number, a text that an attribute can hold, or a list of either."""
    if isinstance(value, list):
        kinds = {type(item) for item in value}
        return len(kinds) == 1 and len(value) <= 1000 and all(_is_plain(item) for item in value)
    if isinstance(value, str):
        return len(value) <= 2000 and value.isprintable()
    return isinstance(value, int | float)
