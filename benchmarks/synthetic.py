"""Drawn feature sequences at the paper's sizes, to measure speed and memory with.

Durations are log-normal with a median of 3.8 s, at most 25 s, as utterances of conversations are.
Acoustic frames come 50 a second, 3 layers of 768; lexical tokens 3.3 a second, 3 layers of 768; 64
visual frames of 768 whatever the duration. Values are standard normal plus a direction of the
utterance's class, which is all that can be learned. Nothing here says anything about a method.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from amanda.batches import LabelledSplit, Sequences, UnlabelledSplit
from amanda.store.features import (
    ModalityTable,
    Ragged,
    UtteranceTable,
    merge_features,
    write_features,
)
from amanda.store.names import CLASSES
from amanda.training_data import TrainingData

SHAPES = {"acoustic": (3, 768), "visual": (1, 768), "lexical": (3, 768)}
MEDIAN_S, SPREAD, LONGEST_S = 3.8, 0.65, 25.0
FRAMES_A_SECOND, TOKENS_A_SECOND, N_FACES = 50.0, 3.3, 64
_ROWS_A_SHARD = 256


def draw_lengths(n: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Modality to the frames of n utterances."""
    duration_s = np.minimum(MEDIAN_S * np.exp(SPREAD * generator.normal(size=n)), LONGEST_S)
    return {
        "acoustic": np.maximum((duration_s * FRAMES_A_SECOND).astype(np.int64), 1),
        "visual": np.full(n, N_FACES, np.int64),
        "lexical": np.maximum((duration_s * TOKENS_A_SECOND).astype(np.int64), 1),
    }


def draw_values(
    lengths: np.ndarray, label: np.ndarray, shape: tuple[int, int], seed: int
) -> np.ndarray:
    """(frames, layers · width) float16."""
    dim, generator = shape[0] * shape[1], torch.Generator().manual_seed(seed)
    directions = torch.randn(len(CLASSES), dim, generator=torch.Generator().manual_seed(7)) / 4
    values = torch.empty(int(lengths.sum()), dim, dtype=torch.float16)
    frame_label = torch.from_numpy(np.repeat(label, lengths))
    for start in range(0, len(values), 8192):
        block = values[start : start + 8192]
        noise = torch.randn(block.shape, generator=generator)
        block.copy_(noise + directions[frame_label[start : start + 8192]])
    return values.numpy()


def draw_split(
    n: int, seed: int, shapes: Mapping[str, tuple[int, int]] = SHAPES
) -> tuple[dict[str, Sequences], np.ndarray]:
    """n utterances in memory, and their labels."""
    generator = np.random.default_rng(seed)
    lengths, label = draw_lengths(n, generator), generator.integers(len(CLASSES), size=n)
    sequences = {}
    for number, (name, shape) in enumerate(shapes.items()):
        values = draw_values(lengths[name], label, shape, seed * 10 + number)
        offsets = np.concatenate([[0], np.cumsum(lengths[name])]).astype(np.int64)
        sequences[name] = Sequences(torch.from_numpy(values), offsets)
    return sequences, label.astype(np.int64)


def draw_data(
    n: int, n_val: int, shapes: Mapping[str, tuple[int, int]] = SHAPES, seed: int = 0
) -> TrainingData:
    """A pair of domains of n training utterances each, and of `n_val` to validate and to test."""
    train, val = draw_split(n, seed + 1, shapes), draw_split(n_val, seed + 2, shapes)
    return TrainingData(
        label_names=CLASSES,
        shapes=dict(shapes),
        labelled_train=LabelledSplit(*train),
        labelled_val=LabelledSplit(*val),
        target_train=UnlabelledSplit(draw_split(n, seed + 3, shapes)[0]),
        target_val=UnlabelledSplit(draw_split(n_val, seed + 4, shapes)[0]),
        target_test=UnlabelledSplit(draw_split(n_val, seed + 5, shapes)[0]),
    )


def write_corpus(path: Path, n_train: int, seed: int) -> Path:
    """A feature file with `n_train` training utterances, 17 of every 24, 2 to validate, 5 to test.

    Written in shards that are then joined, so that memory does not grow with it.
    """
    n = round(n_train * 24 / 17)
    generator = np.random.default_rng(seed)
    split = np.array(["val"] * n, dtype=object)
    split[:n_train], split[n_train + n // 12 :] = "train", "test"
    split = generator.permutation(split)
    shards = []
    for start in range(0, n, _ROWS_A_SHARD):
        rows = range(start, min(start + _ROWS_A_SHARD, n))
        shards.append(path.with_suffix(f".{start}.h5"))
        _write_shard(shards[-1], path.stem, rows, split, seed)
    merge_features(shards, path)
    for shard in shards:
        shard.unlink()
    return path


def _write_shard(path: Path, corpus: str, rows: range, split: np.ndarray, seed: int) -> None:
    sequences, label = draw_split(len(rows), seed * 1_000_000 + rows.start)
    modalities = {}
    for name, drawn in sequences.items():
        layers, width = SHAPES[name]
        values = drawn.values.numpy().reshape(-1, layers, width)
        modalities[name] = ModalityTable(
            data=Ragged(values=values, offsets=drawn.offsets, valid=np.ones(len(values), bool)),
            time_s=np.arange(len(values), dtype=np.float64),
            status=["ok"] * len(rows),
            detail=[""] * len(rows),
            attrs={
                "extractor": "drawn",
                "model": name,
                "revision": "1",
                "layers": list(range(1, layers + 1)),
                "preprocessing": "none",
                "rate_hz": FRAMES_A_SECOND,
                "dtype": "float16",
            },
        )
    write_features(
        path,
        UtteranceTable(
            id=[f"{corpus}_{row:05}" for row in rows],
            label=label.astype(np.int8),
            split=[str(split[row]) for row in rows],
            speaker=[f"{corpus}_s{row % 12}" for row in rows],
            group=[""] * len(rows),
            text=[""] * len(rows),
            start_s=np.zeros(len(rows)),
            end_s=np.ones(len(rows)),
            source=[""] * len(rows),
            label_names=CLASSES,
        ),
        modalities,
        corpus=corpus,
        profile="drawn",
    )
