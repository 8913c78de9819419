"""Reads the encoder of a Whisper model in CTranslate2's binary format into transformers' classes.

Format (CTranslate2, `python/ctranslate2/specs/model_spec.py`), little-endian: format version, name
of the specification, its revision, number of variables; each variable is a name, rank and
dimensions, a type, a byte count and the bytes; then aliases. Strings carry their length and end
with a zero byte.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from amanda.store.errors import InputError

_DTYPES: dict[int, type[np.generic]] = {
    0: np.float32,
    1: np.int8,
    2: np.int16,
    3: np.int32,
    4: np.float16,
}
# transformers' name of a block's parts → CTranslate2's
_BLOCK = {
    "self_attn_layer_norm": "self_attention/layer_norm",
    "self_attn.out_proj": "self_attention/linear_1",
    "final_layer_norm": "ffn/layer_norm",
    "fc1": "ffn/linear_0",
    "fc2": "ffn/linear_1",
}


def load_whisper_encoder(path: Path) -> WhisperEncoder:
    """The encoder of `path` (model.bin of a CTranslate2 Whisper), in float32, in evaluation mode.

    Every parameter of transformers' encoder is set, and every variable of the file's encoder used.

    Raises:
        InputError: the file is not such a model, or is of a version with other contents.
    """
    try:
        variables = {
            name.removeprefix("encoder/"): array
            for name, array in _read_variables(path)
            if name.startswith("encoder/")
        }
        n_heads = int(variables.pop("num_heads"))
        state = dict(_transformers_state(variables))
    except (KeyError, ValueError, struct.error, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: not a Whisper model of CTranslate2 as known here ({error}); fetch it again"
        ) from error
    if variables:
        raise InputError(f"{path}: variables of the encoder without a place: {sorted(variables)}")
    encoder = _empty_encoder(state, n_heads)
    try:
        encoder.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    return encoder.eval().requires_grad_(False)


def _read_variables(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    data: Any = np.memmap(path, mode="r")
    place = 0

    def number(layout: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(layout, data, place)
        place += struct.calcsize(layout)
        return value

    def string() -> str:
        nonlocal place
        length = number("<H")
        text = bytes(data[place : place + length - 1]).decode("ascii")
        place += length
        return text

    if number("<I") != 6 or string() != "WhisperSpec":
        raise ValueError("another format version or model")
    number("<I")
    for _ in range(number("<I")):
        name = string()
        shape = [number("<I") for _ in range(number("<B"))]
        dtype = number("<B")
        n_bytes = number("<I")
        if dtype not in _DTYPES:
            raise ValueError(f"{name} has unknown type {dtype}")
        if place + n_bytes > len(data):
            raise ValueError(f"cut short within {name}")
        yield name, data[place : place + n_bytes].view(_DTYPES[dtype]).reshape(shape)
        place += n_bytes


def _transformers_state(variables: dict[str, np.ndarray]) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of every parameter of transformers' encoder; takes them out of `variables`."""

    def take(name: str) -> Tensor:
        return torch.from_numpy(variables.pop(name).astype(np.float32))

    def linear_or_norm(ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
        weight, bias = ("gamma", "beta") if theirs.endswith("layer_norm") else ("weight", "bias")
        yield f"{ours}.weight", take(f"{theirs}/{weight}")
        yield f"{ours}.bias", take(f"{theirs}/{bias}")

    yield "embed_positions.weight", take("position_encodings/encodings")
    for name in ("conv1", "conv2", "layer_norm"):
        yield from linear_or_norm(name, name)
    n_blocks = len({name.split("/")[0] for name in variables if name.startswith("layer_")})
    for i in range(n_blocks):
        for ours, theirs in _BLOCK.items():
            yield from linear_or_norm(f"layers.{i}.{ours}", f"layer_{i}/{theirs}")
        fused = f"layer_{i}/self_attention/linear_0"
        query, key, value = take(f"{fused}/weight").chunk(3)
        query_bias, key_bias, value_bias = take(f"{fused}/bias").chunk(3)
        if key_bias.any():
            raise ValueError(f"{fused} has a bias for keys, which Whisper has not")
        attention = f"layers.{i}.self_attn"
        yield f"{attention}.q_proj.weight", query
        yield f"{attention}.q_proj.bias", query_bias
        yield f"{attention}.k_proj.weight", key
        yield f"{attention}.v_proj.weight", value
        yield f"{attention}.v_proj.bias", value_bias


def _empty_encoder(state: dict[str, Tensor], n_heads: int) -> WhisperEncoder:
    """An encoder of the sizes of `state`, without memory for its parameters yet."""
    n_positions, width = state["embed_positions.weight"].shape
    config = WhisperConfig(
        num_mel_bins=state["conv1.weight"].shape[1],
        d_model=width,
        encoder_layers=sum(name.endswith("fc1.weight") for name in state),
        encoder_attention_heads=n_heads,
        encoder_ffn_dim=state["layers.0.fc1.weight"].shape[0],
        max_source_positions=n_positions,
        decoder_layers=1,
    )
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        return WhisperEncoder(config)
