"""Standardisation of inputs: each column (layer × width) to mean 0 and standard deviation 1.

`none` (the paper) leaves features as they are; `source` scales both domains by the source's train
split; `domain` scales each domain by its own train split. Labels have no part in it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float64

from amanda.batches import LabelledSplit, Scaling, Sequences, UnlabelledSplit

Split = TypeVar("Split", LabelledSplit, UnlabelledSplit)

_FRAMES_AT_ONCE = 16_384


def column_moments(
    blocks: Iterator[np.ndarray], dim: int
) -> tuple[Float64[np.ndarray, "dim"], Float64[np.ndarray, "dim"]]:
    """Mean and population standard deviation of each column over all blocks of rows.

    One pass; blocks are combined as by Chan, Golub and LeVeque (1983), so large means cost no
    accuracy. Without any row, 0 and 1.
    """
    count, mean, squares = 0, np.zeros(dim), np.zeros(dim)
    for block in blocks:
        rows = block.astype(np.float64)
        if not len(rows):
            continue
        gap = rows.mean(axis=0) - mean
        total = count + len(rows)
        squares += rows.var(axis=0) * len(rows) + gap**2 * (count * len(rows) / total)
        mean += gap * (len(rows) / total)
        count = total
    return mean, np.sqrt(squares / count) if count else np.ones(dim)


def scaling_of(train: Sequences) -> Scaling:
    """What standardises the valid frames of a train split. A constant column is only centred."""
    blocks = (block.numpy() for block in train.blocks(_FRAMES_AT_ONCE))
    mean, std = column_moments(blocks, train.values.shape[1])
    std[std == 0] = 1.0
    return Scaling(torch.from_numpy(mean).float(), torch.from_numpy(std).float())


def with_scaling(split: Split, scaling: dict[str, Scaling]) -> Split:
    """The same rows, scaled when they are packed."""
    sequences = {
        name: replace(part, scaling=scaling[name]) for name, part in split.sequences.items()
    }
    return replace(split, sequences=sequences)
