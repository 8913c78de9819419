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
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Float32, Int64
from torch import Tensor

from amanda.mapped_values import MappedValues
from amanda.transfer import Staging, to_device

log = logging.getLogger(__name__)

_FRAMES_AT_ONCE = 65_536

Rows = Int64[np.ndarray, "_"]
"""Row numbers of a split."""


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


@dataclass(frozen=True, slots=True)
class Scaling:
    """(x − mean) / scale, column by column."""

    mean: Float32[Tensor, "dim"]
    scale: Float32[Tensor, "dim"]

    def to(self, device: torch.device) -> "Scaling":
        return Scaling(self.mean.to(device), self.scale.to(device))


@dataclass(frozen=True, slots=True)
class Sequences:
    """One modality of a split, all rows, as stored.

    Attributes:
        values: (frames, layers · width) float16, in memory, on a GPU, or mapped from a file. Those
            of the rows lie end to end, unless `first` says where.
        offsets: (n + 1,) row i has offsets[i + 1] − offsets[i] frames.
        scaling: applied to what is packed; None leaves it as stored.
        first: (n,) each row's first frame in `values`, which then holds other rows too.
        mapping: the file that `values` is mapped from, if it is.
    """

    values: Float16[Tensor, "frames dim"]
    offsets: Int64[np.ndarray, "n_plus_1"]
    scaling: Scaling | None = None
    first: Int64[np.ndarray, "n"] | None = None
    mapping: MappedValues | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[np.ndarray, "n"]:
        return np.diff(self.offsets)

    @property
    def starts(self) -> Int64[np.ndarray, "n"]:
        """Each row's first frame in `values`."""
        return self.offsets[:-1] if self.first is None else self.first

    @property
    def n_bytes(self) -> int:
        """Of the rows' frames."""
        return int(self.offsets[-1]) * self.values.shape[1] * self.values.element_size()

    def blocks(self, n_frames: int) -> Iterator[Float16[Tensor, "some dim"]]:
        """The frames of all rows in order, in blocks of about `n_frames`."""
        if self.first is None:
            yield from self.values.split(n_frames)
            return
        block: list[Tensor] = []
        for start, length in zip(self.first.tolist(), self.lengths.tolist(), strict=True):
            block.append(self.values[start : start + length])
            if sum(len(part) for part in block) >= n_frames:
                yield torch.cat(block)
                block = []
        if block:
            yield torch.cat(block)

    def will_need(self, rows: Rows) -> None:
        """Say that these rows are read soon: the system fetches them from disk meanwhile."""
        if self.mapping is not None:
            starts = self.starts[rows]
            self.mapping.will_need(starts, starts + self.lengths[rows])

    def to(self, device: torch.device) -> "Sequences":
        """The rows, end to end, in memory of `device`."""
        scaling = self.scaling and self.scaling.to(device)
        values = torch.empty(
            (int(self.offsets[-1]), self.values.shape[1]), dtype=torch.float16, device=device
        )
        at = 0
        for block in self.blocks(_FRAMES_AT_ONCE):
            values[at : at + len(block)].copy_(block)
            at += len(block)
        return Sequences(values, self.offsets, scaling)


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
        self.staging = Staging(device)

    def __call__(self, parts: Sequence[tuple[Mapping[str, Sequences], Rows]]) -> Inputs:
        """Every modality of the rows of each part, one after another, as float32."""
        self.staging.begin()
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
            self._copy_rows(sequences, rows, part)
            if sequences.scaling is not None:
                scaling = sequences.scaling.to(self.device)
                part.sub_(scaling.mean).div_(scaling.scale)
            start += len(part)
        return Packed(values, lengths)

    def _take(self, name: str, n_frames: int, dim: int) -> Float32[Tensor, "frames dim"]:
        memory = self.memory.get(name)
        if memory is None or len(memory) < n_frames:
            # A little more than is needed now, since the next batch may be a little longer; what
            # was used until now is given back first.
            del memory
            self.memory.pop(name, None)
            memory = torch.empty((n_frames + n_frames // 8, dim), device=self.device)
            self.memory[name] = memory
        return memory[:n_frames]

    def _copy_rows(
        self, sequences: Sequences, rows: Rows, out: Float32[Tensor, "frames dim"]
    ) -> None:
        starts, lengths = sequences.starts[rows], sequences.lengths[rows]
        if sequences.values.device.type == "cpu":
            # To a GPU: through page-locked memory, from which it copies while the CPU goes on.
            here = out if out.device.type == "cpu" else self.staging.take(*out.shape)
            at = 0
            for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
                here[at : at + length].copy_(sequences.values[start : start + length])
                at += length
            if here is not out:
                out.copy_(here.to(self.device, non_blocking=True))
            return
        ends = np.cumsum(lengths)
        frames = np.repeat(starts - (ends - lengths), lengths) + np.arange(len(out))
        index = to_device(frames, sequences.values.device)
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
    packer: Packer | None = None,
) -> Iterator[Batch]:
    """Endless batches, each good until the next is drawn, or `packer` (default: one of its own) is
    used for something else.

    The same seed draws the same rows whatever the method, with or without the target.
    """
    label, packer = torch.from_numpy(labelled.label).to(device), packer or Packer(device)
    streams = [_rows_ahead(labelled, batch_size, np.random.default_rng([seed, 0]))]
    splits: list[LabelledSplit | UnlabelledSplit] = [labelled]
    if target is not None:
        streams.append(_rows_ahead(target, batch_size, np.random.default_rng([seed, 1])))
        splits.append(target)
    while True:
        rows = [next(stream) for stream in streams]
        parts = [(split.sequences, each) for split, each in zip(splits, rows, strict=True)]
        yield Batch(packer(parts), label[to_device(rows[0], device)])


def _rows_ahead(
    split: LabelledSplit | UnlabelledSplit, batch_size: int, generator: np.random.Generator
) -> Iterator[Rows]:
    """The rows of `row_stream`; those of the batch after are on their way from disk already."""
    stream = row_stream(len(split), batch_size, generator)
    rows = next(stream)
    while True:
        ahead = next(stream)
        for sequences in split.sequences.values():
            sequences.will_need(ahead)
        yield rows
        rows = ahead


def warn_if_small(name: str, n: int, batch_size: int) -> None:
    """Say that a domain has fewer training utterances than a batch."""
    if n < batch_size:
        log.warning(
            "%s: %d training utterances are fewer than batch_size %d; every batch is all of them",
            name,
            n,
            batch_size,
        )
