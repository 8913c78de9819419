"""Responses of every window of packed utterances on a CPU, by products over frames.

One product gives each frame's response to every tap; a window's response is the sum over the taps
of its frames'. Where dropout leaves but some channels of an utterance, only theirs are computed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from amanda.batches import Packed

_FRAMES_AT_ONCE = 2048
_LONG_FRAMES = 32
_PRODUCT_FRAMES, _FRAMES_STEP, _ROWS_STEP = 256, 16, 64

Weight = Float[Tensor, "taps_channels dim"]
Wanted = Bool[Tensor, "n kernels_channels"]
Frame = Float[Tensor, "dim"]


def first_taps(kernels: tuple[int, ...]) -> list[int]:
    """Each kernel's first tap among all taps."""
    return [sum(kernels[:k]) for k in range(len(kernels))]


def are_short(packed: Packed) -> bool:
    """Whether utterances have so few frames that work for each of them outweighs its products."""
    return len(packed.values) < _LONG_FRAMES * len(packed)


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Responses of one kernel's windows.

    Attributes:
        kernel: its width in frames.
        channels: how many it has.
        first_column: its first channel's column among those of all kernels.
        columns: (n, m) which channel each column is of an utterance.
        counts: how many of the m columns each utterance has.
        response: (frames, m) of the window that starts at a frame; −inf where none starts, and in
            columns beyond the utterance's count.
        largest: (n, m) sum over taps of the largest absolute response of a frame; 0 unless asked
            for.
    """

    kernel: int
    channels: int
    first_column: int
    columns: Int64[Tensor, "n m"]
    counts: list[int]
    response: Float[Tensor, "frames m"]
    largest: Float[Tensor, "n m"]

    def add(self, i: int, start: int, taps: Float[Tensor, "time kernel count"]) -> None:
        """Responses of utterance i, whose first frame is `start`, to each tap.

        An utterance shorter than the kernel has one window, with zeros after its end.
        """
        time = len(taps)
        n = max(time - self.kernel + 1, 1)
        out = self.response[start : start + n, : self.counts[i]]
        out.copy_(taps[:n, 0])
        for shift in range(1, min(self.kernel, time)):
            out += taps[shift : shift + n, shift]


def window_sums(
    packed: Packed,
    weight: Weight,
    kernels: tuple[int, ...],
    wanted: Wanted | None,
    common: Frame | None = None,
) -> list[KernelSums]:
    """For each kernel, of all windows.

    Args:
        weight: in the number format of the products; sums are float32.
        wanted: which channels are asked for; others may be computed or not.
        common: taken off every frame first; given, `largest` is computed too.
    """
    channels, n = weight.shape[0] // sum(kernels), len(packed)
    chosen = wanted is not None and not are_short(packed)
    by_kernel = np.ones((n, len(kernels), channels), bool)
    if wanted is not None and chosen:
        by_kernel = wanted.numpy().reshape(n, len(kernels), channels)
    sums = []
    for k, kernel in enumerate(kernels):
        counts = by_kernel[:, k].sum(axis=1)
        m = int(counts.max(initial=0))
        # The wanted channels in order, then others to fill up.
        columns = np.argsort(~by_kernel[:, k], axis=1, kind="stable")[:, :m]
        sums.append(
            KernelSums(
                kernel=kernel,
                channels=channels,
                first_column=k * channels,
                columns=torch.from_numpy(np.ascontiguousarray(columns)),
                counts=counts.tolist(),
                response=packed.values.new_full((len(packed.values), m), -torch.inf),
                largest=packed.values.new_zeros(n, m),
            )
        )
    if chosen:
        _add_chosen(packed, weight, sums, common)
    else:
        _add_all(packed, weight, sums, common)
    return sums


def _add_all(packed: Packed, weight: Weight, sums: list[KernelSums], common: Frame | None) -> None:
    """All channels, some utterances at a time: their responses stay in the cache meanwhile."""
    offsets, channels = packed.offsets.tolist(), sums[0].channels
    sizes = [each.kernel * channels for each in sums]
    for rows in _blocks(packed):
        first, last = offsets[rows.start], offsets[rows.stop]
        responses = _product(packed.values, first, last, weight, common)
        for each, taps in zip(sums, responses.split(sizes, dim=1), strict=True):
            taps = taps.unflatten(1, (each.kernel, channels))
            if common is not None:
                each.largest[rows.start : rows.stop] = taps.abs().amax(dim=0).sum(dim=0)
            for i in rows:
                each.add(i, offsets[i], taps[offsets[i] - first : offsets[i + 1] - first])


def _add_chosen(
    packed: Packed, weight: Weight, sums: list[KernelSums], common: Frame | None
) -> None:
    """The wanted channels alone, which differ by utterance.

    Choosing rows of the weight for each utterance costs less than the product that it saves when
    utterances have some tens of frames.
    """
    channels, offsets = sums[0].channels, packed.offsets.tolist()
    row_of = np.arange(len(weight)).reshape(-1, channels)
    firsts = first_taps(tuple(each.kernel for each in sums))
    columns = [each.columns.numpy() for each in sums]
    step = 1 if weight.dtype == torch.float32 else _ROWS_STEP
    memory = weight.new_empty(-(-len(weight) // step) * step, weight.shape[1])
    for i in range(len(packed)):
        rows = [
            row_of[first : first + each.kernel, columns[k][i, : each.counts[i]]].ravel()
            for k, (each, first) in enumerate(zip(sums, firsts, strict=True))
        ]
        sizes = [len(each) for each in rows]
        index = np.zeros(-(-sum(sizes) // step) * step, np.int64)
        np.concatenate(rows, out=index[: sum(sizes)])
        some = torch.index_select(weight, 0, torch.from_numpy(index), out=memory[: len(index)])
        responses = _product(packed.values, offsets[i], offsets[i + 1], some, common)
        parts = responses[:, : sum(sizes)].split(sizes, dim=1)
        for each, taps in zip(sums, parts, strict=True):
            if count := each.counts[i]:
                taps = taps.unflatten(1, (each.kernel, count))
                each.add(i, offsets[i], taps)
                if common is not None:
                    torch.sum(taps.abs_().amax(dim=0), dim=0, out=each.largest[i, :count])


def _product(
    values: Float[Tensor, "frames dim"], start: int, stop: int, rows: Tensor, common: Frame | None
) -> Float[Tensor, "time rows"]:
    """(values[start:stop] − common) @ rows.T, multiplied in the number format of `rows`.

    In bfloat16, some frames at a time and perhaps a few more than asked for: oneDNN compiles a
    kernel for each new shape and keeps it, so shapes must be few or memory grows all the time.
    """
    if rows.dtype == torch.float32:
        frames = values[start:stop]
        return (frames if common is None else frames - common) @ rows.T
    responses = values.new_empty(stop - start, len(rows))
    for begin in range(start, stop, _PRODUCT_FRAMES):
        end = min(begin + _PRODUCT_FRAMES, stop)
        n_frames = end - begin + (begin - end) % _FRAMES_STEP
        first = max(0, min(begin, len(values) - n_frames))
        frames = values[first : first + n_frames]
        frames = frames if common is None else frames - common
        product = frames.to(rows.dtype) @ rows.T
        responses[begin - start : end - start] = product[begin - first : end - first]
    return responses


def _blocks(packed: Packed) -> Iterator[range]:
    """Utterances in groups of at most `_FRAMES_AT_ONCE` frames, or of one."""
    start = n_frames = 0
    for i, length in enumerate(packed.lengths.tolist()):
        if i > start and n_frames + length > _FRAMES_AT_ONCE:
            yield range(start, i)
            start, n_frames = i, 0
        n_frames += length
    if len(packed):
        yield range(start, len(packed))
