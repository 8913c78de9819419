"""The model's mathematics as one would first write it: sequences padded to the longest of a batch.

Two formulations, to measure `amanda.networks.Model` against:

- `PaddedModel("conv2d")` is what the released code does: each domain padded and encoded by itself,
  `nn.Conv2d` over (time, width) with the layers as channels, a maximum over all windows. Windows
  that reach into the padding are not masked there, so its outputs depend on the longest utterance
  of the batch.
- `PaddedModel("conv1d")` is a good plain one: both domains in one batch, `nn.Conv1d` with layers
  and widths as channels, windows beyond an utterance's end masked. Its outputs are ours.

Both take the weights of a `Model` and have its heads, so that losses and optimiser are the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from amanda.batches import LabelledSplit, Rows, Sequences, UnlabelledSplit
from amanda.networks import LSTM, Model, Outputs
from amanda.store.names import JOINT
from amanda.textcnn import TextCNN

Kind = Literal["conv2d", "conv1d"]
Padded = tuple[Float[Tensor, "n time dim"], Int64[Tensor, "n"]]
"""Sequences of one modality with zeros after their ends, and their lengths."""


@dataclass(frozen=True)
class PaddedBatch:
    """As `amanda.batches.Batch`, with padded inputs.

    Attributes:
        inputs: groups of utterances that are padded together, each modality to `Padded`.
        label: of the labelled domain's utterances, which come first.
    """

    inputs: Sequence[Mapping[str, Padded]]
    label: Int64[Tensor, "n_labelled"]


def pad(
    kind: Kind,
    labelled: LabelledSplit,
    target: UnlabelledSplit,
    rows: tuple[Rows, Rows],
    device: torch.device,
) -> PaddedBatch:
    """The rows of both domains as that formulation takes them, float32."""
    split_rows = [
        (part.sequences, chosen) for part, chosen in zip((labelled, target), rows, strict=True)
    ]
    groups = [[each] for each in split_rows] if kind == "conv2d" else [split_rows]
    inputs = [
        {
            name: _pad([(s[name], chosen) for s, chosen in group], device)
            for name in labelled.sequences
        }
        for group in groups
    ]
    return PaddedBatch(inputs, torch.from_numpy(labelled.label[rows[0]]).to(device))


def _pad(parts: Sequence[tuple[Sequences, Rows]], device: torch.device) -> Padded:
    utterances = [
        sequences.values[sequences.offsets[row] : sequences.offsets[row + 1]].float()
        for sequences, rows in parts
        for row in rows
    ]
    lengths = np.array([len(each) for each in utterances], np.int64)
    padded = pad_sequence(utterances, batch_first=True)
    return padded.to(device), torch.from_numpy(lengths).to(device)


class PaddedModel(nn.Module):
    """`Model` with padded encoders; starts from its weights, and shares its heads."""

    def __init__(self, kind: Kind, model: Model):
        super().__init__()
        self.encoders = nn.ModuleDict()
        for name, encoder in model.encoders.items():
            if isinstance(encoder, LSTM):
                self.encoders[name] = PaddedLSTM(encoder)
            elif isinstance(encoder, TextCNN):
                self.encoders[name] = PaddedTextCNN(kind, encoder)
        self.heads = model.heads

    def forward(self, inputs: Sequence[Mapping[str, Padded]]) -> Outputs:
        representation = {
            name: torch.cat([encoder(*group[name]) for group in inputs])
            for name, encoder in self.encoders.items()
        }
        logits = {name: self.heads[name](z) for name, z in representation.items()}
        representation[JOINT] = torch.cat(list(representation.values()), dim=1)
        logits[JOINT] = self.heads[JOINT](representation[JOINT])
        return Outputs(representation, logits, None)

    def networks(self) -> dict[str, nn.Module]:
        """The parts whose gradients are bounded one by one."""
        encoders = {f"encoder.{name}": module for name, module in self.encoders.items()}
        return encoders | {f"head.{name}": module for name, module in self.heads.items()}


class PaddedTextCNN(nn.Module):
    """`TextCNN` over padded sequences."""

    def __init__(self, kind: Kind, like: TextCNN, n_layers: int = 3):
        super().__init__()
        self.kind, self.n_layers, self.kernels = kind, n_layers, like.kernels
        width = like.weight.shape[1] // n_layers
        self.convs = nn.ModuleList()
        taps = like.weight.detach().split([k * like.channels for k in like.kernels])
        biases = like.bias.detach().split(like.channels)
        for kernel, block, bias in zip(like.kernels, taps, biases, strict=True):
            weight = block.unflatten(0, (kernel, like.channels)).permute(1, 2, 0)
            conv: nn.Module
            if kind == "conv2d":
                conv = nn.Conv2d(n_layers, like.channels, (kernel, width))
                weight = weight.unflatten(1, (n_layers, width)).transpose(2, 3)
            else:
                conv = nn.Conv1d(like.weight.shape[1], like.channels, kernel)
            conv.load_state_dict({"weight": weight, "bias": bias})
            self.convs.append(conv)
        self.dropout = nn.Dropout(like.dropout)
        self.out = nn.Linear(like.out.in_features, like.out.out_features)
        self.out.load_state_dict(like.out.state_dict())

    def forward(
        self, x: Float[Tensor, "n time dim"], lengths: Int64[Tensor, "n"]
    ) -> Float[Tensor, "n d"]:
        x = functional.pad(x, (0, 0, 0, max(max(self.kernels) - x.shape[1], 0)))
        if self.kind == "conv2d":
            x = x.unflatten(2, (self.n_layers, -1)).transpose(1, 2)
        else:
            x = x.transpose(1, 2)
        maxima = []
        for kernel, conv in zip(self.kernels, self.convs, strict=True):
            responses = conv(x)
            if self.kind == "conv2d":
                responses = responses.squeeze(3)
            else:
                windows = (lengths - kernel + 1).clamp_min(1)[:, None, None]
                beyond = torch.arange(responses.shape[2], device=x.device) >= windows
                responses = responses.masked_fill(beyond, -torch.inf)
            maxima.append(functional.relu(responses).amax(dim=2))
        pooled = self.dropout(torch.cat(maxima, dim=1))
        return functional.relu(self.out(pooled))


class PaddedLSTM(nn.Module):
    """`LSTM` over padded sequences; steps beyond an utterance's end are masked."""

    def __init__(self, like: LSTM):
        super().__init__()
        self.lstm = nn.LSTM(like.lstm.input_size, like.lstm.hidden_size, batch_first=True)
        self.lstm.load_state_dict(like.lstm.state_dict())

    def forward(
        self, x: Float[Tensor, "n time dim"], lengths: Int64[Tensor, "n"]
    ) -> Float[Tensor, "n d"]:
        states = self.lstm(x)[0]
        beyond = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
        return states.masked_fill(beyond[:, :, None], -torch.inf).amax(dim=1)
