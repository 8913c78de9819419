"""The dictionary of features that MMSA and code like it read and publish, pickled.

Of MMSA's README (github thuiar/MMSA, "2. Datasets") and `src/MMSA/data_loader.py`:

    {"train": {"raw_text": texts, "audio": (n, longest, width), "vision": likewise,
               "id": texts, "text": (n, longest, width), "text_bert": (n, 3, longest),
               "audio_lengths": counts, "vision_lengths": counts, "annotations": texts,
               "classification_labels": numbers, "regression_labels": numbers},
     "valid": likewise, "test": likewise}

`text_bert` is token ids, mask and segments; its mask gives the lengths of `text`. Aligned files
have no lengths. Regression labels are sentiment from -3 to 3; annotations name the class.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amanda.exchange.arrays import StoredArray
from amanda.exchange.clips import (
    Clip,
    ClipTable,
    Found,
    Reading,
    frames,
    lengths,
    numbers,
    texts,
    unpad,
)
from amanda.exchange.layouts import carried_attrs, read_arrays
from amanda.exchange.plainpickle import load_plain
from amanda.store.errors import InputError
from amanda.store.utterance import Utterance

PARTS = {"train": "train", "valid": "val", "test": "test"}
"""MMSA's names of the splits, and ours."""
FEATURE_KEYS = {"acoustic": "audio", "visual": "vision", "lexical": "text"}
"""Our modalities, and MMSA's keys."""


def read_dictionary(path: Path, reading: Reading, classes: Sequence[str]) -> Found:
    """What a pickled dictionary holds, utterances included; nothing of it is run.

    A dictionary of arrays by utterance id is taken too, when `reading.modality` says what it holds.

    Raises:
        InputError: the pickle is refused (see `load_plain`), or is no such dictionary.
    """
    if path.stat().st_size > reading.memory_bytes:
        raise InputError(
            f"{path}: larger than {reading.memory_bytes / 1e9:.1f} GB; allow more with --memory-gb"
        )
    content = load_plain(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: holds {type(content).__name__}; a dictionary is due")
    parts = {name: content[name] for name in PARTS if isinstance(content.get(name), dict)}
    if not parts:
        return _by_id(path, content, reading)
    found = Found(rows=[])
    tables: dict[str, ClipTable] = {}
    for name, part in parts.items():
        _read_part(f"{path}: {name}", part, PARTS[name], reading, tables, found)
    if not tables:
        raise InputError(f"{path}: its parts hold none of audio, vision and text")
    for modality, table in tables.items():
        found.clips[modality], found.extra[modality] = table.clips, table.extra
    _name_labels(path, found, parts, classes)
    _refuse_repeated(path, found.rows or [])
    config = content.get("config")
    if isinstance(config, dict):
        found.attrs = carried_attrs(config.get("modalities"))
    found.notes = list(dict.fromkeys(found.notes))
    return found


def _by_id(path: Path, content: Mapping[Any, Any], reading: Reading) -> Found:
    keys = ", ".join(str(key)[:40] for key in list(content)[:8])
    if not reading.modality or not all(isinstance(key, str) for key in content):
        raise InputError(
            f"{path}: has none of the keys train, valid and test, but {keys}; where these are "
            f"utterance ids, say which modality it holds, as acoustic={path}"
        )

    def stored(key: str, value: Any) -> StoredArray:
        array = frames(value, f"{path}: {key[:99]}")
        return StoredArray(shape=array.shape, kind="numbers", read=lambda: array)

    return read_arrays(str(path), {k: stored(k, v) for k, v in content.items()}, reading)


def _read_part(
    where: str,
    part: Mapping[Any, Any],
    split: str,
    reading: Reading,
    tables: dict[str, ClipTable],
    found: Found,
) -> None:
    if "id" not in part:
        raise InputError(f"{where}: has no 'id'; each utterance needs one")
    ids = texts(part["id"], f"{where}: id")
    for file_id in ids:
        if not file_id.strip() or "\0" in file_id:
            raise InputError(f"{where}: id {file_id[:40]!a} cannot name an utterance")
    wording = texts(part["raw_text"], f"{where}: raw_text") if "raw_text" in part else []
    scores = (
        numbers(part["regression_labels"], f"{where}: regression_labels", len(ids))
        if "regression_labels" in part
        else np.full(len(ids), np.nan)
    )
    if wording and len(wording) != len(ids):
        raise InputError(f"{where}: {len(wording)} texts, but {len(ids)} ids")
    assert found.rows is not None
    found.rows += [
        Utterance(
            id=reading.rename(file_id),
            path="",
            text=wording[i] if wording else "",
            split=split,
            valence=float(scores[i]) if np.isfinite(scores[i]) else None,
        )
        for i, file_id in enumerate(ids)
    ]
    for modality, key in FEATURE_KEYS.items():
        if key in part and (not reading.modality or reading.modality == modality) and ids:
            # One table for all parts, so that an id in two of them is seen.
            table = tables.setdefault(modality, ClipTable(f"{where.split(':')[0]}: {key}", reading))
            note = _fill(table, ids, part, key, where)
            found.notes += [f"{modality}: {note}"] if note else []


def _fill(
    table: ClipTable, ids: Sequence[str], part: Mapping[Any, Any], key: str, where: str
) -> str:
    """Put one modality of one part into `table`; returns what was supposed of its padding."""
    values, where = part[key], f"{where}: {key}"
    if not isinstance(values, list) and not (isinstance(values, np.ndarray) and values.ndim):
        raise InputError(f"{where}: holds {type(values).__name__}; features are arrays")
    if len(values) != len(ids):
        raise InputError(f"{where}: {len(values)} rows, but {len(ids)} ids")
    note = ""
    if isinstance(values, list) or values.dtype.kind == "O":
        rows = [frames(row, where) for row in values]
    elif values.ndim == 2:
        rows = [row[None] for row in values]
    elif values.ndim == 3:
        given = _lengths(part, key, values, where)
        side = table.reading.padding
        if given is None:
            note = f"no lengths given: all-zero frames at the {side} were taken as padding"
        rows = [row for _, row in unpad(values, given, side)]
    else:
        raise InputError(f"{where}: an array of shape {values.shape}; (n, longest, width) is due")
    for file_id, row in zip(ids, rows, strict=True):
        utterance_id = table.wants(file_id)
        if utterance_id is not None:
            table.clips[utterance_id] = Clip(values=frames(row, f"{where}, {file_id[:99]}"))
    return note


def _lengths(
    part: Mapping[Any, Any], key: str, values: np.ndarray, where: str
) -> np.ndarray | None:
    n, longest = values.shape[:2]
    if f"{key}_lengths" in part:
        return lengths(part[f"{key}_lengths"], f"{where}_lengths", n, longest)
    tokens = part.get("text_bert") if key == "text" else None
    if isinstance(tokens, np.ndarray) and tokens.shape == (n, 3, longest):
        mask = numbers(tokens[:, 1, :], f"{where}_bert", n * longest).reshape(n, longest)
        return (mask != 0).sum(axis=1)
    return None


def _name_labels(
    path: Path, found: Found, parts: Mapping[str, Mapping[Any, Any]], classes: Sequence[str]
) -> None:
    """Labels of the utterances, where the annotations are class names throughout."""
    named: list[str] = []
    for name, part in parts.items():
        n = len(part["id"])
        where = f"{path}: {name}: annotations"
        named += texts(part["annotations"], where) if "annotations" in part else [""] * n
    rows = found.rows or []
    if len(named) != len(rows):
        raise InputError(f"{path}: {len(named)} annotations, but {len(rows)} ids")
    plain = {name.casefold(): name for name in classes}
    others = sorted({name for name in named if name and name.casefold() not in plain})
    if others:
        # One foreign word shows that they speak of other classes: MMSA's "Neutral" is a sentiment.
        found.notes.append(
            f"annotations ({', '.join(others)[:80]}, …) are not the classes {', '.join(classes)}: "
            "utterances are unlabelled; name others with --classes, or give a --manifest"
        )
        return
    found.rows = [
        Utterance(
            id=row.id,
            path="",
            text=row.text,
            split=row.split,
            valence=row.valence,
            label=plain.get(name.casefold(), ""),
        )
        for row, name in zip(rows, named, strict=True)
    ]


def _refuse_repeated(path: Path, rows: Sequence[Utterance]) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            raise InputError(f"{path}: id '{row.id[:99]}' is there twice; ids must be unique")
        seen.add(row.id)
