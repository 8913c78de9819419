"""Largest windows on a GPU: the whole batch at once, and nothing that the CPU would wait for.

The product over frames is one call; responses are then laid out as (utterance, window, channel),
for which lengths are known on the CPU. Only responses are padded, never frames. As on a CPU, a
maximum sends its gradient to one window, so the weight's gradient is a weighted sum of gathered
frames.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from amanda.batches import Packed
from amanda.transfer import to_device
from amanda.window_sums import first_taps


class DeviceMaxima(torch.autograd.Function):
    """`plain_window_maxima` for inputs that need no gradient.

    Where several windows tie, one of them gets the gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor,
        packed: Packed,
        kernels: tuple[int, ...],
        product: torch.dtype,
    ) -> Float[Tensor, "n kernels_channels"]:
        channels = weight.shape[0] // sum(kernels)
        responses = functional.linear(values.to(product), weight.to(product))
        taps = responses.float().split(channels, dim=1)
        maxima, frames = [], []
        for kernel, first in zip(kernels, first_taps(kernels), strict=True):
            window_frames, is_window = _windows(packed, kernel, values.device)
            sums = taps[first][window_frames]
            for shift in range(1, kernel):
                inside, later = _shifted(packed, window_frames, shift, kernel)
                sums = sums + _later_responses(taps[first + shift], later, inside)
            largest = sums.masked_fill(~is_window[:, :, None], -torch.inf).max(dim=1)
            maxima.append(largest.values)
            frames.append(window_frames[:, :1] + largest.indices)
        ctx.save_for_backward(values, torch.cat(frames, dim=1))
        ctx.about = packed, kernels, weight.shape
        return torch.cat(maxima, dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        values, frames = ctx.saved_tensors
        packed, kernels, shape = ctx.about
        channels, n = shape[0] // sum(kernels), len(packed)
        ends = to_device(packed.offsets[1:], values.device)[:, None]
        bags = torch.arange(channels, device=values.device) * n
        result = gradient.new_empty(shape)
        for k, (kernel, first) in enumerate(zip(kernels, first_taps(kernels), strict=True)):
            here = slice(k * channels, (k + 1) * channels)
            for shift in range(kernel):
                at = frames[:, here] + shift
                # Every (channel, utterance) has a place, so that no size depends on the numbers.
                share = torch.where(at < ends, gradient[:, here], 0.0).T.flatten()
                tap = (first + shift) * channels
                result[tap : tap + channels] = functional.embedding_bag(
                    at.clamp(max=len(values) - 1).T.flatten(),
                    values,
                    bags,
                    mode="sum",
                    per_sample_weights=share,
                )
        return None, result, None, None, None


def _windows(packed: Packed, kernel: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(n, windows) first frame of each window of an utterance, and whether there is such a one."""
    counts = np.maximum(packed.lengths - kernel + 1, 1)
    number = np.arange(counts.max(initial=1))
    # Beyond an utterance's windows its last one stands, masked.
    frames = packed.offsets[:-1, None] + np.minimum(number, counts[:, None] - 1)
    return to_device(frames, device), to_device(number < counts[:, None], device)


def _shifted(
    packed: Packed, window_frames: Tensor, shift: int, kernel: int
) -> tuple[Tensor | None, Tensor]:
    """Frames `shift` later; and which of them are of the same utterance, None for all."""
    later = window_frames + shift
    if packed.lengths.min(initial=kernel) >= kernel:
        return None, later
    ends = to_device(packed.offsets[1:], window_frames.device)[:, None]
    return later < ends, later.clamp(max=int(packed.offsets[-1]) - 1)


def _later_responses(tap: Tensor, later: Tensor, inside: Tensor | None) -> Tensor:
    """Responses at `later`; zeros where the utterance has ended."""
    responses = tap[later]
    return responses if inside is None else responses * inside[:, :, None]
