"""A one-layer LSTM over packed utterances and the maximum of its outputs over time.

Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997, with the gates and
parameters of `torch.nn.LSTM`. On a CPU its gradient is computed here: torch's takes one slice of
the input's product for each time, whose gradient fills an array as large as the whole product, so
that its time grows with the square of the number of frames.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from amanda.batches import Packed
from amanda.transfer import to_device


class LSTM(nn.Module):
    """A one-layer LSTM and the maximum of its outputs over time.

    Args:
        n_inputs: layers · width of a frame.
        dim: width of the state, which is the representation's.
    """

    def __init__(self, n_inputs: int, dim: int):
        super().__init__()
        self.lstm = nn.LSTM(n_inputs, dim)

    def forward(self, packed: Packed) -> Float[Tensor, "n dim"]:
        """Representations of n utterances, each with at least one frame."""
        ordered = time_major(packed)
        if ordered.data.device.type != "cpu" or ordered.data.requires_grad:
            outputs = self.lstm(ordered)[0]
        else:
            parameters = (
                self.lstm.weight_ih_l0,
                self.lstm.weight_hh_l0,
                self.lstm.bias_ih_l0,
                self.lstm.bias_hh_l0,
            )
            states = _States.apply(ordered.data, *parameters, ordered.batch_sizes.tolist())
            outputs = ordered._replace(data=states)
        return pad_packed_sequence(outputs, padding_value=-torch.inf)[0].amax(dim=0)


def time_major(packed: Packed) -> PackedSequence:
    """The same frames ordered by time, then utterance, as torch's recurrent layers read them."""
    order = np.argsort(-packed.lengths, kind="stable")
    lengths, starts = packed.lengths[order], packed.offsets[:-1][order]
    # Utterances still running at each time; they are the first ones of `order`.
    running = np.searchsorted(-lengths, -np.arange(lengths[0]), side="left")
    time = np.repeat(np.arange(lengths[0]), running)
    rank = np.arange(len(time)) - np.repeat(np.cumsum(running) - running, running)
    device = packed.values.device
    return PackedSequence(
        packed.values.index_select(0, to_device(starts[rank] + time, device)),
        torch.from_numpy(running),
        sorted_indices=to_device(order, device),
        unsorted_indices=to_device(np.argsort(order, kind="stable"), device),
    )


class _States(torch.autograd.Function):
    """Outputs at every frame of time-major utterances, for inputs that need no gradient.

    Of `running` utterances at a time, the first ones are those that run at the next.
    """

    @staticmethod
    def forward(
        ctx: Any,
        frames: Float[Tensor, "frames inputs"],
        weight_ih: Float[Tensor, "gates inputs"],
        weight_hh: Float[Tensor, "gates dim"],
        bias_ih: Float[Tensor, "gates"],
        bias_hh: Float[Tensor, "gates"],
        running: list[int],
    ) -> Float[Tensor, "frames dim"]:
        dim = weight_hh.shape[1]
        gates = torch.addmm(bias_ih + bias_hh, frames, weight_ih.T)
        cells, squashed, outputs = (gates.new_empty(len(frames), dim) for _ in range(3))
        recurrent = weight_hh.T.contiguous()
        start = 0
        for time, n in enumerate(running):
            here = slice(start, start + n)
            if time:
                before = slice(start - running[time - 1], start - running[time - 1] + n)
                gates[here].addmm_(outputs[before], recurrent)
            gate_i, gate_f, gate_g, gate_o = gates[here].split(dim, dim=1)
            for gate in (gate_i, gate_f, gate_o):
                gate.sigmoid_()
            torch.mul(gate_i, gate_g.tanh_(), out=cells[here])
            if time:
                cells[here].addcmul_(gate_f, cells[before])
            torch.tanh(cells[here], out=squashed[here])
            torch.mul(gate_o, squashed[here], out=outputs[here])
            start += n
        ctx.save_for_backward(frames, weight_hh, gates, cells, squashed, outputs)
        ctx.running = running
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        frames, weight_hh, gates, cells, squashed, outputs = ctx.saved_tensors
        running, dim = ctx.running, weight_hh.shape[1]
        by_gates = torch.empty_like(gates)
        by_output, by_cell = (gates.new_zeros(running[0], dim) for _ in range(2))
        end = len(frames)
        for time in range(len(running) - 1, -1, -1):
            n = running[time]
            here = slice(end - n, end)
            gate_i, gate_f, gate_g, gate_o = gates[here].split(dim, dim=1)
            by_i, by_f, by_g, by_o = by_gates[here].split(dim, dim=1)
            h, c = by_output[:n].add_(gradient[here]), by_cell[:n]
            # tanh' = 1 − tanh², sigmoid' = sigmoid · (1 − sigmoid)
            torch.mul(h, squashed[here], out=by_o).mul_(gate_o).mul_(1 - gate_o)
            c.add_(h.mul_(gate_o).mul_(1 - squashed[here].square()))
            torch.mul(c, gate_g, out=by_i).mul_(gate_i).mul_(1 - gate_i)
            torch.mul(c, gate_i, out=by_g).mul_(1 - gate_g.square())
            end -= n
            if time == 0:
                by_f.zero_()
                break
            before = slice(end - running[time - 1], end - running[time - 1] + n)
            torch.mul(c, cells[before], out=by_f).mul_(gate_f).mul_(1 - gate_f)
            c.mul_(gate_f)
            torch.mm(by_gates[here], weight_hh, out=h)
        by_weight_ih = by_gates.T @ frames
        later = by_gates[running[0] :]  # a first frame has no output before it
        by_weight_hh = later.T @ outputs.index_select(0, _frames_before(running))
        by_bias = by_gates.sum(dim=0)
        # Two arrays, since each is bounded in place.
        return None, by_weight_ih, by_weight_hh, by_bias, by_bias.clone(), None


def _frames_before(running: list[int]) -> Tensor:
    """Of every frame but the first ones, the same utterance's frame before it."""
    sizes = np.array(running)
    index = np.arange(sizes[0], sizes.sum())
    return torch.from_numpy(index - np.repeat(sizes[:-1], sizes[1:]))
