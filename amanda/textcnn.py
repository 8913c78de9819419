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

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from amanda.batches import Packed


def window_maxima(
    packed: Packed,
    weight: Float[Tensor, "taps_channels dim"],
    kernels: tuple[int, ...],
) -> Float[Tensor, "n kernels_channels"]:
    """The largest response of each channel over an utterance's windows.

    This is the one function that a faster formulation replaces.

    Args:
        packed: n utterances, each with at least one frame.
        weight: rows by kernel, then tap, then channel: sum(kernels) · channels of them.

    Returns:
        Columns by kernel, then channel; without bias.
    """
    channels = weight.shape[0] // sum(kernels)
    lengths = packed.lengths
    # Frames from each frame to its utterance's end, itself included.
    left = torch.from_numpy(np.repeat(packed.offsets[1:], lengths) - np.arange(lengths.sum()))
    first = torch.zeros(len(left), dtype=torch.bool)
    first[packed.offsets[:-1]] = True
    taps = functional.linear(packed.values, weight).split(channels, dim=1)
    on_device = torch.from_numpy(lengths).to(packed.values.device)
    maxima = []
    for kernel, at in zip(kernels, np.cumsum((0, *kernels[:-1])), strict=True):
        response = taps[at]
        for shift in range(1, kernel):
            later = taps[at + shift][shift:]
            if lengths.min() < kernel:  # zeros stand where the utterance has ended
                later = later * (left[:-shift] > shift)[:, None].to(later)
            response = response + functional.pad(later, (0, 0, 0, shift))
        is_window = ((left >= kernel) | first).to(response.device)
        response = response.masked_fill(~is_window[:, None], -math.inf)
        maxima.append(torch.segment_reduce(response, "max", lengths=on_device, axis=0))
    return torch.cat(maxima, dim=1)


class TextCNN(nn.Module):
    """Convolutions, ReLU, maximum over time, dropout, a linear layer and ReLU.

    Args:
        n_inputs: layers · width of a frame.
        dim: width of the representation.
        kernels: widths of the convolutions in frames.
        channels: outputs of each.
        dropout: share of the maxima dropped in training.
    """

    def __init__(
        self, n_inputs: int, dim: int, kernels: tuple[int, ...], channels: int, dropout: float
    ):
        super().__init__()
        self.kernels, self.channels = tuple(kernels), channels
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
        maxima = window_maxima(packed, self.weight, self.kernels) + self.bias
        return functional.relu(self.out(self.dropout(functional.relu(maxima))))
