"""TextCNN over packed utterances: convolutions of several widths, and each channel's maximum.

Kim, "Convolutional neural networks for sentence classification", EMNLP 2014, as used for acoustic
and lexical sequences by MMIN (Zhao et al., 2021). The layers of a feature are input channels of the
convolution, which is a convolution over time with layers · width inputs.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from amanda.batches import Packed
from amanda.window_maxima import window_maxima


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
        self.dropout = dropout
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
        wanted: Tensor | None = None
        if self.training and self.dropout > 0:
            # Drawn before the convolutions, so that what is dropped need not be computed.
            size, device = (len(packed), len(self.bias)), packed.values.device
            wanted = torch.empty(size, device=device).bernoulli_(1 - self.dropout) > 0
        maxima = window_maxima(packed, self.weight, self.kernels, self.product, wanted)
        pooled = functional.relu(maxima + self.bias)
        if wanted is not None:
            pooled = pooled * wanted / (1 - self.dropout)
        return functional.relu(self.out(pooled))
