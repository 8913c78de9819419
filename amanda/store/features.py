"""The feature file (HDF5): the contract between `extractors` and `amanda`, `docs/formats.md`.

One file a corpus. All utterances of a modality lie one after another in `values`
(sum T, layers, width); utterance n is `values[offsets[n]:offsets[n + 1]]`.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool, Float, Float16, Int, Int8, Int64

from amanda.store.atomic import atomic_path
from amanda.store.errors import InputError
from amanda.store.names import CLASSES, MODALITIES, RECORDED, SPLITS, STATUSES, USABLE_STATUSES

FORMAT, VERSION = "amanda-features", 1
IDENTITY_ATTRS = ("extractor", "model", "revision", "layers", "preprocessing")
"""What must agree between two files that are paired (`sha256` too, where both have one)."""

_COPY_ROWS = 65_536
_TEXT = h5py.string_dtype("utf-8")
TEXT_COLUMNS = ("id", "split", "speaker", "group", "text", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ragged:
    """Sequences of several utterances, packed end to end.

    Attributes:
        values: (sum T, layers, width), float16 as stored.
        offsets: (n + 1,); utterance i is values[offsets[i]:offsets[i + 1]].
        valid: (sum T,); false where there is no evidence (a frame without a face).
    """

    values: Float16[np.ndarray, "frames layers width"]
    offsets: Int64[np.ndarray, "n_plus_1"]
    valid: Bool[np.ndarray, "frames"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[np.ndarray, "n"]:
        return np.diff(self.offsets)

    def take(self, rows: Int[np.ndarray, "m"]) -> "Ragged":
        """The utterances `rows`, in that order, packed anew."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        frames = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Ragged(values=self.values[frames], offsets=offsets, valid=self.valid[frames])


@dataclass(frozen=True, kw_only=True)
class ModalityTable:
    """What an extractor hands over for one modality of N utterances.

    Attributes:
        data: the features; float16.
        time_s: (sum T,) seconds from the clip's start (token position for text).
        status: N of `STATUSES`; the sequence of a row that is not usable may be empty.
        detail: N texts, "" when ok.
        attrs: extractor, model, revision, sha256, layers, rate_hz, dtype, preprocessing.
        extra: further datasets stored beside, first axis sum T (`boxes` of faces, `special` of tokens).
        rows: further datasets, first axis N (the chosen track's score).
    """

    data: Ragged
    time_s: Float[np.ndarray, "frames"]
    status: list[str]
    detail: list[str]
    attrs: Mapping[str, Any]
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class UtteranceTable:
    """The columns of `/utterances` and `/targets`, N rows each.

    `label` is an index into `label_names`, -1 for none; `vad` is valence, arousal, dominance with
    NaN for none; `label_dist` the share of raters a class with NaN rows for none.
    """

    id: list[str]
    label: Int8[np.ndarray, "n"]
    split: list[str]
    speaker: list[str]
    group: list[str]
    text: list[str]
    start_s: Float[np.ndarray, "n"]
    end_s: Float[np.ndarray, "n"]
    source: list[str]
    label_names: Sequence[str] = CLASSES
    vad: Float[np.ndarray, "n 3"] | None = None
    label_dist: Float[np.ndarray, "n classes"] | None = None
    n_raters: Int[np.ndarray, "n"] | None = None

    def __len__(self) -> int:
        return len(self.id)


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

    Raises:
        InputError: a value overflowed float16 to inf, or is NaN; the message names the utterance.
    """
    for name, table in modalities.items():
        _refuse_non_finite(path, name, utterances.id, table.data)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        _write_root(file, corpus=corpus, profile=profile, origin=origin, attrs=attrs or {})
        group = file.create_group("utterances")
        group.attrs["label_names"] = list(utterances.label_names)
        for column in TEXT_COLUMNS:
            group.create_dataset(column, data=getattr(utterances, column), dtype=_TEXT)
        group["label"] = utterances.label.astype(np.int8)
        group["start_s"] = utterances.start_s.astype(np.float64)
        group["end_s"] = utterances.end_s.astype(np.float64)
        for target in ("vad", "label_dist", "n_raters"):
            column = getattr(utterances, target)
            if column is not None:
                file.require_group("targets")[target] = column
        for name, table in modalities.items():
            _write_modality(file.create_group(name), table)


def merge_features(shards: Sequence[Path], path: Path) -> int:
    """Join shards, in the order given, into one feature file; memory does not grow with them.

    Returns:
        The number of utterances.

    Raises:
        InputError: no shard, a shard that cannot be read, shards of different extractors, or an
            id in two shards.
    """
    if not shards:
        raise InputError(f"{path}: no shard to merge; run the extraction first")
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as out:
        seen: dict[str, Path] = {}
        for shard in shards:
            with FeatureFile(shard) as part:
                for utterance_id in part.ids:
                    if utterance_id in seen:
                        raise InputError(
                            f"{shard}: id '{utterance_id}' is in {seen[utterance_id]} too; "
                            "shards of one manifest share no utterance"
                        )
                    seen[utterance_id] = shard
                _append(out, part.file, shard)
    return len(seen)


class ModalityData:
    """One modality of an open feature file; `read` loads the rows asked for and nothing else."""

    def __init__(self, name: str, group: h5py.Group):
        self.name = name
        self.group = group
        self.offsets: Int64[np.ndarray, n_plus_1] = group["offsets"][:]
        self.status: list[str] = list(group["status"].asstr()[:])
        self.attrs: dict[str, Any] = dict(group.attrs)
        shape = group["values"].shape
        self.n_layers, self.width = int(shape[1]), int(shape[2])

    @property
    def usable(self) -> Bool[np.ndarray, "n"]:
        """Whether each utterance has evidence of this modality."""
        return np.isin(self.status, USABLE_STATUSES)

    @property
    def detail(self) -> list[str]:
        """Why each row is not ok; "" where it is."""
        if "detail" not in self.group:
            return [""] * len(self.status)
        return list(self.group["detail"].asstr()[:])

    def identity(self) -> dict[str, Any]:
        """What must agree with the file that this one is paired with."""
        identity: dict[str, Any] = {}
        for key in IDENTITY_ATTRS:
            value = self.attrs.get(key, "")
            identity[key] = value.tolist() if isinstance(value, np.ndarray) else value
        return identity

    def read(self, rows: Int[np.ndarray, "m"] | None = None) -> Ragged:
        """The utterances `rows` (all when None), packed in that order."""
        values, valid = self.group["values"], self.group["valid"]
        if rows is None:
            return Ragged(
                values=values[:].astype(np.float16, copy=False),
                offsets=self.offsets.astype(np.int64, copy=False),
                valid=valid[:].astype(bool, copy=False),
            )
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        out = np.empty((int(offsets[-1]), self.n_layers, self.width), np.float16)
        mask = np.empty(int(offsets[-1]), bool)
        for i, row in enumerate(rows):
            start, stop = int(self.offsets[row]), int(self.offsets[row + 1])
            if stop > start:
                out[offsets[i] : offsets[i + 1]] = values[start:stop]
                mask[offsets[i] : offsets[i + 1]] = valid[start:stop]
        return Ragged(values=out, offsets=offsets, valid=mask)


class FeatureFile:
    """A feature file open for reading.

    >>> with FeatureFile("features/ie.h5") as features:          # doctest: +SKIP
    ...     features.modality("acoustic").read(np.arange(8))

    Raises:
        InputError: the file is missing, not HDF5, not a feature file, or of another version.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        try:
            self.file = h5py.File(self.path, "r")
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file; `amanda extract` writes it") from error
        except OSError as error:
            raise InputError(f"{path}: not an HDF5 file, or cut short ({error})") from error
        try:
            _check_root(self.path, self.file)
            self._read_columns()
        except BaseException:
            self.file.close()
            raise

    def _read_columns(self) -> None:
        group = self.file["utterances"]

        def text(column: str) -> list[str]:
            return list(group[column].asstr()[:]) if column in group else [""] * len(self.ids)

        self.ids: list[str] = list(group["id"].asstr()[:])
        self.label: Int8[np.ndarray, n] = group["label"][:].astype(np.int8)
        self.split, self.speaker, self.group = text("split"), text("speaker"), text("group")
        self.text, self.source = text("text"), text("source")
        self.start_s, self.end_s = group["start_s"][:], group["end_s"][:]
        self.label_names = tuple(str(name) for name in group.attrs["label_names"])
        self.attrs: dict[str, Any] = dict(self.file.attrs)
        self.corpus = str(self.attrs.get("corpus", self.path.stem))
        self.profile = str(self.attrs.get("profile", ""))
        self.origin = str(self.attrs.get("origin", RECORDED))

    def __len__(self) -> int:
        return len(self.ids)

    def __enter__(self) -> "FeatureFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities stored, in the order acoustic, visual, lexical, then others by name."""
        stored = [name for name in self.file if name not in ("utterances", "targets")]
        return tuple(sorted(stored, key=lambda n: (_order(n), n)))

    def modality(self, name: str) -> ModalityData:
        """One modality. Raises `InputError` when the file has none of that name."""
        if name not in self.modalities:
            raise InputError(
                f"{self.path}: no modality '{name}'; it has {', '.join(self.modalities)}"
            )
        return ModalityData(name, self.file[name])

    def rows(self, split: str) -> Int64[np.ndarray, "m"]:
        """Row numbers of one split, in file order."""
        return np.flatnonzero(np.asarray(self.split) == split).astype(np.int64)


def _order(modality: str) -> int:
    return MODALITIES.index(modality) if modality in MODALITIES else len(MODALITIES)


def _check_root(path: Path, file: h5py.File) -> None:
    if file.attrs.get("format") != FORMAT:
        raise InputError(
            f"{path}: HDF5, but not a feature file (attribute format is "
            f"{file.attrs.get('format')!r}, not '{FORMAT}')"
        )
    if file.attrs.get("version") != VERSION:
        raise InputError(
            f"{path}: feature file version {file.attrs.get('version')}; this program reads {VERSION}"
        )
    group = file.get("utterances")
    if not isinstance(group, h5py.Group):
        raise InputError(f"{path}: no group /utterances; see docs/formats.md")
    for column in ("id", "label", "split", "start_s", "end_s"):
        if column not in group:
            raise InputError(f"{path}: no dataset /utterances/{column}; see docs/formats.md")
    if "label_names" not in group.attrs:
        raise InputError(f"{path}: /utterances has no attribute label_names; see docs/formats.md")


def _write_root(file: h5py.File, *, corpus: str, profile: str, origin: str, attrs: Mapping) -> None:
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


def _write_modality(group: h5py.Group, table: ModalityTable) -> None:
    # Resizable along time, so that merging appends; float16 uncompressed reads fastest (DESIGN).
    frames, layers, width = table.data.values.shape
    chunk = (max(1, min(512, frames or 512)), layers, width)
    group.create_dataset(
        "values", data=table.data.values, maxshape=(None, layers, width), chunks=chunk
    )
    _create(group, "offsets", table.data.offsets.astype(np.int64))
    _create(group, "valid", table.data.valid)
    _create(group, "time_s", table.time_s.astype(np.float64))
    _create(group, "status", np.asarray(table.status, object), _TEXT)
    _create(group, "detail", np.asarray(table.detail, object), _TEXT)
    for name, array in table.extra.items():
        _create(group, name, array)
        group[name].attrs["per"] = "frame"
    for name, array in table.rows.items():
        _create(group, name, array)
        group[name].attrs["per"] = "utterance"
    for key, value in table.attrs.items():
        group.attrs[key] = value


def _create(group: h5py.Group, name: str, data: np.ndarray, dtype: Any = None) -> None:
    shape = (None, *data.shape[1:])
    group.create_dataset(name, data=data, dtype=dtype, maxshape=shape, chunks=True)


def _refuse_non_finite(path: Path, name: str, ids: Sequence[str], data: Ragged) -> None:
    finite = np.isfinite(data.values).all(axis=(1, 2))
    if finite.all():
        return
    frame = int(np.flatnonzero(~finite)[0])
    row = int(np.searchsorted(data.offsets, frame, side="right")) - 1
    kind = "NaN" if np.isnan(data.values[frame]).any() else "a value above float16's 65504"
    raise InputError(
        f"{path}: {ids[row]}: {kind} in {name} frame {frame - int(data.offsets[row])}; "
        "the model's output cannot be stored"
    )


def _append(out: h5py.File, part: h5py.File, shard: Path) -> None:
    """Append one shard to `out`, copying values in blocks."""
    if not out.keys():
        for name in part:
            part.copy(name, out)
        for key, value in part.attrs.items():
            out.attrs[key] = value
        # Columns written at a fixed size must be able to grow.
        for name in ("utterances", "targets"):
            for column in list(out.get(name, ())):
                data = out[name][column]
                values, dtype = data[:], data.dtype
                del out[name][column]
                _create(out[name], column, values, dtype)
        return
    if set(out) != set(part):
        raise InputError(
            f"{shard}: has {', '.join(sorted(part))}, other shards {', '.join(sorted(out))}; "
            "extract all shards with one profile"
        )
    for name in part:
        here, there = out[name], part[name]
        if name not in ("utterances", "targets"):
            for key in IDENTITY_ATTRS:
                if not np.array_equal(here.attrs.get(key), there.attrs.get(key)):
                    raise InputError(
                        f"{shard}: {name} {key} is {there.attrs.get(key)!r}, other shards "
                        f"{here.attrs.get(key)!r}; extract all shards with one profile"
                    )
        for column in there:
            if column == "offsets":
                tail = there["offsets"][1:] + here["offsets"][-1]
                _extend(here[column], [tail])
            else:
                source = there[column]
                blocks = range(0, len(source), _COPY_ROWS // 8)
                _extend(here[column], (source[b : b + _COPY_ROWS // 8] for b in blocks))


def _extend(dataset: h5py.Dataset, blocks: Iterable[np.ndarray]) -> None:
    for block in blocks:
        start = len(dataset)
        dataset.resize(start + len(block), axis=0)
        dataset[start:] = block


__all__ = [
    "FORMAT",
    "IDENTITY_ATTRS",
    "SPLITS",
    "STATUSES",
    "VERSION",
    "FeatureFile",
    "ModalityData",
    "ModalityTable",
    "Ragged",
    "UtteranceTable",
    "merge_features",
    "write_features",
]
