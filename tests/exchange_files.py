"""Small feature collections, and the same features in every form that can be imported."""

import csv
import pickle
from pathlib import Path

import h5py
import numpy as np

from amanda.store.manifest import Utterance, write_manifest

IDS = ["a1", "b/2", "ü 3"]
LENGTHS = {"a1": 3, "b/2": 1, "ü 3": 4}
WIDTH = 5


def features(seed: int = 0, dtype=np.float32) -> dict[str, np.ndarray]:
    """(T, width) by id, of multiples of 1/8: exact in float16."""
    rng = np.random.default_rng(seed)
    return {
        utterance_id: (rng.integers(1, 99, (n, WIDTH)) / 8).astype(dtype)
        for utterance_id, n in LENGTHS.items()
    }


def padded(clips: dict[str, np.ndarray], side: str = "end") -> np.ndarray:
    longest = max(LENGTHS.values()) + 2
    first = next(iter(clips.values()))
    out = np.zeros((len(clips), longest, WIDTH), first.dtype)
    for row, clip in zip(out, clips.values(), strict=True):
        if side == "end":
            row[: len(clip)] = clip
        else:
            row[longest - len(clip) :] = clip
    return out


def manifest(folder: Path, ids=IDS) -> Path:
    path = folder / "m.csv"
    labels = ["neutral", "happy", ""]
    splits = ["train", "val", "test"]
    write_manifest(
        path,
        [
            Utterance(
                id=name,
                path=f"{i}.wav",
                text=f"text {i}",
                label=labels[i % 3],
                split=splits[i % 3],
                speaker=f"s{i}",
                valence=float(i),
            )
            for i, name in enumerate(ids)
        ],
    )
    return path


def dictionary(clips=None, ids=IDS, width: int = WIDTH) -> dict:
    """As MMSA's README describes it; one utterance a part."""
    clips = clips or features()
    content = {}
    for part, name in zip(("train", "valid", "test"), ids, strict=True):
        n = len(clips[name])
        content[part] = {
            "raw_text": [f"text of {name}"],
            "id": [name],
            "audio": np.concatenate([clips[name], np.zeros((6 - n, width), "f4")])[None],
            "audio_lengths": [n],
            "annotations": ["Happy"],
            "classification_labels": np.array([2.0]),
            "regression_labels": np.array([1.5]),
        }
    return content


# Writers: each puts `clips` at a path and returns what `amanda import` is given for it.


def npz_padded(folder: Path, clips) -> str:
    np.savez(
        folder / "f.npz",
        id=np.array(list(clips)),
        acoustic=padded(clips),
        acoustic_lengths=[len(c) for c in clips.values()],
    )
    return str(folder / "f.npz")


def npz_packed(folder: Path, clips) -> str:
    lengths = [len(c) for c in clips.values()]
    np.savez_compressed(
        folder / "f.npz",
        id=np.array(list(clips), dtype=object),
        audio=np.concatenate(list(clips.values())),
        audio_offsets=np.cumsum([0, *lengths]),
    )
    return str(folder / "f.npz")


def npz_ragged(folder: Path, clips) -> str:
    ragged = np.empty(len(clips), object)
    for i, clip in enumerate(clips.values()):
        ragged[i] = clip
    np.savez(folder / "f.npz", ids=np.array(list(clips)), features=ragged)
    return f"acoustic={folder / 'f.npz'}"


def npz_by_id(folder: Path, clips) -> str:
    np.savez(folder / "f.npz", **{f"acoustic/{name}": clip for name, clip in clips.items()})
    return str(folder / "f.npz")


def hdf5_by_id(folder: Path, clips) -> str:
    with h5py.File(folder / "f.h5", "w") as file:
        for name, clip in clips.items():
            file.create_dataset(name, data=clip, compression="gzip")
    return f"acoustic={folder / 'f.h5'}"


def hdf5_groups(folder: Path, clips) -> str:
    with h5py.File(folder / "f.h5", "w") as file:
        for name, clip in clips.items():
            group = file.create_group(f"audio/{name}")
            group["features"] = clip
            times = np.arange(len(clip)) / 50
            group["intervals"] = np.stack([times, times + 0.02], axis=1)
    return str(folder / "f.h5")


def hdf5_padded(folder: Path, clips) -> str:
    with h5py.File(folder / "f.h5", "w") as file:
        file["id"] = list(clips)
        file["acoustic"] = padded(clips)
        file["acoustic_lengths"] = [len(c) for c in clips.values()]
    return str(folder / "f.h5")


def csv_table(folder: Path, clips) -> str:
    with open(folder / "f.csv", "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=";")
        writer.writerow(["id", *(f"f{i}" for i in range(WIDTH))])
        for name, clip in clips.items():
            writer.writerows([name, *map(float, row)] for row in clip)
    return f"acoustic={folder / 'f.csv'}"


def pickle_dictionary(folder: Path, clips) -> str:
    (folder / "f.pkl").write_bytes(pickle.dumps(dictionary(clips)))
    return str(folder / "f.pkl")


def pickle_by_id(folder: Path, clips) -> str:
    (folder / "f.pkl").write_bytes(pickle.dumps(clips, protocol=2))
    return f"acoustic={folder / 'f.pkl'}"


WRITERS = [
    npz_padded,
    npz_packed,
    npz_ragged,
    npz_by_id,
    hdf5_by_id,
    hdf5_groups,
    hdf5_padded,
    csv_table,
    pickle_dictionary,
    pickle_by_id,
]
