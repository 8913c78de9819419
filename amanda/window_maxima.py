"""Convolutions of several widths over packed utterances, and each channel's maximum over time.

All taps of all kernels are rows of one matrix, and one product gives every frame's response to
every tap; a kernel's windows are then sums of its taps' responses shifted in time. Windows never
reach over the end of an utterance. An utterance shorter than a kernel is padded with zeros to that
kernel's width, so that it has one window.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from amanda.batches import Packed

_FRAMES_AT_ONCE = 2048
_WORTH_CHOOSING_FRAMES = 32
_FRAMES_STEP, _ROWS_STEP = 16, 64

Weight = Float[Tensor, "taps_channels dim"]
Wanted = Bool[Tensor, "n kernels_channels"]
Columns = slice | Tensor


def window_maxima(
    packed: Packed,
    weight: Weight,
    kernels: tuple[int, ...],
    product: torch.dtype = torch.float32,
    wanted: Wanted | None = None,
) -> Float[Tensor, "n kernels_channels"]:
    """The largest response of each channel over an utterance's windows.

    `plain_window_maxima` is its meaning; this one is free to compute it in another way.

    Args:
        packed: n utterances, each with at least one frame.
        weight: rows by kernel, then tap, then channel: sum(kernels) · channels of them.
        product: number format of the matrix product; sums over taps are float32.
        wanted: which maxima are used; the others are not defined, and their gradients must be 0.

    Returns:
        Columns by kernel, then channel; without bias.
    """
    if packed.values.device.type == "cpu" and not packed.values.requires_grad:
        maxima: Tensor = _SparseMaxima.apply(
            packed.values, weight, packed, kernels, product, wanted
        )
        return maxima
    return plain_window_maxima(packed, weight, kernels, product)


def plain_window_maxima(
    packed: Packed,
    weight: Weight,
    kernels: tuple[int, ...],
    product: torch.dtype = torch.float32,
) -> Float[Tensor, "n kernels_channels"]:
    """`window_maxima` in operations that torch differentiates, all of them wanted."""
    channels = weight.shape[0] // sum(kernels)
    lengths, device = packed.lengths, packed.values.device
    # Frames from each frame to its utterance's end, itself included.
    left = np.repeat(packed.offsets[1:], lengths) - np.arange(lengths.sum())
    is_first = np.zeros(len(left), bool)
    is_first[packed.offsets[:-1]] = True
    responses = functional.linear(packed.values.to(product), weight.to(product))
    taps = responses.float().split(channels, dim=1)
    maxima = []
    for kernel, first_tap in zip(kernels, _first_taps(kernels), strict=True):
        response = taps[first_tap]
        for shift in range(1, kernel):
            later = taps[first_tap + shift][shift:]
            if lengths.min() < kernel:  # zeros stand where the utterance has ended
                inside = torch.from_numpy(left[: len(later)] > shift).to(device)
                later = later * inside[:, None]
            response = response + functional.pad(later, (0, 0, 0, len(left) - len(later)))
        is_window = torch.from_numpy((left >= kernel) | is_first).to(device)
        response = response.masked_fill(~is_window[:, None], -math.inf)
        segments = torch.from_numpy(lengths).to(device)
        maxima.append(torch.segment_reduce(response, "max", lengths=segments, axis=0))
    return torch.cat(maxima, dim=1)


class _SparseMaxima(torch.autograd.Function):
    """`plain_window_maxima` on a CPU, for inputs that need no gradient.

    A maximum sends its gradient to one window, so the weight's gradient is a weighted sum of a few
    gathered frames for each of its rows, instead of a second product over all frames. Where several
    windows tie, the first one gets the gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor,
        packed: Packed,
        kernels: tuple[int, ...],
        product: torch.dtype,
        wanted: Tensor | None,
    ) -> Tensor:
        channels = weight.shape[0] // sum(kernels)
        maxima = values.new_zeros(len(packed), len(kernels) * channels)
        windows = torch.zeros(maxima.shape, dtype=torch.int64)
        few = wanted is not None and packed.lengths.mean() >= _WORTH_CHOOSING_FRAMES
        taps_of = (
            _wanted_taps(values, weight.to(product), packed, kernels, wanted)
            if few and wanted is not None
            else _all_taps(values, weight.to(product), packed, kernels)
        )
        for i, columns, taps in taps_of:
            maxima[i, columns], windows[i, columns] = _window_sums(taps).max(dim=0)
        ctx.save_for_backward(values, windows)
        ctx.about = packed, kernels, channels, weight.shape
        return maxima

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        values, windows = ctx.saved_tensors
        packed, kernels, channels, shape = ctx.about
        result = gradient.new_zeros(shape)
        starts = torch.from_numpy(packed.offsets[:-1])
        lengths = torch.from_numpy(packed.lengths)
        for k, (kernel, first_tap) in enumerate(zip(kernels, _first_taps(kernels), strict=True)):
            here = slice(k * channels, (k + 1) * channels)
            by_channel = gradient[:, here].T.contiguous()
            for shift in range(kernel):
                # Dropout and ReLU leave zeros; where an utterance has ended stand zeros too.
                channel, row = ((by_channel != 0) & (lengths > shift)).nonzero(as_tuple=True)
                frames = starts[row] + windows[:, here].T[channel, row] + shift
                bags = torch.searchsorted(channel, torch.arange(channels))
                tap = (first_tap + shift) * channels
                result[tap : tap + channels] = functional.embedding_bag(
                    frames,
                    values,
                    bags,
                    mode="sum",
                    per_sample_weights=by_channel[channel, row],
                )
        return None, result, None, None, None, None


Taps = Float[Tensor, "time kernel some_channels"]


def _all_taps(
    values: Tensor, weight: Tensor, packed: Packed, kernels: tuple[int, ...]
) -> Iterator[tuple[int, Columns, Taps]]:
    """Responses to every tap: the utterance's number, columns of the result, and the responses.

    Products are over some utterances at a time: their responses stay in the cache while maxima are
    taken, and the memory is used again by the next ones instead of being asked of the system anew.
    """
    channels = weight.shape[0] // sum(kernels)
    starts, stops = packed.offsets[:-1].tolist(), packed.offsets[1:].tolist()
    for rows in _blocks(packed):
        first, last = starts[rows.start], stops[rows.stop - 1]
        responses = _product(values, first, last, weight)
        for k, (kernel, first_tap) in enumerate(zip(kernels, _first_taps(kernels), strict=True)):
            here = slice(k * channels, (k + 1) * channels)
            taps = responses[:, first_tap * channels : (first_tap + kernel) * channels]
            taps = taps.unflatten(1, (kernel, channels))
            for i in rows:
                yield i, here, taps[starts[i] - first : stops[i] - first]


def _wanted_taps(
    values: Tensor, weight: Tensor, packed: Packed, kernels: tuple[int, ...], wanted: Wanted
) -> Iterator[tuple[int, Columns, Taps]]:
    """The same for the wanted channels alone, which differ by utterance (dropout).

    Choosing rows of the weight for each utterance costs less than the product that it saves when
    utterances have some tens of frames.
    """
    channels = weight.shape[0] // sum(kernels)
    row_of = [
        torch.arange(first * channels, (first + kernel) * channels).view(kernel, channels)
        for kernel, first in zip(kernels, _first_taps(kernels), strict=True)
    ]
    step = 1 if weight.dtype == torch.float32 else _ROWS_STEP
    offsets = packed.offsets.tolist()
    for i in range(len(packed)):
        chosen = [each.nonzero().squeeze(1) for each in wanted[i].split(channels)]
        rows = [row_of[k][:, columns].flatten() for k, columns in enumerate(chosen)]
        index = torch.cat(rows)
        some = weight.index_select(0, functional.pad(index, (0, -len(index) % step)))
        responses = _product(values, offsets[i], offsets[i + 1], some)[:, : len(index)]
        by_kernel = responses.split([len(each) for each in rows], dim=1)
        for k, (kernel, columns) in enumerate(zip(kernels, chosen, strict=True)):
            yield i, columns + k * channels, by_kernel[k].unflatten(1, (kernel, len(columns)))


def _product(values: Tensor, start: int, stop: int, rows: Tensor) -> Float[Tensor, "time rows"]:
    """values[start:stop] @ rows.T in the number format of `rows`.

    In bfloat16 a few more frames are taken: oneDNN compiles a kernel for each new shape, so shapes
    must be few.
    """
    if rows.dtype == torch.float32:
        return values[start:stop] @ rows.T
    n_frames = stop - start + (start - stop) % _FRAMES_STEP
    begin = max(0, min(start, len(values) - n_frames))
    frames = values[begin : begin + n_frames].to(rows.dtype)
    return (frames @ rows.T)[start - begin : stop - begin]


def _window_sums(taps: Taps) -> Float[Tensor, "windows some_channels"]:
    """Responses of an utterance's windows; of one window if it is shorter than the kernel."""
    time, kernel, _ = taps.shape
    n = max(time - kernel + 1, 1)
    sums = taps[:n, 0].to(torch.float32, copy=True)
    for shift in range(1, min(kernel, time)):
        sums += taps[shift : shift + n, shift]
    return sums


def _blocks(packed: Packed) -> Iterator[range]:
    """Utterances in groups of at most `_FRAMES_AT_ONCE` frames, or of one."""
    start = n_frames = 0
    for i, length in enumerate(packed.lengths.tolist()):
        if i > start and n_frames + length > _FRAMES_AT_ONCE:
            yield range(start, i)
            start, n_frames = i, 0
        n_frames += length
    yield range(start, len(packed))


def _first_taps(kernels: tuple[int, ...]) -> list[int]:
    """Each kernel's first tap among all taps."""
    return [sum(kernels[:k]) for k in range(len(kernels))]
