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
from collections.abc import Iterator
from functools import cache

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from amanda.batches import Packed

_FRAMES_AT_ONCE = 2048
_LONG_FRAMES = 32
_FRAMES_STEP, _ROWS_STEP = 16, 64
_SAMPLED_FRAMES = 512

# bfloat16 keeps 8 bits, so rounding moves a number by at most 2^-8 of itself, by 0.43 · 2^-8 in the
# mean square. A product of two rounded numbers is off by 0.6 · 2^-8, a sum of many such products by
# that share of the root of their summed squares; two such sums differ by √2 times that, and 6 times
# this is hardly ever exceeded.
_UNIT = 2.0**-8
_INPUT_ROUNDING = 6 * math.sqrt(2) * 0.6 * _UNIT

Weight = Float[Tensor, "taps_channels dim"]
Wanted = Bool[Tensor, "n kernels_channels"]
Columns = slice | Tensor
Frame = Float[Tensor, "dim"]
Taps = Float[Tensor, "time kernel some_channels"]
Found = tuple[Float[Tensor, "n kernels_channels"], Int64[Tensor, "n kernels_channels"]]
"""Each channel's largest response, and the first of its windows, counted from the utterance's
start."""


def first_taps(kernels: tuple[int, ...]) -> list[int]:
    """Each kernel's first tap among all taps."""
    return [sum(kernels[:k]) for k in range(len(kernels))]


@cache
def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for products of bfloat16 (AVX512-BF16, AMX)."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


def worth_screening(packed: Packed, weight: Weight) -> bool:
    """Whether `screened_search` is the faster one here, and can be used."""
    if not multiplies_bfloat16() or _are_short(packed):
        return False
    # Of numbers that are not finite nothing can be screened; they end the training soon.
    return math.isfinite(weight.sum().item())


def _are_short(packed: Packed) -> bool:
    """Whether utterances have so few frames that work for each of them outweighs its products."""
    return len(packed.values) < _LONG_FRAMES * len(packed)


def search(
    packed: Packed,
    weight: Weight,
    kernels: tuple[int, ...],
    product: torch.dtype,
    wanted: Wanted | None,
) -> Found:
    """Largest windows by responses in the number format `product`; sums over taps are float32."""
    maxima, windows = _nothing_found(packed, weight, kernels)
    for i, columns, taps in _responses(packed, weight.to(product), kernels, wanted):
        maxima[i, columns], windows[i, columns] = _window_sums(taps).max(dim=0)
    return maxima, windows


def screened_search(
    packed: Packed, weight: Weight, kernels: tuple[int, ...], wanted: Wanted | None
) -> Found:
    """`search` in float32, most of it in bfloat16.

    What all frames have in common is taken off first: it moves all windows of an utterance alike,
    and small numbers are rounded less.
    """
    sample = packed.values[:: max(1, len(packed.values) // _SAMPLED_FRAMES)]
    common = sample.mean(dim=0)
    spread = _INPUT_ROUNDING * _term_norms(sample - common, weight, kernels)
    candidates = _Candidates(packed, weight, kernels, wanted)
    for i, columns, taps in _responses(packed, weight.bfloat16(), kernels, wanted, common):
        taps = taps.float()
        sums = _window_sums(taps)
        largest = taps.abs_().amax(dim=0).sum(dim=0)  # each response has been rounded, too
        margin = largest.mul_(2 * _UNIT).add_(spread[columns])
        candidates.add(i, columns, sums >= sums.amax(dim=0).sub_(margin))
    return candidates.decide()


class _Candidates:
    """Windows that may be the largest of a channel, and which of them is."""

    def __init__(
        self, packed: Packed, weight: Weight, kernels: tuple[int, ...], wanted: Wanted | None
    ):
        self.packed, self.weight, self.kernels, self.wanted = packed, weight, kernels, wanted
        self.channels = weight.shape[0] // sum(kernels)
        self.offsets = packed.offsets.tolist()
        self.frames: list[list[Tensor]] = [[] for _ in kernels]
        self.columns: list[list[Tensor]] = [[] for _ in kernels]
        self.groups: list[list[Tensor]] = [[] for _ in kernels]

    def add(self, i: int, columns: Columns, possible: Bool[Tensor, "windows columns"]) -> None:
        """Windows of utterance i, in any order of utterances that is the packed one."""
        if self.wanted is not None:
            possible &= self.wanted[i, columns]
        window, place = possible.nonzero(as_tuple=True)
        first = int(columns.start if isinstance(columns, slice) else columns[0])
        k = first // self.channels
        column = place + first if isinstance(columns, slice) else columns[place]
        self.frames[k].append(window + self.offsets[i])
        self.columns[k].append(column - k * self.channels)
        self.groups[k].append(column + i * len(self.kernels) * self.channels)

    def decide(self) -> Found:
        """Compute the candidates in float32 and take the largest of each channel."""
        maxima, windows = _nothing_found(self.packed, self.weight, self.kernels)
        starts = torch.from_numpy(self.packed.offsets[:-1])
        for k, (kernel, first) in enumerate(
            zip(self.kernels, first_taps(self.kernels), strict=True)
        ):
            if not self.frames[k]:
                continue
            frames, group = torch.cat(self.frames[k]), torch.cat(self.groups[k])
            rows = slice(first * self.channels, (first + kernel) * self.channels)
            taps = self.weight[rows].unflatten(0, (kernel, self.channels))
            response = _chosen_responses(self.packed, taps, frames, torch.cat(self.columns[k]))
            flat, flat_windows = maxima.view(-1), windows.view(-1)
            flat.scatter_reduce_(0, group, response, "amax", include_self=False)
            best = response == flat[group]
            group, frames = group[best], frames[best]
            window = frames - starts[group // maxima.shape[1]]
            flat_windows.scatter_reduce_(0, group, window, "amin", include_self=False)
        return maxima, windows


def _chosen_responses(
    packed: Packed,
    taps: Float[Tensor, "kernel channels dim"],
    frames: Int64[Tensor, "chosen"],
    channels: Int64[Tensor, "chosen"],
) -> Float[Tensor, "chosen"]:
    """Σ_tap x[frame + tap] · w[tap, channel], taps beyond an utterance's end left out.

    `frames` ascend, so each tap is one product of a sparse pattern: a dot product for each entry.
    """
    values = packed.values
    before = _rows_before(frames, len(values))
    response = values.new_zeros(len(frames))
    left: Tensor | None = None
    if packed.lengths.min() < len(taps):
        ends = torch.from_numpy(packed.offsets[1:])
        left = ends[torch.searchsorted(ends, frames, right=True)] - frames
    for tap, rows in enumerate(taps):
        n, rest = len(values) - tap, values[tap:]
        inside = None if left is None else left > tap
        if inside is None or inside.all():
            response = _sampled(before[: n + 1], channels, response, rest, rows)
        elif inside.any():
            kept = _rows_before(frames[inside], len(values))[: n + 1]
            response[inside] = _sampled(kept, channels[inside], response[inside], rest, rows)
    return response


def _rows_before(
    frames: Int64[Tensor, "chosen"], n_frames: int
) -> Int64[Tensor, "n_frames_plus_1"]:
    """How many of the ascending `frames` come before each frame: row pointers of a pattern."""
    return functional.pad(torch.bincount(frames, minlength=n_frames).cumsum(0), (1, 0))


def _sampled(
    before: Int64[Tensor, "frames_plus_1"],
    channels: Int64[Tensor, "chosen"],
    added_to: Float[Tensor, "chosen"],
    values: Float[Tensor, "frames dim"],
    rows: Float[Tensor, "channels dim"],
) -> Float[Tensor, "chosen"]:
    """added_to + values[frame] · rows[channel] for the channels that each frame lists."""
    with warnings.catch_warnings():
        # That sparse tensors are in beta, and that the pattern (a right one) is not checked.
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        pattern = torch.sparse_csr_tensor(
            before, channels, added_to, size=(len(values), len(rows)), check_invariants=False
        )
        return torch.sparse.sampled_addmm(pattern, values, rows.T).values()


def _nothing_found(packed: Packed, weight: Weight, kernels: tuple[int, ...]) -> Found:
    n_columns = weight.shape[0] // sum(kernels) * len(kernels)
    maxima = packed.values.new_zeros(len(packed), n_columns)
    return maxima, torch.zeros(maxima.shape, dtype=torch.int64)


def _term_norms(
    frames: Float[Tensor, "frames dim"], weight: Weight, kernels: tuple[int, ...]
) -> Float[Tensor, "kernels_channels"]:
    """For each channel the root of Σ x²w² over its taps, in the mean square over `frames`."""
    by_row = weight.square() @ frames.square().mean(dim=0)
    channels = weight.shape[0] // sum(kernels)
    by_kernel = by_row.split([kernel * channels for kernel in kernels])
    return torch.cat([each.view(-1, channels).sum(dim=0) for each in by_kernel]).sqrt_()


def _responses(
    packed: Packed,
    weight: Weight,
    kernels: tuple[int, ...],
    wanted: Wanted | None,
    common: Frame | None = None,
) -> Iterator[tuple[int, Columns, Taps]]:
    """Responses of frames, less `common`, to every tap, in the weight's number format.

    Yields an utterance's number, columns of the result, and their responses.
    """
    if wanted is not None and not _are_short(packed):
        return _wanted_taps(packed, weight, kernels, wanted, common)
    return _all_taps(packed, weight, kernels, common)


def _all_taps(
    packed: Packed, weight: Weight, kernels: tuple[int, ...], common: Frame | None
) -> Iterator[tuple[int, Columns, Taps]]:
    """All channels, wanted or not.

    Products are over some utterances at a time: their responses stay in the cache while maxima are
    taken, and the memory is used again by the next ones instead of being asked of the system anew.
    """
    channels = weight.shape[0] // sum(kernels)
    starts, stops = packed.offsets[:-1].tolist(), packed.offsets[1:].tolist()
    for rows in _blocks(packed):
        first, last = starts[rows.start], stops[rows.stop - 1]
        responses = _product(packed.values, first, last, weight, common)
        for k, (kernel, first_tap) in enumerate(zip(kernels, first_taps(kernels), strict=True)):
            here = slice(k * channels, (k + 1) * channels)
            taps = responses[:, first_tap * channels : (first_tap + kernel) * channels]
            taps = taps.unflatten(1, (kernel, channels))
            for i in rows:
                yield i, here, taps[starts[i] - first : stops[i] - first]


def _wanted_taps(
    packed: Packed,
    weight: Weight,
    kernels: tuple[int, ...],
    wanted: Wanted,
    common: Frame | None,
) -> Iterator[tuple[int, Columns, Taps]]:
    """The wanted channels alone, which differ by utterance (dropout).

    Choosing rows of the weight for each utterance costs less than the product that it saves when
    utterances have some tens of frames.
    """
    channels = weight.shape[0] // sum(kernels)
    row_of = [
        torch.arange(first * channels, (first + kernel) * channels).view(kernel, channels)
        for kernel, first in zip(kernels, first_taps(kernels), strict=True)
    ]
    step = 1 if weight.dtype == torch.float32 else _ROWS_STEP
    offsets, memory = packed.offsets.tolist(), torch.empty_like(weight)
    for i in range(len(packed)):
        chosen = [each.nonzero().squeeze(1) for each in wanted[i].split(channels)]
        rows = [row_of[k][:, columns].flatten() for k, columns in enumerate(chosen)]
        index = torch.cat(rows)
        index, n_rows = functional.pad(index, (0, -len(index) % step)), len(index)
        some = torch.index_select(weight, 0, index, out=memory[: len(index)])
        responses = _product(packed.values, offsets[i], offsets[i + 1], some, common)
        responses = responses[:, :n_rows]
        by_kernel = responses.split([len(each) for each in rows], dim=1)
        for k, (kernel, columns) in enumerate(zip(kernels, chosen, strict=True)):
            if len(columns):
                taps = by_kernel[k].unflatten(1, (kernel, len(columns)))
                yield i, columns + k * channels, taps


def _product(
    values: Float[Tensor, "frames dim"], start: int, stop: int, rows: Tensor, common: Frame | None
) -> Float[Tensor, "time rows"]:
    """(values[start:stop] − common) @ rows.T in the number format of `rows`.

    In bfloat16 a few more frames are taken: oneDNN compiles a kernel for each new shape, so shapes
    must be few.
    """
    if rows.dtype == torch.float32:
        return values[start:stop] @ rows.T
    n_frames = stop - start + (start - stop) % _FRAMES_STEP
    begin = max(0, min(start, len(values) - n_frames))
    frames = values[begin : begin + n_frames]
    frames = frames if common is None else frames - common
    return (frames.to(rows.dtype) @ rows.T)[start - begin : stop - begin]


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
    if len(packed):
        yield range(start, len(packed))
