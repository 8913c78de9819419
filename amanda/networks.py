"""The model: an encoder a modality, a classifier head a branch (paper section 3; docs/paper.md).

    sequence of modality m ── encoder ──▶ Z_m (d) ──────────────┬── head m ──▶ logits
    all Z_m side by side (M·d) = Z of the joint branch ─────────┴── joint head ──▶ logits

Visual sequences go through a one-layer LSTM with a maximum over time, all others through a TextCNN.

**Missing evidence.** An utterance that lacks a modality has zeros for its Z_m, and beside the joint
head's input stands a presence flag (1 there, 0 missing). A flag exists only for modalities that
some training utterance lacks, since no other flag's weight could be learned; where nothing is
missing the model is exactly the paper's. Flags are no part of the joint representation that is
aligned.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from amanda.batches import Inputs, Packed
from amanda.lstm import LSTM
from amanda.store.names import JOINT
from amanda.textcnn import TextCNN
from amanda.transfer import to_device

LSTM_MODALITIES = ("visual",)
PRECISIONS = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the model says of n utterances.

    Attributes:
        representation: branch (each modality and "joint") to (n, d), "joint" to (n, M·d); zeros
            where a modality is missing.
        logits: branch to (n, classes); of no meaning where that modality is missing.
        present: modality to (n,), or None when every utterance has every modality.
    """

    representation: Mapping[str, Float[Tensor, "n _"]]
    logits: Mapping[str, Float[Tensor, "n classes"]]
    present: Mapping[str, Bool[Tensor, "n"]] | None

    @property
    def modalities(self) -> list[str]:
        return [branch for branch in self.logits if branch != JOINT]

    @property
    def branches(self) -> list[str]:
        """The modalities, then "joint"."""
        return [*self.modalities, JOINT]

    def rows_present(self, branch: str) -> Bool[Tensor, "n"] | None:
        """Which utterances a branch has evidence for; None is all."""
        return None if self.present is None or branch == JOINT else self.present[branch]

    def columns_present(self, branch: str) -> Bool[Tensor, "n _"] | None:
        """Which entries of `representation[branch]` rest on evidence; None is all."""
        if self.present is None:
            return None
        names = self.modalities if branch == JOINT else [branch]
        return torch.cat(
            [self.present[m][:, None].expand_as(self.representation[m]) for m in names], dim=1
        )

    def split(self, n: int) -> tuple["Outputs", "Outputs"]:
        """The first n utterances, and the others."""
        return self._slice(slice(None, n)), self._slice(slice(n, None))

    def _slice(self, rows: slice) -> "Outputs":
        return Outputs(
            {branch: values[rows] for branch, values in self.representation.items()},
            {branch: values[rows] for branch, values in self.logits.items()},
            None
            if self.present is None
            else {modality: values[rows] for modality, values in self.present.items()},
        )


class Model(nn.Module):
    """Encoders and heads of every branch.

    Args:
        encoders: modality to a module that maps `Packed` utterances, none empty, to (n, dim).
        heads: branch to a module that maps its representation to logits; the joint head's input
            has one more column for each of `flags`.
        dim: width of each encoder's representation.
        flags: modalities with a presence flag.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        heads: Mapping[str, nn.Module],
        dim: int,
        flags: Sequence[str] = (),
    ):
        super().__init__()
        self.encoders, self.heads = nn.ModuleDict(encoders), nn.ModuleDict(heads)
        self.dim, self.flags = dim, tuple(flags)

    def forward(self, inputs: Inputs) -> Outputs:
        present = None
        if not all(packed.present.all() for packed in inputs.values()):
            present = {
                name: to_device(packed.present, packed.values.device)
                for name, packed in inputs.items()
            }
        representation = {name: self._encode(name, inputs[name]) for name in self.encoders}
        logits = {name: self.heads[name](z) for name, z in representation.items()}
        representation[JOINT] = torch.cat(list(representation.values()), dim=1)
        flagged = [representation[JOINT]]
        for name in self.flags:
            column = representation[JOINT].new_ones(len(inputs[name]), 1)
            flagged.append(column if present is None else column * present[name][:, None])
        logits[JOINT] = self.heads[JOINT](torch.cat(flagged, dim=1))
        return Outputs(representation, logits, present)

    def networks(self) -> dict[str, nn.Module]:
        """The parts whose gradients are bounded one by one."""
        encoders = {f"encoder.{name}": module for name, module in self.encoders.items()}
        return encoders | {f"head.{name}": module for name, module in self.heads.items()}

    def _encode(self, name: str, packed: Packed) -> Float[Tensor, "n dim"]:
        """Encode the utterances that have the modality; zeros for the others."""
        present = packed.present
        z = packed.values.new_zeros(len(packed), self.dim)
        if not present.any():
            return z
        if present.all():
            return self.encoders[name](packed)
        rows = to_device(np.flatnonzero(present), z.device)
        # The empty ones have no frames, so leaving them out leaves `values` as it is.
        kept = self.encoders[name](Packed(packed.values, packed.lengths[present]))
        return z.index_copy(0, rows, kept)


def architecture(
    shapes: Mapping[str, tuple[int, int]],
    n_classes: int,
    *,
    dim: int,
    dropout: float,
    head_dropout: float,
    kernels: Sequence[int],
    channels: int,
    precision: str = "float32",
    flags: Sequence[str] = (),
) -> dict[str, Any]:
    """A description of the model, ready for JSON; `build` makes the model of it.

    Args:
        shapes: modality to (layers, width) of its features.
        precision: number format of TextCNN's product over frames, of `PRECISIONS`.
        flags: modalities that some training utterance lacks.
    """
    encoders: dict[str, dict[str, Any]] = {}
    for name, (layers, width) in shapes.items():
        encoder: dict[str, Any] = {"layers": layers, "width": width}
        if name in LSTM_MODALITIES:
            encoder = {"kind": "lstm", **encoder}
        else:
            encoder = {"kind": "textcnn", **encoder, "kernels": list(kernels)}
            encoder |= {"channels": channels, "dropout": dropout, "precision": precision}
        encoders[name] = encoder
    return {
        "encoders": encoders,
        "n_classes": n_classes,
        "dim": dim,
        "head_dropout": head_dropout,
        "flags": list(flags),
    }


def build(architecture: Mapping[str, Any]) -> Model:
    """A model with random weights; the global torch generator, seeded by the caller, draws them.

    Linear layers and convolutions start from He et al.'s normal initialisation with biases 0, as
    the released code does; the LSTM from torch's.
    """
    dim, n_classes = architecture["dim"], architecture["n_classes"]
    encoders = {name: _encoder(each, dim) for name, each in architecture["encoders"].items()}
    dropout = architecture["head_dropout"]
    heads: dict[str, nn.Module] = {
        name: nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, n_classes)) for name in encoders
    }
    heads[JOINT] = mlp(
        (dim * len(encoders) + len(architecture["flags"]), dim, dim, n_classes), dropout
    )
    model = Model(encoders, heads, dim, architecture["flags"])
    he_initialise(model)
    return model


def _encoder(description: Mapping[str, Any], dim: int) -> nn.Module:
    n_inputs = description["layers"] * description["width"]
    if description["kind"] == "lstm":
        return LSTM(n_inputs, dim)
    return TextCNN(
        n_inputs,
        dim,
        tuple(description["kernels"]),
        description["channels"],
        description["dropout"],
        PRECISIONS[description["precision"]],
    )


def mlp(widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers between `widths`, with ReLU and dropout after each but the last."""
    layers: list[nn.Module] = []
    for n_inputs, n_outputs in itertools.pairwise(widths):
        layers += [nn.Linear(n_inputs, n_outputs), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers[:-2])


def he_initialise(module: nn.Module) -> None:
    """Draw every linear layer's weights from N(0, 2 / inputs), with biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)
