"""The LSTM's own gradient on a CPU against torch's, and what it must not depend on."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pad_packed_sequence

from amanda.batches import Packed
from amanda.lstm import LSTM, _frames_before, _States, time_major


def drawn(lengths, n_inputs, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(sum(lengths), n_inputs, generator=generator, dtype=dtype)
    return Packed(values, np.array(lengths))


def gradients(module, outputs):
    weight = torch.linspace(-1, 1, outputs.numel()).view_as(outputs)
    module.zero_grad()
    (outputs * weight).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize(
    "lengths", [[1], [4], [3, 3, 3], [1, 1], [5, 1, 9, 2, 9, 4], list(range(1, 40))]
)
def test_equals_torchs_lstm(lengths):
    torch.manual_seed(1)
    net, packed = LSTM(6, 5), drawn(lengths, 6)
    plain = pad_packed_sequence(net.lstm(time_major(packed))[0], padding_value=-torch.inf)[0]
    expected = plain.amax(dim=0)
    found = net(packed)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    wanted = gradients(net, expected)
    for name, gradient in gradients(net, net(packed)).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-5, atol=1e-6, msg=name)


def test_gradients_by_differences():
    """Every parameter's gradient in float64, by finite differences."""
    torch.manual_seed(2)
    ordered = time_major(drawn([3, 1, 4], 2, dtype=torch.float64))
    lstm = nn.LSTM(2, 3).double()
    parameters = [p.detach().requires_grad_() for p in lstm.parameters()]
    running = ordered.batch_sizes.tolist()
    assert torch.autograd.gradcheck(
        lambda *given: _States.apply(ordered.data, *given, running), parameters
    )


def test_a_case_by_hand():
    """One number at a time: i = f = o = sigmoid(0) = ½ and g = tanh(x), so c_t = c_{t−1}/2 +
    tanh(x_t)/2 and h_t = tanh(c_t)/2."""
    net = LSTM(1, 1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.lstm.weight_ih_l0[2] = 1.0
    x = [0.5, -1.0, 2.0]
    c, h = 0.0, []
    for value in x:
        c = c / 2 + math.tanh(value) / 2
        h.append(math.tanh(c) / 2)
    found = net(Packed(torch.tensor(x)[:, None], np.array([3])))
    assert found.item() == pytest.approx(max(h), rel=1e-6)


def test_order_and_company_do_not_matter():
    torch.manual_seed(3)
    net, lengths = LSTM(4, 7), [5, 2, 8, 2]
    packed = drawn(lengths, 4)
    together = net(packed)
    parts = packed.values.split(lengths)
    alone = [net(Packed(part, np.array([len(part)]))) for part in parts]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-6)
    order = [2, 0, 3, 1]
    turned = Packed(torch.cat([parts[i] for i in order]), np.array([lengths[i] for i in order]))
    torch.testing.assert_close(net(turned), together[order], rtol=1e-5, atol=1e-6)


def test_both_biases_have_gradients_of_their_own():
    """They are equal, and bounded in place: shared memory would be bounded twice."""
    net = LSTM(3, 2)
    gradients(net, net(drawn([4, 2], 3)))
    one, other = net.lstm.bias_ih_l0.grad, net.lstm.bias_hh_l0.grad
    assert torch.equal(one, other)
    assert one.data_ptr() != other.data_ptr()


def test_inputs_that_need_a_gradient_get_one():
    net, packed = LSTM(3, 2), drawn([4, 2], 3)
    packed.values.requires_grad_()
    net(packed).sum().backward()
    assert packed.values.grad.abs().sum() > 0


def test_the_frame_before():
    # Utterances a (3 frames) and b (2): a0 b0 | a1 b1 | a2
    assert _frames_before([2, 2, 1]).tolist() == [0, 1, 2]
    assert _frames_before([3]).tolist() == []
