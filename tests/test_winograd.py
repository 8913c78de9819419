"""Wide convolutions by minimal filtering: the same function as torch's."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from extractors.winograd import WinogradConv2d, accelerate


def layers(n_inputs, n_outputs, padding=1, bias=True):
    torch.manual_seed(0)
    plain = nn.Conv2d(n_inputs, n_outputs, 3, padding=padding, bias=bias)
    return plain, WinogradConv2d(plain)


@pytest.mark.parametrize(
    ("size", "padding"),
    [((8, 8), 1), ((7, 9), 0), ((1, 1), 1), ((1, 1), 3), ((2, 5), 3), ((3, 3), 0), ((37, 90), 1)],
)
@torch.inference_mode()
def test_equals_the_convolution(size, padding):
    plain, ours = layers(5, 7, padding)
    images = torch.randn(2, 5, *size)
    expected = functional.conv2d(
        images.double(), plain.weight.double(), plain.bias.double(), padding=padding
    )
    found = ours(images)
    assert found.shape == expected.shape
    scale = expected.abs().max()
    assert (found - expected).abs().max() < 3e-6 * scale
    assert found.is_contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def test_a_case_by_hand():
    """A kernel of ones over the numbers 1 to 9, zeros around: sums of neighbourhoods."""
    plain = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    plain.weight.fill_(1.0)
    image = torch.arange(1.0, 10.0).view(1, 1, 3, 3)
    expected = torch.tensor([[12.0, 21, 16], [27, 45, 33], [24, 39, 28]])
    torch.testing.assert_close(WinogradConv2d(plain)(image)[0, 0], expected)


@torch.inference_mode()
def test_an_image_does_not_depend_on_its_batch():
    _, ours = layers(16, 24)
    images = torch.randn(5, 16, 33, 50)
    together = ours(images)
    for i in (0, 4):
        assert torch.equal(ours(images[i : i + 1])[0], together[i])
    assert torch.equal(ours(images.contiguous(memory_format=torch.channels_last)), together)


@torch.inference_mode()
def test_only_wide_convolutions_that_suit_are_replaced():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.Sequential(nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1)),
        nn.Conv2d(16, 16, 3, stride=2),
        nn.Conv2d(16, 16, 1),
        nn.Conv2d(16, 16, 3, groups=2),
        nn.Conv2d(16, 16, 3, dilation=2),
        nn.Conv2d(16, 16, 3, padding=(1, 0)),
    )
    images = torch.randn(1, 3, 30, 31)
    expected = network(images)
    accelerate(network, least=8 * 16)
    assert isinstance(network[1][1], WinogradConv2d)
    assert sum(isinstance(part, WinogradConv2d) for part in network.modules()) == 1
    torch.testing.assert_close(network(images), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="not a 3 × 3 convolution"):
        WinogradConv2d(network[2])
