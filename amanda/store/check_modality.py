"""Everything that is wrong with one modality of a feature file."""

import h5py
import numpy as np
from jaxtyping import Bool, Float, Int, Int64

from amanda.store.check_faces import check_faces
from amanda.store.feature_schema import IDENTITY_ATTRS, plain, read_text
from amanda.store.findings import Findings
from amanda.store.names import STATUSES, USABLE_STATUSES
from amanda.store.wording import counted

FACES = "visual"
"""The modality whose boxes and choices are looked at."""
_BLOCK_BYTES = 32 << 20
_EXPONENT = 0x7C00


def check_modality(group: h5py.Group, findings: Findings) -> None:
    """Add to `findings` what is wrong with this group; the ids of the rows must be known."""
    name, n = group.name.lstrip("/"), len(findings.ids)
    for key in IDENTITY_ATTRS:
        if key not in group.attrs:
            findings.say(f"/{name} has no attribute {key}; pairs are matched by it")
    column = findings.dataset(group, "status", "texts", (n,))
    statuses = None if column is None else read_text(column)
    if statuses is not None:
        findings.one_of(f"status of {name}", statuses, STATUSES)
    if "detail" in group:
        findings.dataset(group, "detail", "texts", (n,))
    values = findings.dataset(group, "values", "float16", (None, None, None))
    n_frames = None if values is None else len(values)
    offsets = _offsets(group, n_frames, findings)
    valid = findings.dataset(group, "valid", "true or false (bool)", (n_frames,))
    time_s = findings.dataset(group, "time_s", "numbers", (n_frames,))
    _check_further(group, n_frames, findings)
    if values is None:
        return
    if 0 in values.shape[1:]:
        findings.say(f"/{name}/values has shape {values.shape}: no layers or no width")
    _check_layers(group, values.shape[1], findings)
    if offsets is None:
        return
    _check_finite(name, values, offsets, findings)
    if name == FACES and valid is not None:
        check_faces(group, offsets, valid[:].astype(bool), findings)
    if time_s is not None:
        _check_increasing(name, time_s[:].astype(np.float64), offsets, findings)
    if statuses is not None and valid is not None:
        _check_evidence(name, statuses, offsets, valid[:].astype(bool), findings)


def _offsets(
    group: h5py.Group, n_frames: int | None, findings: Findings
) -> Int64[np.ndarray, "n_plus_1"] | None:
    """The offsets, if they cut the frames into the utterances."""
    column = findings.dataset(group, "offsets", "whole numbers", (len(findings.ids) + 1,))
    if column is None:
        return None
    offsets, before = column[:].astype(np.int64), len(findings.problems)
    if offsets[0] != 0:
        findings.say(f"{column.name} starts at {offsets[0]}, not at 0")
    falls = np.flatnonzero(np.diff(offsets) < 0)
    findings.say_rows(falls, f"{column.name} decreases after this row")
    if n_frames is not None and offsets[-1] != n_frames:
        findings.say(f"{column.name} ends at {offsets[-1]}, but values has {n_frames} frames")
    return offsets if len(findings.problems) == before else None


def _check_layers(group: h5py.Group, n_layers: int, findings: Findings) -> None:
    layers = plain(group.attrs.get("layers"))
    if isinstance(layers, str):
        layers = [part for part in layers.replace("/", ",").split(",") if part.strip()]
    named = len(layers) if isinstance(layers, list) else 1
    if layers is not None and named != n_layers:
        findings.say(
            f"{group.name}: attribute layers names {named}, but values holds "
            f"{counted(n_layers, 'layer')}"
        )


def _check_further(group: h5py.Group, n_frames: int | None, findings: Findings) -> None:
    """Datasets beside the contract's say by their attribute `per` how long they are."""
    due_of = {"utterance": len(findings.ids), "frame": n_frames}
    for dataset in group.values():
        per = plain(dataset.attrs.get("per"))
        due = due_of.get(per)
        if isinstance(dataset, h5py.Dataset) and due is not None and len(dataset) != due:
            findings.say(f"{dataset.name} has {len(dataset)} rows, but is per {per}: {due}")


def _check_finite(
    name: str, values: h5py.Dataset, offsets: Int64[np.ndarray, "n_plus_1"], findings: Findings
) -> None:
    n_frames, layers, width = values.shape
    step = max(1, _BLOCK_BYTES // max(1, 2 * layers * width))
    found: dict[str, list[Int[np.ndarray, m]]] = {"NaN": [], "infinite values": []}
    for start in range(0, n_frames, step):
        block = values[start : start + step].astype(np.float16, copy=False)
        odd = (block.view(np.uint16) & _EXPONENT) == _EXPONENT
        if odd.any():
            frames = np.flatnonzero(odd.any(axis=(1, 2)))
            found["NaN"].append(start + frames[np.isnan(block[frames]).any(axis=(1, 2))])
            found["infinite values"].append(
                start + frames[np.isinf(block[frames]).any(axis=(1, 2))]
            )
    for what, parts in found.items():
        frames = np.concatenate([np.zeros(0, np.int64), *parts])
        rows = _rows_of(frames, offsets)
        at = f", first in its frame {frames[0] - offsets[rows[0]]}" if len(frames) else ""
        findings.say_rows(rows, f"{what} in {name}{at}")


def _check_increasing(
    name: str,
    time_s: Float[np.ndarray, "frames"],
    offsets: Int64[np.ndarray, "n_plus_1"],
    findings: Findings,
) -> None:
    odd = np.flatnonzero(~np.isfinite(time_s))
    findings.say_rows(_rows_of(odd, offsets), f"time_s of {name} is not finite")
    falls = np.flatnonzero(np.diff(time_s) < 0) + 1
    inside = falls[~np.isin(falls, offsets)]
    findings.say_rows(_rows_of(inside, offsets), f"time_s of {name} decreases in the utterance")


def _check_evidence(
    name: str,
    statuses: list[str],
    offsets: Int64[np.ndarray, "n_plus_1"],
    valid: Bool[np.ndarray, "frames"],
    findings: Findings,
) -> None:
    """A usable row has frames with evidence; a row that is not has none."""
    usable, known = np.isin(statuses, USABLE_STATUSES), np.isin(statuses, STATUSES)
    lengths = np.diff(offsets)
    n_valid = np.diff(np.concatenate([[0], np.cumsum(valid)])[offsets])
    empty = np.flatnonzero(usable & (lengths == 0))
    findings.say_rows(empty, f"status of {name} is usable, but its sequence is empty")
    nothing = np.flatnonzero(usable & (lengths > 0) & (n_valid == 0))
    findings.say_rows(nothing, f"status of {name} is usable, but none of its frames is valid")
    unusable = np.flatnonzero(known & ~usable & (n_valid > 0))
    shown = statuses[int(unusable[0])] if len(unusable) else ""
    findings.say_rows(unusable, f"status of {name} is {shown}, but frames of it are valid")


def _rows_of(
    frames: Int[np.ndarray, "m"], offsets: Int64[np.ndarray, "n_plus_1"]
) -> Int[np.ndarray, "k"]:
    """The utterances that these frames belong to."""
    return np.unique(np.searchsorted(offsets, frames, side="right") - 1)
