"""Features made elsewhere, and a manifest, to a feature file."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amanda.device import machine_memory_mb
from amanda.exchange.clips import Found, Reading, check_modality, first_few
from amanda.exchange.dictionary import read_dictionary
from amanda.exchange.folder import read_folder
from amanda.exchange.layouts import read_hdf5, read_npz
from amanda.exchange.options import EVERY, PER_MODALITY, ExchangeSummary, ImportOptions
from amanda.exchange.pack import Packing, pack_modality
from amanda.exchange.table import read_table
from amanda.store.errors import InputError
from amanda.store.features import ModalityTable, UtteranceTable, write_features
from amanda.store.manifest import Utterance, manifest_classes, read_manifest
from amanda.store.names import CLASSES, RECORDED, STANDIN, check_corpus_name, corpus_of_file

_PICKLES = (".pkl", ".pickle", ".p", ".pk")
_TABLES = (".csv", ".tsv", ".txt")


def import_features(
    sources: Sequence[str | Path],
    out: Path,
    *,
    manifest: Path | None = None,
    corpus: str = "",
    options: ImportOptions | None = None,
) -> ExchangeSummary:
    """Write a feature file from features made elsewhere. `docs/features-from-elsewhere.md`.

    Args:
        sources: npz, HDF5 or CSV files, folders of npy files or pickled dictionaries, each a path
            or `modality=path`; later ones add modalities.
        out: the feature file (HDF5).
        manifest: what the utterances are; may be None for a dictionary, which says so itself.
        corpus: the name stored; default: the name of `out`.

    Raises:
        InputError: a source is damaged or unsafe, or does not fit the manifest; nothing is written.
    """
    options = options or ImportOptions()
    corpus = check_corpus_name(corpus) if corpus else corpus_of_file(Path(out))
    classes = tuple(options.classes or (manifest_classes(manifest) if manifest else CLASSES))
    rows = read_manifest(manifest, classes=classes) if manifest else None
    wanted = frozenset(row.id for row in rows) if rows is not None else None
    tables: dict[str, ModalityTable] = {}
    notes: list[str] = []
    for source in sources:
        modality, path = _split_source(source)
        found = _read(path, _reading(modality, wanted, options), classes)
        if rows is None:
            rows = found.rows
        elif found.rows is not None and manifest is None:
            raise InputError(f"{path}: a second dictionary; give a manifest to join several files")
        if rows is None:
            raise InputError(
                f"{path}: says nothing of its utterances but their ids; give --manifest"
            )
        notes += found.notes
        ids = [row.id for row in rows]
        for name, clips in found.clips.items():
            if name in tables:
                raise InputError(f"{path}: {name} is in a file before it already; name each once")
            _refuse_mismatch(path, name, ids, clips, found.extra.get(name, []), options)
            packing = _packing(name, found.attrs.get(name, {}), options, path)
            tables[name], told = pack_modality(name, ids, clips, packing, str(path))
            notes += told
            notes += _left_out(path, name, found.extra.get(name, []))
    if not tables or not rows:
        raise InputError(f"{out}: no features to import; name at least one file")
    _check_named(options, tables)
    notes += _unnamed(tables)
    write_features(
        Path(out),
        utterance_table(rows, classes),
        tables,
        corpus=corpus,
        profile="imported",
        origin=STANDIN if any(row.origin == STANDIN for row in rows) else RECORDED,
        attrs={"manifest_sha256": _sha256(manifest)} if manifest else {},
    )
    return ExchangeSummary(
        out=Path(out),
        n_utterances=len(rows),
        modalities={name: _count(table.status) for name, table in tables.items()},
        notes=notes,
    )


def utterance_table(rows: Sequence[Utterance], classes: Sequence[str] = CLASSES) -> UtteranceTable:
    """The rows of a manifest as the columns of a feature file."""
    vad = np.array([[_number(v) for v in (r.valence, r.arousal, r.dominance)] for r in rows])
    shares = np.array(
        [[r.shares.get(name, 0.0) if r.shares else np.nan for name in classes] for r in rows]
    )
    raters = np.array([r.n_raters or 0 for r in rows], np.int32)
    index = {name: i for i, name in enumerate(classes)}
    return UtteranceTable(
        id=[r.id for r in rows],
        label=np.array([index.get(r.label, -1) for r in rows], np.int8),
        split=[r.split for r in rows],
        speaker=[r.speaker for r in rows],
        group=[r.group for r in rows],
        text=[r.text for r in rows],
        # The start of a whole file is 0; where there is no file, nothing is known.
        start_s=np.array([_number(r.start_s, 0.0 if r.path else np.nan) for r in rows]),
        end_s=np.array([_number(r.end_s) for r in rows]),
        source=[r.path or r.audio_path for r in rows],
        label_names=tuple(classes),
        vad=vad.astype(np.float32) if np.isfinite(vad).any() else None,
        label_dist=shares.astype(np.float32) if np.isfinite(shares).any() else None,
        n_raters=raters if any(r.n_raters is not None for r in rows) else None,
    )


def _number(value: float | None, otherwise: float = np.nan) -> float:
    return otherwise if value is None else float(value)


def _split_source(source: str | Path) -> tuple[str, Path]:
    """('acoustic', path) of 'acoustic=path', ('', path) of a path."""
    name, equals, rest = str(source).partition("=")
    if not equals or Path(source).exists() or "/" in name:
        return "", Path(source)
    return check_modality(name, str(source)), Path(rest)


def _reading(modality: str, wanted: frozenset[str] | None, options: ImportOptions) -> Reading:
    gigabytes = options.memory_gb
    limit = machine_memory_mb() * 10**6 // 2 if gigabytes is None else int(gigabytes * 1e9)
    return Reading(
        modality=modality,
        wanted=wanted,
        rename=options.rename,
        padding=options.padding,
        memory_bytes=limit,
    )


def _read(path: Path, reading: Reading, classes: Sequence[str]) -> Found:
    """Read `path` by what it begins with, else by how its name ends."""
    if path.is_dir():
        return read_folder(path, reading)
    try:
        with open(path, "rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    suffix = path.suffix.lower()
    if head == b"\x89HDF\r\n\x1a\n":
        return read_hdf5(path, reading)
    if head.startswith(b"PK") and suffix not in _TABLES:
        return read_npz(path, reading)
    if head.startswith(b"\x80") or suffix in _PICKLES:
        return read_dictionary(path, reading, classes)
    if suffix in _TABLES:
        return read_table(path, reading)
    if suffix in (".npz", ".h5", ".hdf5"):
        raise InputError(f"{path}: not what its name says, or damaged; write it again")
    raise InputError(
        f"{path}: of no known kind; give npz, HDF5, a CSV table, a pickled dictionary, or a folder "
        "of npy files"
    )


def _refuse_mismatch(
    path: Path,
    modality: str,
    ids: Sequence[str],
    clips: Mapping[str, Any],
    extra: Sequence[str],
    options: ImportOptions,
) -> None:
    """Refuse ids that only one side has, unless that was allowed."""
    if ids and extra and not clips:
        raise InputError(
            f"{path}: {modality}: none of its ids ({first_few(extra)}) is in the manifest "
            f"({first_few(ids)}); --id-replace OLD=NEW makes ids of one form into the other"
        )
    if extra and not options.allow_extra:
        raise InputError(
            f"{path}: {modality}: {len(extra)} ids are not in the manifest ({first_few(extra)}); "
            "add them there, or leave them out with --allow-extra"
        )
    missing = [utterance_id for utterance_id in ids if utterance_id not in clips]
    if missing and not options.allow_missing:
        raise InputError(
            f"{path}: {modality}: {len(missing)} utterances of the manifest are not in it "
            f"({first_few(missing)}); add them, or keep them without this modality with "
            "--allow-missing"
        )


def _packing(
    modality: str, carried: Mapping[str, Any], options: ImportOptions, path: Path
) -> Packing:
    """What the caller says of a modality, else what its file carries."""
    attrs = {**carried, "imported_sha256": _sha256(path)}
    for key in ("extractor", "model", "revision", "preprocessing"):
        said = _for(getattr(options, key), modality)
        if said is not None:
            attrs[key] = said
            attrs.pop("sha256", None)  # of other weights than those now named
    rate_hz = _for(options.rate_hz, modality)
    if rate_hz is None:
        known = carried.get("rate_hz", 0.0)
        rate_hz = float(known) if isinstance(known, int | float) else 0.0
    layers = _for(options.layers, modality)
    if layers is None:
        known = carried.get("layers", [])
        layers = known if isinstance(known, list) else [known]
    return Packing(
        attrs=attrs,
        layers=tuple(layers),
        rate_hz=rate_hz,
        zero_frames=options.zero_frames,
        nonfinite=options.nonfinite,
    )


def _for(setting: Mapping[str, Any], modality: str) -> Any:
    return setting.get(modality, setting.get(EVERY))


def _check_named(options: ImportOptions, tables: Mapping[str, Any]) -> None:
    """A setting for a modality that no file holds is a slip of the pen."""
    for key in PER_MODALITY:
        for name in getattr(options, key):
            if name != EVERY and name not in tables:
                raise InputError(
                    f"--{key.replace('_', '-')} names '{name}', but the files hold "
                    f"{', '.join(tables)}"
                )


def _unnamed(tables: Mapping[str, ModalityTable]) -> list[str]:
    return [
        f"{name}: the model is not named (--model {name}=NAME), so the file pairs with any other "
        "import of this width that names none either"
        for name, table in tables.items()
        if table.attrs["model"] == "imported"
    ]


def _left_out(path: Path, modality: str, extra: Sequence[str]) -> list[str]:
    return [f"{modality}: {len(extra)} ids of {path} were left out"] if extra else []


def _count(status: Sequence[str]) -> dict[str, int]:
    return {name: status.count(name) for name in dict.fromkeys(status)}


def _sha256(path: Path) -> str:
    """Of a file; "" of a folder."""
    if path.is_dir():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
