"""CTranslate2's Whisper format: written here as its converter does, read back into transformers."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from amanda.store.errors import InputError
from extractors.whisper_ct2 import load_whisper_encoder

N_BLOCKS = 3


def ctranslate2_variables(encoder: WhisperEncoder) -> dict[str, np.ndarray]:
    """The variables that CTranslate2's converter writes for an encoder (float16, fused q, k, v)."""
    state = {k: v.numpy() for k, v in encoder.state_dict().items()}
    out = {
        "encoder/num_heads": np.array(encoder.config.encoder_attention_heads, np.int16),
        "encoder/position_encodings/encodings": state["embed_positions.weight"],
        "decoder/embeddings/weight": np.zeros((3, 2), np.float32),
    }
    for name in ("conv1", "conv2"):
        out[f"encoder/{name}/weight"] = state[f"{name}.weight"]
        out[f"encoder/{name}/bias"] = state[f"{name}.bias"]
    norms = {"encoder/layer_norm": "layer_norm"}
    linears = {}
    for i in range(N_BLOCKS):
        ours, theirs = f"encoder/layer_{i}", f"layers.{i}"
        norms[f"{ours}/self_attention/layer_norm"] = f"{theirs}.self_attn_layer_norm"
        norms[f"{ours}/ffn/layer_norm"] = f"{theirs}.final_layer_norm"
        linears[f"{ours}/self_attention/linear_1"] = f"{theirs}.self_attn.out_proj"
        linears[f"{ours}/ffn/linear_0"] = f"{theirs}.fc1"
        linears[f"{ours}/ffn/linear_1"] = f"{theirs}.fc2"
        attention = f"{theirs}.self_attn"
        q, k, v = (state[f"{attention}.{p}_proj.weight"] for p in "qkv")
        q_bias, v_bias = state[f"{attention}.q_proj.bias"], state[f"{attention}.v_proj.bias"]
        out[f"{ours}/self_attention/linear_0/weight"] = np.concatenate([q, k, v])
        out[f"{ours}/self_attention/linear_0/bias"] = np.concatenate([q_bias, 0 * q_bias, v_bias])
    for ours, theirs in norms.items():
        out[f"{ours}/gamma"], out[f"{ours}/beta"] = (
            state[f"{theirs}.{p}"] for p in ("weight", "bias")
        )
    for ours, theirs in linears.items():
        out[f"{ours}/weight"], out[f"{ours}/bias"] = (
            state[f"{theirs}.{p}"] for p in ("weight", "bias")
        )
    return {k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in out.items()}


def write_ctranslate2(path: Path, variables: dict[str, np.ndarray]) -> None:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    types = {np.dtype(np.int16): 2, np.dtype(np.float16): 4}
    parts = [struct.pack("<I", 6), text("WhisperSpec"), struct.pack("<II", 3, len(variables))]
    for name, array in variables.items():
        parts += [
            text(name),
            struct.pack("<B", array.ndim),
            *(struct.pack("<I", n) for n in array.shape),
        ]
        parts += [struct.pack("<BI", types[array.dtype], array.nbytes), array.tobytes()]
    path.write_bytes(b"".join([*parts, struct.pack("<I", 0)]))


@pytest.fixture(scope="module")
def encoder() -> WhisperEncoder:
    """A small encoder with parameters that float16 holds exactly."""
    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=32,
        encoder_layers=N_BLOCKS,
        encoder_attention_heads=4,
        encoder_ffn_dim=48,
        num_mel_bins=20,
        max_source_positions=150,
    )
    encoder = WhisperEncoder(config).eval().requires_grad_(False)
    for parameter in encoder.parameters():
        parameter.copy_((parameter + 0.1 * torch.randn(parameter.shape)).half().float())
    return encoder


def test_ctranslate2_weights_fill_transformers_encoder(
    encoder: WhisperEncoder, tmp_path: Path
) -> None:
    write_ctranslate2(tmp_path / "model.bin", ctranslate2_variables(encoder))
    loaded = load_whisper_encoder(tmp_path / "model.bin")
    expected = encoder.state_dict()
    found = loaded.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    mel = torch.randn(2, 20, 300, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(loaded(mel).last_hidden_state, encoder(mel).last_hidden_state)


def test_a_wrong_ctranslate2_file_is_refused(encoder: WhisperEncoder, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    variables = ctranslate2_variables(encoder)
    write_ctranslate2(path, variables)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut short within"):
        load_whisper_encoder(path)
    path.write_bytes(b"\7" + whole[1:])
    with pytest.raises(InputError, match="another format version"):
        load_whisper_encoder(path)
    write_ctranslate2(path, variables | {"encoder/extra": np.zeros(2, np.float16)})
    with pytest.raises(InputError, match="without a place: \\['extra'\\]"):
        load_whisper_encoder(path)
    fused = "encoder/layer_1/self_attention/linear_0/bias"
    write_ctranslate2(path, variables | {fused: variables[fused] + np.float16(1)})
    with pytest.raises(InputError, match="has a bias for keys"):
        load_whisper_encoder(path)
    lacking = {k: v for k, v in variables.items() if k != "encoder/layer_2/ffn/linear_1/weight"}
    write_ctranslate2(path, lacking)
    with pytest.raises(InputError, match="layer_2/ffn/linear_1/weight"):
        load_whisper_encoder(path)
