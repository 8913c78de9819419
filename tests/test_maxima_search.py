"""Screening in bfloat16 finds the windows that float32 finds, and their responses."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from small_features import write_pair

from amanda.batches import Packed
from amanda.loading import load_training_data
from amanda.loop import train
from amanda.maxima_search import screened_search, search
from amanda.methods import method_class
from amanda.settings import RunSettings
from amanda.store.features import FeatureFile
from amanda.window_maxima import plain_window_maxima, window_maxima
from amanda.window_sums import window_sums

KERNELS, CHANNELS, DIM = (3, 5), 6, 40


def packed(lengths: list[int], seed: int = 0, scale: float = 1.0) -> Packed:
    generator = torch.Generator().manual_seed(seed)
    values = scale * torch.randn(sum(lengths), DIM, generator=generator)
    return Packed(values, np.asarray(lengths, np.int64))


def weight(seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sum(KERNELS) * CHANNELS, DIM, generator=generator)


def slow_search(batch: Packed, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Window by window in float64."""
    maxima, windows = [], []
    for frames in batch.values.double().split(batch.lengths.tolist()):
        row, where, first = [], [], 0
        for kernel in KERNELS:
            taps = w.double()[first * CHANNELS : (first + kernel) * CHANNELS]
            taps, first = taps.view(kernel, CHANNELS, DIM), first + kernel
            n = max(len(frames) - kernel + 1, 1)
            responses = torch.stack(
                [
                    sum(taps[j] @ frames[t + j] for j in range(kernel) if t + j < len(frames))
                    for t in range(n)
                ]
            )
            largest = responses.max(dim=0)
            row.append(largest.values)
            where.append(largest.indices)
        maxima.append(torch.cat(row))
        windows.append(torch.cat(where))
    return torch.stack(maxima).float(), torch.stack(windows)


LENGTHS = [[1], [2], [1, 7, 3, 2, 5, 4, 20], [40, 60, 33], [50, 2, 70, 1, 90]]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("few", [False, True])
def test_both_searches_find_the_largest_windows(lengths: list[int], few: bool) -> None:
    batch, w = packed(lengths), weight()
    expected, windows = slow_search(batch, w)
    wanted = torch.rand(expected.shape, generator=torch.Generator().manual_seed(2)) < 0.5
    asked = wanted if few else torch.ones_like(wanted)
    for found in (
        screened_search(batch, w, KERNELS, wanted if few else None),
        search(batch, w, KERNELS, torch.float32, wanted if few else None),
    ):
        torch.testing.assert_close(found[0][asked], expected[asked], rtol=1e-5, atol=1e-5)
        assert torch.equal(found[1][asked], windows[asked])


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_a_large_common_part_and_large_columns_do_not_mislead(offset: float) -> None:
    """As features of transformers are: some columns a hundred times as large as the others."""
    batch, w = packed([80, 130, 60, 4], seed=3), weight(4)
    batch.values[:, ::17] *= 100.0
    batch.values.add_(offset)
    expected, windows = slow_search(batch, w)
    found = screened_search(batch, w, KERNELS, None)
    torch.testing.assert_close(found[0], expected, rtol=1e-5, atol=1e-3)
    assert torch.equal(found[1], windows)


def test_of_equal_windows_the_first_is_taken() -> None:
    batch = packed([6, 40])
    batch.values[:] = batch.values[:1]  # every window is the same
    for found in (
        screened_search(batch, weight(), KERNELS, None),
        search(batch, weight(), KERNELS, torch.float32, None),
    ):
        assert (found[1] == 0).all()


def test_without_instructions_for_bfloat16_its_numbers_are_multiplied_as_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch, w = packed([1, 7, 40, 90]), weight()
    rounded = Packed(batch.values.bfloat16().float(), batch.lengths)
    expected, where = slow_search(rounded, w.bfloat16().float())
    monkeypatch.setattr("amanda.maxima_search.multiplies_bfloat16", lambda: False)
    maxima, windows = search(batch, w, KERNELS, torch.bfloat16, None)
    torch.testing.assert_close(maxima, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(windows, where)
    exact, _ = slow_search(batch, w)
    assert 1e-4 < (maxima - exact).abs().max() < 0.5


def test_windows_closer_than_rounding_are_told_apart_in_float32() -> None:
    """Two frames that bfloat16 cannot distinguish; one channel, kernel 1."""
    values = torch.zeros(64, DIM)
    values[10, 0], values[20, 0], values[30, 0] = 1.0, 1.0 + 2.0**-12, 1.0 - 2.0**-12
    assert len(set(values[[10, 20, 30], 0].bfloat16().tolist())) < 3
    w = torch.zeros(1, DIM)
    w[0, 0] = 3.0
    found = screened_search(Packed(values, np.array([64])), w, (1,), None)
    assert found[1].item() == 20
    assert found[0].item() == 3.0 * (1.0 + 2.0**-12)


def test_few_windows_are_computed_twice() -> None:
    """Screening would be of no use if most windows were candidates."""
    import amanda.maxima_search as module

    batch, w = packed([130] * 8), weight()
    computed = []
    original = module._chosen_responses

    def counted(*arguments):
        computed.append(len(arguments[2]))
        return original(*arguments)

    module._chosen_responses = counted
    try:
        screened_search(batch, w, KERNELS, None)
    finally:
        module._chosen_responses = original
    n_maxima = 8 * CHANNELS * len(KERNELS)
    assert n_maxima <= sum(computed) < 2 * n_maxima


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_stays_so(value: float) -> None:
    batch, w = packed([40, 50]), weight()
    w[0, 0] = value
    maxima, _ = screened_search(batch, w, KERNELS, None)
    assert not torch.isfinite(maxima[:, 0]).any()
    torch.testing.assert_close(maxima[:, 1], slow_search(batch, weight())[0][:, 1])


def test_weights_whose_squares_overflow_are_searched_nevertheless() -> None:
    batch, w = packed([40, 3, 50]), weight() * 1e25
    maxima, windows = screened_search(batch, w, KERNELS, None)
    expected, expected_windows = slow_search(batch, w)
    torch.testing.assert_close(maxima, expected, rtol=1e-5, atol=0.0)
    assert torch.equal(windows, expected_windows)


def test_sums_say_where_no_window_starts() -> None:
    batch = packed([4, 2])
    three, five = window_sums(batch, weight(), KERNELS, None)
    assert torch.isfinite(three.response[:, 0]).tolist() == [True, True, False, False, True, False]
    assert torch.isfinite(five.response[:, 0]).tolist() == [True, False, False, False, True, False]
    assert three.counts == [CHANNELS, CHANNELS]
    assert five.first_column == CHANNELS


def test_only_wanted_channels_are_computed_for_long_utterances() -> None:
    batch, wanted = packed([40, 50]), torch.zeros(2, 2 * CHANNELS, dtype=torch.bool)
    wanted[0, [1, 4]] = True
    wanted[1, [0, 2, 5, 7]] = True
    three, five = window_sums(batch, weight(), KERNELS, wanted)
    everything = window_sums(batch, weight(), KERNELS, None)
    assert three.counts == [2, 3]
    assert three.columns.tolist() == [[1, 4, 0], [0, 2, 5]]
    assert five.counts == [0, 1]
    torch.testing.assert_close(three.response[:38, :2], everything[0].response[:38, [1, 4]])
    assert torch.isinf(three.response[:40, 2]).all()


def test_fifty_steps_agree_with_the_plain_formulation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same batches and seed: losses to 1e-4, while the model learns."""
    pair = write_pair(tmp_path)
    with FeatureFile(pair[0]) as a, FeatureFile(pair[1]) as b:
        data, _, _ = load_training_data(
            a, b, a.modalities, method_class("amanda"), standardise="none", folder=None
        )
    run = RunSettings(epochs=17, batch_size=16, dim=8, channels=8, eval_every=17)
    losses = []
    for function in (window_maxima, plain_window_maxima):
        calls = []

        def counted(packed, weight, kernels, product, wanted, *, use=function, calls=calls):
            calls.append(len(packed))
            rest = (wanted,) if use is window_maxima else ()
            return use(packed, weight, kernels, product, *rest)

        monkeypatch.setattr("amanda.textcnn.window_maxima", counted)
        training = train(data, run, 0, torch.device("cpu"))
        losses.append([epoch.loss["total"] for epoch in training])
        assert len(calls) > 2 * 50  # two TextCNNs a step
    assert losses[0][-1] < 0.9 * losses[0][0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
