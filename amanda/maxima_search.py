"""Finding each channel's largest window on a CPU: which window it is, and its response.

Two ways, with the same results but for rounding:

- `search` computes all responses in one number format and takes the largest.
- `screened_search` computes them in bfloat16, which processors with AVX512-BF16 or AMX multiply two
  to many times as fast, and keeps the windows that can be the largest given how far rounding may
  have moved them. Their responses, a window or two of each channel, are computed anew in float32
  and decide. What comes out is float32 throughout.
"""

import math
import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from amanda.batches import Packed
from amanda.window_sums import KernelSums, Wanted, Weight, first_taps, window_sums

_SAMPLED_FRAMES = 512

# bfloat16 keeps 8 bits, so rounding moves a number by at most 2^-8 of itself, by 0.43 · 2^-8 in the
# mean square. A product of two rounded numbers is off by 0.6 · 2^-8, a sum of many such products by
# that share of the root of their summed squares; two such sums differ by √2 times that, and 6 times
# this is hardly ever exceeded.
_UNIT = 2.0**-8
_INPUT_ROUNDING = 6 * math.sqrt(2) * 0.6 * _UNIT

Found = tuple[Float[Tensor, "n kernels_channels"], Int64[Tensor, "n kernels_channels"]]
"""Each channel's largest response, and the first of its windows, counted from the utterance's
start."""


@cache
def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for products of bfloat16 (AVX512-BF16, AMX)."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


def search(
    packed: Packed,
    weight: Weight,
    kernels: tuple[int, ...],
    product: torch.dtype,
    wanted: Wanted | None,
) -> Found:
    """Largest windows by responses in the number format `product`; sums over taps are float32.

    On a processor without instructions for bfloat16, its numbers are multiplied as float32, which
    holds their products exactly and takes no longer than float32 does.
    """
    maxima, windows = _nothing_found(packed, weight, kernels)
    offsets = packed.offsets.tolist()
    if product == torch.bfloat16 and not multiplies_bfloat16():
        packed = replace(packed, values=packed.values.bfloat16().float())
        weight, product = weight.bfloat16(), torch.float32
    for sums in window_sums(packed, weight.to(product), kernels, wanted):
        for i, count in enumerate(sums.counts):
            largest, window = sums.response[offsets[i] : offsets[i + 1], :count].max(dim=0)
            columns = sums.first_column + sums.columns[i, :count]
            maxima[i, columns], windows[i, columns] = largest, window
    return maxima, windows


def screened_search(
    packed: Packed, weight: Weight, kernels: tuple[int, ...], wanted: Wanted | None
) -> Found:
    """`search` in float32, most of it in bfloat16.

    What all frames have in common is taken off first: it moves all windows of an utterance alike,
    and small numbers are rounded less. Numbers that are not finite, as those of a training that
    diverges, are not screened.
    """
    maxima, windows = _nothing_found(packed, weight, kernels)
    sample = packed.values[:: max(1, len(packed.values) // _SAMPLED_FRAMES)]
    common = sample.mean(dim=0)
    variance = (sample - common).square_().mean(dim=0)
    utterance_of = torch.from_numpy(np.repeat(np.arange(len(packed)), packed.lengths))
    starts = torch.from_numpy(packed.offsets[:-1])
    all_sums = window_sums(packed, weight.bfloat16(), kernels, wanted, common)
    if not all(math.isfinite(sums.largest.sum().item()) for sums in all_sums):
        return search(packed, weight, kernels, torch.float32, wanted)
    for sums, first in zip(all_sums, first_taps(kernels), strict=True):
        rows = slice(first * sums.channels, (first + sums.kernel) * sums.channels)
        taps = weight[rows].unflatten(0, (sums.kernel, sums.channels))
        frames, place = _candidates(packed, sums, taps, variance, utterance_of)
        utterance = utterance_of[frames]
        column = sums.columns[utterance, place]
        if wanted is not None:
            kept = wanted[utterance, sums.first_column + column]
            frames, utterance, column = frames[kept], utterance[kept], column[kept]
        response = _chosen_responses(packed, taps, frames, column)
        group = utterance * maxima.shape[1] + sums.first_column + column
        flat, flat_windows = maxima.view(-1), windows.view(-1)
        flat.scatter_reduce_(0, group, response, "amax", include_self=False)
        best = response == flat[group]
        window = (frames - starts[utterance])[best]
        flat_windows.scatter_reduce_(0, group[best], window, "amin", include_self=False)
    return maxima, windows


def _candidates(
    packed: Packed,
    sums: KernelSums,
    taps: Float[Tensor, "kernel channels dim"],
    variance: Float[Tensor, "dim"],
    utterance_of: Int64[Tensor, "frames"],
) -> tuple[Int64[Tensor, "possible"], Int64[Tensor, "possible"]]:
    """First frame and column of every window that may be its channel's largest."""
    spread = _INPUT_ROUNDING * (taps.square() @ variance).sum(dim=0).sqrt_()
    margin = sums.largest.mul(2 * _UNIT).add_(spread[sums.columns])  # responses are rounded, too
    least = torch.full_like(margin, torch.inf)  # of columns that were not computed
    offsets = packed.offsets.tolist()
    for i, count in enumerate(sums.counts):
        if count:
            highest = sums.response[offsets[i] : offsets[i + 1], :count].amax(dim=0)
            torch.sub(highest, margin[i, :count], out=least[i, :count])
    # Where the margin overflows, every window is possible; where none starts stands −inf.
    lowest = torch.finfo(least.dtype).min
    least.nan_to_num_(nan=lowest, neginf=lowest, posinf=torch.inf)
    possible = sums.response >= least.index_select(0, utterance_of)
    return possible.nonzero(as_tuple=True)  # type: ignore[return-value]


def _chosen_responses(
    packed: Packed,
    taps: Float[Tensor, "kernel channels dim"],
    frames: Int64[Tensor, "chosen"],
    channels: Int64[Tensor, "chosen"],
) -> Float[Tensor, "chosen"]:
    """Σ_tap x[frame + tap] · w[tap, channel], taps beyond an utterance's end left out.

    Each frame lists the rows of taps it is multiplied by; one product of that sparse pattern reads
    every frame once, whichever windows it is in.
    """
    values, (kernel, n_channels, _) = packed.values, taps.shape
    ends = torch.from_numpy(packed.offsets[1:])
    left = ends[torch.searchsorted(ends, frames, right=True)] - frames
    window, tap = (left[:, None] > torch.arange(kernel)).nonzero(as_tuple=True)
    width = kernel * n_channels
    entry = (frames[window] + tap) * width + tap * n_channels + channels[window]
    entry, order = entry.sort()
    before = functional.pad(torch.bincount(entry // width, minlength=len(values)).cumsum(0), (1, 0))
    with warnings.catch_warnings():
        # That sparse tensors are in beta, and that the pattern (a right one) is not checked.
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        pattern = torch.sparse_csr_tensor(
            before,
            entry % width,
            values.new_zeros(len(entry)),
            size=(len(values), width),
            check_invariants=False,
        )
        products = torch.sparse.sampled_addmm(pattern, values, taps.flatten(0, 1).T).values()
    return values.new_zeros(len(frames)).index_add_(0, window[order], products)


def _nothing_found(packed: Packed, weight: Weight, kernels: tuple[int, ...]) -> Found:
    n_columns = weight.shape[0] // sum(kernels) * len(kernels)
    maxima = packed.values.new_zeros(len(packed), n_columns)
    return maxima, torch.zeros(maxima.shape, dtype=torch.int64)
