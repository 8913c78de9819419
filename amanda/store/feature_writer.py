"""Writing a feature file: at once from tables, or by joining the shards of an extraction."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from amanda.store.errors import InputError
from amanda.store.feature_reader import FeatureFile
from amanda.store.feature_schema import (
    FORMAT,
    IDENTITY_ATTRS,
    SOURCE_HASH,
    TARGETS,
    TEXT,
    TEXT_COLUMNS,
    UTTERANCES,
    VERSION,
    plain,
)
from amanda.store.feature_tables import ModalityTable, UtteranceTable, first_non_finite
from amanda.store.hdf5 import new_hdf5
from amanda.store.names import RECORDED

_COPY_BYTES = 16 << 20
_SAME_ROOT_ATTRS = ("corpus", "profile", "origin", "manifest_sha256")


def write_features(
    path: Path,
    utterances: UtteranceTable,
    modalities: Mapping[str, ModalityTable],
    *,
    corpus: str,
    profile: str,
    origin: str = RECORDED,
    attrs: Mapping[str, Any] | None = None,
) -> None:
    """Write a feature file, whole or not at all.

    Datasets are contiguous and uncompressed: what reads fastest.

    Args:
        attrs: more attributes of the root, for example `manifest_sha256`.

    Raises:
        InputError: a value overflowed float16 to inf, or is NaN; the message names the utterance.
        ValueError: the tables do not fit together (a mistake of the caller).
    """
    for name, table in modalities.items():
        _refuse_misfit(name, table, len(utterances))
        _refuse_non_finite(path, name, utterances.id, table)
    with new_hdf5(path) as file:
        _write_root(file, corpus=corpus, profile=profile, origin=origin, attrs=attrs or {})
        _write_utterances(file, utterances)
        for name, table in modalities.items():
            _write_modality(file.create_group(name), table)


def merge_features(shards: Sequence[Path], path: Path) -> int:
    """Join shards, in the order given, into one feature file; memory does not grow with them.

    All lengths are known before a value is copied, so the file is contiguous like its shards.

    Returns:
        The number of utterances.

    Raises:
        InputError: no shard, a shard that cannot be read, shards of different extractors or
            manifests, or an id in two shards.
    """
    if not shards:
        raise InputError(f"{path}: no shard to merge; run the extraction first")
    with ExitStack() as stack:
        parts = [stack.enter_context(FeatureFile(shard)) for shard in shards]
        _refuse_repeated_ids(parts)
        for part in parts[1:]:
            _refuse_other_layout(parts[0], part)
        with new_hdf5(path) as out:
            for key, value in parts[0].file.attrs.items():
                out.attrs[key] = value
            for name in parts[0].file:
                _join_groups(out.create_group(name), [part.file[name] for part in parts])
    return sum(len(part) for part in parts)


def _write_root(
    file: h5py.File, *, corpus: str, profile: str, origin: str, attrs: Mapping[str, Any]
) -> None:
    from amanda import __version__

    file.attrs["format"] = FORMAT
    file.attrs["version"] = VERSION
    file.attrs["corpus"] = corpus
    file.attrs["profile"] = profile
    file.attrs["origin"] = origin
    file.attrs["code_version"] = __version__
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    file.attrs["created"] = now
    for key, value in attrs.items():
        file.attrs[key] = value


def _write_utterances(file: h5py.File, utterances: UtteranceTable) -> None:
    group = file.create_group(UTTERANCES)
    group.attrs["label_names"] = list(utterances.label_names)
    for column in TEXT_COLUMNS:
        _write_text(group, column, getattr(utterances, column))
    if utterances.source_sha256 is not None:
        _write_text(group, SOURCE_HASH, utterances.source_sha256)
    group["label"] = utterances.label.astype(np.int8)
    group["start_s"] = utterances.start_s.astype(np.float64)
    group["end_s"] = utterances.end_s.astype(np.float64)
    for target in ("vad", "label_dist", "n_raters"):
        column = getattr(utterances, target)
        if column is not None:
            file.require_group(TARGETS)[target] = column


def _write_modality(group: h5py.Group, table: ModalityTable) -> None:
    group["values"] = table.data.values
    group["offsets"] = table.data.offsets.astype(np.int64)
    group["valid"] = table.data.valid
    group["time_s"] = table.time_s.astype(np.float64)
    _write_text(group, "status", table.status)
    _write_text(group, "detail", table.detail)
    for per, arrays in (("frame", table.extra), ("utterance", table.rows)):
        for name, array in arrays.items():
            if array.dtype.kind in "OU":
                _write_text(group, name, [str(text) for text in array])
            else:
                group[name] = array
            group[name].attrs["per"] = per
    for key, value in table.attrs.items():
        group.attrs[key] = value


def _write_text(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    # HDF5 ends a text at the first NUL, silently.
    group.create_dataset(name, data=[t.replace("\0", " ") for t in texts], dtype=TEXT)


def _refuse_misfit(name: str, table: ModalityTable, n: int) -> None:
    frames = len(table.data.values)
    lengths = {
        "offsets": (len(table.data.offsets), n + 1),
        "status": (len(table.status), n),
        "detail": (len(table.detail), n),
        "valid": (len(table.data.valid), frames),
        "time_s": (len(table.time_s), frames),
        "the last offset": (int(table.data.offsets[-1]), frames),
        **{key: (len(array), frames) for key, array in table.extra.items()},
        **{key: (len(array), n) for key, array in table.rows.items()},
    }
    for what, (length, expected) in lengths.items():
        if length != expected:
            raise ValueError(f"{name}: {what} is {length} where {expected} is due")


def _refuse_non_finite(path: Path, name: str, ids: Sequence[str], table: ModalityTable) -> None:
    frame = first_non_finite(table.data.values)
    if frame is None:
        return
    row = int(np.searchsorted(table.data.offsets, frame, side="right")) - 1
    kind = "NaN" if np.isnan(table.data.values[frame]).any() else "a value above float16's 65504"
    raise InputError(
        f"{path}: {ids[row]}: {kind} in {name} frame {frame - int(table.data.offsets[row])}; "
        "the model's output cannot be stored"
    )


def _refuse_repeated_ids(parts: Sequence[FeatureFile]) -> None:
    seen: dict[str, Path] = {}
    for part in parts:
        for utterance_id in part.ids:
            if utterance_id in seen:
                raise InputError(
                    f"{part.path}: id '{utterance_id}' is in {seen[utterance_id]} too; "
                    "shards of one manifest share no utterance"
                )
            seen[utterance_id] = part.path


def _refuse_other_layout(first: FeatureFile, part: FeatureFile) -> None:
    """Shards that are joined have the same groups, datasets and frame shapes, and one origin."""
    again = "extract all shards anew, from one manifest with one profile"
    for key in _SAME_ROOT_ATTRS:
        here, there = first.attrs.get(key), part.attrs.get(key)
        if here != there:
            raise InputError(f"{part.path}: {key} is {there!r}, in {first.path} {here!r}; {again}")
    if first.label_names != part.label_names:
        raise InputError(
            f"{part.path}: classes {', '.join(part.label_names)}, in {first.path} "
            f"{', '.join(first.label_names)}; {again}"
        )
    mine, other = _datasets(first.file), _datasets(part.file)
    if mine.keys() != other.keys():
        name = sorted(mine.keys() ^ other.keys())[0]
        where = first.path if name in mine else part.path
        raise InputError(f"{part.path}, {first.path}: /{name} is only in {where}; {again}")
    for name, dataset in mine.items():
        if dataset.shape[1:] != other[name].shape[1:]:
            raise InputError(
                f"{part.path}: /{name} has rows of shape {other[name].shape[1:]}, in {first.path} "
                f"{dataset.shape[1:]}; {again}"
            )
    for modality in first.modalities:
        here_attrs, there_attrs = first.file[modality].attrs, part.file[modality].attrs
        for key in (*IDENTITY_ATTRS, "sha256"):
            here, there = plain(here_attrs.get(key)), plain(there_attrs.get(key))
            if here != there:
                raise InputError(
                    f"{part.path}: {modality} {key} is {there!r}, in {first.path} {here!r}; {again}"
                )


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    return {f"{group}/{name}": file[group][name] for group in file for name in file[group]}


def _join_groups(out: h5py.Group, parts: Sequence[h5py.Group]) -> None:
    """Write every dataset of `parts`, end to end, into `out`; attributes are the first part's."""
    for key, value in parts[0].attrs.items():
        out.attrs[key] = value
    for name in parts[0]:
        datasets = [part[name] for part in parts]
        if name == "offsets":
            out[name] = _join_offsets(datasets)
            continue
        shape = (sum(len(d) for d in datasets), *datasets[0].shape[1:])
        joined = out.create_dataset(name, shape=shape, dtype=datasets[0].dtype)
        for key, value in datasets[0].attrs.items():
            joined.attrs[key] = value
        start = 0
        for dataset in datasets:
            for block in _blocks(dataset):
                joined[start : start + len(block)] = block
                start += len(block)


def _join_offsets(datasets: Sequence[h5py.Dataset]) -> np.ndarray:
    lengths = np.concatenate([np.diff(d[:]) for d in datasets])
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _blocks(dataset: h5py.Dataset) -> Iterator[np.ndarray]:
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64)))
    step = max(1, _COPY_BYTES // row_bytes)
    return (dataset[start : start + step] for start in range(0, len(dataset), step))
