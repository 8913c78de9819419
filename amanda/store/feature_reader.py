"""Reading a feature file: the columns at once, sequences as they are asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool, Float16, Int, Int64

from amanda.store.errors import InputError, nearest
from amanda.store.feature_schema import (
    FORMAT,
    IDENTITY_ATTRS,
    REQUIRED_COLUMNS,
    REQUIRED_DATASETS,
    TARGETS,
    UTTERANCES,
    VERSION,
    foreign_parts,
    plain,
    read_text,
)
from amanda.store.feature_tables import Ragged, first_non_finite
from amanda.store.names import MODALITIES, RECORDED, USABLE_STATUSES
from amanda.store.splits import RESPLIT_RULES, kfold_split, paper_split, speaker_split

# What h5py raises on files that are damaged or were not written to the contract.
_DAMAGE = (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError)


@contextmanager
def _readable(path: Path, where: str) -> Iterator[None]:
    """What HDF5 raises on a damaged file becomes one sentence."""
    try:
        yield
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: {where} cannot be read ({reason}); `amanda check {path}` says more"
        ) from error


class FeatureFile:
    """A feature file open for reading.

    >>> with FeatureFile("features/ie.h5") as features:          # doctest: +SKIP
    ...     features.modality("acoustic").read(np.arange(8))

    Attributes:
        ids: (N,) texts, as `split`, `speaker`, `group`, `text` and `source`; "" for none.
        label: (N,) index into `label_names`, -1 for none.
        start_s: (N,) within the source, as `end_s`; NaN where unknown.
        modalities: those stored, in the order acoustic, visual, lexical, then others by name.
        corpus: what the file says of itself, as `profile` and `origin`.
        attrs: every attribute of the root.

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
            with _readable(self.path, "/utterances"):
                _check_root(self.path, self.file)
                for problem in foreign_parts(self.file):
                    raise InputError(f"{self.path}: {problem}")
                self._read_columns()
        except BaseException:
            self.file.close()
            raise

    def _read_columns(self) -> None:
        group = self.file[UTTERANCES]
        self.ids: list[str] = read_text(group["id"])

        def text(column: str) -> list[str]:
            return read_text(group[column]) if column in group else [""] * len(self.ids)

        label = group["label"][:]
        self.split, self.speaker, self.group = text("split"), text("speaker"), text("group")
        self.text, self.source = text("text"), text("source")
        self.start_s, self.end_s = group["start_s"][:], group["end_s"][:]
        self.label_names = tuple(str(name) for name in plain(group.attrs["label_names"]))
        columns = (label, self.split, self.speaker, self.group, self.start_s, self.end_s)
        if any(len(column) != len(self.ids) for column in columns):
            raise ValueError("its columns differ in length")
        if label.dtype.kind not in "iu":
            raise ValueError(f"label holds {label.dtype}, not whole numbers")
        wrong = np.flatnonzero((label < -1) | (label >= len(self.label_names)))
        if len(wrong):
            raise ValueError(
                f"label {label[wrong[0]]} of {self.ids[wrong[0]]} is none of "
                f"-1 to {len(self.label_names) - 1}"
            )
        self.label = label.astype(np.int8)
        self.attrs: dict[str, Any] = {key: plain(v) for key, v in self.file.attrs.items()}
        self.corpus = str(self.attrs.get("corpus", self.path.stem))
        self.profile = str(self.attrs.get("profile", ""))
        self.origin = str(self.attrs.get("origin", RECORDED))

        names = [name for name in self.file if name not in (UTTERANCES, TARGETS)]
        self.modalities: tuple[str, ...] = tuple(
            sorted(names, key=lambda name: (modality_order(name), name))
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __enter__(self) -> "FeatureFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def modality(self, name: str) -> "ModalityData":
        """One modality. Raises `InputError` when the file has none of that name."""
        if name not in self.modalities:
            raise InputError(
                f"{self.path}: no modality '{name}'; it has {', '.join(self.modalities) or 'none'}"
            )
        with _readable(self.path, f"/{name}"):
            for dataset in REQUIRED_DATASETS:
                if dataset not in self.file[name]:
                    raise InputError(
                        f"{self.path}: no dataset /{name}/{dataset}; see docs/formats.md"
                    )
            return ModalityData(self, name)

    def rows(self, split: str) -> Int64[np.ndarray, "m"]:
        """Row numbers of one split, in file order."""
        return np.flatnonzero(np.asarray(self.split) == split).astype(np.int64)

    def resplit(self, rule: str, seed: int, *, folds: int = 0, fold: int = 0) -> None:
        """Divide the utterances anew, in memory; the file stays as it is.

        So another split costs no extraction.

        Args:
            rule: "file" keeps what the file says; "paper", "speaker" and "kfold" as
                `amanda.store.splits`.
            seed: of the random choice.
            folds, fold: of "kfold", how many and which of them is tested.

        Raises:
            InputError: an unknown rule, or utterances without groups for "speaker" and "kfold".
        """
        if rule == "file":
            return
        group_of = dict(zip(self.ids, self.group_or_speaker, strict=True))
        if rule == "paper":
            split_of = paper_split(self.ids, seed)
        elif rule == "speaker":
            split_of = speaker_split(group_of, seed)
        elif rule == "kfold":
            split_of = kfold_split(group_of, folds, fold, seed)
            rule = f"kfold, fold {fold} of {folds}"
        else:
            raise InputError(f"split '{rule}': {nearest(rule, list(RESPLIT_RULES))}")
        self.split = [split_of[utterance_id] for utterance_id in self.ids]
        self.attrs["split_rule"] = f"{rule}, seed {seed}, drawn for this training"

    @property
    def group_or_speaker(self) -> list[str]:
        """What a speaker-independent split keeps together: the group, else the speaker."""
        return [g or s for g, s in zip(self.group, self.speaker, strict=True)]


class ModalityData:
    """One modality of an open feature file; `read` loads the rows asked for and nothing else.

    Attributes:
        status: N of `amanda.store.names.STATUSES`.
        n_layers, width: shape of each frame's features.
        attrs: extractor, model, revision, sha256, layers, rate_hz, dtype, preprocessing.
    """

    def __init__(self, file: FeatureFile, name: str):
        group = file.file[name]
        self.name = name
        self.group = group
        self._path, self._ids = file.path, file.ids
        self.offsets: Int64[np.ndarray, n_plus_1] = group["offsets"][:].astype(np.int64)
        self.status: list[str] = read_text(group["status"])
        self.attrs: dict[str, Any] = {key: plain(v) for key, v in group.attrs.items()}
        n_frames, self.n_layers, self.width = (int(n) for n in group["values"].shape)
        lengths = np.diff(self.offsets)
        if (
            len(self.offsets) != len(file) + 1
            or len(self.status) != len(file)
            or self.offsets[0] != 0
            or self.offsets[-1] != n_frames
            or (lengths < 0).any()
        ):
            raise ValueError("offsets, status and values do not fit together")
        valid = group["valid"]
        if valid.shape != (n_frames,) or valid.dtype.kind not in "biu":
            raise ValueError(f"valid is {valid.shape} of {valid.dtype}, not a bool a frame")

    @property
    def usable(self) -> Bool[np.ndarray, "n"]:
        """Whether each utterance has evidence of this modality."""
        return np.isin(self.status, USABLE_STATUSES)

    @cached_property
    def detail(self) -> list[str]:
        """Why each row is not ok; "" where it is."""
        if "detail" not in self.group:
            return [""] * len(self.status)
        return read_text(self.group["detail"])

    def identity(self) -> dict[str, Any]:
        """What must agree with the file that this one is paired with."""
        return {key: self.attrs.get(key, "") for key in IDENTITY_ATTRS}

    @cached_property
    def _valid(self) -> Bool[np.ndarray, "frames"]:
        return self.group["valid"][:].astype(bool)

    def read(self, rows: Int[np.ndarray, "m"] | None = None) -> Ragged:
        """The utterances `rows` (all when None), packed in that order.

        Raises:
            InputError: a value is NaN or inf; the message names the utterance.
        """
        with _readable(self._path, f"/{self.name}"):
            stored = self.group["values"]
            if rows is None:
                rows, offsets, valid = np.arange(len(self._ids)), self.offsets, self._valid
                values = stored[:].astype(np.float16, copy=False)
            else:
                lengths = np.diff(self.offsets)[rows]
                offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
                values = np.empty((int(offsets[-1]), self.n_layers, self.width), np.float16)
                valid = np.empty(int(offsets[-1]), bool)
                starts = zip(offsets[:-1], self.offsets[rows], lengths, strict=True)
                for here, there, length in starts:
                    if length:
                        values[here : here + length] = stored[there : there + length]
                        valid[here : here + length] = self._valid[there : there + length]
        self._refuse_non_finite(values, offsets, rows)
        return Ragged(values=values, offsets=offsets, valid=valid)

    def _refuse_non_finite(
        self,
        values: Float16[np.ndarray, "frames layers width"],
        offsets: Int64[np.ndarray, "n_plus_1"],
        rows: Int[np.ndarray, "n"],
    ) -> None:
        frame = first_non_finite(values)
        if frame is not None:
            utterance_id = self._ids[rows[np.searchsorted(offsets, frame, side="right") - 1]]
            raise InputError(
                f"{self._path}: {utterance_id}: {self.name} holds NaN or inf; "
                f"`amanda check {self._path}` lists every such utterance"
            )


def modality_order(name: str) -> int:
    """Place of a modality in every listing: acoustic, visual, lexical, then others."""
    return MODALITIES.index(name) if name in MODALITIES else len(MODALITIES)


def _check_root(path: Path, file: h5py.File) -> None:
    kind, version = plain(file.attrs.get("format")), plain(file.attrs.get("version"))
    if kind != FORMAT:
        raise InputError(
            f"{path}: HDF5, but not a feature file (attribute format is {kind!r}, not '{FORMAT}')"
        )
    if version != VERSION:
        raise InputError(f"{path}: feature file version {version}; this program reads {VERSION}")
    group = file.get(UTTERANCES)
    if not isinstance(group, h5py.Group):
        raise InputError(f"{path}: no group /utterances; see docs/formats.md")
    for column in REQUIRED_COLUMNS:
        if column not in group:
            raise InputError(f"{path}: no dataset /utterances/{column}; see docs/formats.md")
    if "label_names" not in group.attrs:
        raise InputError(f"{path}: /utterances has no attribute label_names; see docs/formats.md")
