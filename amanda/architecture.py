"""What `architecture` of a saved model may say, and whether the rest of its folder fits it.

A model may come from a stranger: every number is bounded before a network is built of it, and the
classes, modalities and statistics beside it must be those of the network.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from amanda.models import CARD, WEIGHTS, SavedModel
from amanda.store.errors import InputError

Size = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
STATISTICS = ("mean", "scale")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TextCnnEncoder(_Part):
    """Convolutions over time, and a maximum."""

    kind: Literal["textcnn"]
    layers: Size
    width: Size
    kernels: Annotated[
        list[Annotated[int, Field(ge=1, le=1000, strict=True)]], Field(min_length=1, max_length=64)
    ]
    channels: Size
    dropout: Share
    precision: Literal["float32", "tf32", "bfloat16"]


class LstmEncoder(_Part):
    """A recurrent network, and a maximum over time."""

    kind: Literal["lstm"]
    layers: Size
    width: Size


class Architecture(_Part):
    """The arguments of `amanda.networks.build`."""

    encoders: dict[str, Annotated[TextCnnEncoder | LstmEncoder, Field(discriminator="kind")]]
    n_classes: Size
    dim: Size
    head_dropout: Share
    flags: list[str]


def check_architecture(saved: SavedModel) -> None:
    """Raise `InputError` where a saved model's parts do not fit together."""
    card = saved.card
    try:
        architecture = Architecture.model_validate(card.architecture)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{CARD}: architecture.{where}: {first['msg']}") from error
    encoders = list(architecture.encoders)
    for trouble, wrong in (
        (f"modalities are {card.modalities}, but encoders {encoders}", encoders != card.modalities),
        (
            f"{len(card.label_names)} label_names, but n_classes {architecture.n_classes}",
            len(card.label_names) != architecture.n_classes,
        ),
        ("a class stands twice in label_names", len({*card.label_names}) < len(card.label_names)),
        (f"flags {architecture.flags} are no modalities", not {*architecture.flags} <= {*encoders}),
    ):
        if wrong:
            raise InputError(f"{CARD}: {trouble}; the parts are of different models")
    for name, statistics in saved.standardisation.items():
        encoder = architecture.encoders[name]
        _check_statistics(name, statistics, encoder.layers * encoder.width)


def _check_statistics(name: str, statistics: Mapping[str, Tensor], n_inputs: int) -> None:
    """What inputs are standardised by: a mean and a positive scale of each."""
    if sorted(statistics) != sorted(STATISTICS):
        raise InputError(
            f"{WEIGHTS}: statistics of {name} are {', '.join(sorted(statistics))}; they must be "
            f"{' and '.join(STATISTICS)}"
        )
    for key, values in statistics.items():
        if values.shape != (n_inputs,) or values.dtype != torch.float32:
            raise InputError(
                f"{WEIGHTS}: {key} of {name} is {tuple(values.shape)} of {values.dtype}; the "
                f"architecture needs ({n_inputs},) of torch.float32"
            )
    if not bool((statistics["scale"] > 0).all()):
        raise InputError(f"{WEIGHTS}: scale of {name} holds values that are not positive")
