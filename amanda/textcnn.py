"""TextCNN over packed utterances: convolutions of several widths, and each channel's maximum.

Kim, "Convolutional neural networks for sentence classification", EMNLP 2014, as used for acoustic
and lexical sequences by MMIN (Zhao et al., 2021). The layers of a feature are input channels of the
convolution, which is a convolution over time with layers · width inputs.

All taps of all kernels are columns of one matrix product over the frames of the whole batch; a
kernel's windows are then sums of its taps' columns shifted in time. Windows never reach over the
end of an utterance. An utterance shorter than a kernel is padded with zeros to that kernel's width,
so that it has one window.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from amanda.batches import Packed

_FRAMES_AT_ONCE = 2048


def window_maxima(
    packed: Packed,
    weight: Float[Tensor, "taps_channels dim"],
    kernels: tuple[int, ...],
    product: torch.dtype = torch.float32,
) -> Float[Tensor, "n kernels_channels"]:
    """The largest response of each channel over an utterance's windows.

    The one function that a faster formulation replaces: `plain_window_maxima` is its meaning.

    Args:
        packed: n utterances, each with at least one frame.
        weight: rows by kernel, then tap, then channel: sum(kernels) · channels of them.
        product: number format of the one matrix product; sums over taps are float32.

    Returns:
        Columns by kernel, then channel; without bias.
    """
    if packed.values.device.type == "cpu" and not packed.values.requires_grad:
        maxima: Tensor = _SparseMaxima.apply(packed.values, weight, packed, kernels, product)
        return maxima
    return plain_window_maxima(packed, weight, kernels, product)


def plain_window_maxima(
    packed: Packed,
    weight: Float[Tensor, "taps_channels dim"],
    kernels: tuple[int, ...],
    product: torch.dtype = torch.float32,
) -> Float[Tensor, "n kernels_channels"]:
    """`window_maxima` in operations that torch differentiates."""
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
    ) -> Tensor:
        channels = weight.shape[0] // sum(kernels)
        columns = weight.to(product).T
        maxima = values.new_empty(len(packed), len(kernels) * channels)
        windows = torch.empty(maxima.shape, dtype=torch.int64)
        starts, stops = packed.offsets[:-1].tolist(), packed.offsets[1:].tolist()
        for rows in _blocks(packed):
            first, last = starts[rows.start], stops[rows.stop - 1]
            responses = values[first:last].to(product) @ columns
            for k, (kernel, tap) in enumerate(zip(kernels, _first_taps(kernels), strict=True)):
                here = slice(k * channels, (k + 1) * channels)
                taps = responses[:, tap * channels : (tap + kernel) * channels]
                taps = taps.unflatten(1, (kernel, channels))
                for i in rows:
                    utterance = taps[starts[i] - first : stops[i] - first]
                    torch.max(
                        _window_sums(utterance, kernel),
                        dim=0,
                        out=(maxima[i, here], windows[i, here]),
                    )
        ctx.save_for_backward(values, windows)
        ctx.about = packed, kernels, channels, weight.shape
        return maxima

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None, None, None]:  # type: ignore[override]
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
        return None, result, None, None, None


def _window_sums(
    taps: Float[Tensor, "time kernel channels"], kernel: int
) -> Float[Tensor, "windows channels"]:
    """Responses of every window of one utterance; of one window if it is shorter than `kernel`."""
    n = max(len(taps) - kernel + 1, 1)
    sums = taps[:n, 0].to(torch.float32, copy=True)
    for shift in range(1, min(kernel, len(taps))):
        sums += taps[shift : shift + n, shift]
    return sums


def _blocks(packed: Packed) -> Iterator[range]:
    """Utterances in groups of at most `_FRAMES_AT_ONCE` frames, or of one.

    Responses of a group stay in the cache while its maxima are taken, and their memory is used
    again by the next group instead of being asked of the system anew.
    """
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


class TextCNN(nn.Module):
    """Convolutions, ReLU, maximum over time, dropout, a linear layer and ReLU.

    Args:
        n_inputs: layers · width of a frame.
        dim: width of the representation.
        kernels: widths of the convolutions in frames.
        channels: outputs of each.
        dropout: share of the maxima dropped in training.
        product: number format of the matrix product over frames.
    """

    def __init__(
        self,
        n_inputs: int,
        dim: int,
        kernels: tuple[int, ...],
        channels: int,
        dropout: float,
        product: torch.dtype = torch.float32,
    ):
        super().__init__()
        self.kernels, self.channels, self.product = tuple(kernels), channels, product
        self.weight = nn.Parameter(torch.empty(sum(kernels) * channels, n_inputs))
        self.bias = nn.Parameter(torch.empty(len(kernels) * channels))
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(len(kernels) * channels, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He et al.'s normal initialisation by each kernel's inputs; biases 0."""
        blocks = self.weight.detach().split([k * self.channels for k in self.kernels])
        for kernel, block in zip(self.kernels, blocks, strict=True):
            block.normal_(0.0, math.sqrt(2 / (kernel * self.weight.shape[1])))
        nn.init.zeros_(self.bias)

    def forward(self, packed: Packed) -> Float[Tensor, "n dim"]:
        """Representations of n utterances, each with at least one frame."""
        maxima = window_maxima(packed, self.weight, self.kernels, self.product) + self.bias
        return functional.relu(self.out(self.dropout(functional.relu(maxima))))
