"""Batches without padding: the utterances of both domains packed end to end.

A batch holds `batch_size` utterances of the labelled domain and, where the method looks at the
target, as many of the target, in one packed tensor a modality, so that one forward serves both.

How utterances are drawn. Each domain is an endless stream of its own shuffles: when one is used up
the next begins, so the shorter domain is cycled and every batch is full, and no batch holds an
utterance twice. An epoch is ceil(n / batch_size) steps, n the longer domain's size. Batches are
random, never grouped by length, since that would change their statistics and so the alignment
losses.

Frames that are not `valid` (no face) are not evidence: they are gone before a sequence comes here,
and the frames around them become neighbours. An utterance without any frame of a modality has
length 0 in it: the modality is missing.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Float32, Int64
from torch import Tensor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Packed:
    """One modality of n utterances.

    Attributes:
        values: (sum of lengths, dim), utterance after utterance.
        lengths: (n,) frames of each, on the CPU; 0 where the modality is missing.
    """

    values: Float[Tensor, "frames dim"]
    lengths: Int64[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def offsets(self) -> Int64[np.ndarray, "n_plus_1"]:
        """Utterance i is values[offsets[i]:offsets[i + 1]]."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @property
    def present(self) -> Bool[np.ndarray, "n"]:
        return self.lengths > 0


Inputs = Mapping[str, Packed]
"""Each modality of the same n utterances."""
Rows = Int64[np.ndarray, "_"]
"""Row numbers of a split."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """(x − mean) / scale, column by column."""

    mean: Float32[Tensor, "dim"]
    scale: Float32[Tensor, "dim"]


@dataclass(frozen=True, slots=True)
class Sequences:
    """One modality of a split, all rows, as stored.

    Attributes:
        values: (sum of lengths, layers · width) float16, in memory, memory-mapped or on a GPU.
        offsets: (n + 1,).
        scaling: applied to what is packed; None leaves it as stored.
    """

    values: Float16[Tensor, "frames dim"]
    offsets: Int64[np.ndarray, "n_plus_1"]
    scaling: Scaling | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[np.ndarray, "n"]:
        return np.diff(self.offsets)

    def to(self, device: torch.device) -> "Sequences":
        scaling = self.scaling and Scaling(
            self.scaling.mean.to(device), self.scaling.scale.to(device)
        )
        return replace(self, values=self.values.to(device), scaling=scaling)


@dataclass(frozen=True, slots=True)
class UnlabelledSplit:
    """Utterances without labels: all that training sees of the target."""

    sequences: Mapping[str, Sequences]

    def __len__(self) -> int:
        return len(next(iter(self.sequences.values())))


@dataclass(frozen=True, slots=True)
class LabelledSplit:
    """Utterances of which each has a label."""

    sequences: Mapping[str, Sequences]
    label: Int64[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's utterances: first those of the labelled domain, then the target's.

    Attributes:
        inputs: of all of them.
        label: of the labelled domain's. There is no place for a label of the others.
    """

    inputs: Inputs
    label: Int64[Tensor, "n_labelled"]


class Packer:
    """Packs rows into memory that it uses again, since asking the system for fresh memory at every
    step takes longer than filling it. What it returns is good until its next call.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.memory: dict[str, Tensor] = {}

    def __call__(self, parts: Sequence[tuple[Mapping[str, Sequences], Rows]]) -> Inputs:
        """Every modality of the rows of each part, one after another, as float32."""
        return {
            name: self._pack(name, [(sequences[name], rows) for sequences, rows in parts])
            for name in parts[0][0]
        }

    def _pack(self, name: str, parts: Sequence[tuple[Sequences, Rows]]) -> Packed:
        lengths = np.concatenate([sequences.lengths[rows] for sequences, rows in parts])
        values = self._take(name, int(lengths.sum()), parts[0][0].values.shape[1])
        start = 0
        for sequences, rows in parts:
            part = values[start : start + int(sequences.lengths[rows].sum())]
            _copy_rows(sequences, rows, part)
            if sequences.scaling is not None:
                part.sub_(sequences.scaling.mean).div_(sequences.scaling.scale)
            start += len(part)
        return Packed(values, lengths)

    def _take(self, name: str, n_frames: int, dim: int) -> Float32[Tensor, "frames dim"]:
        memory = self.memory.get(name)
        if memory is None or len(memory) < n_frames:
            # A little more than is needed now, since the next batch may be a little longer.
            memory = torch.empty((n_frames + n_frames // 8, dim), device=self.device)
            self.memory[name] = memory
        return memory[:n_frames]


def _copy_rows(sequences: Sequences, rows: Rows, out: Float32[Tensor, "frames dim"]) -> None:
    starts, stops = sequences.offsets[rows], sequences.offsets[rows + 1]
    if sequences.values.device.type == "cpu" and out.device.type == "cpu":
        at = 0
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            out[at : at + stop - start].copy_(sequences.values[start:stop])
            at += stop - start
        return
    lengths = stops - starts
    ends = np.cumsum(lengths)
    frames = np.repeat(starts - (ends - lengths), lengths) + np.arange(len(out))
    index = torch.from_numpy(frames).to(sequences.values.device)
    out.copy_(sequences.values.index_select(0, index))


def row_stream(
    n: int, batch_size: int, generator: np.random.Generator
) -> Iterator[Int64[np.ndarray, "batch"]]:
    """Endless batches of row numbers below n: shuffle after shuffle, no row twice in a batch.

    With fewer rows than `batch_size`, every batch is all of them.
    """
    batch_size = min(batch_size, n)
    rest = generator.permutation(n)
    while True:
        batch, rest = rest[:batch_size], rest[batch_size:]
        if len(batch) < batch_size:
            fresh = generator.permutation(n)
            # Rows that this batch has already wait until after it.
            fresh = np.concatenate([fresh[~np.isin(fresh, batch)], fresh[np.isin(fresh, batch)]])
            missing = batch_size - len(batch)
            batch, rest = np.concatenate([batch, fresh[:missing]]), fresh[missing:]
        yield batch.astype(np.int64)


def steps_per_epoch(n_longer: int, batch_size: int) -> int:
    """Steps that pass once over the longer domain."""
    return math.ceil(n_longer / batch_size)


def batch_stream(
    labelled: LabelledSplit,
    target: UnlabelledSplit | None,
    batch_size: int,
    seed: int,
    device: torch.device,
) -> Iterator[Batch]:
    """Endless batches, each good until the next is drawn.

    The same seed draws the same rows whatever the method, with or without the target.
    """
    label, packer = torch.from_numpy(labelled.label).to(device), Packer(device)
    generators = [np.random.default_rng([seed, domain]) for domain in (0, 1)]
    labelled_rows = row_stream(len(labelled), batch_size, generators[0])
    target_rows = row_stream(len(target), batch_size, generators[1]) if target is not None else None
    while True:
        rows = next(labelled_rows)
        parts = [(labelled.sequences, rows)]
        if target is not None and target_rows is not None:
            parts.append((target.sequences, next(target_rows)))
        yield Batch(packer(parts), label[torch.from_numpy(rows).to(device)])


def warn_if_small(name: str, n: int, batch_size: int) -> None:
    """Say that a domain has fewer training utterances than a batch."""
    if n < batch_size:
        log.warning(
            "%s: %d training utterances are fewer than batch_size %d; every batch is all of them",
            name,
            n,
            batch_size,
        )
