"""Clips made elsewhere, checked and packed as a modality of a feature file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float16

from amanda.exchange.clips import Clip
from amanda.store.errors import InputError, nearest
from amanda.store.feature_tables import first_non_finite
from amanda.store.features import ModalityTable, Ragged
from amanda.store.names import STATUSES, USABLE_STATUSES
from amanda.store.wording import counted

NO_EVIDENCE = {"acoustic": "no_audio", "visual": "no_face", "lexical": "empty_text"}
ABSENT = {"acoustic": "no_audio", "visual": "no_video", "lexical": "empty_text"}
FLOAT16_MAX = float(np.finfo(np.float16).max)
_SMALL_RELATIVE_ERROR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How the clips of one modality become part of a feature file.

    Attributes:
        attrs: extractor, model, revision, sha256, layers, rate_hz, preprocessing; what two files
            that are paired must agree on.
        layers: names of the layers that stand one after another in a flat width; () for one layer,
            or as many as the arrays have.
        rate_hz: frames a second where the file has no times; 0 counts frames instead.
        zero_frames: "missing" takes a frame that is all zero as one without evidence, "keep" not.
        nonfinite: "refuse" NaN and inf, or make them "zero".
    """

    attrs: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[str | int, ...] = ()
    rate_hz: float = 0.0
    zero_frames: Literal["missing", "keep"] = "missing"
    nonfinite: Literal["refuse", "zero"] = "refuse"


@dataclass
class _Counts:
    """What is told of one modality after packing."""

    zero_frames: int = 0
    nonfinite: int = 0
    square_error: float = 0.0
    square_sum: float = 0.0
    largest_error: float = 0.0


def pack_modality(
    modality: str, ids: Sequence[str], clips: Mapping[str, Clip], packing: Packing, where: str
) -> tuple[ModalityTable, list[str]]:
    """One modality of the utterances `ids`, in their order, and what a person should know of it.

    Utterances without a clip get no frames and a status that says so.

    Raises:
        InputError: shapes differ between clips, a value is NaN, inf or above what float16 holds,
            or the layers do not fit; the message names the utterance.
    """
    layers, width = _frame_shape(modality, clips, packing.layers, where)
    counts = _Counts()
    n_frames = sum(len(clips[i].values) for i in ids if i in clips)
    values = np.empty((n_frames, layers, width), np.float16)
    time_s, valid = np.empty(n_frames), np.empty(n_frames, bool)
    offsets, status, detail = [0], list[str](), list[str]()
    for utterance_id in ids:
        clip = clips.get(utterance_id)
        start = stop = offsets[-1]
        if clip is None:
            status.append(ABSENT.get(modality, "failed"))
            detail.append(f"not in {where.rpartition('/')[2]}"[:200])
        else:
            what = f"{where}: {modality} of '{utterance_id[:99]}'"
            stop = start + len(clip.values)
            part = slice(start, stop)
            if stop > start:
                values[part] = _to_float16(
                    clip.values.reshape(-1, layers, width), packing, counts, what
                )
            time_s[part] = _times(clip, packing.rate_hz, what)
            valid[part] = _valid(clip, values[part], packing, counts)
            state, reason = _status(modality, clip, valid[part], what)
            if not clip.status and state not in USABLE_STATUSES:
                stop = start  # frames without any evidence are not kept
            status.append(state)
            detail.append(reason)
        offsets.append(stop)
    end = offsets[-1]
    table = ModalityTable(
        data=Ragged(values=values[:end], offsets=np.array(offsets, np.int64), valid=valid[:end]),
        time_s=time_s[:end],
        status=status,
        detail=detail,
        attrs=_attrs(packing, layers),
    )
    return table, _notes(modality, counts)


def _frame_shape(
    modality: str, clips: Mapping[str, Clip], names: Sequence[str | int], where: str
) -> tuple[int, int]:
    """Layers and width of every frame of a modality."""
    filled = {i: clip.values for i, clip in clips.items() if len(clip.values)}
    if not filled:
        raise InputError(f"{where}: {modality}: no frames at all for the utterances asked for")
    first_id, first = next(iter(filled.items()))
    for utterance_id, values in filled.items():
        if values.shape[1:] != first.shape[1:]:
            raise InputError(
                f"{where}: {modality} of '{utterance_id[:99]}' has frames of shape "
                f"{values.shape[1:]}, of '{first_id[:99]}' {first.shape[1:]}; import features of "
                "one model"
            )
    if 0 in first.shape[1:]:
        raise InputError(f"{where}: {modality} has frames of shape {first.shape[1:]}, so no values")
    if first.ndim == 3:
        layers, width = first.shape[1:]
        if names and len(names) != layers:
            raise InputError(
                f"{where}: {modality} has {counted(layers, 'layer')}, but --layers names "
                f"{len(names)}"
            )
        return int(layers), int(width)
    layers, width = max(1, len(names)), first.shape[1]
    if width % layers:
        raise InputError(
            f"{where}: {modality} is {width} wide, which {layers} layers (--layers) do not divide"
        )
    return layers, int(width) // layers


def _to_float16(
    values: np.ndarray, packing: Packing, counts: _Counts, what: str
) -> Float16[np.ndarray, "time layers width"]:
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        stored = values.astype(np.float16)
        if first_non_finite(stored) is not None:
            values = _finite(values, packing, counts, what)
            stored = values.astype(np.float16)
    if first_non_finite(stored) is not None:
        largest = float(np.abs(values).max())
        raise InputError(
            f"{what}: the value {largest:g} is above {FLOAT16_MAX:g}, the largest that feature "
            "files (float16) hold; scale or standardise the features"
        )
    if values.dtype != np.float16:
        error = (stored.astype(values.dtype) - values).reshape(-1)
        counts.largest_error = max(counts.largest_error, float(np.abs(error).max()))
        counts.square_error += float(np.vdot(error, error))
        counts.square_sum += float(np.vdot(values, values))
    return stored


def _finite(values: np.ndarray, packing: Packing, counts: _Counts, what: str) -> np.ndarray:
    """`values` without NaN and inf, where that was asked for."""
    finite = np.isfinite(values)
    if packing.nonfinite == "refuse" and not finite.all():
        frame = int(np.flatnonzero(~finite.all(axis=(1, 2)))[0])
        kind = "NaN" if np.isnan(values[frame]).any() else "an infinite value"
        raise InputError(
            f"{what}: {kind} in frame {frame}; mend the features, or store 0 there with "
            "--nonfinite zero"
        )
    counts.nonfinite += int((~finite).sum())
    return np.where(finite, values, values.dtype.type(0))


def _times(clip: Clip, rate_hz: float, what: str) -> np.ndarray:
    n = len(clip.values)
    if clip.time_s is None:
        return np.arange(n) / rate_hz if rate_hz > 0 else np.arange(n, dtype=np.float64)
    time_s = np.asarray(clip.time_s, np.float64)
    if not np.isfinite(time_s).all() or (np.diff(time_s) < 0).any():
        raise InputError(f"{what}: its times are not finite, or go back; they are seconds")
    return time_s


def _valid(clip: Clip, stored: np.ndarray, packing: Packing, counts: _Counts) -> np.ndarray:
    if clip.valid is not None:
        return np.asarray(clip.valid, bool)
    if clip.status not in ("", *USABLE_STATUSES):
        return np.zeros(len(stored), bool)
    if packing.zero_frames == "keep" or not len(stored):
        return np.ones(len(stored), bool)
    filled = np.asarray(clip.values.reshape(len(stored), -1).any(axis=1))
    counts.zero_frames += int((~filled).sum())
    return filled


def _status(modality: str, clip: Clip, valid: np.ndarray, what: str) -> tuple[str, str]:
    if clip.status:
        if clip.status not in STATUSES:
            raise InputError(
                f"{what}: status '{clip.status[:40]}' is unknown; "
                f"{nearest(clip.status[:40], list(STATUSES))}"
            )
        if clip.status in USABLE_STATUSES and not len(valid):
            raise InputError(f"{what}: status '{clip.status}', but no frames")
        return clip.status, clip.detail
    if not len(valid):
        return ABSENT.get(modality, "failed"), "no frames"
    if not valid.any():
        return NO_EVIDENCE.get(modality, "failed"), "every frame is zero or marked as not valid"
    return "ok", ""


def _attrs(packing: Packing, layers: int) -> dict[str, Any]:
    names = list(packing.layers) or packing.attrs.get("layers")
    if not isinstance(names, list) or len(names) != layers:
        names = ["imported"] * layers
    return {
        **{key: "imported" for key in ("extractor", "model", "revision", "preprocessing")},
        "sha256": "",
        "dtype": "float16",
        **packing.attrs,
        "layers": names,
        "rate_hz": packing.rate_hz,
    }


def _notes(modality: str, counts: _Counts) -> list[str]:
    notes: list[str] = []
    if counts.nonfinite:
        notes.append(f"{modality}: {counts.nonfinite} values were NaN or infinite and are 0 now")
    if counts.zero_frames:
        notes.append(
            f"{modality}: {counts.zero_frames} frames are all zero and marked as without evidence "
            "(--zero-frames keep uses them)"
        )
    if not counts.largest_error:
        notes.append(f"{modality}: stored exactly (float16)")
        return notes
    relative = (counts.square_error / counts.square_sum) ** 0.5 if counts.square_sum else 0.0
    note = (
        f"{modality}: rounded to float16, largest difference {counts.largest_error:.1e}, "
        f"{relative:.1e} of the features' norm"
    )
    if relative > _SMALL_RELATIVE_ERROR:
        note += "; the features are too small for float16: scale them up"
    notes.append(note)
    return notes
