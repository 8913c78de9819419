"""What differs between two feature files: how they were made, their rows, their features.

Meant for the question why two runs disagree: first what was set or installed otherwise, then which
rows, then by how much the sequences differ. Features are compared utterance by utterance, for ids
that both files have.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amanda.store.feature_reader import FeatureFile, ModalityData, modality_order
from amanda.store.feature_schema import SOURCE_HASH, UTTERANCES, read_text

_NOT_COMPARED = ("created", "format", "version", "profile_json", "extraction_key", "versions")
"""Of the root: what always differs, or is told in parts."""
_COLUMNS = ("split", "speaker", "group", "text", "source")
_SHOWN = 60


def compare_features(first: Path, second: Path) -> list[str]:
    """One line a difference; none where the files hold the same.

    Raises:
        InputError: a file cannot be read.
    """
    with FeatureFile(first) as a, FeatureFile(second) as b:
        lines = [*_making(a, b), *_rows(a, b)]
        place = {utterance_id: row for row, utterance_id in enumerate(b.ids)}
        pairs = [(row, place[name]) for row, name in enumerate(a.ids) if name in place]
        names = sorted({*a.modalities, *b.modalities}, key=lambda n: (modality_order(n), n))
        for name in names:
            if name not in a.modalities or name not in b.modalities:
                lines.append(f"{name}: only in {(a if name in a.modalities else b).path}")
                continue
            lines += [f"{name}: {line}" for line in _modality(a, b, name, pairs)]
    return lines


def compare_text(first: Path, second: Path) -> str:
    """The differences under one heading, for printing."""
    lines = compare_features(first, second)
    if not lines:
        return f"{first} and {second}: the same in all but their time of writing"
    return "\n".join([f"{first} and {second} differ in:", *(f"  {line}" for line in lines)])


def _making(a: FeatureFile, b: FeatureFile) -> Iterator[str]:
    """Attributes of the root, settings of the profile, versions of libraries."""
    yield from _attributes(a.attrs, b.attrs)
    yield from _attributes(_packed(a, "profile_json"), _packed(b, "profile_json"), "profile ")
    yield from _attributes(_packed(a, "versions"), _packed(b, "versions"), "version of ")
    if a.label_names != b.label_names:
        yield f"classes: {', '.join(a.label_names)} | {', '.join(b.label_names)}"


def _packed(file: FeatureFile, key: str) -> dict[str, Any]:
    """What an attribute holds as JSON, with keys of inner objects joined by a dot."""
    try:
        content = json.loads(str(file.attrs.get(key) or "{}"))
    except ValueError:
        return {key: file.attrs[key]}
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": v for inner, v in value.items()}
        else:
            flat[name] = value
    return flat


def _attributes(a: Mapping[str, Any], b: Mapping[str, Any], what: str = "") -> Iterator[str]:
    for key in sorted((a.keys() | b.keys()) - set(_NOT_COMPARED)):
        if a.get(key) != b.get(key):
            yield f"{what}{key}: {_shown(a, key)} | {_shown(b, key)}"


def _shown(attributes: Mapping[str, Any], key: str) -> str:
    if key not in attributes:
        return "none"
    text = " ".join(str(attributes[key]).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _rows(a: FeatureFile, b: FeatureFile) -> Iterator[str]:
    for here, there in ((a, b), (b, a)):
        others = set(there.ids)
        only = [name for name in here.ids if name not in others]
        if only:
            yield f"{len(only)} of {len(here)} utterances only in {here.path}, the first {only[0]}"
    place = {name: row for row, name in enumerate(b.ids)}
    pairs = [(row, place[name]) for row, name in enumerate(a.ids) if name in place]
    if not pairs:
        yield "no utterance is in both, so features are not compared"
        return
    if [p for _, p in pairs] != sorted(p for _, p in pairs):
        yield "the order of utterances"

    def label(file: FeatureFile, row: int) -> str:
        index = int(file.label[row])
        return file.label_names[index] if index >= 0 else "none"

    yield from _column("label", a, pairs, lambda r: label(a, r), lambda r: label(b, r))
    for name in _COLUMNS:
        mine, other = getattr(a, name), getattr(b, name)
        yield from _column(name, a, pairs, mine.__getitem__, other.__getitem__)
    for name in ("start_s", "end_s"):
        times = [[repr(float(t)) for t in getattr(file, name)] for file in (a, b)]
        yield from _column(name, a, pairs, times[0].__getitem__, times[1].__getitem__)
    if all(SOURCE_HASH in file.file[UTTERANCES] for file in (a, b)):
        hashes = [[h[:12] for h in read_text(f.file[UTTERANCES][SOURCE_HASH])] for f in (a, b)]
        yield from _column(
            "content of the recording", a, pairs, hashes[0].__getitem__, hashes[1].__getitem__
        )


def _column(
    name: str,
    a: FeatureFile,
    pairs: Sequence[tuple[int, int]],
    mine: Callable[[int], Any],
    other: Callable[[int], Any],
) -> Iterator[str]:
    differing = [(i, j) for i, j in pairs if mine(i) != other(j)]
    if differing:
        i, j = differing[0]
        yield (
            f"{name} of {len(differing)} utterances, the first {a.ids[i]}: "
            f"{str(mine(i))[:_SHOWN]} | {str(other(j))[:_SHOWN]}"
        )


def _modality(
    a: FeatureFile, b: FeatureFile, name: str, pairs: Sequence[tuple[int, int]]
) -> Iterator[str]:
    mine, other = a.modality(name), b.modality(name)
    yield from _attributes(mine.attrs, other.attrs)
    shapes = [f"{m.n_layers} x {m.width}" for m in (mine, other)]
    yield from _column("status", a, pairs, mine.status.__getitem__, other.status.__getitem__)
    if shapes[0] != shapes[1]:
        yield f"shape of a frame: {shapes[0]} | {shapes[1]}"
        return
    yield from _values(a.ids, mine, other, pairs)


def _values(
    ids: Sequence[str], mine: ModalityData, other: ModalityData, pairs: Sequence[tuple[int, int]]
) -> Iterator[str]:
    """Lengths, times, validity and values, one utterance in memory at a time."""
    lengths = np.diff(mine.offsets), np.diff(other.offsets)
    yield from _column_of_ids("number of frames", ids, pairs, *lengths)
    same = [(i, j) for i, j in pairs if lengths[0][i] == lengths[1][j]]
    n_times = n_valid = n_values = n_frames = 0
    largest, scale, worst = 0.0, 0.0, ""
    for i, j in same:
        here, there = (slice(m.offsets[r], m.offsets[r + 1]) for m, r in ((mine, i), (other, j)))
        n_times += not np.array_equal(mine.group["time_s"][here], other.group["time_s"][there])
        one, two = mine.read(np.array([i])), other.read(np.array([j]))
        n_valid += not np.array_equal(one.valid, two.valid)
        if not len(one.values):
            continue
        n_frames += len(one.values)
        difference = np.abs(one.values.astype(np.float32) - two.values.astype(np.float32))
        n_values += int((difference.max(axis=(1, 2)) > 0).sum())
        scale = max(scale, float(np.abs(one.values).max()))
        if float(difference.max()) > largest:
            largest, worst = float(difference.max()), ids[i]
    if n_times:
        yield f"times of the frames of {n_times} utterances"
    if n_valid:
        yield f"which frames are valid, in {n_valid} utterances"
    if n_values:
        yield (
            f"values of {n_values} of {n_frames} frames, by {largest:.3g} at most (in {worst}), "
            f"where the largest value is {scale:.3g}"
        )


def _column_of_ids(
    what: str,
    ids: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    mine: np.ndarray,
    other: np.ndarray,
) -> Iterator[str]:
    differing = [(i, j) for i, j in pairs if mine[i] != other[j]]
    if differing:
        i, j = differing[0]
        yield f"{what} of {len(differing)} utterances, the first {ids[i]}: {mine[i]} | {other[j]}"
