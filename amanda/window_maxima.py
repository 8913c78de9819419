"""Convolutions of several widths over packed utterances, and each channel's maximum over time.

All taps of all kernels are rows of one matrix, and one product gives every frame's response to
every tap; a kernel's windows are then sums of its taps' responses shifted in time. Windows never
reach over the end of an utterance. An utterance shorter than a kernel is padded with zeros to that
kernel's width, so that it has one window.
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from amanda.batches import Packed
from amanda.device_maxima import DeviceMaxima
from amanda.maxima_search import multiplies_bfloat16, screened_search, search
from amanda.window_sums import Wanted, Weight, first_taps


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
    if packed.values.requires_grad or not len(packed):
        return plain_window_maxima(packed, weight, kernels, product)
    maxima: Tensor
    if packed.values.device.type == "cpu":
        maxima = _SparseMaxima.apply(packed.values, weight, packed, kernels, product, wanted)
    else:
        maxima = DeviceMaxima.apply(packed.values, weight, packed, kernels, product)
    return maxima


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
    for kernel, first_tap in zip(kernels, first_taps(kernels), strict=True):
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
        if product == torch.float32 and multiplies_bfloat16():
            maxima, windows = screened_search(packed, weight, kernels, wanted)
        else:
            maxima, windows = search(packed, weight, kernels, product, wanted)
        ctx.save_for_backward(values, windows)
        ctx.about = packed, kernels, weight.shape
        return maxima

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        values, windows = ctx.saved_tensors
        packed, kernels, shape = ctx.about
        channels = shape[0] // sum(kernels)
        result = gradient.new_empty(shape)
        starts = torch.from_numpy(packed.offsets[:-1])
        lengths = torch.from_numpy(packed.lengths)
        for k, (kernel, first_tap) in enumerate(zip(kernels, first_taps(kernels), strict=True)):
            here = slice(k * channels, (k + 1) * channels)
            by_channel = gradient[:, here].T
            channel, row = by_channel.nonzero(as_tuple=True)  # dropout and ReLU leave zeros
            share, frames = by_channel[channel, row], starts[row] + windows[:, here].T[channel, row]
            for shift in range(kernel):
                if shift >= packed.lengths.min(initial=kernel):
                    inside = lengths[row] > shift  # where an utterance has ended stand zeros
                    channel, row = channel[inside], row[inside]
                    share, frames = share[inside], frames[inside]
                tap = (first_tap + shift) * channels
                result[tap : tap + channels] = functional.embedding_bag(
                    frames + shift,
                    values,
                    torch.searchsorted(channel, torch.arange(channels)),
                    mode="sum",
                    per_sample_weights=share,
                )
        return None, result, None, None, None, None
