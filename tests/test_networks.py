"""Networks against formulations that take one utterance at a time."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from amanda.batches import Packed
from amanda.device_maxima import DeviceMaxima
from amanda.networks import LSTM, Model, architecture, build, mlp
from amanda.textcnn import TextCNN
from amanda.window_maxima import plain_window_maxima, window_maxima

KERNELS = (3, 5)
SHAPES = {"acoustic": (2, 6), "visual": (1, 5), "lexical": (3, 4)}
LENGTHS = [
    [1],
    [2],
    [4, 1],
    [1, 7, 3, 2, 5, 4, 20, 3],
    [3, 5, 6],
    [int(n) for n in np.random.default_rng(0).integers(1, 40, size=30)],
    [3000, 2, 2500, 1],  # more frames than are computed at once
]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def packed(lengths: list[int], dim: int) -> Packed:
    return Packed(torch.randn(sum(lengths), dim), np.asarray(lengths, np.int64))


def utterances(batch: Packed) -> list[torch.Tensor]:
    return list(batch.values.split(batch.lengths.tolist()))


def conv1d_maxima(batch: Packed, weight: torch.Tensor, channels: int) -> torch.Tensor:
    """The same by nn.functional.conv1d, one utterance at a time."""
    columns, start = [], 0
    for kernel in KERNELS:
        block = weight[start : start + kernel * channels].unflatten(0, (kernel, channels))
        start += kernel * channels
        rows = []
        for frames in utterances(batch):
            padded = functional.pad(frames.T, (0, max(kernel - len(frames), 0)))
            rows.append(functional.conv1d(padded[None], block.permute(1, 2, 0))[0].amax(dim=1))
        columns.append(torch.stack(rows))
    return torch.cat(columns, dim=1)


def device_maxima(batch: Packed, weight: torch.Tensor, kernels: tuple[int, ...]) -> torch.Tensor:
    """What a GPU computes, here on the CPU."""
    return DeviceMaxima.apply(batch.values, weight, batch, kernels, torch.float32)


@pytest.mark.parametrize("function", [window_maxima, plain_window_maxima, device_maxima])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_window_maxima_equal_conv1d_on_single_utterances(function, lengths: list[int]) -> None:
    batch, channels = packed(lengths, 6), 4
    weight = torch.randn(sum(KERNELS) * channels, 6, requires_grad=True)
    ours, expected = function(batch, weight, KERNELS), conv1d_maxima(batch, weight, channels)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    gradient = torch.randn_like(expected)
    gradient[torch.rand_like(gradient) < 0.3] = 0.0  # as dropout and ReLU leave it
    ours_w = torch.autograd.grad(ours, weight, gradient)[0]
    expected_w = torch.autograd.grad(expected, weight, gradient)[0]
    torch.testing.assert_close(ours_w, expected_w, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lengths", [[40, 3, 60, 1, 33], [5, 2, 9]], ids=str)
def test_what_is_not_wanted_need_not_be_computed(lengths: list[int]) -> None:
    batch, weight = packed(lengths, 6), torch.randn(sum(KERNELS) * 4, 6, requires_grad=True)
    wanted = torch.rand(len(lengths), 8) < 0.5
    wanted[1] = False  # an utterance of which nothing is wanted
    ours = window_maxima(batch, weight, KERNELS, wanted=wanted)
    expected = conv1d_maxima(batch, weight, 4)
    torch.testing.assert_close(ours[wanted], expected[wanted], rtol=1e-5, atol=1e-5)
    gradient = torch.randn_like(expected) * wanted
    gradients = [torch.autograd.grad(each, weight, gradient)[0] for each in (ours, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)
    rounded = window_maxima(batch, weight, KERNELS, torch.bfloat16, wanted)
    assert (rounded - expected)[wanted].norm() < 0.02 * expected[wanted].norm()


def test_dropout_drops_half_of_the_maxima_and_doubles_the_others() -> None:
    net, batch = TextCNN(6, 8, KERNELS, 50, dropout=0.5), packed([40, 60, 2] * 20, 6)
    nn.init.eye_(net.out.weight)  # out are the first 8 of the pooled channels
    nn.init.zeros_(net.out.bias)
    pooled = functional.relu(conv1d_maxima(batch, net.weight, 50) + net.bias)[:, :8]
    dropped = net(batch)
    kept = dropped > 0
    assert 0.4 < kept[pooled > 0].float().mean() < 0.6
    torch.testing.assert_close(dropped[kept], 2 * pooled[kept], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(net.eval()(batch), pooled, rtol=1e-5, atol=1e-5)


def test_gradient_of_the_input() -> None:
    batch, weight = packed([1, 7, 3, 12], 6), torch.randn(sum(KERNELS) * 4, 6)
    batch.values.requires_grad_()
    outputs = [window_maxima(batch, weight, KERNELS), conv1d_maxima(batch, weight, 4)]
    gradient = torch.randn_like(outputs[0])
    ours, expected = (torch.autograd.grad(o, batch.values, gradient)[0] for o in outputs)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_window_maxima_by_hand() -> None:
    """One input, one channel, kernel 2 with taps (1, 10): responses x_i + 10 x_{i+1}."""
    batch = Packed(torch.tensor([[1.0], [2.0], [-3.0], [5.0], [4.0]]), np.array([3, 1, 1]))
    weight = torch.tensor([[1.0], [10.0]])
    for function in (window_maxima, plain_window_maxima, device_maxima):
        # 21 and -28; then single frames, padded with a zero.
        assert function(batch, weight, (2,)).tolist() == [[21.0], [5.0], [4.0]]


def test_bfloat16_products_are_close() -> None:
    batch, weight = packed([9, 30, 2, 100], 64), torch.randn(sum(KERNELS) * 4, 64)
    exact = window_maxima(batch, weight, KERNELS)
    for function in (window_maxima, plain_window_maxima):
        rounded = function(batch, weight, KERNELS, torch.bfloat16)
        assert rounded.dtype == torch.float32
        assert (rounded - exact).norm() < 0.02 * exact.norm()
        assert not torch.equal(rounded, exact)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_window_maxima_on_a_gpu() -> None:
    batch, weight = packed([1, 7, 3, 12], 6), torch.randn(sum(KERNELS) * 4, 6)
    there = Packed(batch.values.cuda(), batch.lengths)
    ours = window_maxima(there, weight.cuda(), KERNELS).cpu()
    torch.testing.assert_close(ours, window_maxima(batch, weight, KERNELS), rtol=1e-4, atol=1e-4)


def test_textcnn_is_convolutions_relu_maximum_linear_relu() -> None:
    net, batch = TextCNN(6, 8, KERNELS, 4, dropout=0.5).eval(), packed([6, 1, 9], 6)
    nn.init.normal_(net.bias)
    rows = []
    for frames in utterances(batch):
        pooled, start = [], 0
        for k, kernel in enumerate(KERNELS):
            conv = nn.Conv1d(6, 4, kernel)
            block = net.weight[start : start + kernel * 4].unflatten(0, (kernel, 4))
            start += kernel * 4
            conv.weight.data, conv.bias.data = block.permute(1, 2, 0), net.bias[k * 4 : k * 4 + 4]
            padded = functional.pad(frames.T[None], (0, max(kernel - len(frames), 0)))
            pooled.append(conv(padded).relu().amax(dim=2)[0])
        rows.append(net.out(torch.cat(pooled)).relu())
    torch.testing.assert_close(net(batch), torch.stack(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lengths", LENGTHS[:-1], ids=str)
def test_lstm_equals_single_utterances(lengths: list[int]) -> None:
    net, batch = LSTM(6, 5), packed(lengths, 6)
    expected = torch.stack([net.lstm(frames)[0].amax(dim=0) for frames in utterances(batch)])
    ours = net(batch)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
    gradient = torch.randn_like(expected)
    ours_g = torch.autograd.grad(ours, list(net.parameters()), gradient)
    expected_g = torch.autograd.grad(expected, list(net.parameters()), gradient)
    for a, b in zip(ours_g, expected_g, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


# The whole model


def describe(flags: tuple[str, ...] = ()) -> dict:
    return architecture(
        SHAPES,
        4,
        dim=8,
        dropout=0.5,
        head_dropout=0.3,
        kernels=KERNELS,
        channels=4,
        flags=flags,
    )


def inputs_of(lengths: dict[str, list[int]]) -> dict[str, Packed]:
    return {m: packed(lengths[m], layers * width) for m, (layers, width) in SHAPES.items()}


FULL = {"acoustic": [9, 4, 20, 1], "visual": [3, 3, 3, 2], "lexical": [2, 8, 5, 4]}
GAPS = {"acoustic": [9, 4, 20, 0], "visual": [0, 3, 0, 0], "lexical": [2, 8, 5, 0]}


def test_shapes_and_branches() -> None:
    model = build(describe()).eval()
    outputs = model(inputs_of(FULL))
    assert outputs.branches == ["acoustic", "visual", "lexical", "joint"]
    assert outputs.present is None
    assert {b: tuple(z.shape) for b, z in outputs.representation.items()} == {
        "acoustic": (4, 8),
        "visual": (4, 8),
        "lexical": (4, 8),
        "joint": (4, 24),
    }
    assert all(logits.shape == (4, 4) for logits in outputs.logits.values())
    assert isinstance(model.encoders["visual"], LSTM)
    assert isinstance(model.encoders["acoustic"], TextCNN)
    joint = torch.cat([outputs.representation[m] for m in SHAPES], dim=1)
    assert torch.equal(outputs.representation["joint"], joint)


def test_layers_are_inputs_of_the_convolution_not_mixed_with_time() -> None:
    """Another order of layers is another order of a frame's columns, and of nothing else."""
    model = build(describe()).eval()
    encoder, batch = model.encoders["lexical"], packed([5, 2], 12)
    swapped = batch.values.unflatten(1, (3, 4))[:, [2, 0, 1]].flatten(1)
    before = encoder(batch)
    with torch.no_grad():
        encoder.weight.copy_(encoder.weight.unflatten(1, (3, 4))[:, [2, 0, 1]].flatten(1))
    after = encoder(Packed(swapped, batch.lengths))
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("lengths", "flags"), [(FULL, ()), (GAPS, ("visual",))])
def test_how_utterances_are_packed_does_not_matter(lengths: dict, flags: tuple[str, ...]) -> None:
    model, inputs = build(describe(flags)).eval(), inputs_of(lengths)
    together = model(inputs)
    for i in range(4):
        alone = {
            m: Packed(each.values[each.offsets[i] : each.offsets[i + 1]], each.lengths[i : i + 1])
            for m, each in inputs.items()
        }
        single = model(alone)
        for branch in together.branches:
            for ours, expected in (
                (single.logits, together.logits),
                (single.representation, together.representation),
            ):
                torch.testing.assert_close(
                    ours[branch][0], expected[branch][i], rtol=1e-5, atol=1e-5
                )


def test_missing_modalities_are_zeros_with_flags() -> None:
    model, inputs = build(describe(("acoustic", "visual"))).eval(), inputs_of(GAPS)
    outputs = model(inputs)
    assert outputs.present is not None
    present = {m: mask.tolist() for m, mask in outputs.present.items()}
    assert present["visual"] == [False, True, False, False]
    assert present["lexical"] == [True, True, True, False]
    for m in SHAPES:
        assert torch.equal(outputs.representation[m].abs().sum(dim=1) > 0, outputs.present[m])
        assert torch.equal(outputs.rows_present(m), outputs.present[m])
    assert outputs.rows_present("joint") is None
    expected = torch.cat([outputs.present[m][:, None].expand(4, 8) for m in SHAPES], dim=1)
    assert torch.equal(outputs.columns_present("joint"), expected)
    flags = torch.stack([outputs.present["acoustic"], outputs.present["visual"]], dim=1).float()
    joint = model.heads["joint"](torch.cat([outputs.representation["joint"], flags], dim=1))
    torch.testing.assert_close(outputs.logits["joint"], joint)
    assert torch.isfinite(joint).all()  # the last row has no modality at all


def test_gradients_stay_finite_where_a_whole_batch_lacks_a_modality() -> None:
    model = build(describe(("visual",)))
    outputs = model(inputs_of({**FULL, "visual": [0, 0, 0, 0]}))
    sum(logits.square().sum() for logits in outputs.logits.values()).backward()
    for name, parameter in model.named_parameters():
        if not name.startswith("encoders.visual"):
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
    assert all(p.grad is None for p in model.encoders["visual"].parameters())


def test_no_utterance_at_all() -> None:
    outputs = build(describe()).eval()(inputs_of({name: [] for name in SHAPES}))
    assert outputs.logits["joint"].shape == (0, 4)


def test_a_model_without_missing_modalities_has_no_flags() -> None:
    plain, flagged = build(describe()), build(describe(("visual",)))
    assert plain.heads["joint"][0].in_features == 24
    assert flagged.heads["joint"][0].in_features == 25


def test_split_is_by_rows() -> None:
    outputs = build(describe(("visual",))).eval()(inputs_of(GAPS))
    first, rest = outputs.split(1)
    assert torch.equal(
        torch.cat([first.logits["joint"], rest.logits["joint"]]), outputs.logits["joint"]
    )
    assert first.present is not None
    assert first.present["visual"].tolist() == [False]


def test_description_is_json_and_enough_to_build() -> None:
    description = json.loads(json.dumps(describe(("visual",))))
    model, again = build(description), build(description)
    again.load_state_dict(model.state_dict())
    inputs = inputs_of(GAPS)
    ours, theirs = model.eval()(inputs), again.eval()(inputs)
    assert torch.equal(ours.logits["joint"], theirs.logits["joint"])


def test_initial_weights_follow_the_seed() -> None:
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(build(describe()).state_dict())
    name = "encoders.acoustic.weight"
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0][name], states[2][name])


def test_initial_weights_are_he_normal() -> None:
    net = TextCNN(400, 8, (3, 5), 64, dropout=0.0)
    for kernel, block in zip((3, 5), net.weight.split([3 * 64, 5 * 64]), strict=True):
        assert block.std().item() == pytest.approx((2 / (kernel * 400)) ** 0.5, rel=0.02)
    assert net.bias.abs().max() == 0
    linear = build(describe()).heads["joint"][0]
    assert linear.weight.std().item() == pytest.approx((2 / 24) ** 0.5, rel=0.15)
    assert linear.bias.abs().max() == 0


def test_every_parameter_belongs_to_one_network() -> None:
    model = build(describe())
    parts = [p for network in model.networks().values() for p in network.parameters()]
    assert len(parts) == len({id(p) for p in parts}) == len(list(model.parameters()))
    assert isinstance(model, Model)


def test_joint_head() -> None:
    head = mlp((24, 8, 8, 4), 0.3)
    kinds = [type(layer).__name__ for layer in head]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [layer.out_features for layer in head if isinstance(layer, nn.Linear)] == [8, 8, 4]
