"""A feature file to npz, to one npy a clip, or to the dictionary that MMSA-style code reads."""

import csv
import json
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from amanda.exchange.deidentify import NOT_ANONYMOUS, deidentified
from amanda.exchange.dictionary import FEATURE_KEYS, PARTS
from amanda.exchange.folder import ATTRS, INDEX, INDEX_COLUMNS, SafeNames, new_folder
from amanda.exchange.options import ExchangeSummary
from amanda.exchange.picklewriter import StreamedArray, write_plain
from amanda.store.atomic import atomic_path
from amanda.store.errors import InputError, nearest
from amanda.store.feature_schema import TARGETS
from amanda.store.features import FeatureFile, ModalityData, Ragged

FORMS = ("npz", "npy", "dictionary")
_SUFFIXES = {
    ".npz": "npz",
    ".pkl": "dictionary",
    ".pickle": "dictionary",
    "": "npy",
}
_BLOCK_BYTES = 32 << 20


def export_features(
    features: Path,
    out: Path,
    *,
    form: str = "",
    modalities: Sequence[str] = (),
    max_frames: int | None = None,
    key: Path | None = None,
) -> ExchangeSummary:
    """Write features in a form that other programs read. `docs/features-from-elsewhere.md`.

    Values pass through unchanged; memory does not grow with the file.

    Args:
        features: a feature file.
        out: an .npz or .pkl file, or a new folder for one npy a clip.
        form: npz, npy or dictionary; "" goes by the name of `out`.
        modalities: only these; default: all of the file.
        max_frames: for the dictionary, whose arrays are as long as the longest clip: cut there.
        key: given, names are replaced by random ones, words left out, and which name stands for
            which is written here (`deidentify`).

    Raises:
        InputError: the file cannot be read, `out` cannot be written, or the disk is too small.
    """
    out = Path(out)
    chosen = form or _SUFFIXES.get(out.suffix.lower(), "")
    if chosen not in FORMS:
        raise InputError(
            f"--form '{form}', {out}: write to .npz, .pkl or a folder, or give --form; "
            f"{nearest(form, list(FORMS))}"
        )
    if max_frames is not None and (chosen != "dictionary" or max_frames < 1):
        raise InputError("--max-frames cuts the arrays of a dictionary; give 1 or more there only")
    with FeatureFile(features) as file:
        names = [name for name in file.modalities if name in (modalities or file.modalities)]
        for name in modalities:
            file.modality(name)  # one that is not there is told
        tables = {name: file.modality(name) for name in names}
        notes: list[str] = []
        with deidentified(file, tables, key, out) if key else nullcontext():
            if chosen == "npz":
                _write_npz(out, file, tables)
            elif chosen == "npy":
                _write_folder(out, file, tables)
            else:
                notes = _write_dictionary(out, file, tables, max_frames)
        if key:
            notes += [f"{key} says which name stands for which: keep it apart", NOT_ANONYMOUS]
        counts = {
            name: {"usable": int(table.usable.sum()), "frames": int(table.offsets[-1])}
            for name, table in tables.items()
        }
        return ExchangeSummary(out=out, n_utterances=len(file), modalities=counts, notes=notes)


def _blocks(
    table: ModalityData, rows: Int[np.ndarray, "m"]
) -> Iterator[tuple[Int[np.ndarray, "k"], Ragged]]:
    """Some of `rows` at a time, with their frames."""
    frame_bytes = 2 * table.n_layers * table.width
    n_bytes = np.diff(table.offsets)[rows] * frame_bytes
    block = np.cumsum(n_bytes) // _BLOCK_BYTES
    for start in np.unique(block):
        part = rows[block == start]
        yield part, table.read(part)


def _describe(file: FeatureFile, tables: dict[str, ModalityData]) -> dict[str, Any]:
    """What travels beside the arrays: what made them."""
    return {
        "written_by": "amanda export",
        "corpus": file.corpus,
        "profile": file.profile,
        "origin": file.origin,
        "label_names": list(file.label_names),
        "modalities": {name: table.attrs for name, table in tables.items()},
    }


# npz: everything, packed.


def _write_npz(out: Path, file: FeatureFile, tables: dict[str, ModalityData]) -> None:
    columns: dict[str, Any] = {
        "label": file.label,
        "label_names": np.array(file.label_names),
        "start_s": file.start_s,
        "end_s": file.end_s,
        "attrs": np.array(json.dumps(_describe(file, tables))),
    }
    columns["id"] = np.array(file.ids, dtype=str)
    for name in ("split", "speaker", "group", "text", "source"):
        columns[name] = np.array(getattr(file, name), dtype=str)
    if TARGETS in file.file:
        columns |= {name: dataset[:] for name, dataset in file.file[TARGETS].items()}
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=True) as archive:
        for name, column in columns.items():
            _write_npy(archive, name, column.shape, column.dtype, [column], zipfile.ZIP_DEFLATED)
        for name, table in tables.items():
            shape = (int(table.offsets[-1]), table.n_layers, table.width)
            rows = np.arange(len(file))
            values = (data.values for _, data in _blocks(table, rows))
            _write_npy(archive, name, shape, np.dtype("<f2"), values, zipfile.ZIP_STORED)
            beside = {
                "offsets": table.offsets,
                "valid": table.group["valid"][:].astype(bool),
                "time_s": table.group["time_s"][:].astype(np.float64),
                "status": np.array(table.status, dtype=str),
                "detail": np.array(table.detail, dtype=str),
            }
            for part, array in beside.items():
                _write_npy(
                    archive,
                    f"{name}_{part}",
                    array.shape,
                    array.dtype,
                    [array],
                    zipfile.ZIP_DEFLATED,
                )


def _write_npy(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    blocks: Iterable[np.ndarray],
    compression: int,
) -> None:
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = compression
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    with archive.open(info, "w", force_zip64=True) as member:
        np.lib.format.write_array_header_2_0(member, header)
        for block in blocks:
            member.write(np.ascontiguousarray(block, dtype).tobytes())


# npy: one file a clip.


def _write_folder(out: Path, file: FeatureFile, tables: dict[str, ModalityData]) -> None:
    with new_folder(out) as folder:
        (folder / ATTRS).write_text(json.dumps(_describe(file, tables)), encoding="utf-8")
        name_folder = SafeNames()
        with open(folder / INDEX, "w", encoding="utf-8", newline="") as index:
            writer = csv.writer(index, lineterminator="\n")
            writer.writerow(INDEX_COLUMNS)
            for name, table in tables.items():
                sub = folder / name_folder(name)
                sub.mkdir()
                writer.writerows(_write_clips(sub, file, name, table))


def _write_clips(
    folder: Path, file: FeatureFile, modality: str, table: ModalityData
) -> Iterator[list[Any]]:
    """Write the clips of one modality; yields each row of the index."""
    name_clip = SafeNames()
    detail = table.detail
    for rows, data in _blocks(table, np.arange(len(file))):
        for i, row in enumerate(rows):
            values = data.values[data.offsets[i] : data.offsets[i + 1]]
            where = ""
            if len(values):
                where = f"{name_clip(file.ids[row])}.npy"
                np.save(folder / where, values, allow_pickle=False)
                where = f"{folder.name}/{where}"
            state = [len(values), table.status[row], detail[row]]
            yield [modality, file.ids[row], where, *state]


# The dictionary: padded float32 arrays a split, as peers publish them.


def _write_dictionary(
    out: Path, file: FeatureFile, tables: dict[str, ModalityData], max_frames: int | None
) -> list[str]:
    keys = {name: FEATURE_KEYS.get(name, name) for name in tables}
    longest, notes = {}, list[str]()
    for name, table in tables.items():
        n_frames = np.diff(table.offsets)
        longest[name] = max(1, int(n_frames.max(initial=1)))
        if max_frames is not None and longest[name] > max_frames:
            cut = int((n_frames > max_frames).sum())
            notes.append(f"{name}: {cut} clips were cut to {max_frames} frames (--max-frames)")
            longest[name] = max_frames
    n_bytes = sum(4 * len(file) * longest[n] * t.n_layers * t.width for n, t in tables.items())
    _refuse_small_disk(out, n_bytes)
    empty = {name: int((~table.usable).sum()) for name, table in tables.items()}
    notes += [
        f"{name}: {n} utterances without evidence have one frame of zeros, which readers need"
        for name, n in empty.items()
        if n
    ]
    absent = [key for name, key in FEATURE_KEYS.items() if name not in tables]
    if absent:
        notes.append(f"no {', '.join(absent)}: MMSA itself reads files with all three only")
    scores = file.file[TARGETS]["vad"][:, 0] if "vad" in file.file.get(TARGETS, {}) else None
    if scores is None:
        notes.append("the file has no valence: regression_labels are NaN")
    content: dict[str, Any] = {}
    for part, split in PARTS.items():
        rows = file.rows(split)
        content[part] = {
            "id": [file.ids[row] for row in rows],
            "raw_text": [file.text[row] for row in rows],
            "annotations": [
                file.label_names[file.label[row]] if file.label[row] >= 0 else "" for row in rows
            ],
            "classification_labels": file.label[rows].astype(np.int64),
            "regression_labels": (
                np.full(len(rows), np.nan, np.float32)
                if scores is None
                else scores[rows].astype(np.float32)
            ),
        }
        for name, table in tables.items():
            content[part] |= _padded(keys[name], table, rows, longest[name])
    content["config"] = _describe(file, tables)
    with atomic_path(out) as temporary, open(temporary, "wb") as target:
        write_plain(target, content)
    return notes


def _padded(
    key: str, table: ModalityData, rows: Int[np.ndarray, "m"], longest: int
) -> dict[str, Any]:
    """One modality of one split: (n, longest, layers · width) and the counts of frames."""
    n_frames = np.where(table.usable, np.diff(table.offsets), 0)[rows]
    width = table.n_layers * table.width

    def blocks() -> Iterator[Float32[np.ndarray, "k longest width"]]:
        for part, data in _blocks(table, rows):
            padded = np.zeros((len(part), longest, width), np.float32)
            for i, row in enumerate(part):
                if table.usable[row]:
                    clip = data.values[data.offsets[i] : data.offsets[i + 1]][:longest]
                    padded[i, : len(clip)] = clip.reshape(len(clip), width)
            yield padded

    return {
        key: StreamedArray(
            shape=(len(rows), longest, width), dtype=np.dtype("<f4"), blocks=blocks()
        ),
        f"{key}_lengths": [max(1, min(int(n), longest)) for n in n_frames],
    }


def _refuse_small_disk(out: Path, n_bytes: int) -> None:
    folder = out.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise InputError(
            f"{out}: the dictionary's padded arrays take {n_bytes / 1e9:.1f} GB, the disk has "
            f"{free / 1e9:.1f} free; cut long clips with --max-frames, or write npz"
        )
